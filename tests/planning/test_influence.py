"""A stored map against dense algebra."""

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
