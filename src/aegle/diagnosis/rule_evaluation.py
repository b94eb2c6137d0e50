"""What a published rule says about some facts: the one engine for every rule.

Contradictions come first, then patients that the rule is not made for, then rows that override,
gaps, and of the rows that hold the most suspicious one. Whatever no row covers is ``REVIEW`` with
the reason: the engine never guesses, and lists whatever it assumed.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aegle.diagnosis.rule import (
    REVIEW,
    Basis,
    Choice,
    Condition,
    Conditions,
    Gap,
    Modifier,
    Range,
    Row,
    Rule,
    Sum,
    Value,
    Weight,
)
from aegle.diagnosis.rule_facts import Facts, ImpossibleError, stated_facts
from aegle.domain.text import Text


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a rule says about some facts."""

    category: str
    """One of the rule's categories, or ``REVIEW``."""
    result: Any = REVIEW
    """What the rule answers: the category, a number, or several of these."""
    reason: Text
    row: Text | None = None
    row_basis: Basis | None = None
    """How far the row that decided is confirmed."""
    next_step: Text | None = None
    assumed: tuple[Text, ...] = ()
    """What was not stated and therefore assumed."""
    missing: tuple[str, ...] = ()
    """Names of the facts without which the rule does not decide."""
    cautions: tuple[Text, ...] = ()
    """What a reader should know beside the result."""
    computed: Mapping[str, float] = field(default_factory=dict)
    """Scores and probabilities by name."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What each fact added to the last score; its start under ``start``."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The facts at hand: what was stated, and with it what was assumed and computed."""

    settled: frozenset[str]
    """Names of what was stated, or follows from it."""
    all: Facts
    notes: tuple[str, ...]
    sums: Mapping[str, Sum]
    parts: Mapping[str, float]

    def holds(self, when: Conditions) -> bool:
        return holds(when, self.all)


def evaluate(rule: Rule, facts: Mapping[str, Any]) -> Outcome:
    """Return what a rule says about some facts.

    Args:
        rule: The rule.
        facts: Choices as text or number, flags as bool or 0/1, numbers in the unit the rule
            declares.

    Returns:
        The result with its row and next step. ``REVIEW`` with the reason if a fact is impossible
        or missing, if facts contradict each other, if the rule is not made for this patient, or
        leaves the situation open.

    Raises:
        OptionError: A fact is unknown, of another type or in another unit.
    """
    try:
        stated = stated_facts(rule, facts)
    except ImpossibleError as error:
        return Outcome(category=REVIEW, reason=error.reason)
    if conflict := _first(rule.contradictions, stated):
        return Outcome(category=REVIEW, reason=Text(conflict.reason))
    known = _complete(rule, stated)
    if outside := _first(rule.excludes, known.all):
        return Outcome(category=REVIEW, reason=Text(outside.reason))
    return _decide(rule, known)


def holds(when: Conditions, known: Mapping[str, Value]) -> bool:
    """Return whether every condition is met by what is known."""
    return all(name in known and _meets(known[name], when[name]) for name in when)


def _first(gaps: Iterable[Gap], known: Facts) -> Gap | None:
    return next((gap for gap in gaps if holds(gap.when, known)), None)


def _meets(value: Value, condition: Condition) -> bool:
    if isinstance(condition, Range):
        return isinstance(value, int | float) and condition.holds(value)
    wanted = condition if isinstance(condition, tuple) else (condition,)
    if isinstance(value, tuple):
        return any(one in wanted for one in value)
    return value in wanted


def _complete(rule: Rule, stated: Facts) -> _Known:
    """Add what is assumed, what follows, and what adds up."""
    known: Facts = dict(stated)
    notes: list[str] = []
    for derived in rule.derivations:
        if derived.fact not in known and holds(derived.when, known):
            known[derived.fact] = derived.value
            notes += [derived.note] if derived.note else []
    settled = frozenset(known)
    for name, fact in rule.facts.items():
        if fact.default is not None:
            known.setdefault(name, fact.default)
    sums: dict[str, Sum] = {}
    parts: dict[str, float] = {}
    for name, several in rule.scores.items():
        one = next((s for s in several if holds(s.when, known)), None)
        if one is None or any(fact not in known for fact in one.adds):
            continue
        parts = {"start": one.start}
        parts |= {fact: _part(weight, known[fact]) for fact, weight in one.adds.items()}
        sums[name], known[name] = one, _total(one, parts)
    return _Known(settled=settled, all=known, notes=tuple(notes), sums=sums, parts=parts)


