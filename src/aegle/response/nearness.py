"""Whether sizes lie so near to a limit that another response is as possible.

Two readers of the same sum differ by -19 to +20 % (Yoon SH et al. Eur J Cancer 2016;53:5-15); half
of that, and at least the 5 mm that RECIST 1.1 (section 4.3.1) asks for before it believes a change
of a small sum, is taken for near. On coarse images a diameter is no surer than a pixel: near is
then what lies within 3 mm and a pixel times the square root of the number of targets.
"""

from collections.abc import Sequence
from decimal import Decimal

from aegle.domain.text import Text
from aegle.response.criterion import Criterion, JudgedVisit
from aegle.response.sum_criteria import NONE, PD, PR

NEAR_MM, NEAR_SHARE = Decimal(5), Decimal("0.1")
BEYOND_PIXELS_MM = 3.0
NEAR_LIMIT = (
    "The sum of {sum_mm:.1f} mm lies {away_mm:.1f} mm from the limit of {category} "
    "({limit_mm:.1f} mm), within the error of measurement: the response is uncertain."
)
NEAR_NORMAL = (
    "The short axis of a lymph node, {size_mm:.1f} mm, lies {away_mm:.1f} mm from that of a normal "
    "one ({limit_mm:.0f} mm), within the error of measurement, and nothing else is left: whether "
    "the response is complete is uncertain."
)
_DECIDED_OTHERWISE = ("new-lesion", "alignment", "target-missing", "non-target-progression")


def doubt(
    verdict: JudgedVisit,
    nodes_mm: Sequence[Decimal],
    criterion: Criterion,
    *,
    others_left: bool,
    response_persists: bool,
    blur_mm: float = 0.0,
) -> Text | None:
    """Return why a verdict is uncertain; None if its sizes lie clear of every limit.

    Args:
        verdict: By RECIST 1.1 or a criterion with the same limits, on diameters [mm].
        nodes_mm: Short axes of the lymph nodes of the baseline that are left [mm].
        criterion: Its limits.
        others_left: Whether a lesion of the baseline that is no node is left.
        response_persists: Whether a response, once reached, lasts until progression.
        blur_mm: Error of the sum by the images' pixels; 0 where it is not known.
    """
    if verdict.rule in _DECIDED_OTHERWISE:
        return None
    if not others_left:
        limit = criterion["normal_node"]
        nearest = min(nodes_mm, key=lambda size: abs(size - limit), default=None)
        if nearest is not None and abs(nearest - limit) < NEAR_MM:
            return _said(NEAR_NORMAL, limit, abs(nearest - limit), size_mm=float(nearest))
    if verdict.facts["target"] == NONE:
        return None
    now, start, nadir = (Decimal(str(verdict.facts[k])) for k in ("sum", "baseline", "nadir"))
    grown = nadir + max(
        criterion["progression_increase"] * nadir, criterion["progression_increase_absolute"]
    )
    fallen = (1 - criterion["response_decrease"]) * start
    lowest = min(now, nadir) if response_persists else now
    coarse_mm = Decimal(str(BEYOND_PIXELS_MM + blur_mm if blur_mm else 0.0))

    def near(limit: Decimal) -> Decimal:
        return max(NEAR_MM, NEAR_SHARE * limit, coarse_mm)

    limits = ((PR, fallen, lowest), (PD, grown, now))
    category, limit, size = min(limits, key=lambda one: abs(one[2] - one[1]) / near(one[1]))
    away = abs(size - limit)
    if away >= near(limit):
        return None
    return _said(NEAR_LIMIT, limit, away, sum_mm=float(size), category=category)


def _said(template: str, limit: Decimal, away: Decimal, **facts: str | float) -> Text:
    return Text(template, {"limit_mm": float(limit), "away_mm": float(away), **facts})
