"""Whether a FHIR bundle holds together.

The resource models check structure and types only. Codes with a required binding, units,
code systems and references are checked here.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aegle.domain.errors import InputError
from aegle.report.fhir_codes import (
    ABSENT_REASONS,
    DATA_ABSENT,
    DICOM_UID,
    LOINC,
    NEEDED,
    REQUIRED,
    SNOMED,
    SYSTEMS,
    TARGETS,
    UCUM,
    UNITS,
    Json,
)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9]\d*))+")
LOINC_CODE = re.compile(r"\d{1,7}-\d")
CODE = re.compile(r"[A-Za-z0-9-]+")
CONCEPTS = frozenset(
    {"code", "valueCodeableConcept", "bodySite", "category", "dataAbsentReason", "method", "action"}
)
_VERHOEFF_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def require_sound(bundle: Json) -> None:
    """Raise an error that names every problem of a bundle.

    Raises:
        InputError: The bundle does not hold to FHIR R4B or to the checks of this module.
    """
    found = problems(bundle)
    if found:
        raise InputError(f"The FHIR bundle is not sound: {'; '.join(found)}. Nothing was written.")


def problems(bundle: Json) -> list[str]:
    """Return what is wrong with a bundle, in words; nothing if it is sound."""
    found = _structure(bundle)
    if found:
        return found
    entries = bundle.get("entry", [])
    types = {e.get("fullUrl"): e["resource"]["resourceType"] for e in entries}
    found += _identity(entries)
    found += _required(bundle, "Bundle")
    for entry in entries:
        resource = entry["resource"]
        name = resource["resourceType"]
        found += _required(resource, name)
        found += _needed(resource, name)
        for path, node in _nodes(resource, name):
            found += [problem for check in _CHECKS for problem in check(path, node, types)]
    return found


def _structure(bundle: Json) -> list[str]:
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        Bundle.model_validate(bundle)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return []


def _identity(entries: list[Json]) -> list[str]:
    found, seen = [], set()
    for entry in entries:
        url, key = entry.get("fullUrl"), entry["resource"].get("id")
        if url != f"urn:uuid:{key}":
            found.append(f"{url} does not name its resource '{key}'")
        if UUID.fullmatch(str(key)) is None:
            found.append(f"'{key}' is no UUID")
        if url in seen:
            found.append(f"{url} is there twice")
        seen.add(url)
    return found


def _required(resource: Json, name: str) -> list[str]:
    """Check elements whose codes FHIR prescribes; a status must also be there."""
    found = []
    for path, allowed in REQUIRED.items():
        owner, *steps = path.split(".")
        if owner != name:
            continue
        found += [
            f"{path} is '{value}', not one of {', '.join(sorted(allowed))}"
            for value in _values(resource, steps)
            if value not in allowed
        ]
    return found


def _values(node: Any, steps: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _values(item, steps)
    elif not steps:
        yield node
    elif isinstance(node, Mapping) and steps[0] in node:
        yield from _values(node[steps[0]], steps[1:])


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Walk through all objects of a resource with their paths."""
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item, path)
    elif isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}")


def _reference(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    if "reference" not in node:
        return []
    url = node["reference"]
    if url not in types:
        return [f"{path} points to '{url}', which is not in the bundle"]
    allowed = TARGETS.get(path)
    wrong = allowed is not None and types[url] not in allowed
    if wrong or node.get("type", types[url]) != types[url]:
        return [f"{path} points to a {types[url]}"]
    return []


def _quantity(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    del types
    if not path.endswith("Quantity"):
        return []
    found = []
    if node.get("system") != UCUM or node.get("code") not in UNITS:
        found.append(f"{path} has the unit '{node.get('code')}' of '{node.get('system')}'")
    value = node.get("value")
    if not isinstance(value, int | float) or not math.isfinite(value):
        found.append(f"{path} has the value '{value}'")
    return found


def _coding(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    del types
    if not path.endswith((".coding", ".modality")):
        return []
    if node.get("system") in SYSTEMS and _is_code(node["system"], node.get("code")):
        return []
    return [f"{path} has the code '{node.get('code')}' of '{node.get('system')}'"]


def _needed(resource: Json, name: str) -> list[str]:
    """Check what a resource of the export has to say, and that its counts agree."""
    if name not in NEEDED:
        return [f"{name} is no resource of the export"]
    found = [f"{name} has no {part}" for part in NEEDED[name] if not resource.get(part)]
    series = resource.get("series", [])
    if name == "ImagingStudy" and resource.get("numberOfSeries", len(series)) != len(series):
        found.append(f"{name} counts {resource['numberOfSeries']} series and lists {len(series)}")
    instances = sum(one.get("numberOfInstances", 0) for one in series)
    if name == "ImagingStudy" and resource.get("numberOfInstances", instances) != instances:
        found.append(f"{name} counts {resource['numberOfInstances']} instances, not {instances}")
    return found


def _value(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    """Check that an observation or its part has one value, or why not (obs-6)."""
    del types
    if path not in ("Observation", "Observation.component"):
        return []
    values = [name for name in node if name.startswith("value")]
    absent = "dataAbsentReason" in node
    parts = path == "Observation" and ("component" in node or "note" in node)
    if len(values) > 1 or (values and absent) or not (values or absent or parts):
        return [f"{path} has {len(values)} values{' and a reason for none' if absent else ''}"]
    return []


def _identifier(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    del types
    if not path.endswith(".identifier"):
        return []
    value = str(node.get("value", ""))
    if not value.strip() or (node.get("system") == DICOM_UID and not OID.fullmatch(value)):
        return [f"{path} is '{value}' of '{node.get('system')}'"]
    return []


def _words(path: str, node: Json, types: Mapping[str | None, str]) -> list[str]:
    """Check that a concept says something, by code or in words."""
    del types
    last = path.rpartition(".")[2]
    if last not in CONCEPTS or node.get("coding") or str(node.get("text", "")).strip():
        return []
    return [f"{path} says nothing"]


def _is_code(system: str, code: Any) -> bool:
    """Return whether a code can be one of its system: form and check digit."""
    if not isinstance(code, str) or not code:
        return False
    if system == SNOMED:
        return code.isdigit() and 6 <= len(code) <= 18 and _verhoeff(code) == 0
    if system == LOINC:
        return LOINC_CODE.fullmatch(code) is not None and _luhn(code.replace("-", "")) == 0
    return code in ABSENT_REASONS if system == DATA_ABSENT else CODE.fullmatch(code) is not None


def _verhoeff(digits: str) -> int:
    """Return 0 if the last digit is the Verhoeff check digit of a SNOMED CT identifier."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        moved = int(digit)
        for _ in range(place % 8):
            moved = _VERHOEFF_STEP[moved]
        check = _dihedral(check, moved)
    return check


def _dihedral(first: int, second: int) -> int:
    """Multiply in the dihedral group of order 10."""
    turned = first + second if first < 5 else first - second
    return turned % 5 + 5 * ((first < 5) != (second < 5))


def _luhn(digits: str) -> int:
    """Return 0 if the last digit is the check digit of a LOINC code (modulus 10)."""
    doubled = (int(d) * (1 + n % 2) for n, d in enumerate(reversed(digits)))
    return sum(d - 9 * (d > 9) for d in doubled) % 10


_CHECKS: tuple[Callable[[str, Json, Mapping[str | None, str]], list[str]], ...] = (
    _reference,
    _quantity,
    _coding,
    _value,
    _identifier,
    _words,
)
