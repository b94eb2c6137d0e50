"""Published decision rules as data, and the one engine that reads them.

A rule is a TOML file in ``rules/``: the facts it may ask for, the gaps it leaves open, its
rows, and what follows from each category. A row holds if each of its conditions does; of the
rows that hold, the most suspicious decides. Whatever no row covers is ``REVIEW`` with the
reason: the engine never guesses and never falls back.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aegle.domain.errors import FileError, OptionError
from aegle.domain.text import Text

REVIEW = "REVIEW"
STRICT: Any = {"extra": "forbid"}

Value = str | bool | float
Facts = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """Limits of a number; each is optional."""

    ge: float = -math.inf
    gt: float = -math.inf
    le: float = math.inf
    lt: float = math.inf

    def holds(self, number: float) -> bool:
        """Return whether the number lies within all limits."""
        return self.ge <= number <= self.le and self.gt < number < self.lt


Condition = bool | str | tuple[str, ...] | Range
Conditions = dict[str, Condition]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Fact:
    """Something a rule may ask for: a choice, a flag or a number."""

    meaning: str
    values: tuple[str, ...] = ()
    """What a choice may be."""
    flag: bool = False
    unit: str = ""
    decimals: int = 6
    """To which a number is rounded, half up, before it is compared."""
    at_most: str = ""
    """Name of the number that this one cannot exceed."""
    default: str = ""
    """What a choice is if nothing is said."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gap:
    """A situation that the published table leaves open."""

    when: Conditions
    reason: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Row:
    """One row of the published table."""

    category: str
    when: Conditions
    text: str
    overrides: bool = False
    """Decides before all rows that do not."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Modifier:
    """What turns one category into another once it is found."""

    category: str
    of: tuple[str, ...]
    when: Conditions
    text: str


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rule:
    """A published rule, complete with what it leaves open."""

    id: str
    title: str
    version: str
    effective: date
    doi: str
    citation: str
    applies_to: str
    order: tuple[str, ...]
    """Categories, least suspicious first."""
    decides_despite_review: tuple[str, ...]
    """Categories of an examination that other findings still to be reviewed cannot change."""
    facts: dict[str, Fact]
    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...] = ()
    modifiers: tuple[Modifier, ...] = ()
    management: dict[str, str]
    """Next step by category."""

    def next_step(self, category: str) -> Text | None:
        """Return what the rule recommends for a category, if it does."""
        step = self.management.get(category)
        return None if step is None else Text(step)


@plain_dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a rule says about some facts."""

    category: str
    """One of the rule's categories, or ``REVIEW``."""
    reason: Text
    row: Text | None = None
    next_step: Text | None = None


@cache
def load(name: str) -> Rule:
    """Return a rule that comes with the package.

    Args:
        name: Its id, for example ``lung-rads-2022``.

    Raises:
        OptionError: There is no such rule.
        FileError: The rule's file contradicts itself.
    """
    folder = files("aegle.diagnosis").joinpath("rules")
    known = {f.name[: -len(".toml")].replace("_", "-"): f for f in folder.iterdir()}
    if name not in known:
        raise OptionError(f"No rule '{name}'; known: {', '.join(sorted(known))}.")
    return read(known[name].read_text(encoding="utf-8"), name)


def read(content: str, name: str) -> Rule:
    """Return the rule that a TOML text describes.

    Raises:
        FileError: The text is not TOML, lacks a part, or a row names an unknown fact.
    """
    remedy = "Compare the file with rules/lung_rads_2022.toml."
    try:
        rule = TypeAdapter(Rule).validate_python(tomllib.loads(content))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise FileError(f"rule '{name}'", f"{error}.", remedy) from error
    asking: tuple[Gap | Row | Modifier, ...] = (*rule.gaps, *rule.rows, *rule.modifiers)
    for item in asking:
        for fact, condition in item.when.items():
            if not _is_askable(rule.facts, fact, condition):
                raise FileError(f"rule '{name}'", f"'{fact}' cannot be {condition!r}.", remedy)
    deciding: tuple[Row | Modifier, ...] = (*rule.rows, *rule.modifiers)
    named = {item.category for item in deciding}
    if stray := sorted(named - set(rule.order)):
        raise FileError(f"rule '{name}'", f"'order' lacks {', '.join(stray)}.", remedy)
    return rule


