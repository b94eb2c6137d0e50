"""Means and medians over images, with intervals over groups."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from aegle.domain.errors import InputError
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.over_cases import blocks, estimates, mean, median, once

OPTIONS = EvaluationOptions(resamples=4000)


def one(statistic, groups):
    return estimates({"x": statistic}, groups, OPTIONS)["x"]


def test_the_interval_of_a_mean_is_that_of_the_central_limit():
    values = np.random.default_rng(5).normal(0.8, 0.1, 200)

    found = one(mean(values), [str(i) for i in range(200)])

    half = norm.ppf(0.975) * values.std() / math.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_images_of_one_patient_are_drawn_together():
    values = np.repeat(np.random.default_rng(5).normal(0.8, 0.1, 50), 4)
    apart = one(mean(values), [str(i) for i in range(200)])

    together = one(mean(values), [str(i // 4) for i in range(200)])

    # Four copies of a patient say no more than one: twice the width, not the same.
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, rel=0.1)
    assert together.value == apart.value


def test_images_without_a_value_do_not_count():
    values = [0.2, math.nan, 0.6, math.nan]

    assert one(mean(values), "abcd").value == pytest.approx(0.4)
    assert one(median(values), "abcd").value == pytest.approx(0.4)
    assert math.isnan(one(mean([math.nan] * 3), "abc").value)
    assert math.isnan(one(median([math.nan] * 3), "abc").value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([3, 1, 2], 2, id="odd"),
        pytest.param([4, 1, 2, 3], 2.5, id="even"),
        pytest.param([1, math.inf, 2], 2, id="one of three is infinite"),
        pytest.param([1, math.inf, math.inf], math.inf, id="most are infinite"),
        pytest.param([1, math.inf], math.inf, id="half are infinite"),
    ],
)
def test_infinite_values_count_in_the_median(values, expected):
    assert one(median(values), [str(i) for i in range(len(values))]).value == expected


def test_an_interval_that_reaches_infinity_says_so():
    values = [1.0] * 12 + [math.inf] * 8

    found = one(median(values), [str(i) for i in range(20)])

    assert (found.value, found.low, found.high) == (1, 1, math.inf)


def test_weighted_medians_are_those_of_the_repeated_values():
    generator = np.random.default_rng(0)
    values, weights = generator.normal(size=9), generator.integers(0, 4, (50, 9))

    found = median(values)(weights.astype(float))

    expected = [np.median(np.repeat(values, w)) if w.any() else math.nan for w in weights]
    np.testing.assert_allclose(found, expected)


def test_a_shared_result_is_taken_once_for_each_set_of_weights():
    asked = []
    of = once(lambda weights: asked.append(1) or weights.sum(axis=1))
    first, second = np.ones((2, 3)), np.zeros((2, 3))

    results = [of(first), of(first), of(second)]

    assert len(asked) == 2
    np.testing.assert_array_equal(results, [[3, 3], [3, 3], [0, 0]])


def test_blocks_hold_every_set_once():
    weights = np.arange(30.0).reshape(10, 3)

    parts = blocks(weights, 700_000)

    assert len(parts) == 5
    np.testing.assert_array_equal(np.concatenate(parts), weights)


def test_without_images_there_is_nothing_to_estimate():
    with pytest.raises(InputError, match="no images"):
        one(mean([]), [])
