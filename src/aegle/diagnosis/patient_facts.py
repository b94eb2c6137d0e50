"""What a person or a record states of a patient beside the images.

A file of facts is a JSON object:

    {"facts": {"age": 62, "high_risk": true},
     "lesions": {"1/L1": {"type": "part_solid", "s": 4}},
     "records": [{"system": "http://loinc.org", "code": "30525-0", "value": 62, "unit": "a",
                  "time": "2026-01-05T08:30:00"}]}

Names are those of the published rules. A lesion is named by visit and id, or by its id alone
where there is one visit: the same id may be another lesion at another visit. A record is a code
with a value; its code has to be known and its unit the one of the table: nothing is converted
silently.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aegle.diagnosis.rule import load
from aegle.domain.errors import OptionError
from aegle.domain.suggestion import Input, InputSource

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
CASE_RULES = ("lung-rads", "fleischner", "brock", "mayo")
"""Rules that are asked about a case."""
MEASURED = frozenset({"d", "volume", "count", "multiple", "model", "screening"})
"""Facts that the case itself settles."""
SECTIONS = ("facts", "lesions", "records")


@dataclass(frozen=True, kw_only=True)
class RecordCode:
    """What a coded record says."""

    name: str
    """Fact of the rules, or the analyte."""
    meaning: str
    unit: str = ""
    settles: bool | None = None
    """Value of the fact that the code itself states; None: the record brings a number."""
    units: tuple[str, ...] = ()
    """Other spellings of the same unit."""


RECORD_CODES: dict[tuple[str, str], RecordCode] = {
    (LOINC, "30525-0"): RecordCode(name="age", meaning="age", unit="a", units=("years",)),
    (LOINC, "2160-0"): RecordCode(name="creatinine", meaning="creatinine", unit="mg/dL"),
    (LOINC, "2345-7"): RecordCode(name="glucose", meaning="glucose", unit="mg/dL"),
    (LOINC, "1975-2"): RecordCode(name="bilirubin", meaning="total bilirubin", unit="mg/dL"),
    (LOINC, "1988-5"): RecordCode(name="crp", meaning="C-reactive protein", unit="mg/L"),
    (LOINC, "718-7"): RecordCode(name="haemoglobin", meaning="haemoglobin", unit="g/dL"),
    (LOINC, "2857-1"): RecordCode(name="psa", meaning="prostate-specific antigen", unit="ng/mL"),
    (LOINC, "2039-6"): RecordCode(name="cea", meaning="carcinoembryonic antigen", unit="ng/mL"),
    (SNOMED, "77176002"): RecordCode(name="smoke", meaning="smoker", settles=True),
    (SNOMED, "8517006"): RecordCode(name="smoke", meaning="ex-smoker", settles=True),
    (SNOMED, "266919005"): RecordCode(name="smoke", meaning="never smoked", settles=False),
    (SNOMED, "87433001"): RecordCode(name="emph", meaning="pulmonary emphysema", settles=True),
    (SNOMED, "234532001"): RecordCode(
        name="immunosuppressed", meaning="immunodeficiency", settles=True
    ),
}
"""Records that are understood: system and code."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """One fact with where it comes from."""

    value: Any
    source: InputSource = InputSource.STATED
    time: datetime | None = None
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class PatientFacts:
    """What is stated of a patient and of single lesions."""

    patient: Mapping[str, Stated] = field(default_factory=dict)
    lesions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By visit and id of the lesion, ``1/L1``; of one visit by id."""
    laboratory: tuple[Input, ...] = ()
    """Records that no rule asks for; they are shown with the suggestions."""