def _part(weight: Weight, value: Value) -> float:
    if weight.points:
        several = value if isinstance(value, tuple) else (value,)
        return math.fsum(weight.points[str(one)] for one in several)
    number = float(value)  # type: ignore[arg-type]
    power: float = (number / weight.scale) ** weight.power
    return weight.coefficient * (power - weight.centre)


def _total(one: Sum, parts: Mapping[str, float]) -> float:
    total = math.fsum(parts.values())
    if one.logistic:
        # Written so that exp cannot overflow.
        total = 0.5 * (1 + math.tanh(total / 2))
    return round(total, one.decimals)


def _decide(rule: Rule, known: _Known) -> Outcome:
    row = next((r for r in rule.rows if r.overrides and known.holds(r.when)), None)
    if row is None:
        if gap := _first(rule.gaps, known.all):
            return _with_scores(rule, known, Outcome(category=REVIEW, reason=Text(gap.reason)))
        holding = [r for r in rule.rows if not r.overrides and known.holds(r.when)]
        if not holding:
            return _with_scores(rule, known, _uncovered(rule, known))
        row = max(holding, key=lambda r: rule.order.index(r.category))
        if higher := _higher(rule, known, row):
            return _with_scores(rule, known, higher)
    return _with_scores(rule, known, _outcome(rule, known, row))


def _higher(rule: Rule, known: _Known, row: Row) -> Outcome | None:
    """Return the open outcome if facts that are not stated could raise the category."""
    if not rule.open_if_higher:
        return None
    lacks = [_lacks(rule, known, other) for other in rule.rows if _ranks(rule, other, row)]
    return _undecided(rule, [names for names in lacks if names])


def _ranks(rule: Rule, other: Row, row: Row) -> bool:
    return rule.order.index(other.category) > rule.order.index(row.category)


def _outcome(rule: Rule, known: _Known, row: Row) -> Outcome:
    """Return what follows from the row that decides."""
    category, reason, basis = row.category, row.text, row.basis
    modifier = next((m for m in rule.modifiers if _modifies(m, category, known)), None)
    if modifier is not None:
        category, reason, basis = modifier.category, modifier.text, modifier.basis
    basis = basis or next((s.basis for s in known.sums.values() if s.basis), None)
    letters = [s for s in rule.suffixes if category in s.of and known.holds(s.when)]
    cautions = [c.reason for c in rule.cautions if known.holds(c.when)]
    own_step = rule.as_confirmed(row.next_step) if row.next_step and modifier is None else None
    return Outcome(
        category=str(category),
        result=_result(rule, known, row, category, "".join(s.letter for s in letters)),
        reason=Text(reason),
        row=Text(row.text),
        row_basis=basis or rule.basis,
        next_step=own_step or rule.next_step(category),
        cautions=tuple(map(Text, (*cautions, *(s.text for s in letters)))),
    )


def _modifies(modifier: Modifier, category: Choice, known: _Known) -> bool:
    return category in modifier.of and known.holds(modifier.when)


def _result(rule: Rule, known: _Known, row: Row, category: Choice, letters: str) -> Any:
    said: dict[str, Any] = {
        "category": f"{category}{letters}" if letters else category,
        "action": row.action,
    }
    for name in rule.scores:
        number = float(known.all.get(name, math.nan))  # type: ignore[arg-type]
        said[name] = int(number) if number.is_integer() and not _is_model(known, name) else number
    if isinstance(rule.result, str):
        return said[rule.result]
    return [said[name] for name in rule.result]


def _is_model(known: _Known, name: str) -> bool:
    return name in known.sums and known.sums[name].logistic


def _with_scores(rule: Rule, known: _Known, outcome: Outcome) -> Outcome:
    return replace(
        outcome,
        assumed=_assumed(rule, known, outcome),
        computed={name: float(known.all[name]) for name in known.sums},  # type: ignore[arg-type]
        parts=known.parts,
    )


