"""How fast a tumour grows.

The doubling time diverges where nothing grows, so its uncertainty is stated on the growth rate, its
inverse: doublings per day.
"""

import math
from dataclasses import dataclass

from aegle.domain.errors import InputError

PART_WITHIN = 1.959963984540054
"""Standard deviations that hold 95 % of a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Exponential growth between two examinations."""

    doubling_days: float
    """Volume doubling time; negative if it shrinks, infinite if nothing changed."""
    doublings_per_day: float
    low_doublings_per_day: float
    """Lower 95 % limit."""
    high_doublings_per_day: float
    """Upper 95 % limit."""

    @property
    def is_growing(self) -> bool | None:
        """Whether it grows or shrinks beyond doubt; None if measurement error may explain it."""
        if self.low_doublings_per_day > 0:
            return True
        return False if self.high_doublings_per_day < 0 else None


def growth(
    first_ml: float,
    second_ml: float,
    days: float,
    *,
    first_deviation_ml: float = 0.0,
    second_deviation_ml: float = 0.0,
) -> Growth:
    """Return how a volume grows.

    Args:
        first_ml: Volume at the first examination; any unit that both share.
        second_ml: At the second.
        days: Between them.
        first_deviation_ml: Standard deviation of the error of the first volume, taken for
            log-normal.
        second_deviation_ml: Of the second.

    Raises:
        InputError: A volume is not positive, or the examinations are not in order of time.
    """
    if not (first_ml > 0 and second_ml > 0 and math.isfinite(first_ml * second_ml)):
        raise InputError(
            f"The volumes are {first_ml:g} and {second_ml:g}; growth needs two that are above 0."
        )
    if not days > 0:
        raise InputError(f"{days:g} days lie between the examinations; give the earlier one first.")
    doublings = math.log2(second_ml / first_ml)
    errors = (first_deviation_ml / first_ml, second_deviation_ml / second_ml)
    spread = PART_WITHIN * math.sqrt(sum(math.log1p(e**2) for e in errors)) / math.log(2)
    return Growth(
        doubling_days=days / doublings if doublings else math.inf,
        doublings_per_day=doublings / days,
        low_doublings_per_day=(doublings - spread) / days,
        high_doublings_per_day=(doublings + spread) / days,
    )


def growth_of_diameter(first_mm: float, second_mm: float, days: float) -> Growth:
    """Return how the volume of a sphere grows, from its diameters."""
    return growth(first_mm**3, second_mm**3, days)
