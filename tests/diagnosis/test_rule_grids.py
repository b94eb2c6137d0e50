"""Every rule over all its choices and at and beside all its thresholds, and on junk.

Each combination gives a row or a reasoned REVIEW, never an exception and never a category that
rests on something unsaid.
"""

import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.diagnosis.published import rule
from aegle.diagnosis.rule import REVIEW, Range, load, names
from aegle.diagnosis.rule_evaluation import evaluate
from aegle.domain.errors import OptionError

RULES = names()
MOST = 200_000
"""Combinations above which some are drawn, with a fixed seed."""
DRAWN = 15_000
UNSTATED = object()


def choices(one, name):
    """Return what a fact of a rule is tried as."""
    fact = one.facts[name]
    if fact.flag:
        return (UNSTATED, False, True)
    if fact.many:
        return (UNSTATED, [], *([value] for value in fact.values), list(fact.values)[1:])
    if fact.values:
        return (UNSTATED, *fact.values)
    return (UNSTATED, *numbers(one, name))


def numbers(one, name):
    """Return the thresholds at which a rule compares a number, and both sides of each."""
    fact = one.facts[name]
    ranges = [fact.bounds, *(i.when[name] for i in one.asking() if name in i.when)]
    limits = {
        limit
        for r in ranges
        if isinstance(r, Range)
        for limit in (r.ge, r.gt, r.le, r.lt)
        if math.isfinite(limit)
    }
    step = 1 if fact.whole else 10 ** -min(fact.decimals, 2)
    return sorted({round(limit + side * step, 2) for limit in limits for side in (-1, 0, 1)})


def combinations(one):
    """Return all combinations of what the facts of a rule are tried as, or a fixed draw."""
    tried = {name: choices(one, name) for name, fact in one.facts.items() if fact.given}
    if math.prod(map(len, tried.values())) <= MOST:
        drawn = itertools.product(*tried.values())
    else:
        seeded = random.Random(20260101)
        excluding = {name for gap in one.excludes for name in gap.when}
        # Who is excluded is not often asked, or little would be seen of the table.
        tried |= {n: (UNSTATED,) * 9 * len(tried[n]) + tuple(tried[n]) for n in excluding}
        drawn = (tuple(seeded.choice(values) for values in tried.values()) for _ in range(DRAWN))
    for values in drawn:
        pairs = zip(tried, values, strict=True)
        yield {name: value for name, value in pairs if value is not UNSTATED}


def check(one, facts, said):
    """Hold what an answer promises."""
    if said.category == REVIEW:
        assert said.result == REVIEW
        assert str(said.reason).strip()
        assert said.row is None
        assert said.next_step is None
        assert all(name not in facts or facts[name] is None for name in said.missing)
    else:
        assert said.category in map(str, one.order)
        assert str(said.row)
        assert said.row_basis
        assert said.next_step
        assert not said.missing


@pytest.mark.parametrize("name", RULES)
def test_every_combination_has_a_row_or_a_reason(name):
    one = load(name)
    found = set()

    for facts in combinations(one):
        said = evaluate(one, facts)
        check(one, facts, said)
        found.add(said.category)

    assert REVIEW in found


@pytest.mark.parametrize("name", RULES)
def test_whatever_is_assumed_and_matters_is_listed(name):
    """Stating every default by hand changes nothing but that it is no longer listed."""
    one = load(name)
    defaults = {n: f.default for n, f in one.facts.items() if f.given and f.default is not None}
    for facts in itertools.islice(combinations(one), 0, None, 7):
        silent = evaluate(one, facts)
        if silent.category == REVIEW:
            continue
        derived = {d.fact for d in one.derivations}
        told = {n: v for n, v in defaults.items() if n not in derived}
        loud = evaluate(one, told | facts)
        assert loud.result == silent.result or loud.category == REVIEW
        listed = {str(text).rpartition(": ")[0] for text in silent.assumed}
        for fact, other in other_values(one, facts, told):
            if evaluate(one, facts | {fact: other}).result not in (silent.result, REVIEW):
                assert one.facts[fact].meaning in listed


def other_values(one, facts, told):
    """Yield what an assumed fact might have been instead."""
    for name in told:
        if name in facts:
            continue
        fact = one.facts[name]
        if fact.flag:
            yield name, not fact.default
        elif fact.values and not fact.many:
            yield from ((name, value) for value in fact.values if value != fact.default)


@pytest.mark.parametrize("name", RULES)
def test_each_row_can_decide(name):
    """A row that no combination reaches is dead, or hidden by another."""
    one = load(name)
    reached = set()

    for row in one.rows:
        facts = facts_for(one, row.when)
        said = evaluate(one, facts)
        while said.missing:
            facts |= {n: next(filled(one, n)) for n in said.missing}
            said = evaluate(one, facts)
        reached.add(str(said.row))
    for facts in combinations(one):
        reached.add(str(evaluate(one, facts).row))

    assert {row.text for row in one.rows} - reached == set()


@pytest.mark.parametrize("name", [n for n in RULES if n not in {"lung-rads", "bosniak-2019"}])
def test_rows_do_not_overlap(name):
    """One situation has one row, so no row hides a fault of another.

    Of Bosniak's rows the highest class decides; Lung-RADS has its own test.
    """
    one = load(name)
    alone = [replace(one, rows=(row,), modifiers=()) for row in one.rows if not row.overrides]

    tried = list(combinations(one))
    for facts in random.Random(20260102).sample(tried, min(len(tried), 1500)):
        holding = [part for part in alone if evaluate(part, facts).category != REVIEW]
        assert len(holding) <= 1, facts


def filled(one, name):
    """Yield what a missing fact may be."""
    fact = one.facts[name]
    for value in choices(one, name)[1:]:
        if fact.flag or fact.values or fact.bounds.holds(value):
            yield value


def facts_for(one, when):
    """Return facts that meet conditions, as far as they are not computed."""
    met = {}
    for name, wanted in when.items():
        fact = one.facts[name]
        if not fact.given:
            met |= next((facts_for(one, d.when) for d in derivations(one, name, wanted)), {})
        elif isinstance(wanted, Range):
            inside = [n for n in numbers(one, name) if wanted.holds(n) and fact.bounds.holds(n)]
            met |= {name: inside[0]} if inside else {}
        else:
            value = wanted[0] if isinstance(wanted, tuple) else wanted
            met[name] = [value] if fact.many else value
    return met


def derivations(one, name, wanted):
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    return (d for d in one.derivations if d.fact == name and d.value in values)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(RULES))
def test_junk_is_refused_or_left_for_review(data, name):
    one = load(name)
    known = [n for n, fact in one.facts.items() if fact.given]
    words = sorted({str(v) for n in known for v in one.facts[n].values})
    value = junk | st.sampled_from(words) if words else junk
    facts = data.draw(st.dictionaries(st.sampled_from(known) | st.text(max_size=6), value))

    try:
        said = rule(name, facts)
    except OptionError:
        return
    check(one, facts, said.outcome)


@pytest.mark.parametrize("facts", [None, 3, "d", ["d"], [("d", 8)]])
def test_facts_that_are_no_mapping_are_refused(facts):
    with pytest.raises(OptionError, match="give an object"):
        rule("lung-rads", facts)
