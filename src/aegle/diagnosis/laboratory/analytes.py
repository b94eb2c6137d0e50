"""Which analytes are known, and what a stated value means for one of them."""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from aegle.diagnosis.laboratory.units import convert
from aegle.domain.errors import QuantityError
from aegle.domain.laboratory import Comparator, LaboratoryValue
from aegle.domain.text import Text

STRICT: Any = {"extra": "forbid"}
_NUMBER = re.compile(r"\s*(<=|>=|<|>|≤|≥)?\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*")
_SIGNS: Mapping[str, Comparator] = {
    "≤": "<=",
    "≥": ">=",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Analyte:
    """What is measured, its unit here, and between which limits a value is possible."""

    loinc: tuple[str, ...]
    unit: str
    low: float
    high: float
    formula: str = ""
    molar_mass: float = 0.0
    """[g/mol]; 0 where mass and amount of substance do not turn into each other."""
    valence: int = 0
    others: tuple[str, ...] = ()
    """Units that are often used instead."""
    written: str = ""
    """How it is called, where that is not its name with spaces."""


@plain_dataclass(frozen=True, kw_only=True)
class Stated:
    """One entry of a source, as it was written."""

    number: object
    """A number, or text that holds one; None or empty text where nothing is stated."""
    unit: str = ""
    name: str = ""
    code: str = ""
    """LOINC."""
    time: datetime | None = None


@cache
def analytes() -> Mapping[str, Analyte]:
    """Return the known analytes by name."""
    text = (files("aegle.diagnosis.laboratory") / "analytes.toml").read_text("utf-8")
    found = TypeAdapter(dict[str, Analyte]).validate_python(tomllib.loads(text))
    return MappingProxyType(found)


@cache
def _by_code() -> Mapping[str, str]:
    return {code: name for name, one in analytes().items() for code in one.loinc}


def analyte_of(*, name: str = "", code: str = "") -> str:
    """Return the name of an analyte by LOINC code or by its own name; empty if it is unknown."""
    if code:
        return _by_code().get(code, "")
    plain = re.sub(r"[\s\-]+", "_", name.strip().lower()).replace("hemo", "haemo")
    return plain if plain in analytes() else ""


def value_of(stated: Stated) -> LaboratoryValue:
    """Return a value in the unit of its analyte, or missing with the reason."""
    name = analyte_of(name=stated.name, code=stated.code)
    if not name:
        called = stated.code or stated.name or "?"
        return _missing(stated, Text("The code '{code}' is not known.", {"code": called}))
    number, sign = _number(stated.number)
    if isinstance(number, Text):
        return _missing(stated, number, name)
    if not stated.unit:
        return _missing(stated, Text("No unit is stated."), name)
    analyte = analytes()[name]
    try:
        value = converted(number, stated.unit, analyte)
    except QuantityError:
        facts = {"unit": stated.unit, "wanted": analyte.unit}
        text = "The unit '{unit}' cannot be turned into {wanted}."
        return _missing(stated, Text(text, facts), name)
    if not analyte.low <= value <= analyte.high:
        return _missing(stated, _impossible(number, stated.unit, analyte), name)
    return LaboratoryValue(
        analyte=name,
        value=value,
        unit=analyte.unit,
        time=stated.time,
        comparator=sign,
        code=stated.code,
    )


def written(name: str) -> str:
    """Return how an analyte is called in a sentence; what is not known as it was called."""
    known = analytes().get(name)
    return name if known is None else known.written or name.replace("_", " ")


def converted(number: float, unit: str, analyte: Analyte) -> float:
    """Return a number in the unit of an analyte.

    Raises:
        QuantityError: The unit is unknown, or measures something else.
    """
    return convert(
        number, unit, analyte.unit, molar_mass=analyte.molar_mass, valence=analyte.valence
    )


def _impossible(number: float, unit: str, analyte: Analyte) -> Text:
    """Say that a value is impossible, and in which other unit it would not be."""
    facts = {"value": f"{number:g}", "unit": unit}
    for other in (analyte.unit, *analyte.others):
        if other != unit and analyte.low <= converted(number, other, analyte) <= analyte.high:
            text = "{value} {unit} is not possible; in {other} it would be. Check the unit."
            return Text(text, {**facts, "other": other})
    return Text("{value} {unit} is not possible.", facts)


def _number(given: object) -> tuple[float | Text, Comparator]:
    """Return the number that is stated, or why there is none."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return Text("No value is stated."), ""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return Text("'{text}' is no number.", {"text": str(given)[:40]}), ""
    found = _NUMBER.fullmatch(str(given))
    if found is None or not math.isfinite(float(found[2])):
        return Text("'{text}' is no number.", {"text": str(given)[:40]}), ""
    return float(found[2]), _SIGNS[found[1]] if found[1] else ""


def _missing(stated: Stated, reason: Text, name: str = "") -> LaboratoryValue:
    return LaboratoryValue(
        analyte=name or stated.name or stated.code or "?",
        value=None,
        time=stated.time,
        code=stated.code,
        reason=reason,
    )


def missing(stated: Stated, reason: Text) -> LaboratoryValue:
    """Return an entry that cannot be used, for a reason that the source gives."""
    return _missing(stated, reason, analyte_of(name=stated.name, code=stated.code))
