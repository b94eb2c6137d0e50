"""The one path of learning: look, plan, cache, train, evaluate, export, run."""
