"""What one visit of a course shows by RECIST 1.1, and in words why it is judged as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from aegle.domain.response import ResponseCategory
from aegle.domain.text import Text
from aegle.domain.timeline import TimelineEntry

NORMAL_NODE_MM = Decimal(10)
"""Section 4.3.1: nodes with a smaller short axis are normal and may remain."""
CR = ResponseCategory.COMPLETE_RESPONSE
PD = ResponseCategory.PROGRESSIVE_DISEASE
NE = ResponseCategory.NOT_EVALUABLE
NEITHER = ResponseCategory.NEITHER_COMPLETE_NOR_PROGRESSIVE


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of target diameters [mm]: now, at baseline, and the smallest before now."""

    now: Decimal
    baseline: Decimal
    nadir: Decimal

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What a sentence about the sums needs; changes are 0 where nothing was there."""
        return {
            "sum_mm": float(self.now),
            "baseline_mm": float(self.baseline),
            "nadir_mm": float(self.nadir),
            "baseline_percent": _percent(self.now, self.baseline),
            "nadir_percent": _percent(self.now, self.nadir),
            "increase_mm": float(self.now - self.nadir),
        }


@dataclass(frozen=True, kw_only=True)
class VisitSeen:
    """What one visit shows of the lesions known by then."""

    targets: tuple[TimelineEntry, ...]
    others: tuple[TimelineEntry, ...]
    """Non-target lesions of the baseline."""
    new: tuple[TimelineEntry, ...]
    """Lesions that were not there at baseline and are unequivocal."""
    missing: int
    """Targets that could not be assessed."""
    others_missing: int
    had_disease: bool
    """Whether the baseline showed any lesion that is not a normal lymph node."""
    is_aligned: bool

    @property
    def total(self) -> Decimal:
        """Sum of the target diameters that were assessed [mm]."""
        return sum((size_mm(e) for e in self.targets), Decimal(0))

    @property
    def remaining(self) -> tuple[TimelineEntry, ...]:
        """Lesions of the baseline that are still diseased."""
        return tuple(e for e in (*self.targets, *self.others) if not is_normal(e))


def is_normal(entry: TimelineEntry) -> bool:
    """Return whether nothing is left of a lesion, or a normal lymph node."""
    if entry.merged_into is not None:
        return False
    return size_mm(entry) < NORMAL_NODE_MM if entry.is_lymph_node else size_mm(entry) == 0


def size_mm(entry: TimelineEntry) -> Decimal:
    """Return the diameter as it is shown [mm]."""
    return round(decimal_of(entry.diameter_mm), 1)


def decimal_of(number: float) -> Decimal:
    """Return the number as it is written: 0.3 is three tenths."""
    return Decimal(str(float(number)))


def _percent(now: Decimal, before: Decimal) -> float:
    return float(100 * (now - before) / before) if before else 0.0


def reason(
    category: ResponseCategory,
    target: ResponseCategory | None,
    visit: VisitSeen,
    sums: Sums,
    rule: str,
) -> Text:
    """Say in numbers why the category holds."""
    if not visit.is_aligned:
        return Text("The alignment with the first visit failed, so lesions cannot be compared.")
    if category is PD:
        return _why_progressive(target, visit, sums)
    if category is NE:
        return _why_not_evaluable(target, visit, sums)
    if category is CR:
        return Text("All lesions are gone; lymph nodes that remain are smaller than 10 mm.")
    if category is NEITHER:
        return Text(
            "No lesion was measurable at baseline (longest diameter 10 mm, lymph nodes 15 mm); "
            "{count} others remain, so the response is neither complete nor progressive (RECIST "
            "1.1, table 2).",
            {"count": len(visit.remaining)},
        )
    if target is CR:
        return Text(
            "All target lesions are gone, but {count} other lesions remain or were not assessed.",
            {"count": len(visit.remaining) + visit.others_missing},
        )
    if rule == "response-persists":
        return Text(
            "Partial response persists: sum of target diameters {sum_mm:.1f} mm, "
            "{baseline_percent:+.1f} % against baseline ({baseline_mm:.1f} mm), "
            "{nadir_percent:+.1f} % against the smallest earlier sum ({nadir_mm:.1f} mm).",
            sums.facts,
        )
    return Text(
        "Sum of target diameters {sum_mm:.1f} mm: {baseline_percent:+.1f} % against baseline "
        "({baseline_mm:.1f} mm), {nadir_percent:+.1f} % against the smallest earlier sum "
        "({nadir_mm:.1f} mm).",
        sums.facts,
    )


def _why_progressive(target: ResponseCategory | None, visit: VisitSeen, sums: Sums) -> Text:
    if visit.new:
        return Text(
            "New lesions: {lesions}. Sum of target diameters {sum_mm:.1f} mm, "
            "{baseline_percent:+.1f} % against baseline ({baseline_mm:.1f} mm).",
            {"lesions": _listed(visit.new), **sums.facts},
        )
    if target is PD and sums.nadir:
        return Text(
            "Sum of target diameters {sum_mm:.1f} mm: {increase_mm:.1f} mm and "
            "{nadir_percent:.1f} % above the smallest earlier sum ({nadir_mm:.1f} mm).",
            sums.facts,
        )
    return Text(
        "Disease is seen again after it had gone: {lesions}.",
        {"lesions": _listed(visit.remaining)},
    )


def _why_not_evaluable(target: ResponseCategory | None, visit: VisitSeen, sums: Sums) -> Text:
    if target is NE:
        return Text(
            "{missing} of {count} target lesions were not assessed; the others sum to "
            "{sum_mm:.1f} mm.",
            {"missing": visit.missing, "count": visit.missing + len(visit.targets), **sums.facts},
        )
    if not visit.had_disease:
        return Text("Nothing was diseased at baseline, so there is no response to judge.")
    return Text(
        "No lesion was measurable at baseline (longest diameter 10 mm, lymph nodes 15 mm), "
        "and {count} others were not assessed.",
        {"count": visit.others_missing},
    )


def _listed(entries: Sequence[TimelineEntry]) -> str:
    return ", ".join(f"{e.track} {size_mm(e)} mm" for e in entries)
