"""Limits that must be kept, on problems whose solution is known and on a plan."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from aegle.domain.codes import StructureType
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.constraints import KEPT, Constraint, optimise_within
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume
from aegle.planning.equivalent_dose import generalised_eud
from aegle.planning.optimise import OptimiserOptions
from aegle.planning.photon_plan import PhotonPlanOptions, plan

OPTIONS = OptimiserOptions(iterations=200, tolerance=1e-12)
ALL = torch.arange(4)


def test_excess_is_what_lies_beyond_the_level():
    doses = torch.tensor([0.2, 0.5, 0.8, 1.1], dtype=torch.float64)

    upper = Constraint(points=ALL, level=0.6, is_upper=True)
    lower = Constraint(points=ALL, level=0.6, is_upper=False)
    mean = Constraint(points=ALL, level=0.6, is_upper=True, exponent=1.0)
    spared = Constraint(points=ALL, level=0.6, is_upper=True, spared=1)

    torch.testing.assert_close(upper.excess(doses), doses - 0.6)
    torch.testing.assert_close(lower.excess(doses), 0.6 - doses)
    torch.testing.assert_close(mean.excess(doses), torch.tensor([0.05], dtype=torch.float64))
    assert spared.excess(doses).tolist() == pytest.approx([-0.4, -0.1, 0.2, -np.inf])


def test_finds_the_optimum_that_a_quadratic_programme_has():
    chance = np.random.default_rng(5)
    matrix, wanted = chance.random((30, 8)), chance.normal(1.0, 1.0, 30)
    limited = chance.random((6, 8))
    level = 0.5 * (limited @ np.full(8, 0.3)).mean()
    oracle = minimize(
        lambda w: np.square(matrix @ w - wanted).sum(),
        np.full(8, 0.1),
        jac=lambda w: 2 * matrix.T @ (matrix @ w - wanted),
        bounds=[(0, None)] * 8,
        constraints={"type": "ineq", "fun": lambda w: level - limited @ w},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    first, second = torch.from_numpy(matrix), torch.from_numpy(limited)
    upper = Constraint(points=torch.arange(6), level=level, is_upper=True)

    def evaluated(w):
        return (first @ w - torch.from_numpy(wanted)).square().sum(), [upper.excess(second @ w)]

    found = optimise_within(evaluated, torch.full((8,), 0.3, dtype=torch.float64), options=OPTIONS)

    assert oracle.success
    assert (limited @ found.weights - level).max() <= KEPT
    # An excess of KEPT lowers the objective by KEPT times the multipliers' sum at most.
    assert found.values[-1] == pytest.approx(oracle.fun, rel=2e-3)
    assert min(found.values) < 0.9 * oracle.fun


def test_limits_that_bind_nothing_change_nothing():
    matrix = torch.eye(4, dtype=torch.float64)
    loose = Constraint(points=ALL, level=5.0, is_upper=True)

    def evaluated(w):
        return (matrix @ w - 1).square().sum(), [loose.excess(w)]

    found = optimise_within(evaluated, torch.full((4,), 0.5, dtype=torch.float64), options=OPTIONS)

    np.testing.assert_allclose(found.weights, 1, atol=1e-5)


@pytest.fixture(scope="module")
def beside(grid_of, positions_of):
    """A ball to be treated in water, and an organ 6 mm beside it."""
    grid = grid_of((30, 60, 60), (4.0, 4.0, 4.0))
    x, y, z = positions_of(grid)
    body = np.hypot(x, y) < 110
    ball = x**2 + y**2 + z**2 < 24**2
    organ = (x - 44) ** 2 + y**2 + z**2 < 14**2
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    structures = StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV", ball, grid, type=StructureType.TARGET),
            Structure.of("Bowel", organ, grid),
        )
    )
    return Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY), structures


PLAN = PhotonPlanOptions(
    delivery="fluence", gantry_deg=(0.0, 60.0, 120.0, 240.0, 300.0), dose_grid_mm=4.0, iterations=40
)


def asked(*goals):
    return Prescription(target="PTV", dose_gy=50.0, fractions=25, goals=goals)


LIMITS = [
    pytest.param(Goal(structure="Bowel", metric=Metric.MAXIMUM_DOSE, at_most=22), id="maximum"),
    pytest.param(Goal(structure="Bowel", metric=Metric.MEAN_DOSE, at_most=5), id="mean"),
    pytest.param(Goal(structure="Bowel", metric=Metric.DOSE_AT_VOLUME, at=10, at_most=12), id="D"),
    pytest.param(Goal(structure="Bowel", metric=Metric.VOLUME_AT_DOSE, at=10, at_most=8), id="V"),
    pytest.param(
        Goal(structure="Bowel", metric=Metric.EQUIVALENT_UNIFORM_DOSE, at=8, at_most=12), id="gEUD"
    ),
]


@pytest.mark.parametrize("goal", LIMITS)
def test_a_plan_keeps_a_limit_that_its_goal_alone_does_not(beside, goal):
    least = replace(goal, priority=3)

    (free,) = plan(*beside, asked(least), options=PLAN).goals
    made = plan(*beside, asked(replace(least, is_constraint=True)), options=PLAN)

    assert not free.is_met
    assert made.goals[0].is_met
    assert "had to be kept" not in " ".join(map(str, made.notices))


def test_limits_in_conflict_are_named_with_what_is_missing(beside):
    ct, structures = beside
    ptv = structures["PTV"]
    cold = Goal(structure="PTV", metric=Metric.MAXIMUM_DOSE, at_most=30, is_constraint=True)
    full = Goal(structure="PTV", metric=Metric.DOSE_AT_VOLUME, at=95, at_least=50)

    made = plan(ct, structures, asked(replace(full, is_constraint=True), cold), options=PLAN)

    covered = dose_at_volume(made.dose, ptv, options=DoseAtVolumeOptions(volume_percent=95))
    said = [str(notice) for notice in made.notices if "had to be kept" in str(notice)]
    assert said
    assert not all(result.is_met for result in made.goals)
    assert f"{covered:.1f} instead of 50.0 Gy" in " ".join(said)


def test_equivalent_uniform_dose_of_a_plan_is_that_of_its_voxels(beside):
    goal = Goal(structure="Bowel", metric=Metric.EQUIVALENT_UNIFORM_DOSE, at=4.0, at_most=60)

    made = plan(*beside, asked(goal), options=replace(PLAN, iterations=5))

    inside = made.dose.values[beside[1]["Bowel"].mask].astype(np.float64)
    by_hand = np.mean(inside**4) ** 0.25
    assert made.goals[0].value == pytest.approx(by_hand, rel=1e-5)
    assert float(generalised_eud(torch.from_numpy(inside), 4.0)) == pytest.approx(by_hand, rel=1e-9)
