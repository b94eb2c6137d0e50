"""The course of an optimisation on a terminal: objective and doses, redrawn while it runs."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aegle.domain.course import Course

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
LOG_FROM = 10.0
"""Ratio of the greatest to the least value from which on heights are logarithmic."""


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Return values as a line of bars, the lowest at the bottom; the last one is always shown.

    Args:
        values: Any number of them; what is not finite is left out.
        width: Most bars.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    shown = finite
    if len(finite) > width:
        places = [round(n * (len(finite) - 1) / (width - 1)) for n in range(width)]
        shown = [finite[place] for place in places]
    low, high = min(finite), max(finite)
    if low > 0 and high > LOG_FROM * low:
        shown = [math.log(value) for value in shown]
        low, high = math.log(low), math.log(high)
    span = high - low
    if span <= 0:
        return BARS[0] * len(shown)
    most = len(BARS) - 1
    return "".join(BARS[round(most * (value - low) / span)] for value in shown)


class CourseView:
    """What has been seen of an optimisation; draws itself anew whenever it is shown."""

    def __init__(self) -> None:
        self._objective: list[float] = []
        self._doses: dict[str, list[float]] = {}

    def watch(self, course: Course) -> None:
        """Take where the optimisation stands."""
        self._objective.append(course.objective)
        for name, dose_gy in course.doses.items():
            self._doses.setdefault(name, []).append(dose_gy)

    def clear(self) -> None:
        """Forget what was seen."""
        self._objective.clear()
        self._doses.clear()

    def __rich__(self) -> RenderableType:
        """Return the table that is shown; nothing before the first iteration."""
        if not self._objective:
            return Group()
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=22)
        table.add_column(min_width=WIDTH, style="cyan")
        table.add_column(justify="right")
        table.add_row("objective", sparkline(self._objective), f"{self._objective[-1]:.4g}")
        for name, doses_gy in self._doses.items():
            table.add_row(Text(name), sparkline(doses_gy), f"{doses_gy[-1]:.1f} Gy")
        return table
