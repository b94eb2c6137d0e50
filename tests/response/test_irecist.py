"""iRECIST: unconfirmed progression, its confirmation and the resetting of the bar.

Sequences after RECIST-tracker's published tests, the EORTC clarifications and Seymour 2017.
"""

from decimal import Decimal

import pytest

from aegle.response.best_overall import best_immune_response, immune_progression_index
from aegle.response.criterion import load
from aegle.response.irecist import judge, overall
from aegle.response.patient_course import (
    NewLesion,
    NonTarget,
    PatientCourse,
    Seen,
    Target,
    Visit,
)

START = -60


def visit(day, target, *, new=None, other=None):
    """``new`` maps names to sizes, to None if not assessed, or to what was seen."""
    lesions = []
    for name, value in (new or {}).items():
        if isinstance(value, str):
            lesions.append(NewLesion(lesion=name, seen=Seen(value)))
        else:
            size = None if value is None else Decimal(str(value))
            seen = Seen.NOT_ASSESSED if value is None else Seen.PRESENT
            lesions.append(NewLesion(lesion=name, size=size, seen=seen))
    return Visit(
        day=day,
        targets=(Target(lesion="T", parts=None if target is None else (Decimal(str(target)),)),),
        non_targets=() if other is None else (NonTarget(lesion="O", seen=Seen(other)),),
        new=tuple(lesions),
    )


def judged(baseline, *visits, **policies):
    other = "present" if any(v.non_targets for v in visits) else None
    course = PatientCourse(visits=(visit(START, baseline, other=other), *visits))
    return judge(course, policies=policies)


def categories(baseline, *visits, **policies):
    return list(judged(baseline, *visits, **policies).categories)


@pytest.mark.parametrize(
    ("later", "expected", "rule"),
    [
        (130, "iCPD", "further-target-growth"),
        (129.9, "iUPD", "no-change"),
        (125, "iUPD", "no-change"),
        (119.9, "iSD", "bar-reset"),
        (70, "iPR", "bar-reset"),
        (0, "iCR", "bar-reset"),
    ],
)
def test_a_sum_that_progressed(later, expected, rule):
    verdict = judged(100, visit(0, 125), visit(35, later)).verdicts[-1]

    assert (verdict.category, verdict.rule) == (expected, rule)


@pytest.mark.parametrize(("day", "expected"), [(27, "iUPD"), (28, "iCPD")])
def test_confirmation_needs_four_weeks(day, expected):
    assert categories(100, visit(0, 125), visit(day, 130))[-1] == expected


def test_an_early_scan_sets_neither_nadir_nor_bar():
    visits = (visit(0, 100, new={"L": 10}), visit(14, 50, new={"L": 10}))
    last = visit(35, 60, new={"L": 10})

    assert categories(100, *visits, last) == ["iUPD", "iUPD", "iPR"]
    # Counted, the 50 mm is a response that resets the bar, and 60 mm is +20 % from it.
    counted = categories(100, *visits, last, early_scan="counted")
    assert counted == ["iUPD", "iPR", "iUPD"]


def test_a_new_lesion_of_an_early_scan_counts_at_the_next():
    found = judged(100, visit(0, 125), visit(14, 125, new={"L": 10}), visit(35, 125, new={"L": 10}))

    assert found.verdicts[-1].category == "iCPD"
    assert found.verdicts[-1].rule == "more-new-lesions"


@pytest.mark.parametrize(
    ("before", "after", "expected", "rule"),
    [
        pytest.param({"L": 3.2}, {"L": 8.2}, "iCPD", "further-new-growth", id="exactly 5 mm"),
        pytest.param({"L": 3.2}, {"L": 8.1}, "iUPD", "no-change", id="just below"),
        pytest.param({"L": 10}, {"L": 10, "M": 3}, "iCPD", "more-new-lesions", id="one more"),
        pytest.param({"L": "present"}, {"L": "increased"}, "iCPD", "further-new-growth", id="grew"),
        pytest.param({"L": 10}, {"L": None}, "NE", "new-not-assessed", id="not assessed"),
        pytest.param({"L": 10}, {}, "NE", "new-not-assessed", id="not named"),
        pytest.param({"L": 10}, {"L": 0}, "iSD", "bar-reset", id="gone"),
        pytest.param({"L": 10}, {"L": 5}, "iSD", "bar-reset", id="shrank by 5 mm"),
        pytest.param({"L": 10}, {"L": 5.1}, "iUPD", "no-change", id="shrank by less"),
    ],
)
def test_a_new_lesion_beside_a_stable_tumour(before, after, expected, rule):
    found = judged(100, visit(0, 100, new=before), visit(35, 100, new=after))

    assert found.categories[0] == "iUPD"
    assert (found.verdicts[-1].category, found.verdicts[-1].rule) == (expected, rule)


def test_scenario_f_no_change_stays_unconfirmed():
    # EORTC clarification: a response, then a new lesion, then no change at all.
    visits = (visit(0, 50), visit(28, 50, new={"L": 10}), visit(63, 50, new={"L": 10}))

    assert categories(100, *visits) == ["iPR", "iUPD", "iUPD"]


@pytest.mark.parametrize(("later", "expected"), [(50, "iPR"), (90, "iSD")])
def test_a_stable_new_lesion_does_not_block_a_response(later, expected):
    visits = (visit(0, 125, new={"L": 10}), visit(35, later, new={"L": 10}))

    assert categories(100, *visits) == ["iUPD", expected]


