"""What the criteria judge: the lesions of one patient at every visit, as someone wrote them down.

Sizes are decimals in the criterion's unit: mm for diameters, mm² for products of diameters, mL for
volumes. A target that split has one size per part, which are added; one that merged into another
names it and counts nothing itself, since the other then has the size of the whole (Eisenhauer
2009, section 4.3.2).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import Enum
from itertools import pairwise

from aegle.domain.errors import InputError


class Seen(Enum):
    """What was seen of a lesion whose size is not given or does not matter."""

    PRESENT = "present"
    ABSENT = "absent"
    TOO_SMALL = "too small"
    """Seen, but too small to measure."""
    INCREASED = "increased"
    """Larger than before, without being unequivocal progression."""
    PROGRESSION = "progression"
    """Unequivocally worse."""
    NOT_ASSESSED = "not assessed"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A measured lesion at one visit."""

    lesion: str
    """Its name at every visit."""
    parts: tuple[Decimal, ...] | None
    """Its size; several if it split; None if it was not measured."""
    is_node: bool = False
    is_too_small: bool = False
    merged_into: str = ""
    organ: str = ""
    slice_mm: Decimal | None = None
    """Slice thickness of the image it was measured on."""
    method: str = "CT"
    """``CT``, ``MR``, ``caliper`` or ``radiograph``."""

    def __post_init__(self) -> None:
        if any(not part.is_finite() or part < 0 for part in self.parts or ()):
            sizes = ", ".join(str(part) for part in self.parts or ())
            raise InputError(
                f"Target '{self.lesion}' has the size {sizes}; give 0 if it is gone, null if it "
                "was not measured."
            )


@dataclass(frozen=True, kw_only=True)
class NonTarget:
    """A lesion that is followed without measuring."""

    lesion: str
    seen: Seen


@dataclass(frozen=True, kw_only=True)
class NewLesion:
    """A lesion that was not there at baseline."""

    lesion: str
    is_certain: bool = True
    size: Decimal | None = None
    """Where it is measured, as iRECIST asks for."""
    seen: Seen = Seen.PRESENT
    is_node: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and (not self.size.is_finite() or self.size < 0):
            raise InputError(
                f"New lesion '{self.lesion}' has the size {self.size}; give 0 or more."
            )

    @property
    def is_gone(self) -> bool:
        """Whether it was looked for and is not there any more."""
        return self.seen is Seen.ABSENT or self.size == 0

    @property
    def is_present(self) -> bool:
        """Whether it was seen."""
        return not self.is_gone and self.seen is not Seen.NOT_ASSESSED


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One examination."""

    day: int
    """Days since any fixed day."""
    targets: tuple[Target, ...] = ()
    non_targets: tuple[NonTarget, ...] = ()
    new: tuple[NewLesion, ...] = ()
    is_comparable: bool = True
    """False if the images could not be compared with those of baseline."""
    clinical: str = "stable"
    """``stable``, ``improved`` or ``worse``; for RANO."""
    steroids: str = "stable"
    """``stable``, ``decreased`` or ``increased``; for RANO."""

    def __post_init__(self) -> None:
        lesions: list[Target | NonTarget | NewLesion] = [*self.targets, *self.non_targets]
        named = Counter(lesion.lesion for lesion in [*lesions, *self.new])
        if twice := sorted(name for name, count in named.items() if count > 1):
            raise InputError(
                f"Lesion '{twice[0]}' stands twice at one visit; give each its own name, and the "
                "parts of one that split as a list of sizes."
            )


@dataclass(frozen=True, kw_only=True)
class PatientCourse:
    """All visits of one patient, baseline first."""

    visits: tuple[Visit, ...]
    patient: str = ""

    def __post_init__(self) -> None:
        if len(self.visits) < 2:
            raise InputError(
                f"Response compares with a baseline: expected at least 2 visits, got "
                f"{len(self.visits)}."
            )
        days = [visit.day for visit in self.visits]
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise InputError(
                "The visits are not in order of time; give baseline first and each day once."
            )
        baseline = self.visits[0]
        if baseline.new:
            raise InputError(
                f"Baseline has the new lesion '{baseline.new[0].lesion}'; what is there at "
                "baseline is a target or a non-target lesion."
            )
        self._check_baseline(baseline)

    def _check_baseline(self, baseline: Visit) -> None:
        for target in baseline.targets:
            if target.parts is None and not target.is_too_small:
                raise InputError(
                    f"Target '{target.lesion}' has no size at baseline; measure it, or make it a "
                    "non-target lesion."
                )
        targets = {target.lesion for target in baseline.targets}
        others = {other.lesion for other in baseline.non_targets}
        for visit in self.visits[1:]:
            unknown = {t.lesion for t in visit.targets} - targets
            unknown |= {o.lesion for o in visit.non_targets} - others
            if unknown:
                raise InputError(
                    f"Lesion '{min(unknown)}' is not of that role at baseline; what appears later "
                    "is a new lesion."
                )

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the targets, in the order of baseline."""
        return tuple(target.lesion for target in self.visits[0].targets)


def of_sums(sums: Sequence[Decimal | None], *, days: Sequence[int] | None = None) -> PatientCourse:
    """Return the course of a patient of whom only the sums of sizes are known.

    Args:
        sums: Sum at each visit, baseline first; None where it is not known.
        days: Of the visits; every 8 weeks by default.
    """
    when = days if days is not None else [56 * n for n in range(len(sums))]
    return PatientCourse(
        visits=tuple(
            Visit(
                day=day,
                targets=(Target(lesion="sum", parts=None if size is None else (size,)),),
            )
            for day, size in zip(when, sums, strict=True)
        )
    )


def in_order(course: PatientCourse, order: Mapping[str, int]) -> PatientCourse:
    """Return the same course with its targets in another order."""

    def key(target: Target) -> int:
        return order[target.lesion]

    visits = (replace(v, targets=tuple(sorted(v.targets, key=key))) for v in course.visits)
    return replace(course, visits=tuple(visits))


def days_between(first: date, second: date) -> int:
    """Return the days from one date to another."""
    return (second - first).days
