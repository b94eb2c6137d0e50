"""The rule engine, and Lung-RADS v2022 at and beside each threshold."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.diagnosis.rule import REVIEW, load, read
from aegle.diagnosis.rule_evaluation import evaluate
from aegle.domain.errors import FileError, OptionError

LUNG_RADS = load("lung-rads")


def category(**facts):
    return evaluate(LUNG_RADS, facts).category


@pytest.mark.parametrize(
    ("facts", "limits"),
    [
        pytest.param(
            {"type": "solid", "status": "baseline"},
            [(5.9, "2"), (6.0, "3"), (7.9, "3"), (8.0, "4A"), (14.9, "4A"), (15.0, "4B")],
            id="solid at baseline",
        ),
        pytest.param(
            {"type": "solid", "status": "new"},
            [(3.9, "2"), (4.0, "3"), (5.9, "3"), (6.0, "4A"), (7.9, "4A"), (8.0, "4B")],
            id="new solid",
        ),
        pytest.param(
            {"type": "solid", "status": "growing"}, [(7.9, "4A"), (8.0, "4B")], id="growing solid"
        ),
        pytest.param(
            {"type": "solid", "status": "slow_growing"}, [(3.0, "4B"), (30.0, "4B")], id="slow"
        ),
        pytest.param(
            {"type": "juxtapleural"},
            [(9.9, "2"), (10.0, "4A"), (14.9, "4A"), (15.0, "4B")],
            id="juxtapleural at baseline",
        ),
        pytest.param(
            {"type": "juxtapleural", "status": "new"}, [(9.9, "2"), (10.0, "4B")], id="and new"
        ),
        pytest.param(
            {"type": "ggn", "status": "baseline"}, [(29.9, "2"), (30.0, "3")], id="ground glass"
        ),
        pytest.param(
            {"type": "ggn", "status": "growing"},
            [(29.9, "2"), (30.0, REVIEW)],
            id="ground glass that grows past 30 mm is not in the table",
        ),
        pytest.param({"type": "ggn", "status": "stable"}, [(30.0, "2")], id="stable ground glass"),
        pytest.param(
            {"type": "part_solid", "s": 5.9}, [(5.9, "2"), (6.0, "3")], id="part-solid, in all"
        ),
    ],
)
def test_size_limits(facts, limits):
    assert [(d, category(**facts, d=d)) for d, _ in limits] == limits


@pytest.mark.parametrize(
    ("status", "solid_status", "limits"),
    [
        ("baseline", None, [(5.9, "3"), (6.0, "4A"), (7.9, "4A"), (8.0, "4B")]),
        ("new", None, [(3.9, "4A"), (4.0, "4B")]),
        ("growing", "growing", [(3.9, "4A"), (4.0, "4B")]),
        ("stable", "new", [(3.9, "4A"), (4.0, "4B")]),
        ("growing", "stable", [(3.9, REVIEW)]),
    ],
)
def test_solid_part_limits(status, solid_status, limits):
    facts = {"type": "part_solid", "status": status, "d": 12}
    if solid_status:
        facts["solid_status"] = solid_status

    assert [(s, category(**facts, s=s)) for s, _ in limits] == limits


def test_sizes_are_compared_to_one_decimal():
    assert category(type="solid", d=5.95) == "3"
    assert category(type="solid", d=5.94) == "2"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"type": "none"}, "1"),
        ({"type": "benign", "d": 25}, "1"),
        ({"type": "solid", "d": 20, "incomplete": "infection"}, "0"),
        ({"incomplete": "lungs_not_covered"}, "0"),
        ({"type": "solid", "d": 7, "status": "stable", "prior_cat": "3"}, "2"),
        ({"type": "ggn", "d": 31, "status": "decreased", "prior_cat": "4A"}, "3"),
        ({"type": "solid", "d": 16, "prior_cat": "4B", "proven_benign": True}, "2"),
        ({"type": "airway", "level": "subsegmental"}, "2"),
        ({"type": "airway", "level": "proximal"}, "4A"),
        ({"type": "airway", "level": "segmental", "status": "growing"}, "4B"),
        ({"type": "cyst", "kind": "thin"}, "NC"),
        ({"type": "cyst", "kind": "becomes_multilocular"}, "4A"),
        ({"type": "cyst", "kind": "multilocular_growing"}, "4B"),
        ({"type": "solid", "d": 5, "extra_suspicious": True}, "2"),
        ({"type": "solid", "d": 6, "extra_suspicious": 1}, "4X"),
        ({"type": "solid", "d": 16, "extra_suspicious": True}, "4X"),
        ({"type": "solid", "d": 16, "extra_suspicious": False}, "4B"),
        ({"type": "solid", "d": 20, "incomplete": 1}, "0"),
        ({"type": "cyst", "kind": "growing_multilocular"}, "4B"),
        # A nodule that crosses a size limit without growing by the definition: by its size.
        ({"type": "solid", "status": "stable", "d": 5.9, "prior_cat": "2"}, "2"),
        ({"type": "solid", "status": "stable", "d": 6, "prior_cat": 2}, "3"),
        ({"type": "solid", "status": "stable", "d": 7.9, "prior_cat": "3"}, "2"),
        ({"type": "solid", "status": "stable", "d": 8, "prior_cat": "3"}, "4A"),
        ({"type": "solid", "status": "stable", "d": 14.9, "prior_cat": "4A"}, "3"),
        ({"type": "solid", "status": "stable", "d": 15, "prior_cat": "4A"}, "4B"),
        ({"type": "part_solid", "status": "stable", "d": 9, "s": 5.9, "prior_cat": "3"}, "2"),
        ({"type": "part_solid", "status": "stable", "d": 9, "s": 6, "prior_cat": "3"}, "4A"),
        ({"type": "part_solid", "status": "stable", "d": 9, "s": 8, "prior_cat": "4A"}, "4B"),
        ({"type": "ggn", "status": "slow_growing", "d": 29.9}, "2"),
        ({"type": "ggn", "status": "stable", "d": 29.9, "prior_cat": "2"}, "2"),
        ({"type": "juxtapleural", "status": "stable", "d": 9.9, "prior_cat": "2"}, "2"),
        ({"type": "juxtapleural", "status": "stable", "d": 10, "prior_cat": "2"}, "4A"),
        ({"type": "juxtapleural", "status": "stable", "d": 14.9, "prior_cat": "2"}, "4A"),
        ({"type": "juxtapleural", "status": "stable", "d": 15, "prior_cat": "2"}, "4B"),
        ({"type": "part_solid", "status": "stable", "d": 5.9, "prior_cat": "2"}, "2"),
        ({"type": "part_solid", "status": "stable", "d": 6, "s": 5.9, "prior_cat": "2"}, "3"),
        ({"type": "part_solid", "status": "stable", "d": 9, "s": 7.9, "prior_cat": "2"}, "4A"),
        ({"type": "part_solid", "status": "stable", "d": 9, "s": 8, "prior_cat": "2"}, "4B"),
        ({"type": "solid", "status": "stable", "d": 8, "prior_cat": "2"}, "4A"),
        ({"type": "solid", "status": "stable", "d": 14.9, "prior_cat": "2"}, "4A"),
        ({"type": "part_solid", "d": 8, "s": 8}, "4B"),
        ({"type": "juxtapleural", "status": "slow_growing", "d": 10}, "4B"),
        # The whole grows as its solid part does.
        ({"type": "part_solid", "d": 9, "s": 3.9, "solid_status": "growing"}, "4A"),
        ({"type": "part_solid", "d": 9, "s": 4, "solid_status": "growing"}, "4B"),
    ],
)
def test_other_rows(facts, expected):
    assert category(**facts) == expected


def test_growth_of_a_solid_part_outweighs_a_stable_whole():
    stable = {"type": "part_solid", "d": 12, "s": 5, "status": "stable", "prior_cat": "3"}

    assert category(**stable) == "2"
    assert category(**stable, solid_status="growing") == "4B"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param({}, "what the finding is", id="nothing said"),
        pytest.param({"type": "solid"}, "mean diameter", id="no size"),
        pytest.param({"type": "part_solid", "d": 8}, "solid component", id="no solid size"),
        pytest.param({"type": "mystery", "d": 8}, "mystery", id="a choice nobody knows"),
        pytest.param({"type": "solid", "d": -1}, "d cannot be -1 mm", id="negative"),
        pytest.param({"type": "solid", "d": 0}, "d cannot be 0 mm", id="no size at all"),
        pytest.param({"type": "solid", "d": 800}, "possible: > 0, ≤ 300", id="beyond any chest"),
        pytest.param({"type": "part_solid", "d": 6, "s": 6.1}, "exceed", id="part above whole"),
        pytest.param(
            {"type": "airway", "level": "segmental", "status": "new"}, "4A", id="new airway"
        ),
        pytest.param(
            {"type": "airway", "level": "subsegmental", "status": "growing"},
            "subsegmental",
            id="growing small airway",
        ),
        pytest.param(
            {"type": "juxtapleural", "status": "growing", "d": 9}, "growing", id="juxtapleural"
        ),
        pytest.param(
            {"type": "solid", "status": "stable", "d": 5}, "(prior_cat)", id="stable since what"
        ),
        pytest.param({"type": "solid", "d": 5, "prior_cat": "2"}, "status", id="changed how"),
        pytest.param({"type": "none", "d": 5}, "No nodule", id="a size of nothing"),
        pytest.param({"type": "solid", "d": 5, "s": 3}, "not part-solid", id="solid part of solid"),
        pytest.param({"type": "solid", "d": 5, "age": 17}, "child", id="a child"),
        pytest.param({"type": "solid", "d": 5, "screening": 0}, "Fleischner", id="no screening"),
        pytest.param(
            {"type": "solid", "d": 5, "status": "baseline", "prior_cat": "2"},
            "no earlier category",
            id="baseline and earlier category",
        ),
        pytest.param(
            {"type": "part_solid", "d": 9, "s": 5, "solid_status": "stable"},
            "how the whole nodule",
            id="solid part alone is stable",
        ),
        pytest.param({"type": "cyst", "kind": "thin", "status": "growing"}, "No row", id="cyst"),
    ],
)
def test_what_no_row_covers_is_left_to_a_person(facts, words):
    outcome = evaluate(LUNG_RADS, facts)

    assert outcome.category == REVIEW
    assert words in str(outcome.reason)
    assert outcome.next_step is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param({"typ": "solid", "d": 8}, "has no fact typ; known: age", id="unknown name"),
        pytest.param({"type": "solid", "d": float("nan")}, "not a finite number", id="nan"),
        pytest.param({"type": "solid", "d": float("inf")}, "not a finite number", id="infinite"),
        pytest.param({"type": "solid", "d": 10**400}, "not a finite number", id="beyond floats"),
        pytest.param({"type": "solid", "d": "8"}, "'8'; give a number in mm", id="text"),
        pytest.param({"type": "solid", "d": "8 mm"}, "give a number in mm", id="unit in text"),
        pytest.param({"type": "solid", "d": True}, "True; give a number", id="flag as number"),
        pytest.param({"type": ["solid"], "d": 8}, "give one of none, benign", id="a list"),
        pytest.param({"type": 3, "d": 8}, "3; give one of", id="number as choice"),
        pytest.param({"type": "solid", "d": 8, "proven_benign": "no"}, "true or false", id="word"),
        pytest.param({"type": "solid", "d": 8, "proven_benign": 2}, "true or false", id="flag 2"),
        pytest.param(
            {"type": "solid", "d": {"value": 0.8, "unit": "cm"}}, "convert it", id="other unit"
        ),
        pytest.param({"type": "solid", "d": {"value": 8}}, "convert it", id="unit left out"),
    ],
)
def test_malformed_facts_are_an_error_of_the_caller(facts, words):
    with pytest.raises(OptionError, match=re.escape(words)):
        evaluate(LUNG_RADS, facts)


def test_a_number_may_say_its_unit_and_null_is_not_stated():
    assert category(type="solid", d={"value": 8, "unit": "mm"}, s=None, status=None) == "4A"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [({"d": 5}, "2S"), ({"d": 7}, "3S"), ({"d": 7, "extra_suspicious": 1}, "4XS")],
)
def test_significant_other_findings_add_an_s(facts, expected):
    outcome = evaluate(LUNG_RADS, {"type": "solid", "significant_other": True, **facts})

    assert outcome.result == expected
    assert outcome.category == expected.removesuffix("S")
    assert "other than lung cancer" in str(outcome.cautions[0])


def test_stable_4b_without_proof_keeps_its_category_and_says_so():
    outcome = evaluate(LUNG_RADS, {"type": "solid", "status": "stable", "prior_cat": "4B", "d": 16})

    assert outcome.category == "4B"
    assert "the table does not say" in str(outcome.row)


sizes = st.integers(0, 400).map(lambda tenths: tenths / 10)
statuses = st.sampled_from(["baseline", "new", "growing", "slow_growing"])


@settings(deadline=None)
@given(st.sampled_from(["solid", "juxtapleural", "ggn"]), statuses, sizes, sizes)
def test_a_larger_nodule_is_never_less_suspicious(kind, status, one, other):
    small, large = (category(type=kind, status=status, d=d) for d in sorted((one, other)))

    if REVIEW not in (small, large):
        assert LUNG_RADS.order.index(large) >= LUNG_RADS.order.index(small)


@settings(deadline=None)
@given(statuses, sizes, sizes, sizes)
def test_a_larger_solid_part_is_never_less_suspicious(status, d, one, other):
    facts = {"type": "part_solid", "status": status, "d": d, "solid_status": "growing"}
    small, large = (category(**facts, s=min(s, d)) for s in sorted((one, other)))

    if REVIEW not in (small, large):
        assert LUNG_RADS.order.index(large) >= LUNG_RADS.order.index(small)


@settings(deadline=None)
@given(st.sampled_from(["solid", "part_solid"]), sizes.filter(lambda d: d > 0))
def test_every_size_at_baseline_has_a_category(kind, d):
    solid_part = {"s": d / 2} if kind == "part_solid" else {}

    assert category(type=kind, d=d, **solid_part) in LUNG_RADS.order


def chosen(condition):
    return (condition,) if isinstance(condition, str) else condition


def holding(facts, d, s):
    """Return the categories of all rows that hold, found without the engine."""
    size = {"d": d, "s": s}
    return {
        row.category
        for row in LUNG_RADS.rows
        if not row.overrides
        and all(
            c.holds(size[n]) if n in size else facts.get(n) in chosen(c)
            for n, c in row.when.items()
        )
    }


@pytest.mark.parametrize("kind", LUNG_RADS.facts["type"].values)
def test_rows_overlap_only_where_an_earlier_category_enters(kind):
    """Elsewhere each situation has one answer, whatever the order of the rows."""
    rows = [r for r in LUNG_RADS.rows if kind in chosen(r.when.get("type", ()))]
    names = {n for r in rows for n in r.when} - {"type", "d", "s", "prior_cat"}
    choices = {n: (None, *LUNG_RADS.facts[n].values) for n in sorted(names)}
    whole_mm, part_mm = (3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 30), (2, 4, 6, 8, 9)
    sizes = [(d, s) for d in whole_mm for s in part_mm if s <= d]

    for values in itertools.product(*choices.values()):
        facts = {"type": kind, **dict(zip(choices, values, strict=True))}
        assert all(len(holding(facts, d, s)) <= 1 for d, s in sizes)


def test_next_steps_say_that_they_are_not_confirmed():
    assert set(LUNG_RADS.management) == {"NC", "0", "1", "2", "3", "4A", "4B", "4X"}
    assert all(
        str(LUNG_RADS.next_step(category)).endswith("(not confirmed against the primary document)")
        for category in LUNG_RADS.management
    )
    assert "6 months" in str(evaluate(LUNG_RADS, {"type": "solid", "d": 7}).next_step)


def test_the_rule_names_its_source():
    assert LUNG_RADS.doi == "10.1016/j.jacr.2023.09.009"
    assert LUNG_RADS.effective == "2022-11"
    assert "screening" in LUNG_RADS.applies_to


def test_unknown_rules_are_refused():
    with pytest.raises(OptionError, match=r"known: aspects, .*lung-rads"):
        load("lung-rads-1999")


SMALL = """
id = "made"
title = "Made"
version = "1"
effective = "2020"
doi = ""
citation = ""
applies_to = "tests"
basis = "memory"
next_step_basis = "checked"
checked_against = ""
order = ["A", "B"]
example = { x = 1 }
facts.x = { meaning = "size" }
facts.y = { meaning = "choice", values = ["p", "q"] }
management = { A = "wait" }
rows = [{ category = "A", when = { ROW }, text = "first" }]
"""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x = { ge = 1, lower = 2 }", "lower"),
        ("z = 'p'", "'z'"),
        ("y = 'r'", "'r'"),
        ("y = { ge = 1 }", "'y'"),
        ("x = 'p'", "'x'"),
        ("y = true", "'y'"),
        ("x = ", "Invalid value"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(row, words):
    with pytest.raises(FileError, match=words):
        read(SMALL.replace("ROW", row), "made")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("scores.z = [{ adds.w = { coefficient = 1 } }]", "there is no fact 'w'"),
        ("scores.z = [{ adds.y = { points = { p = 1 } } }]", "do not fit its values"),
        ("scores.z = [{ when = { w = true } }]", "'w' cannot be True"),
        ("derivations = [{ fact = 'y', value = 'r', when = {} }]", "'y' cannot be 'r'"),
        ("excludes = [{ reason = '', when = { y = 'r' } }]", "'y' cannot be 'r'"),
    ],
)
def test_sums_and_derivations_that_do_not_fit_are_refused(more, words):
    with pytest.raises(FileError, match=words):
        read(more + SMALL.replace("ROW", "y = 'p'"), "made")


def test_a_category_without_rank_is_refused():
    content = SMALL.replace('category = "A"', 'category = "C"').replace("ROW", "y = 'p'")

    with pytest.raises(FileError, match="'order' lacks C"):
        read(content, "made")


def test_the_engine_knows_no_rule_of_its_own():
    rule = read(SMALL.replace("ROW", "x = { gt = 1, le = 2 }"), "made")

    assert [evaluate(rule, {"x": x}).category for x in (1, 1.5, 2, 2.5)] == [
        REVIEW,
        "A",
        "A",
        REVIEW,
    ]
