"""Goals that are missed are chased as long as it helps and costs nothing that was met."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle.domain.codes import StructureType
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.chasing import Chased, Standing, standing
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume
from aegle.planning.photon_plan import PhotonPlanOptions, plan

RELATIVE = torch.cat([torch.linspace(0.8, 1.2, 100), torch.arange(1, 101) / 200]).double()
TARGET, ORGAN = torch.arange(100), torch.arange(100, 200)


@pytest.mark.parametrize(
    ("metric", "at", "at_most", "value"),
    [
        # Organ: 0.25 to 25 Gy in steps of 0.25 Gy, prescribed 50 Gy.
        pytest.param(Metric.MEAN_DOSE, None, 10.0, 12.625, id="mean of an even spread"),
        pytest.param(Metric.MAXIMUM_DOSE, None, 20.0, 25.0, id="highest voxel"),
        pytest.param(Metric.DOSE_AT_VOLUME, 10.0, 20.0, 22.75, id="the tenth highest of 100"),
        pytest.param(Metric.VOLUME_AT_DOSE, 20.0, 10.0, 21.0, id="21 voxels reach 20 Gy"),
        pytest.param(Metric.EQUIVALENT_UNIFORM_DOSE, 1.0, 10.0, 12.625, id="gEUD of a = 1"),
    ],
)
def test_what_is_missed_is_the_part_of_the_limit(metric, at, at_most, value):
    goal = Goal(structure="organ", metric=metric, at=at, at_most=at_most)

    found = standing(RELATIVE, TARGET, [Chased(goal, ORGAN)], dose_gy=50.0, normalised=False)

    assert found.missed == (pytest.approx(value / at_most - 1, rel=1e-6),)
    assert not found.all_met


def test_doses_are_judged_as_the_plan_is_normalised():
    goal = Goal(structure="organ", metric=Metric.MAXIMUM_DOSE, at_most=25.0)
    asked = [Chased(goal, ORGAN)]

    whole = standing(RELATIVE, TARGET, asked, dose_gy=50.0, normalised=False)
    scaled = standing(RELATIVE, TARGET, asked, dose_gy=50.0, normalised=True)

    assert whole.all_met
    # 95 of 100 voxels receive at least 0.8 + 5 · 0.4 / 99 of the prescribed dose.
    covered = 0.8 + 5 * 0.4 / 99
    assert scaled.missed == (pytest.approx(1 / covered - 1, rel=1e-6),)
    assert scaled.highest == pytest.approx((1.2 - 0.4 / 99) / covered, rel=1e-6)


BEFORE = Standing((0.3, 0.0), 1.05)


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        pytest.param(Standing((0.1, 0.0), 1.09), True, id="less is missed, the target is even"),
        pytest.param(Standing((0.295, 0.0), 1.05), False, id="too little is won"),
        pytest.param(Standing((0.0, 0.01), 1.05), False, id="a goal that was met is lost"),
        pytest.param(Standing((0.1, 0.0), 1.11), False, id="the target gets hot"),
    ],
)
def test_a_round_counts_only_if_it_helps_and_costs_nothing(after, counts):
    assert after.is_better_than(BEFORE) is counts


def test_a_hot_target_may_stay_as_it_was():
    assert Standing((0.1,), 1.2).is_better_than(Standing((0.3,), 1.2))


def test_a_plan_comes_nearer_to_a_goal_that_it_would_miss(grid_of, positions_of):
    grid = grid_of((16, 44, 44), (5.0, 5.0, 5.0))
    x, y, z = positions_of(grid)
    body = np.hypot(x, y) < 100
    flank = (np.abs(z) < 20) & (np.hypot(x, y) < 45)
    core = (np.abs(z) < 25) & (np.hypot(x, y) < 14)
    target = flank & (np.hypot(x, y) > 24) & (y < 15)
    structures = StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV", target, grid, type=StructureType.TARGET),
            Structure.of("core", core, grid),
        )
    )
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    ct = Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY)
    goal = Goal(structure="core", metric=Metric.DOSE_AT_VOLUME, at=10.0, at_most=18.0)
    asked = Prescription(target="PTV", dose_gy=50.0, fractions=25, goals=(goal,))
    usual = PhotonPlanOptions(delivery="fluence", dose_grid_mm=5.0, iterations=40, goal_rounds=0)

    alone, chased = (
        plan(ct, structures, asked, options=replace(usual, goal_rounds=rounds)) for rounds in (0, 3)
    )

    assert alone.goals[0].value > 18.0
    assert chased.goals[0].value < alone.goals[0].value - 0.5
    hottest = DoseAtVolumeOptions(volume_percent=2.0)
    d2_gy = [
        dose_at_volume(made.dose, structures["PTV"], options=hottest) for made in (alone, chased)
    ]
    assert d2_gy[1] <= max(55.5, d2_gy[0])
