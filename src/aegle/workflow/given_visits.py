"""Visits as a user gives them, one path each: whose they are, when they were, in which order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from aegle.dicom.listing import ScanOptions
from aegle.dicom.scan import Scan, ScannedStudy, scan
from aegle.domain.errors import FileError, IdentityError, InputError, OptionError
from aegle.domain.study import Patient
from aegle.domain.text import Text
from aegle.record.identity import digest

ORDER_CHANGED = (
    "The visits were given in another order than they took place; they are shown oldest first, "
    "and the baseline is {baseline} of {day}, not {given}."
)
ORDER_AS_GIVEN = (
    "Not every visit says when it took place, so the order given is taken: the baseline is "
    "{baseline}."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenVisit:
    """One visit: the path a user gave for it and what lies there."""

    path: Path
    found: Scan
    structures: tuple[Path, ...] = ()
    """Label maps that belong to this visit."""

    @property
    def studies(self) -> tuple[ScannedStudy, ...]:
        """Its DICOM studies with images."""
        return tuple(s for p in self.found.patients for s in p.studies if s.series)

    @property
    def time(self) -> datetime | None:
        """When it took place; None for files that are not DICOM or do not say."""
        return min((s.time for s in self.studies if s.time is not None), default=None)

    @property
    def patient(self) -> Patient | None:
        """Who was examined; None where the files do not say."""
        patients = self.found.patients
        return patients[0].patient if patients else None

    @property
    def content(self) -> str:
        """SHA-256 over all images."""
        digests = [i.digest for s in self.found.series for i in s.instances]
        digests += [digest(path.read_bytes()) for path in self.found.image_files]
        return digest(*sorted(digests))


@dataclass(frozen=True, eq=False, kw_only=True)
class VisitsInOrder:
    """The visits of one patient, oldest first."""

    visits: tuple[GivenVisit, ...]
    notices: tuple[Text, ...] = ()

    def place_of_study(self, uid: str) -> int:
        """Return which visit a DICOM study belongs to."""
        known = [s.uid for v in self.visits for s in v.studies]
        places = [n for n, v in enumerate(self.visits) for _ in v.studies]
        return places[known.index(uid)] if uid in known else len(self.visits)


def visits_in_order(
    paths: Sequence[Path], structures: Sequence[Path], *, options: ScanOptions
) -> VisitsInOrder:
    """Look at the visits and put them in order.

    Args:
        paths: Baseline and follow-ups: a file, folder or zip each.
        structures: Label maps, one for each visit in the order of ``paths``; or none.
        options: Limits.

    Raises:
        OptionError: There is no follow-up.
        FileError: A path does not exist or holds no image.
        IdentityError: The visits belong to different patients.
        InputError: Two visits are the same, or one path holds several.
    """
    if len(paths) < 2:
        raise OptionError(
            f"Follow-up compares at least two visits, got {len(paths)}: give the baseline and one "
            "or more later visits."
        )
    visits = [_visit(path, n, options) for n, path in enumerate(paths)]
    if structures:
        for label_map in structures:
            if not label_map.is_file():
                raise FileError(label_map, "there is no such file.", "Check the path.")
        visits = [replace(v, structures=(s,)) for v, s in zip(visits, structures, strict=True)]
    _require_one_patient(visits)
    _require_different(visits)
    return _ordered(visits)


def _visit(path: Path, number: int, options: ScanOptions) -> GivenVisit:
    visit = GivenVisit(path=path, found=scan([path], options=options))
    name = "The baseline" if number == 0 else f"Follow-up {number}"
    if not visit.found.series and not visit.found.image_files:
        aside = visit.found.set_aside
        why = f" For example {aside[0].source_name}: {aside[0].reason}" if aside else ""
        raise FileError(path, f"{name} holds no image.{why}", "Give the examination's images.")
    if len(visit.found.patients) > 1:
        names = " and ".join(_who(p.patient) for p in visit.found.patients[:2])
        raise IdentityError(f"{path} holds images of several patients: {names}.")
    days = sorted({s.time.date() for s in visit.studies if s.time is not None})
    if len(days) > 1:
        raise InputError(
            f"{path} holds examinations of {len(days)} days ({days[0]} to {days[-1]}); give each "
            "visit by a path of its own, or all of them to `aegle run`."
        )
    return visit


def _require_one_patient(visits: list[GivenVisit]) -> None:
    """Refuse two people; what one of two visits does not say does not tell them apart."""
    known = [(v, v.patient) for v in visits if v.patient is not None]
    for (first, one), (other, another) in pairwise(known):
        if one is None or another is None:
            continue
        for what, left, right in (
            ("patient ID", one.id, another.id),
            ("name", _name(one), _name(another)),
            ("birth date", one.birth_date, another.birth_date),
        ):
            if left and right and left != right:
                raise IdentityError(
                    f"The visits belong to different patients, by their {what}: {first.path} to "
                    f"{_who(one)}, {other.path} to {_who(another)}. Only one patient's visits are "
                    "compared; correct the header if it is wrong."
                )


def _name(patient: Patient) -> str:
    """Return a name without case, padding and empty components, which differ between exports."""
    parts = patient.name.split("=")[0].upper().split("^")
    return "^".join(" ".join(part.split()) for part in parts).strip("^ ")


def _who(patient: Patient) -> str:
    born = f", born {patient.birth_date}" if patient.birth_date else ""
    return f"'{patient.id or 'without id'}' ({patient.name or 'no name'}{born})"


def _require_different(visits: list[GivenVisit]) -> None:
    seen: dict[str, GivenVisit] = {}
    for visit in visits:
        for key in (visit.content, *(s.uid for s in visit.studies)):
            if key in seen and seen[key] is not visit:
                raise InputError(
                    f"{seen[key].path} and {visit.path} hold the same examination; give each visit "
                    "once."
                )
            seen[key] = visit


def _ordered(visits: list[GivenVisit]) -> VisitsInOrder:
    times = [v.time for v in visits]
    dated = [t for t in times if t is not None]
    if len(dated) < len(visits):
        # Dates of some visits may still contradict the order given, which only a user can solve.
        if dated != sorted(dated):
            raise InputError(
                "The visits were given in another order than their dates say, and not every visit "
                "has a date; give them oldest first."
            )
        notice = Text(ORDER_AS_GIVEN, {"baseline": _called(visits[0], visits)})
        return VisitsInOrder(visits=tuple(visits), notices=(notice,))
    order = sorted(range(len(visits)), key=lambda n: (dated[n], n))
    if order == list(range(len(visits))):
        return VisitsInOrder(visits=tuple(visits))
    first = visits[order[0]]
    notice = Text(
        ORDER_CHANGED,
        {
            "baseline": _called(first, visits),
            "day": f"{dated[order[0]]:%Y-%m-%d}",
            "given": _called(visits[0], visits),
        },
    )
    return VisitsInOrder(visits=tuple(visits[n] for n in order), notices=(notice,))


def _called(visit: GivenVisit, visits: list[GivenVisit]) -> str:
    """Return a visit's name, or its whole path if another visit has the same name."""
    name = visit.path.name
    is_alone = sum(other.path.name == name for other in visits) == 1
    return name if name and is_alone else str(visit.path)
