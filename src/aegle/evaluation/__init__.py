"""How good is it: scores with intervals, curves, subgroups, shortcuts, agreement, model cards."""
