"""Penalties worked out by hand, and their gradients."""

import pytest
import torch

from aegle.planning.objectives import (
    MeanOverdose,
    Objective,
    Overdose,
    Underdose,
    VolumeOverdose,
    value,
)

DOSES = torch.tensor([0.2, 0.5, 0.9, 1.1], dtype=torch.float64)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        pytest.param(Underdose(1.0), (0.64 + 0.25 + 0.01) / 4, id="missing doses"),
        pytest.param(Underdose(0.1), 0.0, id="nothing missing"),
        pytest.param(Overdose(0.4), (0.01 + 0.25 + 0.49) / 4, id="excess"),
        pytest.param(Overdose(2.0), 0.0, id="no excess"),
        pytest.param(
            Overdose(torch.tensor([0.1, 0.5, 1.0, 1.0], dtype=torch.float64)),
            (0.01 + 0.01) / 4,
            id="a level for each voxel",
        ),
        pytest.param(VolumeOverdose(0.4, 0.0), (0.01 + 0.25 + 0.49) / 4, id="none tolerated"),
        pytest.param(VolumeOverdose(0.4, 0.5), 0.01 / 4, id="the hotter half tolerated"),
        pytest.param(VolumeOverdose(0.4, 1.0), 0.0, id="all tolerated"),
        pytest.param(MeanOverdose(0.475), 0.04, id="mean 0.675 exceeds by 0.2"),
        pytest.param(MeanOverdose(0.7), 0.0, id="mean below its level"),
    ],
)
def test_penalty(penalty, expected):
    assert float(penalty(DOSES)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "penalty",
    [Underdose(1.0), Overdose(0.4), VolumeOverdose(0.4, 0.3), MeanOverdose(0.3)],
    ids=lambda p: type(p).__name__,
)
def test_gradient_is_that_of_finite_differences(penalty):
    doses = DOSES.clone().requires_grad_()

    assert torch.autograd.gradcheck(penalty, (doses,), eps=1e-6, atol=1e-6)


def test_value_weighs_penalties_of_their_own_voxels():
    objectives = (
        Objective(torch.tensor([0, 1]), Underdose(1.0), 10.0),
        Objective(torch.tensor([3]), Overdose(1.0), 3.0),
    )

    result = value(objectives, DOSES)

    assert float(result) == pytest.approx(10 * (0.64 + 0.25) / 2 + 3 * 0.01)
