"""Laboratory values and vital signs from a FHIR bundle (R4 and R4B Observation).

An Observation gives one value, and one for each component. One that was entered in error or
cancelled, or that says why it has no value, stays as missing with that reason. Narrative, coded
and text answers are no laboratory values and are left out.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.diagnosis.laboratory.analytes import Stated, missing, value_of
from aegle.domain.errors import FileError, IdentityError, InputError
from aegle.domain.laboratory import LaboratoryTable, LaboratoryValue
from aegle.domain.text import Text

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
UNUSABLE = ("entered-in-error", "cancelled", "registered")
"""Status of an Observation whose value does not count (FHIR R4B, observation-status)."""
REMEDY = "Give one FHIR R4 or R4B bundle (JSON) of one patient."
LARGEST = 1 << 28

Json = Mapping[str, Any]


def read_fhir(path: Path) -> LaboratoryTable:
    """Read the laboratory values of a bundle file.

    Raises:
        FileError: The file cannot be read, or is no bundle.
        IdentityError: The observations belong to several patients.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise FileError(path, "is larger than 256 MiB.", REMEDY)
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(path, f"cannot be read as JSON ({error}).", REMEDY) from error
    try:
        return from_bundle(content)
    except IdentityError:
        raise
    except InputError as error:
        raise FileError(path, str(error), REMEDY) from error


def from_bundle(bundle: Json) -> LaboratoryTable:
    """Return the laboratory values of a bundle.

    Raises:
        InputError: It is no bundle, or an Observation in it is broken.
        IdentityError: The observations belong to several patients.
    """
    if not isinstance(bundle, Mapping) or bundle.get("resourceType") != "Bundle":
        raise InputError("This is no FHIR bundle (resourceType is not 'Bundle').")
    observations = list(_observations(bundle))
    patients = {_text(_part(one, "subject").get("reference")) for one in observations} - {""}
    if len(patients) > 1:
        raise IdentityError(
            f"The bundle holds observations of {len(patients)} patients "
            f"({', '.join(sorted(patients)[:3])}). Give one patient at a time."
        )
    values = tuple(value for one in observations for value in _values(one))
    return LaboratoryTable(patient=next(iter(patients), ""), values=values)


def _observations(bundle: Json) -> Iterator[Json]:
    for entry in _list(bundle, "entry"):
        resource = _part(entry, "resource")
        if resource.get("resourceType") == "Observation":
            yield resource


def _values(observation: Json) -> Iterator[LaboratoryValue]:
    time = _time(observation)
    status = _text(observation.get("status"))
    for one in (observation, *_list(observation, "component")):
        if "valueQuantity" not in one and "dataAbsentReason" not in one:
            continue
        stated = _stated(one, time)
        if status in UNUSABLE:
            yield missing(stated, Text("The observation is marked '{status}'.", {"status": status}))
        elif "valueQuantity" not in one:
            why = _absent(one)
            yield missing(stated, Text("The source states no value ({why}).", {"why": why}))
        else:
            yield value_of(stated)


def _stated(one: Json, time: datetime | None) -> Stated:
    quantity, code = _part(one, "valueQuantity"), _part(one, "code")
    codings = [c for c in _list(code, "coding") if c.get("system") == LOINC]
    is_ucum = quantity.get("system") in (UCUM, None)
    number = quantity.get("value")
    sign = _text(quantity.get("comparator"))
    return Stated(
        number=f"{sign}{number}" if sign and number is not None else number,
        unit=_text((quantity.get("code") if is_ucum else None) or quantity.get("unit")),
        name=_text(code.get("text")) or "?",
        code=_text(codings[0].get("code")) if codings else "",
        time=time,
    )


def _absent(one: Json) -> str:
    reason = _part(one, "dataAbsentReason")
    codings = _list(reason, "coding")
    return _text(reason.get("text")) or (_text(codings[0].get("code")) if codings else "") or "?"


def _time(observation: Json) -> datetime | None:
    """Return when the sample was taken; a date alone is its first moment."""
    period = _part(observation, "effectivePeriod")
    text = _text(observation.get("effectiveDateTime") or period.get("start"))
    if not text:
        return None
    whole = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        return datetime.fromisoformat(whole).replace(tzinfo=None)
    except ValueError as error:
        raise InputError(f"An Observation has the time '{text}', which is none.") from error


def _part(holder: Any, name: str) -> Json:
    """Return an object in an object; empty if it is not there."""
    found = holder.get(name, {}) if isinstance(holder, Mapping) else None
    if not isinstance(found, Mapping):
        raise InputError(f"'{name}' of a resource is no object.")
    return found


def _list(holder: Json, name: str) -> list[Json]:
    found = holder.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InputError(f"'{name}' of a resource is no list of objects.")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
