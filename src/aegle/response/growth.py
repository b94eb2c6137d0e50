"""How fast a lesion grows: its volume doubling time, with an interval that always makes sense.

VDT = Δt · ln 2 / ln(V2/V1). It runs through infinity where a lesion stays as it is, so the
interval is put on its inverse, the doublings per day, which is normal about ln(V2/V1) with the
relative errors of both volumes; a lesion that may not grow at all has no upper limit of VDT.
"""

import math
from dataclasses import dataclass

from scipy.stats import norm

from aegle.domain.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Growth of one lesion between two visits."""

    doublings_per_day: float
    """1/VDT; negative if it shrinks."""
    interval_per_day: tuple[float, float]
    """Of ``doublings_per_day``."""
    volume_ratio: float
    is_beyond_error: bool
    """Whether the interval leaves out no change."""

    @property
    def doubling_days(self) -> float | None:
        """VDT [days]; None if the lesion does not grow."""
        return 1 / self.doublings_per_day if self.doublings_per_day > 0 else None

    @property
    def doubling_interval_days(self) -> tuple[float, float] | None:
        """Shortest and longest VDT [days]; infinite if it may not grow, None if it shrinks."""
        low, high = self.interval_per_day
        if high <= 0:
            return None
        return 1 / high, (1 / low if low > 0 else math.inf)


def growth(
    first_ml: float,
    second_ml: float,
    days: float,
    *,
    first_deviation_ml: float = 0.0,
    second_deviation_ml: float = 0.0,
    confidence: float = 0.95,
) -> Growth:
    """Return how fast a volume grows.

    Args:
        first_ml: Volume at the earlier visit.
        second_ml: Volume at the later visit.
        days: Between the visits.
        first_deviation_ml: Standard deviation of the error of the first volume.
        second_deviation_ml: Of the second.
        confidence: Of the interval.

    Raises:
        InputError: A volume is not positive, or the later visit is not later.
    """
    if not (first_ml > 0 and second_ml > 0):
        raise InputError(
            f"Volumes of {first_ml} and {second_ml} mL have no doubling time; both must be "
            "positive."
        )
    if not days > 0:
        raise InputError(f"The second visit is {days} days after the first; swap the visits.")
    ratio = second_ml / first_ml
    deviation = math.hypot(first_deviation_ml / first_ml, second_deviation_ml / second_ml)
    reach = float(norm.ppf(0.5 + confidence / 2)) * deviation
    middle = math.log(ratio)
    per_day = 1 / (days * math.log(2))
    return Growth(
        doublings_per_day=middle * per_day,
        interval_per_day=((middle - reach) * per_day, (middle + reach) * per_day),
        volume_ratio=ratio,
        is_beyond_error=abs(middle) > reach,
    )