def test_a_visit_that_cannot_be_judged_sets_no_nadir():
    visits = (
        visit(0, 100, new={"L": 10}),
        visit(35, 50, new={"L": None}),
        visit(63, 61, new={"L": 10}),
    )

    assert categories(100, *visits) == ["iUPD", "NE", "iPR"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("progression", "increased"), ["iUPD", "iCPD"]),
        (("progression", "progression"), ["iUPD", "iUPD"]),
        (("progression", "present"), ["iUPD", "iSD"]),
    ],
)
def test_non_target_lesions(states, expected):
    visits = (visit(35 * n, 100, other=seen) for n, seen in enumerate(states))

    assert categories(100, *visits) == expected


def test_another_kind_of_lesion_confirms():
    visits = (visit(0, 120, other="present"), visit(35, 120, other="progression"))

    found = judged(100, *visits)

    assert found.categories == ("iUPD", "iCPD")
    assert found.verdicts[-1].rule == "new-category"


def test_reappearance_after_complete_response():
    assert categories(10, visit(0, 0), visit(35, 4)) == ["iCR", "iUPD"]
    assert categories(10, visit(0, 0), visit(35, 4), reappearance="growth") == ["iCR", "iPR"]


def test_a_new_lesion_that_remains_blocks_complete_response():
    visits = (visit(0, 100, new={"L": 10}), visit(35, 0, new={"L": 10}))

    assert categories(100, *visits) == ["iUPD", "iPR"]


@pytest.mark.parametrize(("day", "late"), [(56, ""), (57, "yes")])
def test_a_late_examination_is_called_late(day, late):
    found = judged(100, visit(0, 125), visit(day, 130)).verdicts[-1]

    assert found.category == "iCPD"
    assert found.facts["is_late"] == late


def test_measures_as_recist_does():
    immune, solid = load("irecist").thresholds, load("recist-1.1").thresholds

    assert {n: immune[n].value for n in solid} == {n: t.value for n, t in solid.items()}


def test_confirmed_progression_stays():
    visits = (visit(0, 125), visit(35, 130), visit(63, 0))

    assert categories(100, *visits) == ["iUPD", "iCPD", "iCPD"]


def test_the_bar_is_reset_and_progression_begins_anew():
    visits = (visit(0, 125), visit(35, 60), visit(63, 72), visit(98, 77))

    found = categories(100, *visits)

    assert found == ["iUPD", "iPR", "iUPD", "iCPD"]
    assert immune_progression_index(found) == 2


# Seymour 2017, table 3, and the vignette of admiralonco for the dates.
@pytest.mark.parametrize(
    ("visits", "best", "index"),
    [
        (["iCR", "iPR", "iUPD", "iUPD", "iCPD"], "iCR", 2),
        (["iUPD", "iPR", "iSD", "iUPD", "iCPD"], "iPR", 3),
        (["iUPD", "iSD", "iSD", "iUPD", "iCPD"], "iSD", 3),
        (["iUPD", "iUPD", "iCPD"], "iCPD", 0),
        (["iUPD", "NE", "NE", "NE", "NE"], "iUPD", None),
        (["iSD", "iSD", "iUPD", "iPR", "iPR", "iUPD", "iCPD"], "iPR", 5),
        (["iUPD", "NE", "iCPD", "iCR"], "iCPD", 0),
        (["NE"], "NE", None),
        ([], "NE", None),
    ],
)
def test_best_response_and_date_of_progression(visits, best, index):
    assert best_immune_response(visits) == best
    assert immune_progression_index(visits) == index


def test_unconfirmed_progression_counts_only_if_asked_for():
    assert immune_progression_index(["iSD", "iUPD", "NE"], unconfirmed_counts=True) == 1
    assert immune_progression_index(["iUPD", "iSD"], unconfirmed_counts=True) is None


@pytest.mark.parametrize(
    ("target", "other", "new", "expected"),
    [
        ("iCR", "iCR", False, "iCR"),
        ("iCR", "NON-iCR/NON-iUPD", False, "iPR"),
        ("iPR", "NON-iCR/NON-iUPD", False, "iPR"),
        ("iSD", "NON-iCR/NON-iUPD", False, "iSD"),
        ("iPR", "iUPD", False, "iUPD"),
        ("iCPD", "iUPD", False, "iCPD"),
        ("iSD", "NON-iCR/NON-iUPD", True, "iUPD"),
        ("NE", "NON-iCR/NON-iUPD", False, "NE"),
        ("NONE", "NON-iCR/NON-iUPD", False, "NON-iCR/NON-iUPD"),
    ],
)
def test_the_parts_of_one_visit(target, other, new, expected):
    assert overall(target, other, has_new=new) == expected


PASTS = [
    (visit(0, 125),),
    (visit(0, 100, new={"L": 10}),),
    (visit(0, 50), visit(30, 50, new={"L": 10})),
    (visit(0, 50),),
]
NEW = [{}, {"L": 4}, {"L": 10}, {"L": 15}, {"L": 15, "M": 10}]


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("day", [40, 70])
def test_more_tumour_now_never_improves_the_category(past, day):
    order = ["iCR", "iPR", "iSD", "iUPD", "iCPD"]
    sizes = (0, 20, 49, 60, 70, 71, 90, 100, 119, 120, 125, 130, 200)
    new = NEW[1:] if past[-1].new else NEW
    ranks = [
        [order.index(categories(100, *past, visit(day, s, new=n))[-1]) for s in sizes] for n in new
    ]

    for row, next_row in zip(ranks, [*ranks[1:], ranks[-1]], strict=True):
        assert row == sorted(row)
        assert all(more >= less for less, more in zip(row, next_row, strict=True))