def read_facts(content: str, name: str) -> PatientFacts:
    """Read a file of facts.

    Args:
        content: JSON text.
        name: What it is called in errors.

    Raises:
        OptionError: It is no JSON object of known sections, a name or code is unknown, a value
            is of another type, impossible, or in another unit.
    """
    try:
        tree = json.loads(content.removeprefix("\ufeff"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{name}: is not JSON ({error}); give an object of facts.") from error
    return patient_facts(tree, name)


def patient_facts(tree: Any, name: str) -> PatientFacts:
    """Return the facts of plain data; arguments and errors as :func:`read_facts`."""
    if not isinstance(tree, Mapping) or set(tree) - set(SECTIONS):
        raise OptionError(
            f"{name}: facts are an object with the sections {', '.join(SECTIONS)}; write "
            '{"facts": {"age": 62}}.'
        )
    stated = {key: Stated(value=value) for key, value in _object(tree, "facts", name).items()}
    _require_known(stated, f"{name}: facts")
    lesions = _object(tree, "lesions", name)
    for lesion, facts in lesions.items():
        if not isinstance(facts, Mapping):
            raise OptionError(f"{name}: lesion {lesion} is {facts!r}; give an object of facts.")
        _require_known(facts, f"{name}: lesion {lesion}")
    laboratory = []
    for number, record in enumerate(_list(tree, name), 1):
        where = f"{name}: record {number}"
        coded, known = _record(record, where)
        if known.name in _names():
            _agree(stated.get(known.name), coded, f"{where}: {known.name}")
            stated[known.name] = coded
        else:
            laboratory.append(_laboratory(coded, known))
    return PatientFacts(patient=stated, lesions=lesions, laboratory=tuple(laboratory))


def of_visit(stated: PatientFacts, number: int, visits: int) -> PatientFacts:
    """Return what is stated of one visit, its lesions by id.

    Args:
        stated: What is stated of the case.
        number: Of the visit, from 1.
        visits: How many there are.

    Raises:
        OptionError: A lesion is named without its visit, or with one that does not exist.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for key, facts in stated.lesions.items():
        visit, _, lesion = key.rpartition("/")
        known = {str(n) for n in range(1, visits + 1)} | ({""} if visits == 1 else set())
        if visit not in known:
            raise OptionError(
                f"Facts are stated of lesion '{key}', but the case has {visits} visits; name the "
                "visit and the lesion, such as 1/L1."
            )
        if visit in ("", str(number)):
            found[lesion] = facts
    return replace(stated, lesions=found)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(doubled)} is stated twice")
    return dict(pairs)


def _object(tree: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    found = tree.get(section, {})
    if not isinstance(found, Mapping):
        raise OptionError(f"{name}: '{section}' is {found!r}; give an object of names and values.")
    return found


def _list(tree: Mapping[str, Any], name: str) -> list[Any]:
    found = tree.get("records", [])
    if not isinstance(found, list):
        raise OptionError(f"{name}: 'records' is {found!r}; give a list of coded records.")
    return found


def _names() -> frozenset[str]:
    """Return the names of the facts that rules ask for and a person may state."""
    facts = (name for rule in CASE_RULES for name, f in load(rule).facts.items() if f.given)
    return frozenset(facts) - MEASURED


def _require_known(facts: Mapping[str, Any], where: str) -> None:
    known = _names()
    if unknown := sorted(str(name) for name in facts if name not in known):
        raise OptionError(
            f"{where}: no rule asks for {', '.join(unknown)}; known: {', '.join(sorted(known))}."
        )


def _record(record: Any, where: str) -> tuple[Stated, RecordCode]:
    if not isinstance(record, Mapping) or set(record) - {"system", "code", "value", "unit", "time"}:
        raise OptionError(f"{where} is {record!r}; give system, code, value, unit and time.")
    key = (str(record.get("system", "")), str(record.get("code", "")))
    known = RECORD_CODES.get(key)
    if known is None:
        listed = ", ".join(f"{code} ({one.meaning})" for (_, code), one in RECORD_CODES.items())
        raise OptionError(f"{where}: code '{key[1]}' of '{key[0]}' is not known; known: {listed}.")
    value = _value(record, known, where)
    return (
        Stated(
            value=value,
            source=InputSource.RECORD,
            time=_time(record.get("time"), where),
            code="|".join(key),
        ),
        known,
    )


def _value(record: Mapping[str, Any], known: RecordCode, where: str) -> Any:
    """Return what a record states: its number in the unit of the table, or what its code says."""
    if known.settles is not None:
        if "value" in record and not isinstance(record["value"], bool):
            raise OptionError(f"{where}: {known.meaning} is {record['value']!r}; leave it out.")
        return known.settles if record.get("value", True) else not known.settles
    value = record.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OptionError(f"{where}: {known.meaning} is {value!r}; give a number in {known.unit}.")
    unit = record.get("unit")
    if unit != known.unit and unit not in known.units:
        raise OptionError(
            f"{where}: {known.meaning} is in {unit!r}; convert it and give {known.unit}."
        )
    if value < 0:
        raise OptionError(f"{where}: {known.meaning} cannot be {value} {known.unit}.")
    return value


def _time(value: Any, where: str) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{where}: {value!r} is no time; give ISO 8601 such as 2026-01-05T08:30:00."
        ) from error


def _agree(stated: Stated | None, record: Stated, where: str) -> None:
    if stated is not None and stated.value != record.value:
        raise OptionError(
            f"{where} is {stated.value!r} and {record.value!r}; leave out the one that is wrong."
        )


def _laboratory(coded: Stated, known: RecordCode) -> Input:
    return Input(
        name=known.name,
        meaning=known.meaning,
        value=f"{coded.value:g}",
        unit=known.unit,
        source=InputSource.RECORD,
        time=coded.time,
        code=coded.code,
        is_used=False,
    )
