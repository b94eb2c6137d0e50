"""A stored map against dense algebra."""

from dataclasses import replace

import pytest
import torch

from aegle.planning.influence import StoredDose, total

DENSE = torch.tensor(
    [[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 3.0, 0.5], [4.0, 0.0, 0.0]], dtype=torch.float64
)
"""Four voxels, three beamlets; the last but one voxel is reached by two."""


def stored():
    rows = DENSE.T.to_sparse_csr()
    return StoredDose(
        points=torch.tensor([1, 3, 4, 7]),
        values=rows.values(),
        columns=rows.col_indices().to(torch.int32),
        ends=rows.crow_indices(),
    )


@pytest.fixture(scope="module", autouse=True)
def _sparse_tensors_of_torch_are_in_beta():
    with pytest.warns(UserWarning, match="beta"):
        torch.eye(2).to_sparse_csr()


WEIGHTS = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)


def test_dose_and_gradient_are_those_of_the_dense_matrix():
    weights = WEIGHTS.clone().requires_grad_()
    probe = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)

    dose = stored()(weights)
    (gradient,) = torch.autograd.grad(dose @ probe, weights)

    torch.testing.assert_close(dose.detach(), DENSE @ WEIGHTS)
    torch.testing.assert_close(gradient, DENSE.T @ probe)
    assert stored().beamlets == 3


def test_gradient_passes_the_check_by_differences():
    weights = WEIGHTS.clone().requires_grad_()

    assert torch.autograd.gradcheck(stored(), weights, atol=1e-8, rtol=1e-6)


def test_other_devices_calculate_the_same(monkeypatch):
    monkeypatch.setattr("aegle.planning.influence.HOST", "elsewhere")
    probe = torch.arange(4, dtype=torch.float64)

    torch.testing.assert_close(stored().forward(WEIGHTS), DENSE @ WEIGHTS)
    torch.testing.assert_close(stored().adjoint(probe), DENSE.T @ probe)


def test_chosen_voxels_are_renumbered_among_those_wanted():
    wanted = torch.zeros(9, dtype=torch.bool)
    wanted[[0, 3, 4, 8]] = True

    some = stored().at(wanted)

    assert some.points.tolist() == [1, 2]
    torch.testing.assert_close(some(WEIGHTS), (DENSE @ WEIGHTS)[1:3])
    assert some.values.numel() == 3


def test_beams_add_up_where_they_meet():
    dose = total([stored(), stored()], [WEIGHTS, 2 * WEIGHTS], 9)

    expected = torch.zeros(9, dtype=torch.float64)
    expected[[1, 3, 4, 7]] = 3 * (DENSE @ WEIGHTS)
    torch.testing.assert_close(dose, expected)


def test_cases_of_a_beam_are_one_map_whose_voxels_come_case_after_case():
    weights = WEIGHTS.clone().requires_grad_()
    probe = torch.tensor([1.0, 10.0, 100.0, 1000.0, 5.0, 6.0, 7.0, 8.0], dtype=torch.float64)

    both = stored().with_cases([stored()], 9)
    dose = total([both], [weights], 18)
    (gradient,) = torch.autograd.grad(dose[both.points] @ probe, weights)

    assert both.points.tolist() == [1, 3, 4, 7, 10, 12, 13, 16]
    torch.testing.assert_close(dose[:9], total([stored()], [WEIGHTS], 9))
    torch.testing.assert_close(dose[9:], total([stored()], [WEIGHTS], 9))
    torch.testing.assert_close(gradient, DENSE.T @ (probe[:4] + probe[4:]))


def test_cases_may_reach_different_voxels():
    wanted = torch.zeros(9, dtype=torch.bool)
    wanted[[1, 4]] = True
    few = replace(stored().at(wanted), points=torch.tensor([2, 8]))

    both = stored().with_cases([few], 9)
    dose = total([both], [WEIGHTS], 18)

    expected = torch.zeros(9, dtype=torch.float64)
    expected[[2, 8]] = (DENSE @ WEIGHTS)[[0, 2]]
    torch.testing.assert_close(dose[9:], expected)
