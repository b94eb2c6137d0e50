"""Which voxels and levels stand for a prescription."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle.domain.codes import StructureType
from aegle.domain.errors import InputError, OptionError
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.intent import Sampling, objectives
from aegle.planning.objectives import MeanOverdose, Overdose, Underdose, VolumeOverdose
from aegle.planning.pencil_beam import DoseOptions, medium

SAMPLING = Sampling(most=200, seed=1)


@pytest.fixture(scope="module")
def case(grid_of, positions_of, patient_of):
    """A cube of water with a target in its middle and an organ beside it."""
    grid = grid_of((40, 40, 40), (3.0, 3.0, 3.0))
    ct, body = patient_of(grid, np.ones(grid.shape, bool))
    x, _, _ = positions = positions_of(grid)
    target = np.linalg.norm(positions, axis=0) < 12
    parts = [
        body,
        Structure.of("PTV", target, grid, type=StructureType.TARGET),
        Structure.of("organ", x > 40, grid),
    ]
    return medium(ct, body, options=DoseOptions()), StructureSet(tuple(parts)), positions


def prescription(*goals):
    return Prescription(target="PTV", dose_gy=60.0, fractions=30, goals=goals)


def goal(metric, at_most, at=None):
    return Goal(structure="organ", metric=metric, at=at, at_most=at_most)


def test_the_target_is_filled_to_the_prescribed_dose(case):
    patient, structures, _ = case

    low, high, *_ = objectives(patient, structures, prescription(), SAMPLING)

    target = np.flatnonzero(structures["PTV"].mask)
    np.testing.assert_array_equal(patient.voxels[low.points.numpy()], target)
    np.testing.assert_array_equal(patient.voxels[high.points.numpy()], target)
    assert low.penalty == Underdose(1.0)
    assert high.penalty.level == 1.05


def test_free_dose_of_normal_tissue_falls_with_the_distance_from_the_target(case):
    patient, structures, positions = case

    _, _, near, far = objectives(patient, structures, prescription(), SAMPLING)

    for part in (near, far):
        places = positions.reshape(3, -1)[:, patient.voxels[part.points.numpy()]]
        away_mm = np.linalg.norm(places, axis=0)
        assert np.all(away_mm >= 12)
        assert len(away_mm) == 200
        levels = part.penalty.level.numpy()
        # Half a voxel's diagonal is the most that the ball's surface can be off.
        low = 0.35 + 0.65 * np.exp(-(np.minimum(away_mm - 12, 80) + 2.6) / 12)
        high = 0.35 + 0.65 * np.exp(-(np.minimum(away_mm - 12, 80) - 2.6) / 12)
        assert np.all((levels >= np.minimum(low, 0.3508)) & (levels <= high))
    assert near.penalty.level.max() > 0.8
    assert far.penalty.level.max() < 0.4


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # Objectives aim at 90 % of a limit.
        (goal(Metric.MAXIMUM_DOSE, 50.0), Overdose(0.75)),
        (goal(Metric.MEAN_DOSE, 20.0), MeanOverdose(0.3)),
        (goal(Metric.VOLUME_AT_DOSE, 30.0, at=24.0), VolumeOverdose(0.4, 0.27)),
        (goal(Metric.DOSE_AT_VOLUME, 30.0, at=10.0), VolumeOverdose(0.45, 0.1)),
    ],
    ids=["maximum", "mean", "V", "D"],
)
def test_goals_become_penalties_of_the_organ(case, asked, expected):
    patient, structures, positions = case

    *_, organ = objectives(patient, structures, prescription(asked), SAMPLING)

    assert type(organ.penalty) is type(expected)
    assert vars(organ.penalty) == pytest.approx(vars(expected))
    x = positions[0].reshape(-1)[patient.voxels[organ.points.numpy()]]
    assert np.all(x > 40)


def test_the_same_seed_draws_the_same_voxels(case):
    patient, structures, _ = case
    one, two, other = (
        objectives(patient, structures, prescription(), Sampling(most=50, seed=seed))[2].points
        for seed in (1, 1, 2)
    )

    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_target_outside_the_dose_grid_is_refused(case, grid_of, patient_of):
    _, structures, _ = case
    grid = structures["PTV"].grid
    corner = np.zeros(grid.shape, bool)
    corner[:3, :3, :3] = True
    ct, body = patient_of(grid, corner)

    with pytest.raises(InputError, match="'PTV' lies outside the body"):
        objectives(medium(ct, body, options=DoseOptions()), structures, prescription(), SAMPLING)


@pytest.mark.parametrize(("priority", "factor"), [(1, 5.0), (2, 1.0), (3, 0.2)])
def test_priority_of_a_goal_weighs_its_objective(case, priority, factor):
    patient, structures, _ = case
    usual = goal(Metric.MEAN_DOSE, 20.0)
    *_, before = objectives(patient, structures, prescription(usual), SAMPLING)
    *_, after = objectives(
        patient, structures, prescription(replace(usual, priority=priority)), SAMPLING
    )

    assert after.weight == pytest.approx(factor * before.weight)


def test_normal_tissue_may_weigh_less(case):
    patient, structures, _ = case
    less = replace(SAMPLING, tissue=0.1)

    _, _, near, _ = objectives(patient, structures, prescription(), SAMPLING)
    _, _, lighter, _ = objectives(patient, structures, prescription(), less)

    assert lighter.weight == pytest.approx(0.1 * near.weight)


def test_unknown_priorities_are_refused():
    with pytest.raises(OptionError, match="none of 1, 2 and 3"):
        replace(goal(Metric.MEAN_DOSE, 20.0), priority=4)


def test_a_second_target_is_filled_to_its_own_level(case):
    patient, structures, _ = case
    second = Goal(structure="organ", metric=Metric.DOSE_AT_VOLUME, at=95.0, at_least=40.0)

    *_, added = objectives(patient, structures, prescription(second), SAMPLING)

    level = 40.0 / prescription().dose_gy
    assert float(added.penalty(torch.full((3,), level))) == 0
    assert float(added.penalty(torch.full((3,), level - 0.1))) == pytest.approx(0.01, rel=1e-5)
