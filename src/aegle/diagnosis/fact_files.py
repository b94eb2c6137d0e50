"""Files of what is stated of a patient: facts, a FHIR bundle, a table of laboratory values.

Each becomes plain data in the form of ``patient_facts``; several are put together, and what they
state differently is refused. Of a bundle, laboratory values and vital signs count, and conditions
and answers whose code settles a fact of the rules; the latest answer counts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.diagnosis.laboratory.csv_reading import read_csv
from aegle.diagnosis.laboratory.fhir_reading import from_bundle
from aegle.diagnosis.laboratory_inputs import as_entries
from aegle.diagnosis.patient_facts import RECORD_CODES, SECTIONS, SNOMED, without_doubles
from aegle.diagnosis.whose_facts import both, of_resources
from aegle.domain.errors import FileError, IdentityError, InputError, OptionError

ACTIVE = ("active", "recurrence", "relapse")
"""Clinical status of a condition that counts (FHIR R4B, condition-clinical)."""
REFUTED = ("refuted", "entered-in-error")
REMEDY = "Give a JSON file of facts, a FHIR R4 or R4B bundle, or a CSV file of laboratory values."

Json = Mapping[str, Any]


def facts_of(paths: Sequence[Path]) -> tuple[str, str]:
    """Return what files state as JSON text, and what to call it in errors.

    Raises:
        FileError: A file cannot be read.
        IdentityError: A file holds several patients, or two are of different ones.
        OptionError: A file holds no facts, or two state different things.
    """
    texts = [_text(path) for path in paths]
    if len(paths) == 1 and _is_facts(texts[0]):
        return texts[0], str(paths[0])
    together: dict[str, Any] = {}
    for path, text in zip(paths, texts, strict=True):
        together = _merged(together, _tree(path, text), path)
    return json.dumps(together, ensure_ascii=False), ", ".join(map(str, paths))


def _text(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return ""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise OptionError(f"{path}: cannot be read ({error}); {REMEDY}") from error


def _is_facts(text: str) -> bool:
    """Return whether a text is that of facts, or of nothing that is known, which is said later."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return bool(text)
    return not (isinstance(tree, Mapping) and tree.get("resourceType"))


def _tree(path: Path, text: str) -> dict[str, Any]:
    if path.suffix.lower() == ".csv":
        return _of_csv(path)
    try:
        tree = json.loads(text, object_pairs_hook=without_doubles)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: is not JSON ({error}); {REMEDY}") from error
    if not isinstance(tree, dict):
        raise OptionError(f"{path}: holds no object; {REMEDY}")
    return _of_bundle(tree, path) if "resourceType" in tree else tree


def _of_csv(path: Path) -> dict[str, Any]:
    tables = read_csv(path)
    if len(tables) > 1:
        raise IdentityError(
            f"{path} holds {len(tables)} patients ({', '.join(t.patient for t in tables[:3])}); "
            "give the values of one."
        )
    laboratory = as_entries(value for table in tables for value in table)
    return {"patient": {"ids": [t.patient for t in tables]}, "laboratory": laboratory}


def _of_bundle(bundle: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        values = from_bundle(bundle)
        records = _settled(bundle, path)
    except IdentityError:
        raise
    except InputError as error:
        raise FileError(path, str(error), REMEDY) from error
    patient = of_resources(bundle, values.patient)
    return {"patient": patient, "laboratory": as_entries(values), "records": records}


def _settled(bundle: Json, path: Path) -> list[dict[str, Any]]:
    """Return the latest record of each fact that a code settles."""
    latest: dict[str, tuple[datetime, dict[str, Any]]] = {}
    for code, text in _stated_codes(bundle):
        known = RECORD_CODES[SNOMED, code]
        time = _time(text)
        record = {"system": SNOMED, "code": code} | ({"time": time.isoformat()} if time else {})
        when = time or datetime.min
        before = latest.get(known.name)
        if before and before[0] == when:
            other = RECORD_CODES[SNOMED, before[1]["code"]]
            if other.settles != known.settles:
                raise OptionError(
                    f"{path}: states '{other.meaning}' and '{known.meaning}' at the same time; "
                    "leave out the one that is wrong."
                )
        if before is None or when >= before[0]:
            latest[known.name] = (when, record)
    return [record for _, record in latest.values()]


def _stated_codes(bundle: Json) -> Iterator[tuple[str, str]]:
    """Yield the codes of conditions and answers that settle a fact, with when they were said."""
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource", {}) if isinstance(entry, Mapping) else {}
        kind = resource.get("resourceType")
        if kind == "Condition" and _counts(resource):
            said = resource.get("onsetDateTime") or resource.get("recordedDate") or ""
            concepts = resource.get("code")
        elif kind == "Observation" and resource.get("status") in ("final", "amended", "corrected"):
            said = resource.get("effectiveDateTime") or ""
            concepts = resource.get("valueCodeableConcept")
        else:
            continue
        for code in _codes(concepts):
            if (SNOMED, code) in RECORD_CODES:
                yield code, said


def _counts(condition: Json) -> bool:
    clinical, verification = (
        _codes(condition.get(name)) for name in ("clinicalStatus", "verificationStatus")
    )
    is_active = not clinical or any(code in ACTIVE for code in clinical)
    return is_active and not any(code in REFUTED for code in verification)


def _codes(concept: Any) -> list[str]:
    codings = concept.get("coding", ()) if isinstance(concept, Mapping) else ()
    return [str(c.get("code", "")) for c in codings if isinstance(c, Mapping)]


def _time(text: str) -> datetime | None:
    whole = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    try:
        return datetime.fromisoformat(whole).replace(tzinfo=None) if text else None
    except ValueError as error:
        raise InputError(f"A resource has the time '{text}', which is none.") from error


def _merged(first: dict[str, Any], second: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return what both state.

    Raises:
        IdentityError: They are of different patients.
        OptionError: They state one fact differently, or a section is of another kind.
    """
    if unknown := sorted(set(second) - set(SECTIONS)):
        raise OptionError(f"{path}: facts have no section {', '.join(unknown)}; {REMEDY}")
    made = dict(first)
    for section, stated in second.items():
        if section == "patient":
            made[section] = both(made.get(section, {}), stated, str(path))
            continue
        is_list = section in ("records", "laboratory")
        if not isinstance(stated, list if is_list else dict):
            raise OptionError(f"{path}: '{section}' is {stated!r}; see the form of facts.")
        made[section] = (
            [*made.get(section, []), *stated]
            if is_list
            else _united(made.get(section, {}), stated, path)
        )
    return made


def _united(first: Json, second: Any, path: Path) -> dict[str, Any]:
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            raise OptionError(
                f"{path}: {name} is {second[name]!r}, another file states {first[name]!r}; leave "
                "out the one that is wrong."
            )
    return {**first, **second}
