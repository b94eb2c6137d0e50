"""Members of an ensemble agree or do not."""

import numpy as np
import pytest

from aegle.diagnosis.ensemble import together
from aegle.domain.errors import InputError


def test_members_that_contradict_each_other_disagree_by_a_whole_bit():
    sure = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    unsure = np.full((2, 1, 2), 0.5)

    assert together(sure).disagreement[0] == pytest.approx(np.log(2))
    assert together(sure).votes[0] == 0.5
    # Ambiguous, yet all say the same.
    assert together(unsure).disagreement[0] == pytest.approx(0, abs=1e-12)
    assert together(unsure).entropy[0] == pytest.approx(np.log(2))


def test_the_brier_score_of_the_mean_is_at_most_the_mean_brier_score():
    """By convexity (Krogh and Vedelsby 1995)."""
    draws = np.random.default_rng(0)
    members = draws.dirichlet(np.ones(3), (5, 40))
    truth = np.eye(3)[draws.integers(0, 3, 40)]
    of_mean = ((together(members).probabilities - truth) ** 2).sum()

    assert of_mean <= ((members - truth) ** 2).sum(axis=(1, 2)).mean()


@pytest.mark.parametrize(
    "members", [np.ones((1, 3, 2)) / 2, np.ones((3, 2)) / 2, np.ones((2, 3, 2))]
)
def test_what_is_no_ensemble_is_refused(members):
    with pytest.raises(InputError):
        together(members)
