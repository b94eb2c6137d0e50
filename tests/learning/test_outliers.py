"""Robust scores are not moved by what they are to find."""

import numpy as np
import pytest

from aegle.learning.outliers import robust_scores


def test_scores_are_standard_deviations_of_a_normal_distribution():
    values = np.random.default_rng(0).normal(100, 15, 20_001)

    scores = robust_scores(values)

    assert scores.std() == pytest.approx(1, abs=0.03)
    assert scores[values.argmin()] < 0


def test_the_worked_example_of_the_source():
    # Iglewicz and Hoaglin's modified z: 0.6745 (x - median) / MAD.
    values = np.array([3.2, 3.3, 8.1, 3.2, 2.9, 3.7, 3.1, 3.5, 3.3])

    scores = robust_scores(values)

    assert scores[2] == pytest.approx(0.6745 * (8.1 - 3.3) / 0.2, rel=1e-3)
    assert (np.abs(np.delete(scores, 2)) < 3.5).all()


def test_where_most_are_equal_the_mean_deviation_counts():
    values = np.array([5.0] * 9 + [6.0])

    assert robust_scores(values)[-1] == pytest.approx(1 / (1.2533 * 0.1))
    assert robust_scores(values, least=10)[-1] == pytest.approx(0.1)
    assert robust_scores(np.full(5, 2.0)).tolist() == [0] * 5
