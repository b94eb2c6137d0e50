"""Agreement against published examples and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from aegle.domain.errors import InputError
from aegle.evaluation.agreement import intraclass_correlation, kappa, limits_of_agreement
from aegle.evaluation.options import EvaluationOptions

FEW = EvaluationOptions(resamples=200)

# Shrout and Fleiss 1979, table 2: six subjects, four judges.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
# Bland and Altman 1986: first readings of peak flow, Wright and mini Wright meter [L/min].
WRIGHT = np.array(
    [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427], float
)
MINI = np.array(
    [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451], float
)


@pytest.mark.parametrize(
    ("form", "published", "interval"),
    [
        # Values of table 4; intervals as the R package psych prints them for this table.
        pytest.param("2,1", 0.29, (0.019, 0.761), id="ICC(2,1)"),
        pytest.param("3,1", 0.71, (0.342, 0.946), id="ICC(3,1)"),
    ],
)
def test_intraclass_correlation_of_shrout_and_fleiss(form, published, interval):
    found = intraclass_correlation(JUDGES, form=form)

    assert found.value == pytest.approx(published, abs=0.005)
    assert (found.low, found.high) == pytest.approx(interval, abs=6e-4)


def test_an_offset_of_a_reader_counts_only_where_readers_stand_for_all():
    shifted = JUDGES + np.array([0, 5, 0, 0])

    assert intraclass_correlation(shifted, form="3,1").value == pytest.approx(
        intraclass_correlation(JUDGES, form="3,1").value
    )
    apart = JUDGES[:, [0, 0]] + np.array([0, 5])
    assert intraclass_correlation(apart, form="2,1").value < 0.3
    found = intraclass_correlation(apart, form="3,1")
    assert (found.value, found.low, found.high) == (1, 1, 1)


@pytest.mark.parametrize("form", ["2,1", "3,1"])
def test_readers_who_agree_wholly_reach_one(form):
    found = intraclass_correlation(JUDGES[:, [0, 0]], form=form)

    assert (found.value, found.low, found.high) == (1, 1, 1)


@pytest.mark.parametrize(
    "ratings",
    [
        pytest.param(JUDGES[:1], id="one subject"),
        pytest.param(JUDGES[:, :1], id="one reader"),
        pytest.param(np.where(JUDGES == 9, np.nan, JUDGES), id="a missing rating"),
        pytest.param(np.ones((4, 2)), id="all ratings equal"),
    ],
)
def test_ratings_that_tell_nothing_are_refused(ratings):
    with pytest.raises(InputError):
        intraclass_correlation(ratings, form="2,1")


def test_limits_of_agreement_of_bland_and_altman():
    found = limits_of_agreement(WRIGHT, MINI, multiple=2)

    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.deviation == pytest.approx(38.8, abs=0.05)
    assert found.lower.value == pytest.approx(-79.7, abs=0.1)
    assert found.upper.value == pytest.approx(75.5, abs=0.1)
    # Published: bias -22.0 to 17.8; limits -114.3 to -45.1 and 40.9 to 110.1, the last two with
    # the standard error rounded to sqrt(3 s²/n).
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)
    assert (found.lower.low, found.lower.high) == pytest.approx((-114.3, -45.1), abs=0.8)
    assert (found.upper.low, found.upper.high) == pytest.approx((40.9, 110.1), abs=0.8)


def test_limits_lie_1_96_deviations_from_the_bias():
    found = limits_of_agreement(WRIGHT, MINI)

    assert found.upper.value - found.bias.value == pytest.approx(1.96 * found.deviation)
    assert limits_of_agreement(MINI, WRIGHT).bias.value == pytest.approx(-found.bias.value)


def test_too_few_pairs_are_refused():
    with pytest.raises(InputError, match="at least 3 pairs"):
        limits_of_agreement(WRIGHT[:2], MINI[:2])


def test_kappa_of_a_worked_table():
    # Both yes 20, both no 15, yes/no 5, no/yes 10: (0.70 - 0.50) / (1 - 0.50) = 0.40.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15

    found = kappa(first, second, categories=("no", "yes"), options=EvaluationOptions())

    assert found.value == pytest.approx(0.4)
    # Its standard error is 0.13 (Fleiss JL, Cohen J, Everitt BS. Psychol Bull 1969;72:323-327).
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.128, rel=0.1)


gradings = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=3, max_size=30
).filter(lambda rows: len({x for row in rows for x in row}) > 1)


@pytest.mark.parametrize("weights", ["unweighted", "linear", "quadratic"])
@given(gradings)
def test_kappa_equals_scikit_learns(weights, rows):
    first, second = zip(*rows, strict=True)
    peer = cohen_kappa_score(
        first, second, labels=list("abcd"), weights=None if weights == "unweighted" else weights
    )

    found = kappa(
        first, second, categories="abcd", weights=weights, options=EvaluationOptions(resamples=100)
    )

    assert found.value == pytest.approx(peer)


def test_grades_further_apart_weigh_more():
    near = kappa("abcabc", "abcabb", categories="abc", weights="quadratic", options=FEW)
    far = kappa("abcabc", "abcaba", categories="abc", weights="quadratic", options=FEW)

    assert near.value > far.value


def test_readings_of_one_patient_are_drawn_together():
    first, second = "aabb" * 20, "abbb" * 20
    apart = kappa(first, second, categories="ab", options=FEW)

    together = kappa(
        first, second, categories="ab", options=FEW, groups=[str(i // 40) for i in range(80)]
    )

    # Both groups hold the same readings, so nothing varies.
    assert together.low == pytest.approx(together.high)
    assert apart.high > apart.low


def test_judgements_that_do_not_pair_are_refused():
    with pytest.raises(InputError, match="judged 2 subjects, the second 1"):
        kappa("ab", "a", categories="ab", options=FEW)
    with pytest.raises(InputError, match="'x' is none of the categories a, b"):
        kappa("ax", "ab", categories=("a", "b"), options=FEW)