def _assumed(rule: Rule, known: _Known, outcome: Outcome) -> tuple[Text, ...]:
    """Return what was not stated, but could have changed the outcome."""
    asked: set[str] = set()
    for item in _considered(rule, known, outcome):
        names = _expanded(known, item.when)
        open_names = {n for n in names if n not in known.settled and _is_assumed(rule, n)}
        others = {n: c for n, c in item.when.items() if n not in open_names}
        if known.holds({n: c for n, c in others.items() if rule.facts[n].given}):
            asked |= open_names
    listed = [
        Text("{meaning}: {value}", {"meaning": fact.meaning, "value": _assumption(rule, name)})
        for name, fact in rule.facts.items()
        if name in asked
    ]
    return (*listed, *map(Text, known.notes))


def _considered(rule: Rule, known: _Known, outcome: Outcome) -> Iterable[Any]:
    """Yield what was looked at until the outcome was found."""
    yield from rule.excludes
    overriding = [row for row in rule.rows if row.overrides]
    decisive = next((n for n, row in enumerate(overriding) if known.holds(row.when)), None)
    yield from overriding[: None if decisive is None else decisive + 1]
    if decisive is None:
        yield from rule.gaps
        yield from (row for row in rule.rows if not row.overrides)
    if outcome.row is not None:
        yield from rule.cautions
        before = {r.category for r in rule.rows if r.text == outcome.row.template}
        yield from (m for m in rule.modifiers if before & set(m.of))
        yield from rule.suffixes


def _expanded(known: _Known, when: Conditions) -> set[str]:
    """Return the names of the facts that conditions ask for, those within scores too."""
    inside = (known.sums[name] for name in when if name in known.sums)
    return {*when, *(fact for one in inside for fact in (*one.adds, *one.when))}


def _is_assumed(rule: Rule, name: str) -> bool:
    return rule.facts[name].default is not None or bool(rule.facts[name].unstated)


def _assumption(rule: Rule, name: str) -> str:
    fact = rule.facts[name]
    if fact.default is None:
        return fact.unstated
    if isinstance(fact.default, bool):
        return "yes" if fact.default else "no"
    if isinstance(fact.default, tuple):
        return ", ".join(fact.default) or "none"
    return str(fact.default)


def _uncovered(rule: Rule, known: _Known) -> Outcome:
    """Say which facts are missing, or that the table has no such row."""
    lacks = [_lacks(rule, known, row) for row in rule.rows if not row.overrides]
    if undecided := _undecided(rule, [names for names in lacks if names]):
        return undecided
    listed = ", ".join(f"{name} {value}" for name, value in known.all.items())
    return Outcome(category=REVIEW, reason=Text("No row covers: {facts}.", {"facts": listed}))


def _undecided(rule: Rule, lacks: list[tuple[str, ...]]) -> Outcome | None:
    """Name the fewest facts that are missing, if any are."""
    if not lacks:
        return None
    names = min(lacks, key=len)
    missing = ", ".join(f"{rule.facts[name].meaning} ({name})" for name in names)
    reason = Text("Not decided without: {missing}.", {"missing": missing})
    return Outcome(category=REVIEW, reason=reason, missing=names)


def _lacks(rule: Rule, known: _Known, row: Row) -> tuple[str, ...]:
    """Return the facts for which alone a row does not hold; none if it fails or holds anyway."""
    if not known.holds({name: c for name, c in row.when.items() if name in known.all}):
        return ()
    return tuple(dict.fromkeys(n for name in row.when for n in _lacking(rule, known, name)))


def _lacking(rule: Rule, known: _Known, name: str) -> tuple[str, ...]:
    """Return the facts that are missing to know one of them."""
    if name in known.all:
        return ()
    if name in rule.scores:
        one = next((s for s in rule.scores[name] if known.holds(s.when)), rule.scores[name][-1])
        return tuple(n for n in (*one.when, *one.adds) if n not in known.all)
    if rule.facts[name].given:
        return (name,)
    return next((tuple(d.when) for d in rule.derivations if d.fact == name), (name,))
