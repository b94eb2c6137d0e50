"""The rule engine, and Lung-RADS v2022 at and beside each threshold."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.diagnosis.rule import REVIEW, evaluate, load, read
from aegle.domain.errors import FileError, OptionError

LUNG_RADS = load("lung-rads-2022")


def category(**facts):
    return evaluate(LUNG_RADS, facts).category


def test_published_vectors(shared_data):
    vectors = json.loads(shared_data("rules", "lungrads.json").read_text())

    judged = [evaluate(LUNG_RADS, v["input"]).category for v in vectors]

    assert len(vectors) == 32
    assert judged == [v["expected"] for v in vectors]


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
        pytest.param({"typ": "solid", "d": 8}, "typ", id="a fact nobody asked for"),
        pytest.param({"type": "mystery", "d": 8}, "mystery", id="a choice nobody knows"),
        pytest.param({"type": "solid", "d": -1}, "d cannot be '-1'", id="negative"),
        pytest.param({"type": "solid", "d": float("nan")}, "nan", id="not a number"),
        pytest.param({"type": "solid", "d": float("inf")}, "inf", id="infinite"),
        pytest.param({"type": "solid", "d": "8"}, "'8'", id="a number as text"),
        pytest.param({"type": "solid", "d": True}, "True", id="a flag as number"),
        pytest.param({"type": ["solid"], "d": 8}, "solid", id="a list"),
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
            {"type": "solid", "status": "stable", "d": 5, "prior_cat": "2"},
            "No row covers",
            id="stable category 2",
        ),
        pytest.param({"type": "cyst", "kind": "thin", "status": "growing"}, "No row", id="cyst"),
    ],
)
def test_what_no_row_covers_is_left_to_a_person(facts, words):
    outcome = evaluate(LUNG_RADS, facts)

    assert outcome.category == REVIEW
    assert words in str(outcome.reason)
    assert outcome.next_step is None


def test_stable_4b_without_proof_keeps_its_category_and_says_so():
    outcome = evaluate(LUNG_RADS, {"type": "solid", "status": "stable", "prior_cat": "4B", "d": 16})

    assert outcome.category == "4B"
    assert "the table does not say" in str(outcome.row)


sizes = st.integers(0, 400).map(lambda tenths: tenths / 10)
statuses = st.sampled_from(["baseline", "new", "growing", "slow_growing"])


@given(st.sampled_from(["solid", "juxtapleural", "ggn"]), statuses, sizes, sizes)
def test_a_larger_nodule_is_never_less_suspicious(kind, status, one, other):
    small, large = (category(type=kind, status=status, d=d) for d in sorted((one, other)))

    if REVIEW not in (small, large):
        assert LUNG_RADS.order.index(large) >= LUNG_RADS.order.index(small)


@given(statuses, sizes, sizes, sizes)
def test_a_larger_solid_part_is_never_less_suspicious(status, d, one, other):
    facts = {"type": "part_solid", "status": status, "d": d, "solid_status": "growing"}
    small, large = (category(**facts, s=min(s, d)) for s in sorted((one, other)))

    if REVIEW not in (small, large):
        assert LUNG_RADS.order.index(large) >= LUNG_RADS.order.index(small)


@given(st.sampled_from(["solid", "part_solid"]), sizes.filter(lambda d: d > 0))
def test_every_size_at_baseline_has_a_category(kind, d):
    assert category(type=kind, d=d, s=d / 2) in LUNG_RADS.order


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
    assert set(LUNG_RADS.management) == {"0", "1", "2", "3", "4A", "4B", "4X"}
    assert all(
        step.endswith("(not confirmed against the primary document)")
        for step in LUNG_RADS.management.values()
    )
    assert "6 months" in str(evaluate(LUNG_RADS, {"type": "solid", "d": 7}).next_step)


def test_the_rule_names_its_source():
    assert LUNG_RADS.doi == "10.1016/j.jacr.2023.09.009"
    assert LUNG_RADS.effective.isoformat() == "2022-11-01"
    assert "screening" in LUNG_RADS.applies_to


def test_unknown_rules_are_refused():
    with pytest.raises(OptionError, match="known: lung-rads-2022"):
        load("lung-rads-1999")


SMALL = """
id = "made"
title = "Made"
version = "1"
effective = "2020-01-01"
doi = ""
citation = ""
applies_to = "tests"
order = ["A", "B"]
decides_despite_review = []
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
