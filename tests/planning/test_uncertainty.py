"""Intervals of probabilities against linear propagation and what is published."""

import numpy as np
import pytest

from aegle.planning.complication import complication_model
from aegle.planning.uncertainty import (
    PropagationOptions,
    estimate,
    estimate_difference,
    propagate,
)

MANY = PropagationOptions(draws=2000, seed=1)


def test_a_single_coefficient_returns_its_published_interval():
    model = complication_model("rectum_bleeding")

    found = propagate(model, lambda values: values.get("td50_gy", 76.9), options=MANY)

    # Log-normal about the value; the published interval is symmetric to half a Gy.
    assert found.value == 76.9
    assert found.low == pytest.approx(73.7, abs=0.4)
    assert found.high == pytest.approx(80.1, abs=0.4)


# QUANTEC: TD50 = 30.75 Gy, 95 % interval 28.7 to 33.9 Gy. Without the correlation of the two
# coefficients the interval would be 23 to 40 Gy.
def test_correlated_coefficients_return_the_published_interval_of_their_ratio():
    model = complication_model("lung_pneumonitis")

    found = propagate(model, lambda values: -values["intercept"] / values["per_gy"], options=MANY)

    assert found.value == pytest.approx(30.71, abs=0.01)
    assert found.low == pytest.approx(28.7, abs=0.8)
    assert found.high == pytest.approx(33.9, abs=0.8)
    assert found.not_published == ()


# At the mean dose where the curve is steepest, the errors of the log odds add as
# s² = s0² + D² s1² + 2 r D s0 s1, and the interval is the logistic of S ± 1.96 s.
def test_interval_of_pneumonitis_follows_from_the_errors_of_its_log_odds():
    errors = np.array([4.49 - 3.33, 0.153 - 0.100]) / (2 * 1.959964)
    score = -3.87 + 0.126 * 20
    total = np.sqrt(errors[0] ** 2 + (20 * errors[1]) ** 2 - 2 * 0.944 * 20 * errors.prod())
    expected = 1 / (1 + np.exp(-(score + np.array([-1, 1]) * 1.959964 * total)))

    found = estimate(complication_model("lung_pneumonitis"), [20.0], options=MANY)

    np.testing.assert_allclose([found.low, found.high], expected, rtol=0.03)
    assert found.low < found.value < found.high


def test_what_is_not_published_is_said():
    found = estimate(complication_model("parotid_flow"), [30.0], options=MANY)

    assert found.low is None
    assert found.high is None
    assert found.not_published == ("td50_gy", "m", "n")
    assert str(found.text).endswith("(interval not published)")


def test_an_interval_that_covers_a_part_names_the_rest():
    found = estimate(
        complication_model("lung_pneumonitis_with_factors"),
        [20.0],
        factors=("pulmonary_comorbidity",),
        options=MANY,
    )

    # The published p value of 0.007 keeps the odds ratio above 1.
    bare = estimate(complication_model("lung_pneumonitis_with_factors"), [20.0], options=MANY)
    assert found.low > bare.value
    assert bare.low is None
    assert found.not_published == ("d50_gy", "gamma50")
    assert "errors of d50_gy, gamma50 not published" in str(found.text)


def test_words_give_percent_and_level():
    found = estimate(
        complication_model("rectum_bleeding"),
        [75.0, 50.0, 20.0],
        shares=[0.2, 0.3, 0.5],
        options=MANY,
    )

    assert found.value == pytest.approx(0.1166, abs=5e-5)
    assert str(found.text).startswith("11.7 % (95 % interval ")


def test_what_two_plans_share_cancels_in_their_difference():
    model = complication_model("rectum_bleeding")
    first, second = [70.0, 60.0, 40.0], [69.0, 59.0, 40.0]

    difference = estimate_difference(model, first, second, options=MANY)
    alone = [estimate(model, doses, options=MANY) for doses in (first, second)]

    assert difference.value == pytest.approx(alone[0].value - alone[1].value)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < 0.5 * (alone[0].high - alone[0].low)


def test_equal_plans_do_not_differ_whatever_the_coefficients():
    found = estimate_difference(complication_model("rectum_bleeding"), [60.0], [60.0], options=MANY)

    assert (found.low, found.value, found.high) == (0, 0, 0)


def test_fractionation_counts_in_each_plan():
    model = complication_model("rectum_bleeding")

    found = estimate_difference(model, [60.0], [60.0], fractions=(20, 30), options=MANY)

    expected = [float(model.probability([dose])) for dose in (72.0, 60.0)]
    assert found.value == pytest.approx(expected[0] - expected[1], abs=1e-9)


def test_same_seed_same_interval_and_other_levels_nest():
    model, doses = complication_model("rectum_bleeding"), [70.0, 40.0]
    options = [PropagationOptions(seed=5), PropagationOptions(seed=5, level_percent=50)]

    wide, again, narrow = (
        estimate(model, doses, options=o) for o in (options[0], options[0], options[1])
    )

    assert wide == again
    assert wide.low < narrow.low < narrow.high < wide.high
