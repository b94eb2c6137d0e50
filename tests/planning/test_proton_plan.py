"""A proton plan in water: target covered, nothing behind it, robust against range errors."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.errors import InputError, OptionError
from aegle.domain.plan import Goal, Metric, Prescription, ProtonBeam
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume, mean_dose
from aegle.planning.fluence import Task, curves_in_scenarios
from aegle.planning.pencil_beam import DoseOptions, medium
from aegle.planning.photon_plan import PhotonPlanOptions
from aegle.planning.photon_plan import plan as plan_photons
from aegle.planning.proton import ProtonOptions, proton_dose
from aegle.planning.proton_machine import proton_machine
from aegle.planning.proton_plan import ProtonPlanOptions, plan, protons

OPTIONS = ProtonPlanOptions(gantry_deg=(0.0,), dose_grid_mm=4.0, iterations=40, layer_mm=4.0)


@pytest.fixture(scope="module")
def water(grid_of, positions_of):
    grid = grid_of((26, 50, 44), (4.0, 4.0, 4.0))
    x, y, z = positions_of(grid)
    body = np.hypot(x / 80, y / 95) < 1
    ball = x**2 + y**2 + z**2 < 20**2
    behind = (x**2 + z**2 < 20**2) & (y > 34) & (y < 70)
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    structures = StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("CTV", ball, grid, type=StructureType.TARGET),
            Structure.of("behind", behind, grid),
        )
    )
    goal = Goal(structure="behind", metric=Metric.MEAN_DOSE, at_most=20)
    asked = Prescription(target="CTV", dose_gy=50.0, fractions=25, goals=(goal,))
    return Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY), structures, asked


@pytest.fixture(scope="module")
def planned(water):
    return plan(*water, options=OPTIONS)


def test_target_is_covered_and_nothing_arrives_behind_it(planned, water):
    _, structures, _ = water
    target = structures["CTV"]

    hottest = dose_at_volume(planned.dose, target, options=DoseAtVolumeOptions(volume_percent=2))

    assert dose_at_volume(planned.dose, target, options=DoseAtVolumeOptions()) == pytest.approx(
        50, rel=1e-5
    )
    assert hottest < 1.08 * 50
    assert mean_dose(planned.dose, structures["behind"]) < 0.5
    assert all(isinstance(beam, ProtonBeam) for beam in planned.beams)
    assert "RBE of 1.1" in str(planned.notices[0])


def test_dose_is_that_of_the_spots(planned, water):
    ct, structures, _ = water
    patient = medium(ct, structures["body"], options=DoseOptions(dose_grid_mm=4.0))
    (beam,) = planned.beams

    stored = proton_dose(patient, beam, proton_machine(), options=ProtonOptions())
    dose = np.zeros(len(patient.voxels))
    dose[stored.points.numpy()] = stored(stored.values.new_tensor(np.asarray(beam.weights))).numpy()

    expected = planned.dose.values.reshape(-1)[patient.voxels]
    inside = patient.inside.reshape(-1)[patient.voxels]
    np.testing.assert_allclose(dose[inside], expected[inside], atol=2e-3)


def test_protons_spare_what_photons_cannot(planned, water):
    ct, structures, asked = water
    photons = PhotonPlanOptions(
        delivery="fluence", gantry_deg=(0.0,), dose_grid_mm=4.0, iterations=20
    )

    other = plan_photons(ct, structures, asked, options=photons)

    assert mean_dose(other.dose, structures["behind"]) > 30
    assert mean_dose(planned.dose, structures["behind"]) < 0.02 * 30


def worst_d95_gy(cases):
    return min(
        float(np.interp(-95, -curve.volume_percent, curve.dose_gy))
        for case in cases
        for curve in case.curves
        if curve.structure == "CTV"
    )


def test_a_robust_plan_bears_errors_of_range(planned, water):
    ct, structures, asked = water
    options = replace(OPTIONS, robust="worst", setup_mm=0.0, depth_margin_mm=6.0)
    radiation = protons(options)
    task = Task(radiation.patient(ct, structures["body"]), structures, asked, radiation)
    judged = curves_in_scenarios(task, planned.beams, planned.dose, [structures["CTV"]])

    borne = plan(*water, options=options)

    names = ["nominal", "density -3 %", "density +3 %"]
    assert [case.name for case in borne.scenarios] == names
    assert worst_d95_gy(borne.scenarios) > 0.95 * 50
    assert worst_d95_gy(borne.scenarios) - worst_d95_gy(judged) >= 0.03 * 50


def test_a_target_that_is_too_shallow_asks_for_a_range_shifter(water, positions_of):
    ct, structures, asked = water
    x, y, z = positions_of(ct.grid)
    skin = (np.hypot(x, z) < 20) & (np.hypot(x / 80, y / 95) < 1) & (y < -80)
    shallow = Structure.of("CTV", skin, ct.grid, type=StructureType.TARGET)
    changed = StructureSet((structures["body"], shallow))

    with pytest.raises(InputError, match="range shifter"):
        plan(ct, changed, replace(asked, goals=()), options=OPTIONS)


def test_an_unknown_machine_is_refused(water):
    with pytest.raises(OptionError, match="generic_protons"):
        plan(*water, options=replace(OPTIONS, machine="other"))
