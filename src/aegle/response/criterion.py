"""Published response criteria as data, and what a judgement by one of them records.

A criterion is a TOML file in ``criteria/``: its thresholds, the choices it leaves open (policies),
its rules with their sources, and the measurement error that is known of what it measures. Numbers
are decimals written as text, so 30 % less than 14.0 mm is exactly 9.8 mm.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aegle.domain.errors import FileError, OptionError
from aegle.domain.text import Text

STRICT: Any = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Threshold:
    """A number that decides, with its meaning."""

    value: Decimal
    unit: str
    meaning: str
    source: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Policy:
    """A choice that the publication leaves open or that readers settle differently."""

    meaning: str
    source: str
    default: str
    values: dict[str, str]
    """Name of each choice and what it means."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rule:
    """One row of the published tables."""

    text: str
    source: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MeasurementError:
    """Relative change between two examinations that measurement alone brings about, 95 % limits."""

    low: Decimal
    high: Decimal
    meaning: str
    source: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Criterion:
    """A published criterion, complete with what it leaves open."""

    id: str
    title: str
    version: str
    doi: str
    citation: str
    measure: str
    unit: str
    confirmation: str
    """How a response or progression is confirmed."""
    thresholds: dict[str, Threshold]
    policies: dict[str, Policy]
    rules: dict[str, Rule]
    error: MeasurementError

    def __getitem__(self, name: str) -> Decimal:
        """Return the value of a threshold."""
        return self.thresholds[name].value

    def choose(self, wanted: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return every policy with its choice; what is not said takes its default.

        Raises:
            OptionError: There is no such policy or no such choice.
        """
        for name, choice in (wanted or {}).items():
            if name not in self.policies:
                known = ", ".join(self.policies)
                raise OptionError(f"{self.title} has no policy '{name}'; known: {known}.")
            if choice not in self.policies[name].values:
                known = ", ".join(self.policies[name].values)
                raise OptionError(f"Policy {name} cannot be '{choice}'; known: {known}.")
        return {name: p.default for name, p in self.policies.items()} | dict(wanted or {})


@plain_dataclass(frozen=True, kw_only=True)
class JudgedVisit:
    """The response at one visit, and the rule that fired."""

    visit: int
    """0 at baseline; the first judged visit is 1."""
    category: str
    rule: str
    """Name of the rule in the criterion's file."""
    reason: Text
    """What the rule says, in words."""
    facts: Mapping[str, Decimal | str | None]
    """The numbers and states that decided, in the criterion's unit."""
    is_within_error: bool | None = None
    """Whether the change that decided is smaller than measurement error; None without sizes."""


@plain_dataclass(frozen=True, kw_only=True)
class Judgement:
    """All visits of one patient by one criterion, with the choices that were made."""

    criterion: Criterion
    policies: Mapping[str, str]
    verdicts: tuple[JudgedVisit, ...]
    notes: tuple[Text, ...] = ()
    """What a reader should know of the input, such as a target that was not measurable."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The category of each visit after baseline."""
        return tuple(v.category for v in self.verdicts)


def names() -> tuple[str, ...]:
    """Return the ids of all criteria."""
    return tuple(sorted(_files()))


@cache
def load(name: str) -> Criterion:
    """Return a criterion that comes with the package.

    Args:
        name: Its id, for example ``recist-1.1``.

    Raises:
        OptionError: There is no such criterion.
        FileError: The criterion's file contradicts itself.
    """
    if name not in _files():
        raise OptionError(f"No response criterion '{name}'; known: {', '.join(names())}.")
    return read(_files()[name], name)


def read(content: str, name: str) -> Criterion:
    """Return the criterion that a TOML text describes.

    Raises:
        FileError: The text is not TOML, lacks a part, or a policy lacks its default.
    """
    remedy = "Compare the file with criteria/recist_1_1.toml."
    try:
        criterion = TypeAdapter(Criterion).validate_python(tomllib.loads(content))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise FileError(f"criterion '{name}'", f"{error}.", remedy) from error
    for policy, facts in criterion.policies.items():
        if facts.default not in facts.values:
            finding = f"policy '{policy}' cannot be '{facts.default}'."
            raise FileError(f"criterion '{name}'", finding, remedy)
    return criterion


@cache
def _files() -> Mapping[str, str]:
    folder = files("aegle.response").joinpath("criteria")
    texts = (f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".toml"))
    return {tomllib.loads(text)["id"]: text for text in texts}


def is_within_error(now: Decimal, before: Decimal, error: MeasurementError) -> bool | None:
    """Return whether a change could be measurement error alone.

    Args:
        now: Size at this visit.
        before: Size it is compared with, same unit.
        error: Limits of the relative change.

    Returns:
        None where there was nothing before.
    """
    if before <= 0:
        return None
    return error.low <= (now - before) / before <= error.high
