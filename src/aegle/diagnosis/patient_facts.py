"""What a person or a record states of a patient beside the images.

A file of facts is a JSON object:

    {"patient": {"ids": ["4711"], "birth_date": "1961-02-14", "sex": "F"},
     "facts": {"age": 62, "high_risk": true},
     "lesions": {"1/L1": {"type": "part_solid", "s": 4}},
     "records": [{"system": "http://loinc.org", "code": "30525-0", "value": 62, "unit": "a",
                  "time": "2026-01-05T08:30:00"}]}

``patient`` says whose facts they are (``whose_facts``). Names are those of the published rules. A
lesion is named by visit and id, or by its id alone where there is one visit: the same id may be
another lesion at another visit. A record is a code with a value; its code has to be known.
Laboratory values are turned into the unit of their analyte and shown in it; one that cannot be is
refused in ``records``, and in ``laboratory``, where files from elsewhere go (``fact_files``), shown
with the reason.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aegle.diagnosis.laboratory.analytes import Stated as Measured
from aegle.diagnosis.laboratory.analytes import analyte_of, written
from aegle.diagnosis.laboratory.fhir_reading import LOINC
from aegle.diagnosis.laboratory_inputs import (
    exact,
    input_of,
    inputs_of,
    laboratory_values,
    moment,
)
from aegle.diagnosis.rule import load
from aegle.diagnosis.whose_facts import StatedPatient, stated_patient
from aegle.domain.errors import OptionError
from aegle.domain.laboratory import LaboratoryValue
from aegle.domain.suggestion import Input, InputSource

SNOMED = "http://snomed.info/sct"
CASE_RULES = ("lung-rads", "fleischner", "brock", "mayo")
"""Rules that are asked about a case."""
MEASURED = frozenset({"d", "volume", "count", "multiple", "model", "screening"})
"""Facts that the case itself settles."""
SECTIONS = ("patient", "facts", "lesions", "records", "laboratory")
RECORD_KEYS = frozenset({"system", "code", "value", "unit", "time"})


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
    whose: StatedPatient = field(default_factory=StatedPatient)


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
        tree = json.loads(content.removeprefix("\ufeff"), object_pairs_hook=without_doubles)
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
    laboratory: list[LaboratoryValue] = []
    for number, record in enumerate(_list(tree, name), 1):
        where = f"{name}: record {number}"
        if value := _laboratory(record, where):
            laboratory.append(_agreeing(laboratory, value, where))
            continue
        coded, known = _record(record, where)
        _agree(stated.get(known.name), coded, f"{where}: {known.name}")
        stated[known.name] = coded
    others = laboratory_values(tree.get("laboratory", []), name)
    inputs = (*map(input_of, laboratory), *inputs_of(others))
    whose = stated_patient(tree.get("patient", {}), name)
    return PatientFacts(patient=stated, lesions=lesions, laboratory=inputs, whose=whose)


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


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, in which no name may occur twice.

    Raises:
        ValueError: One does.
    """
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
    if not isinstance(record, Mapping) or set(record) - RECORD_KEYS:
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
            time=moment(record.get("time"), where),
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


def _agree(stated: Stated | None, record: Stated, where: str) -> None:
    if stated is not None and stated.value != record.value:
        raise OptionError(
            f"{where} is {stated.value!r} and {record.value!r}; leave out the one that is wrong."
        )


def _laboratory(record: Any, where: str) -> LaboratoryValue | None:
    """Return the laboratory value that a record states; None if its code is of something else."""
    if not isinstance(record, Mapping) or record.get("system") != LOINC:
        return None
    code = str(record.get("code", ""))
    if not analyte_of(code=code) or set(record) - RECORD_KEYS:
        return None
    stated = Measured(
        number=record.get("value"),
        unit=str(record.get("unit") or ""),
        code=code,
        time=moment(record.get("time"), where),
    )
    return exact(stated, where)


def _agreeing(before: list[LaboratoryValue], value: LaboratoryValue, where: str) -> LaboratoryValue:
    """Return a value that no earlier record contradicts.

    Raises:
        OptionError: One of the same time does.
    """
    for other in before:
        if (other.analyte, other.time) == (value.analyte, value.time) and other != value:
            name = written(value.analyte)
            raise OptionError(
                f"{where}: {name} is {other.value:.4g} and {value.value:.4g} {value.unit}; leave "
                "out the one that is wrong."
            )
    return value
