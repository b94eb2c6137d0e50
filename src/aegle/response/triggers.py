"""When a plan should be made anew, as data: ``triggers.toml`` or a department's own file."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aegle.domain.adaptation import Fired
from aegle.domain.errors import FileError
from aegle.domain.text import Text

STRICT: Any = {"extra": "forbid"}

FACTS = {
    "goals_lost": "Goals that the plan met at planning and misses on the anatomy of the day",
    "target_d95_percent": "D95 of the target on the anatomy of the day, of that planned [%]",
    "gross_volume_percent": "Volume of the gross tumour, of that at planning [%]",
    "outline_mm": "95th percentile of the shift of the body's outline near the target [mm]",
}
"""What a trigger may ask for."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trigger:
    """A reason to plan anew."""

    id: str
    fact: str
    """One of ``FACTS``."""
    text: str
    """With ``{value}`` and ``{limit}``."""
    source: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def limit(self) -> float:
        """The limit that fires."""
        limit = self.at_least if self.at_least is not None else self.at_most
        assert limit is not None
        return limit

    def is_reached(self, value: float) -> bool:
        """Return whether a value fires the trigger."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.limit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _File:
    trigger: tuple[Trigger, ...]


def triggers(path: str | Path = "") -> tuple[Trigger, ...]:
    """Return the triggers of a TOML file; those that come with the package if none is named.

    Raises:
        FileError: The file is missing, no TOML, or a trigger is not complete.
    """
    remedy = "Compare the file with response/triggers.toml."
    name = str(path) or "triggers.toml"
    try:
        content = (
            Path(path).read_text(encoding="utf-8")
            if path
            else files("aegle.response").joinpath("triggers.toml").read_text(encoding="utf-8")
        )
        found = TypeAdapter(_File).validate_python(tomllib.loads(content)).trigger
    except OSError as error:
        raise FileError(name, f"it cannot be read ({error.strerror}).", remedy) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise FileError(name, f"{error}.", remedy) from error
    for one in found:
        if one.fact not in FACTS:
            known = ", ".join(FACTS)
            raise FileError(name, f"'{one.id}' asks for '{one.fact}'; known: {known}.", remedy)
        if (one.at_least is None) == (one.at_most is None):
            raise FileError(name, f"'{one.id}' needs at_least or at_most, one of them.", remedy)
    return found


def fired(rules: tuple[Trigger, ...], facts: Mapping[str, float]) -> tuple[Fired, ...]:
    """Return the triggers that fire, in their order.

    Args:
        rules: The triggers.
        facts: Values by the names of ``FACTS``; a fact that is not known fires nothing.
    """
    return tuple(
        Fired(
            id=rule.id,
            value=facts[rule.fact],
            reason=Text(rule.text, {"value": facts[rule.fact], "limit": rule.limit}),
            source=rule.source,
        )
        for rule in rules
        if rule.fact in facts and rule.is_reached(facts[rule.fact])
    )
