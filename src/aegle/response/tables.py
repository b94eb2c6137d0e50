"""Reading the measurements of many patients from tables.

Two forms are understood. A plain table has one row per lesion and visit: ``patient``, ``visit`` or
``date``, ``lesion``, ``role`` (``target``, ``non-target``, ``new``), ``size`` and, where they
matter, ``node`` and ``organ``. CDISC SDTM has tumour results (TR) and identifications (TU), as a
folder of CSV files or one TR file; each evaluator of a patient is a course of its own.

Sources: CDISC SDTMIG 3.4, domains TU, TR and RS.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from aegle.domain.errors import FileError, InputError
from aegle.response.patient_course import (
    NewLesion,
    NonTarget,
    PatientCourse,
    Seen,
    Target,
    Visit,
)
from aegle.response.written import FIRST_DAY, MERGED_INTO, TOO_SMALL, decimal

Row = Mapping[str, str]
Key = TypeVar("Key")
EMPTY = {"", "NA", "N/A", ".", "NULL"}
PLAIN_COLUMNS = ("patient", "lesion", "role", "size")
ROLES = ("target", "non-target", "new")
_STATES = {
    "PRESENT": Seen.PRESENT,
    "ABSENT": Seen.ABSENT,
    "UNEQUIVOCAL PROGRESSION": Seen.PROGRESSION,
    "UNEQUIVOCAL": Seen.PROGRESSION,
    "INCREASED": Seen.INCREASED,
    "NOT ASSESSED": Seen.NOT_ASSESSED,
    "NOT EVALUABLE": Seen.NOT_ASSESSED,
    "NE": Seen.NOT_ASSESSED,
}
_NEW_STATES = {"PRESENT": True, "UNEQUIVOCAL": True, "EQUIVOCAL": False}


@dataclass(frozen=True, kw_only=True)
class CohortEntry:
    """One patient as one evaluator saw them."""

    patient: str
    evaluator: str
    course: PatientCourse
    visits: tuple[str, ...]
    """Names of the visits, baseline first."""


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """One row of a table, of either form."""

    lesion: str
    role: str
    value: str
    is_node: bool
    organ: str


def read_cohort(path: Path) -> tuple[CohortEntry, ...]:
    """Return every patient of a table.

    Args:
        path: CSV file of either form, or a folder with the TR and TU tables of SDTM.

    Raises:
        FileError: The table lacks a column, or a row cannot be what it is said to be.
    """
    tables = {file: _rows(file) for file in _files(path)}
    results = [f for f, rows in tables.items() if rows and "TRTESTCD" in rows[0]]
    if results:
        places = [r for rows in tables.values() for r in rows if "TUTESTCD" in r]
        return _from_sdtm(results[0], tables[results[0]], places)
    for file, rows in tables.items():
        if rows and set(PLAIN_COLUMNS) <= set(rows[0]):
            return _from_plain(file, rows)
    needed = ", ".join(PLAIN_COLUMNS)
    raise FileError(
        path, "no table of measurements was found.", f"Give CSV with {needed}, or SDTM TR and TU."
    )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.csv"))
    if not path.exists():
        raise FileError(path, "there is no such file.", "Give a CSV file or a folder of them.")
    return [path]


def _rows(file: Path) -> list[Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(file, f"not a CSV table ({error}).", "Save it as CSV in UTF-8.") from error


def _from_plain(file: Path, rows: Sequence[Row]) -> tuple[CohortEntry, ...]:
    entries = []
    for patient, own in _grouped(rows, lambda r: r["patient"]).items():
        visits = _grouped(own, lambda r: r.get("visit") or r.get("date") or "")
        days = _days([r[0].get("date", "") for r in visits.values()])
        findings = {
            name: [_plain_finding(file, r) for r in visit] for name, visit in visits.items()
        }
        entries.append(_entry(file, (patient, ""), findings, days))
    return tuple(entries)


def _plain_finding(file: Path, row: Row) -> _Finding:
    role = row["role"].strip().lower()
    if role not in ROLES:
        finding = f"lesion {row['lesion']} of {row['patient']} has the role '{row['role']}'."
        raise FileError(file, finding, f"Give one of {', '.join(ROLES)}.")
    return _Finding(
        lesion=row["lesion"].strip(),
        role=role,
        value=row["size"].strip(),
        is_node=row.get("node", "").strip().lower() in ("y", "yes", "true", "1"),
        organ=row.get("organ", "").strip(),
    )


def _from_sdtm(file: Path, rows: Sequence[Row], places: Sequence[Row]) -> tuple[CohortEntry, ...]:
    sites = {(*_evaluator(r, "TU"), r["TULNKID"]): r.get("TULOC", "") for r in places}
    entries = []
    for key, own in _grouped(rows, lambda r: _evaluator(r, "TR")).items():
        visits = dict(
            sorted(_grouped(own, lambda r: r["VISITNUM"]).items(), key=lambda v: float(v[0]))
        )
        days = _days([visit[0].get("TRDTC", "") for visit in visits.values()])
        findings = {
            visit[0].get("VISIT") or number: _sdtm_findings(visit, key, sites)
            for number, visit in visits.items()
        }
        entries.append(_entry(file, (key[0], " ".join(k for k in key[1:] if k)), findings, days))
    return tuple(entries)


def _evaluator(row: Row, domain: str) -> tuple[str, ...]:
    names = ("USUBJID", f"{domain}EVAL", f"{domain}EVALID")
    return tuple("" if row.get(n, "") in EMPTY else row[n] for n in names)


def _sdtm_findings(
    rows: Iterable[Row], key: tuple[str, ...], sites: Mapping[tuple[str, ...], str]
) -> list[_Finding]:
    """Take of each lesion the one test that the criterion asks for."""
    tests: dict[str, dict[str, Row]] = {}
    for row in rows:
        tests.setdefault(row["TRLNKID"], {})[row["TRTESTCD"]] = row
    findings = []
    for lesion, own in tests.items():
        site = sites.get((*key, lesion), "")
        is_node = "LYMPH NODE" in site.upper()
        order = ("SAXIS", "LPERP", "LDIAM") if is_node else ("LDIAM", "DIAMETER")
        code = next((c for c in (*order, "TUMSTATE") if c in own), None)
        if code is None:
            continue
        role = own[code]["TRGRPID"].strip().lower()
        findings.append(
            _Finding(
                lesion=lesion,
                role=next(r for r in ("non-target", "target", "new", role) if role.startswith(r)),
                value=own[code]["TRSTRESC"].strip(),
                is_node=is_node,
                organ=site.lower(),
            )
        )
    return findings


def _entry(
    file: Path, who: tuple[str, str], findings: Mapping[str, Sequence[_Finding]], days: list[int]
) -> CohortEntry:
    try:
        visits = tuple(
            _visit(found, day) for found, day in zip(findings.values(), days, strict=True)
        )
        course = PatientCourse(visits=visits, patient=who[0])
    except InputError as error:
        patient = " ".join(part for part in who if part)
        raise FileError(file, f"{patient}: {error}", "Correct the table.") from error
    return CohortEntry(patient=who[0], evaluator=who[1], course=course, visits=tuple(findings))


def _visit(findings: Sequence[_Finding], day: int) -> Visit:
    return Visit(
        day=day,
        targets=tuple(_target(f) for f in findings if f.role == "target"),
        non_targets=tuple(
            NonTarget(lesion=f.lesion, seen=_state(f)) for f in findings if f.role == "non-target"
        ),
        new=tuple(_new(f) for f in findings if f.role == "new"),
    )


def _target(found: _Finding) -> Target:
    value = found.value.lower()
    is_words = value == TOO_SMALL or value.startswith(MERGED_INTO)
    parts = None
    if not is_words and found.value.upper() not in EMPTY and value != "not assessed":
        parts = tuple(decimal(p, f"lesion {found.lesion}") for p in found.value.split("+"))
    return Target(
        lesion=found.lesion,
        parts=parts,
        is_node=found.is_node,
        is_too_small=value == TOO_SMALL,
        merged_into=found.value[len(MERGED_INTO) :] if value.startswith(MERGED_INTO) else "",
        organ="" if found.is_node else found.organ,
    )


def _state(found: _Finding) -> Seen:
    value = found.value.upper()
    if value in EMPTY:
        return Seen.NOT_ASSESSED
    if value not in _STATES:
        known = ", ".join(name.lower() for name in _STATES)
        raise InputError(f"lesion {found.lesion} is '{found.value}'; known: {known}.")
    return _STATES[value]


def _new(found: _Finding) -> NewLesion:
    value = found.value.upper()
    if value in _NEW_STATES:
        return NewLesion(lesion=found.lesion, is_certain=_NEW_STATES[value], is_node=found.is_node)
    if value in EMPTY or value in _STATES:
        return NewLesion(lesion=found.lesion, seen=_state(found), is_node=found.is_node)
    size = decimal(found.value, f"lesion {found.lesion}")
    return NewLesion(lesion=found.lesion, size=size, is_node=found.is_node)


def _days(written: Sequence[str]) -> list[int]:
    """Return increasing days; a date without its day is put in the middle of its month.

    Visits that are in order but share an incomplete date follow each other by a day; without any
    date they lie 8 weeks apart.
    """
    days: list[int] = []
    for number, text in enumerate(written):
        day = _day(text)
        if day is None:
            day = days[-1] + 56 if days else 56 * number
        elif len(text) < 10 and days:
            day = max(day, days[-1] + 1)
        days.append(day)
    return days


def _day(text: str) -> int | None:
    if text.strip().upper() in EMPTY:
        return None
    full = {4: f"{text}-07-01", 7: f"{text}-15"}.get(len(text.strip()), text.strip()[:10])
    try:
        return (date.fromisoformat(full) - FIRST_DAY).days
    except ValueError as error:
        raise InputError(f"'{text}' is no date; give one such as 2026-02-28.") from error


def _grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
