"""What is told while a plan is optimised is the dose that it has."""

import numpy as np
import pytest
import torch

from aegle.domain.codes import StructureType
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume, mean_dose
from aegle.planning.photon_plan import PhotonPlanOptions, plan
from aegle.planning.watched import Watched


class Watching:
    """Keeps everything that it is told."""

    def __init__(self):
        self.courses, self.steps = [], []

    def __call__(self, done, steps):
        self.steps.append((done, steps))

    def watch(self, course):
        self.courses.append(course)


@pytest.fixture(scope="module")
def phantom(grid_of, positions_of, patient_of):
    grid = grid_of((24, 40, 40), (5.0, 5.0, 5.0))
    x, y, z = positions_of(grid)
    ct, body = patient_of(grid, np.hypot(x, y) < 90)
    target = np.linalg.norm(np.stack([x, y, z]), axis=0) < 22
    organ = np.hypot(x - 45, y) < 12
    structures = (
        body,
        Structure.of("PTV", target, grid, type=StructureType.TARGET),
        Structure.of("organ", organ, grid),
    )
    goal = Goal(structure="organ", metric=Metric.MEAN_DOSE, at_most=20.0)
    asked = Prescription(target="PTV", dose_gy=60, fractions=30, goals=(goal,))
    return ct, StructureSet(structures), asked


def planned(phantom, progress):
    options = PhotonPlanOptions(
        delivery="fluence",
        dose_grid_mm=5.0,
        iterations=6,
        gantry_deg=(0, 120, 240),
        normalise=False,
    )
    return plan(*phantom, options=options, progress=progress)


def test_the_last_doses_told_are_those_of_the_plan(phantom):
    seen = Watching()

    made = planned(phantom, seen)

    last = seen.courses[-1]
    target, organ = made.structures["PTV"], made.structures["organ"]
    covered_gy = dose_at_volume(made.dose, target, options=DoseAtVolumeOptions(volume_percent=95.0))
    assert last.doses["PTV D95"] == pytest.approx(covered_gy, rel=0.01)
    assert last.doses["organ mean"] == pytest.approx(mean_dose(made.dose, organ), rel=0.02)
    assert last.objective == pytest.approx(made.objective_values[-1], rel=1e-5)
    assert len(seen.courses) == len(made.objective_values) - 1
    assert all(0 < course.done < course.steps for course in seen.courses)


def test_watching_changes_nothing(phantom):
    watched, alone = planned(phantom, Watching()), planned(phantom, lambda _done, _steps: None)

    np.testing.assert_allclose(watched.dose.values, alone.dose.values, atol=0.05)


def test_d95_is_the_dose_that_95_of_100_voxels_receive():
    points = torch.arange(100)
    told = Watched("PTV", 60.0, {"PTV": points, "organ": points[:10]})

    doses = told.doses(torch.arange(1, 101) / 100)

    # 6 % of the prescription is reached by voxels 6 to 100, which are 95.
    assert doses == pytest.approx({"PTV D95": 3.6, "organ mean": 60 * 0.055})
