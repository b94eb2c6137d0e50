"""Penalties on effect: values, slopes, and what an optimiser makes of them."""

import math

import pytest
import torch

from aegle.planning.biological_penalties import (
    Complication,
    TumourSurvival,
    UniformOverdose,
    UniformUnderdose,
)
from aegle.planning.complication import complication_model
from aegle.planning.objectives import Objective, value
from aegle.planning.tumour_control import Tumour

RECTUM = Complication(model=complication_model("rectum_bleeding"), prescribed_gy=70.0, fractions=35)
PROSTATE = TumourSurvival(
    tumour=Tumour(clonogens=1e7, alpha_per_gy=0.3), prescribed_gy=70.0, fractions=35
)


def test_complication_is_its_probability_at_the_prescribed_dose():
    doses = torch.tensor([1.0, 0.5], dtype=torch.float64)
    expected = RECTUM.model.probability([70.0, 35.0], fractions=35)

    assert float(RECTUM(doses)) == pytest.approx(float(expected), abs=1e-12)


def test_survival_is_the_logarithm_of_the_cells():
    # 70 Gy in 2 Gy: BED 84 Gy.
    found = PROSTATE(torch.ones(3, dtype=torch.float64))

    assert float(found) == pytest.approx(math.log(1e7) - 0.3 * 84, abs=1e-9)


@pytest.mark.parametrize(
    "penalty",
    [RECTUM, PROSTATE, UniformOverdose(0.5, 8.0), UniformUnderdose(1.05, -10.0)],
    ids=["complication", "survival", "uniform overdose", "uniform underdose"],
)
def test_has_the_slope_of_finite_differences(penalty):
    doses = torch.tensor([0.4, 0.9, 1.02], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(penalty, (doses,))


def test_uniform_doses_within_their_levels_cost_nothing():
    doses = torch.tensor([0.4, 0.6])

    assert float(UniformOverdose(0.51, 1.0)(doses)) == 0
    assert float(UniformOverdose(0.40, 1.0)(doses)) == pytest.approx(0.01, rel=1e-5)
    assert float(UniformUnderdose(0.39, -4.0)(doses)) == 0
    assert float(UniformUnderdose(0.60, 1.0)(doses)) == pytest.approx(0.01, rel=1e-4)


# A target voxel and an organ voxel share a beamlet; another reaches the target alone.
def test_planning_by_effect_spares_the_organ_and_keeps_the_target():
    influence = torch.tensor([[1.0, 1.0], [0.0, 0.8]], dtype=torch.float64)
    weights = torch.tensor([0.3, 1.05], dtype=torch.float64, requires_grad=True)
    target, organ = torch.tensor([0]), torch.tensor([1])
    objectives = (
        Objective(target, UniformUnderdose(1.0, -10.0), 100.0),
        Objective(organ, RECTUM, 1.0),
    )
    optimiser = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        total = value(objectives, influence @ weights.square())
        total.backward()
        return total

    before = float(RECTUM((influence @ weights.detach().square())[1:]))
    optimiser.step(closure)
    dose = influence @ weights.detach().square()

    assert before > 0.03
    assert float(RECTUM(dose[1:])) < 0.1 * before
    assert dose[0] >= 0.97