def _is_askable(facts: Mapping[str, Fact], name: str, condition: Condition) -> bool:
    if name not in facts:
        return False
    fact = facts[name]
    if isinstance(condition, bool):
        return fact.flag
    if isinstance(condition, Range):
        return not fact.flag and not fact.values
    wanted = (condition,) if isinstance(condition, str) else condition
    return bool(wanted) and set(wanted) <= set(fact.values)


def evaluate(rule: Rule, facts: Mapping[str, Any]) -> Outcome:
    """Return what a rule says about some facts.

    Args:
        rule: The rule.
        facts: Choices as text, flags as bool or 0/1, numbers in the unit the rule declares.

    Returns:
        The category with its row and next step. ``REVIEW`` with the reason if a fact is
        unknown, impossible or missing, or if the rule leaves the situation open.
    """
    known: dict[str, Value] = {n: f.default for n, f in rule.facts.items() if f.default}
    for name, value in facts.items():
        cleaned = _clean(rule.facts.get(name), value)
        if cleaned is None:
            return _review("{name} cannot be '{value}'.", name=name, value=str(value))
        known[name] = cleaned
    for name, fact in rule.facts.items():
        if fact.at_most in known and float(known.get(name, 0)) > float(known[fact.at_most]):
            return _review("{name} cannot exceed {other}.", name=name, other=fact.at_most)
    for gap in rule.gaps:
        if _holds(gap.when, known):
            return Outcome(category=REVIEW, reason=Text(gap.reason))
    return _decide(rule, known)


def _decide(rule: Rule, known: Facts) -> Outcome:
    holding = [row for row in rule.rows if _holds(row.when, known)]
    if not holding:
        return _uncovered(rule, known)
    row = max(holding, key=lambda r: (r.overrides, rule.order.index(r.category)))
    category, reason = row.category, row.text
    for modifier in rule.modifiers:
        if category in modifier.of and _holds(modifier.when, known):
            category, reason = modifier.category, modifier.text
    return Outcome(
        category=category,
        reason=Text(reason),
        row=Text(row.text),
        next_step=rule.next_step(category),
    )


def _clean(fact: Fact | None, value: Any) -> Value | None:
    """Return the value as the rule compares it, or None if it cannot be that."""
    if fact is None:
        return None
    if fact.flag:
        return bool(value) if value in (0, 1) else None
    if fact.values:
        return value if value in fact.values else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0:
        return None
    step = Decimal(1).scaleb(-fact.decimals)
    return float(Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP))


def _holds(when: Conditions, known: Facts) -> bool:
    return all(name in known and _meets(known[name], when[name]) for name in when)


def _meets(value: Value, condition: Condition) -> bool:
    if isinstance(condition, Range):
        return condition.holds(float(value))
    if isinstance(condition, tuple):
        return value in condition
    return value == condition


def _uncovered(rule: Rule, known: Facts) -> Outcome:
    """Say which fact is missing, or that the table has no such row."""
    lacks = [
        tuple(n for n in row.when if n not in known)
        for row in rule.rows
        if not row.overrides and all(_meets(known[n], c) for n, c in row.when.items() if n in known)
    ]
    if lacks:
        missing = ", ".join(rule.facts[n].meaning for n in min(lacks, key=len))
        return _review("Not decided without: {missing}.", missing=missing)
    listed = ", ".join(f"{name} {value}" for name, value in known.items())
    return _review("No row covers: {facts}.", facts=listed)


def _review(template: str, **values: str) -> Outcome:
    return Outcome(category=REVIEW, reason=Text(template, values))
