"""What a caller says about a finding, read as the facts of a rule.

Malformed input (an unknown name, text where a number belongs, another unit) is an ``OptionError``:
the caller has to mend it. What is well formed but clinically impossible, or a choice that the rule
does not know, is for review.
"""

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from aegle.diagnosis.rule import Fact, Range, Rule, Value
from aegle.domain.errors import OptionError
from aegle.domain.text import Text

Facts = dict[str, Value]


class ImpossibleError(Exception):
    """A fact is well formed, but no patient can have it."""

    def __init__(self, reason: Text) -> None:
        super().__init__(str(reason))
        self.reason = reason


def stated_facts(rule: Rule, given: Mapping[str, Any]) -> Facts:
    """Return what is stated, as the rule compares it.

    Args:
        rule: The rule.
        given: By name: choices as text or number, flags as true/false or 1/0, numbers in the
            rule's unit or as ``{"value": 8, "unit": "mm"}``; null where nothing is known.

    Raises:
        OptionError: A name, a type or a unit is wrong.
        ImpossibleError: A value cannot be.
    """
    if not isinstance(given, Mapping):
        raise OptionError(
            f"Facts are a {type(given).__name__}; give an object of names and values."
        )
    wanted = {name: fact for name, fact in rule.facts.items() if fact.given}
    if unknown := sorted(str(name) for name in given if name not in wanted):
        raise OptionError(
            f"Rule '{rule.id}' has no fact {', '.join(unknown)}; known: {', '.join(wanted)}."
        )
    stated: Facts = {}
    for name, value in given.items():
        fact = wanted[name]
        filled = fact.null if value is None else value
        if value is not None or fact.null:
            stated[name] = _read(name, fact, filled)
    for name, fact in wanted.items():
        if fact.at_most in stated and name in stated and stated[name] > stated[fact.at_most]:  # type: ignore[operator]
            raise ImpossibleError(
                Text("{name} cannot exceed {other}.", {"name": name, "other": fact.at_most})
            )
    return stated


def _read(name: str, fact: Fact, value: Any) -> Value:
    if fact.flag:
        return _flag(name, value)
    if fact.many:
        return _choices(name, fact, value)
    if fact.values:
        return _choice(name, fact, value)
    return _number(name, fact, value)


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise OptionError(f"{name} is {value!r}; give true or false (1 or 0).")


def _choice(name: str, fact: Fact, value: Any) -> Value:
    wanted = f"give one of {_listed(fact)}"
    if not isinstance(value, str | int | float) or not _is_of_kind(fact, value):
        raise OptionError(f"{name} is {value!r}; {wanted}.")
    if str(value) in fact.spellings:
        return fact.spellings[str(value)]
    for known in fact.values:
        # JSON may say 3 for category "3".
        if not isinstance(value, bool) and (value == known or str(value) == known):
            return known
    raise ImpossibleError(
        Text(
            "{name} cannot be '{value}'; known: {known}.",
            {"name": name, "value": str(value), "known": _listed(fact)},
        )
    )


def _is_of_kind(fact: Fact, value: str | float) -> bool:
    """Return whether a choice can be written like that at all."""
    if str(value) in fact.spellings:
        return True
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        # Where scores are numbers, a number as text was typed by mistake.
        return value not in {str(known) for known in fact.values if isinstance(known, int)}
    return any(isinstance(known, int) or known.isdigit() for known in fact.values)


def _choices(name: str, fact: Fact, value: Any) -> tuple[str, ...]:
    """Return several choices in the order of the rule."""
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple):
        raise OptionError(f"{name} is {value!r}; give a list of {_listed(fact)}.")
    found = [str(_choice(name, fact, one)) for one in several]
    if len(found) != len(set(found)):
        raise ImpossibleError(Text("{name} names a choice twice.", {"name": name}))
    if len(found) > 1 and (only := next((one for one in found if one in fact.alone), "")):
        raise ImpossibleError(
            Text("{name}: '{value}' excludes every other.", {"name": name, "value": only})
        )
    return tuple(str(known) for known in fact.values if known in found)


def _number(name: str, fact: Fact, value: Any) -> float:
    unit = f" in {fact.unit}" if fact.unit else ""
    if isinstance(value, Mapping):
        if set(value) != {"value", "unit"} or value["unit"] != fact.unit:
            raise OptionError(f"{name} is {dict(value)!r}; convert it and give a number{unit}.")
        value = value["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError(f"{name} is {value!r}; give a number{unit}.")
    if not _is_finite(value):
        raise OptionError(f"{name} is not a finite number; give a number{unit}.")
    if not fact.bounds.holds(value) or (fact.whole and value != int(value)):
        raise ImpossibleError(
            Text(
                "{name} cannot be {value} {unit}; possible: {bounds}.",
                {
                    "name": name,
                    "value": f"{value:g}",
                    "unit": fact.unit,
                    "bounds": limits(fact.bounds, whole=fact.whole),
                },
            )
        )
    step = Decimal(1).scaleb(-fact.decimals)
    return float(Decimal(str(value)).quantize(step, rounding=ROUND_HALF_UP))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _listed(fact: Fact) -> str:
    return ", ".join(str(value) for value in fact.values)


def limits(within: Range, *, whole: bool = False) -> str:
    """Return limits as text, such as ``> 0, ≤ 300``."""
    if within.ge == within.le:
        return f"= {within.ge:g}"
    signs = (("≥", within.ge), (">", within.gt), ("≤", within.le), ("<", within.lt))
    said = [f"{sign} {limit:g}" for sign, limit in signs if math.isfinite(limit)]
    return ", ".join((["whole"] if whole else []) + said)
