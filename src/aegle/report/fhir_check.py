"""Whether a FHIR bundle holds together.

The resource models check structure and types only. Codes with a required binding, units,
code systems and references are checked here.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aegle.domain.errors import InputError
from aegle.report.fhir_codes import REQUIRED, SYSTEMS, TARGETS, UCUM, UNITS, Json


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
    if node.get("system") in SYSTEMS and node.get("code"):
        return []
    return [f"{path} has the code '{node.get('code')}' of '{node.get('system')}'"]


_CHECKS: tuple[Callable[[str, Json, Mapping[str | None, str]], list[str]], ...] = (
    _reference,
    _quantity,
    _coding,
)
