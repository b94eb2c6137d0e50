"""Published decision rules as data.

A rule is a TOML file in ``rules/``: the facts it may ask for, what contradicts itself, for whom it
was not made, the gaps it leaves open, its rows, and what follows from each category. Scores and
models are sums of weighted facts; a row may ask for them like for any fact. What a rule says about
some facts is found in ``aegle.diagnosis.rule_evaluation``.
"""

import hashlib
import math
import tomllib
from collections.abc import Iterator
from dataclasses import field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aegle.domain.errors import FileError, OptionError
from aegle.domain.text import Text

REVIEW = "REVIEW"
STRICT: Any = {"extra": "forbid"}

Choice = str | int
Value = bool | str | int | float | tuple[str, ...]
Basis = Literal["checked", "agrees", "memory"]
"""How far a part of a rule is confirmed: ``checked`` against a published text that the rule names,
``agrees`` with an independent implementation only, or written from ``memory`` of the primary
document and not compared with it again."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """Limits of a number; each is optional. Without any, the number only has to be known."""

    ge: float = -math.inf
    gt: float = -math.inf
    le: float = math.inf
    lt: float = math.inf

    def holds(self, number: float) -> bool:
        """Return whether the number lies within all limits."""
        return self.ge <= number <= self.le and self.gt < number < self.lt


Condition = bool | Choice | tuple[Choice, ...] | Range
Conditions = dict[str, Condition]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fact:
    """Something a rule may ask for: a choice, several choices, a flag or a number."""

    meaning: str
    values: tuple[Choice, ...] = ()
    """What a choice may be."""
    many: bool = False
    """Several choices may be given, as a list."""
    alone: tuple[str, ...] = ()
    """Of several choices, those that exclude every other."""
    spellings: dict[str, Choice] = field(default_factory=dict)
    """Other words for a choice."""
    null: str = ""
    """The choice that JSON's null stands for; elsewhere null is the same as not stated."""
    flag: bool = False
    unit: str = ""
    decimals: int = 9
    """To which a number is rounded, half up, before it is compared."""
    whole: bool = False
    """Only whole numbers are possible."""
    bounds: Range = Range(ge=0, le=1e6)
    """What a number can be at all."""
    at_most: str = ""
    """Name of the number that this one cannot exceed."""
    default: bool | Choice | tuple[str, ...] | None = None
    """What is assumed, and listed as assumed, if nothing is said."""
    unstated: str = ""
    """What is listed as assumed where there is no value to assume."""
    given: bool = True
    """False for what the rule computes from other facts."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gap:
    """A situation that the published table leaves open, excludes or contradicts."""

    when: Conditions
    reason: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Derivation:
    """A fact that follows from others where it is not stated."""

    fact: str
    value: bool | Choice
    when: Conditions
    note: str = ""
    """What is assumed by that."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Weight:
    """What a fact adds to a sum: coefficient · ((number / scale) ^ power − centre), or points."""

    coefficient: float = 0.0
    scale: float = 1.0
    power: float = 1.0
    centre: float = 0.0
    points: dict[str, float] = field(default_factory=dict)
    """By choice."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sum:
    """A score or a model: a start, and what each fact adds."""

    when: Conditions = field(default_factory=dict)
    """Of the sums of one name, the first whose conditions hold is used."""
    start: float = 0.0
    adds: dict[str, Weight] = field(default_factory=dict)
    logistic: bool = False
    """The sum x gives the probability 1 / (1 + exp(−x))."""
    decimals: int = 9
    basis: Basis | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Row:
    """One row of the published table."""

    category: Choice
    when: Conditions
    text: str
    action: str = ""
    """What is to be done, where one category has several actions."""
    next_step: str = ""
    """In place of what follows from the category."""
    overrides: bool = False
    """Decides before gaps and other rows; of several, the first."""
    basis: Basis | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Modifier:
    """What turns one category into another once it is found; the first that holds does."""

    category: Choice
    of: tuple[Choice, ...]
    when: Conditions
    text: str
    basis: Basis | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Suffix:
    """A letter put behind a category."""

    letter: str
    of: tuple[Choice, ...]
    when: Conditions
    text: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rule:
    """A published rule, complete with what it leaves open."""

    id: str
    title: str
    version: str
    effective: str
    """Year, year-month or day from which it holds, as far as known."""
    doi: str
    citation: str
    applies_to: str
    basis: Basis
    """How far the rows are confirmed, where they say nothing else."""
    next_step_basis: Basis
    checked_against: str
    """Where the rows were checked, or why not."""
    notes: tuple[str, ...] = ()
    """What a reader has to know to use the rule."""
    order: tuple[Choice, ...]
    """Categories, least suspicious first."""
    decides_despite_review: tuple[str, ...] = ()
    """Categories of an examination that other findings still to be reviewed cannot change."""
    open_if_higher: bool = False
    """A more suspicious row that fails only for facts not stated leaves the outcome open."""
    result: str | tuple[str, ...] = "category"
    """What the result is made of: category, action or computed facts."""
    facts: dict[str, Fact]
    contradictions: tuple[Gap, ...] = ()
    """Stated facts that exclude each other."""
    excludes: tuple[Gap, ...] = ()
    """Patients and examinations that the rule is not made for."""
    derivations: tuple[Derivation, ...] = ()
    scores: dict[str, tuple[Sum, ...]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    rows: tuple[Row, ...]
    modifiers: tuple[Modifier, ...] = ()
    suffixes: tuple[Suffix, ...] = ()
    cautions: tuple[Gap, ...] = ()
    """What is said beside a result that stands."""
    management: dict[str, str]
    """Next step by category."""
    example: dict[str, Any]
    """An input, for the documentation."""

    def next_step(self, category: Choice) -> Text | None:
        """Return what the rule recommends for a category, if it does."""
        step = self.management.get(str(category))
        return None if step is None else self.as_confirmed(step)

    def as_confirmed(self, step: str) -> Text:
        """Return a next step, marked if the primary document does not confirm it."""
        if self.next_step_basis == "checked":
            return Text(step)
        return Text("{step} (not confirmed against the primary document)", {"step": Text(step)})

    def asking(self) -> tuple[Any, ...]:
        """Return everything that asks for facts."""
        return (
            *(*self.contradictions, *self.excludes, *self.derivations, *self.gaps, *self.rows),
            *(*self.modifiers, *self.suffixes, *self.cautions),
            *(one for sums in self.scores.values() for one in sums),
        )


@cache
def load(name: str) -> Rule:
    """Return a rule that comes with the package.

    Args:
        name: Its id, for example ``lung-rads``.

    Raises:
        OptionError: There is no such rule.
        FileError: The rule's file contradicts itself.
    """
    return read(_file(name).read_text(encoding="utf-8"), name)


@cache
def file_digest(name: str) -> str:
    """Return the SHA-256 of a rule's file.

    Raises:
        OptionError: There is no such rule.
    """
    return hashlib.sha256(_file(name).read_bytes()).hexdigest()


def names() -> tuple[str, ...]:
    """Return the ids of the rules that come with the package."""
    return tuple(_shipped())


def _file(name: str) -> Any:
    known = _shipped()
    if name not in known:
        raise OptionError(f"No rule '{name}'; known: {', '.join(known)}.")
    return known[name]


def _shipped() -> dict[str, Any]:
    folder = files("aegle.diagnosis").joinpath("rules")
    found = {f.name[: -len(".toml")].replace("_", "-"): f for f in folder.iterdir()}
    return dict(sorted(found.items()))


def read(content: str, name: str) -> Rule:
    """Return the rule that a TOML text describes.

    Raises:
        FileError: The text is not TOML, lacks a part, or asks for an unknown fact.
    """
    remedy = "Compare the file with rules/lung_rads.toml."
    try:
        rule = TypeAdapter(Rule).validate_python(tomllib.loads(content))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise FileError(f"rule '{name}'", f"{error}.", remedy) from error
    for finding in _contradictions(rule):
        raise FileError(f"rule '{name}'", finding, remedy)
    return rule


def _contradictions(rule: Rule) -> Iterator[str]:
    """Yield what a rule says of facts and categories that it does not have."""
    for item in rule.asking():
        for fact, condition in item.when.items():
            if not _is_askable(rule.facts, fact, condition):
                yield f"'{fact}' cannot be {condition!r}."
    deciding: tuple[Row | Modifier, ...] = (*rule.rows, *rule.modifiers)
    named = {str(item.category) for item in deciding}
    if stray := sorted(named - {str(category) for category in rule.order}):
        yield f"'order' lacks {', '.join(stray)}."
    for name, one in ((name, one) for name, sums in rule.scores.items() for one in sums):
        yield from (f"'{name}': {finding}" for finding in _unknown_weights(rule.facts, one))
    for derived in rule.derivations:
        if not _is_askable(rule.facts, derived.fact, derived.value):
            yield f"'{derived.fact}' cannot be {derived.value!r}."


def _unknown_weights(facts: dict[str, Fact], one: Sum) -> Iterator[str]:
    for name, weight in one.adds.items():
        if name not in facts:
            yield f"there is no fact '{name}'."
        elif {str(value) for value in facts[name].values} != set(weight.points):
            yield f"the points of '{name}' do not fit its values."


def _is_askable(facts: dict[str, Fact], name: str, condition: Condition) -> bool:
    if name not in facts:
        return False
    fact = facts[name]
    if isinstance(condition, bool):
        return fact.flag
    if isinstance(condition, Range):
        return not fact.flag and not fact.values
    wanted = condition if isinstance(condition, tuple) else (condition,)
    return bool(wanted) and set(wanted) <= set(fact.values)
