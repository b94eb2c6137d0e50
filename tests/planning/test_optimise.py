"""The optimiser on problems whose solution is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from aegle.domain.errors import InputError
from aegle.planning.optimise import OptimiserOptions, optimise

EXACT = OptimiserOptions(iterations=500, tolerance=1e-14)


def least_squares(matrix, wanted):
    return lambda weights: (matrix @ weights - wanted).square().sum()


def problem():
    chance = np.random.default_rng(3)
    return chance.random((30, 8)), chance.normal(1.0, 2.0, 30)


@pytest.mark.parametrize("method", ["l-bfgs-b", "projected"])
def test_finds_the_non_negative_least_squares_solution(method):
    matrix, wanted = problem()
    expected, residual = nnls(matrix, wanted)
    objective = least_squares(torch.from_numpy(matrix), torch.from_numpy(wanted))

    found = optimise(
        objective, torch.full((8,), 0.3, dtype=torch.float64), options=replace(EXACT, method=method)
    )

    assert np.any(expected == 0)
    np.testing.assert_allclose(found.weights, expected, atol=1e-4)
    assert found.values[-1] == pytest.approx(residual**2, rel=1e-6)
    assert method == "projected" or np.all(np.diff(found.values) <= 0)
    assert np.all(found.weights >= 0)


def test_reports_each_iteration_and_stops_at_the_last_allowed():
    matrix, wanted = problem()
    objective = least_squares(torch.from_numpy(matrix), torch.from_numpy(wanted))
    seen = []

    found = optimise(
        objective,
        torch.ones(8, dtype=torch.float64),
        options=OptimiserOptions(iterations=4, tolerance=0.0),
        progress=lambda done, of: seen.append((done, of)),
    )

    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(found.values) == 5


def test_an_objective_without_a_number_is_refused():
    with pytest.raises(InputError, match="no finite value"):
        optimise(lambda w: w.sum() * torch.nan, torch.ones(2), options=EXACT)
