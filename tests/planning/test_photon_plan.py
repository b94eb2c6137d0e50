"""A whole plan on a made chest: target covered, cord spared, everything accounted for."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError, QuantityError
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume, maximum_dose, mean_dose
from aegle.planning.machine import machine
from aegle.planning.pencil_beam import DoseOptions, calculate
from aegle.planning.photon_plan import (
    PhotonPlanOptions,
    PrescriptionOptions,
    plan,
    prescribe,
)
from aegle.planning.targets import TargetOptions, make_targets

OPTIONS = PhotonPlanOptions(dose_grid_mm=4.0, iterations=30)


@pytest.fixture(scope="module")
def chest(grid_of, positions_of):
    """CT and structures: water, two lungs, a cord and a tumour in the left lung near it."""
    grid = grid_of((40, 80, 110), (3.0, 2.5, 2.5))
    x, y, z = positions_of(grid)
    body = (x / 130) ** 2 + (y / 95) ** 2 < 1
    lungs = {
        name: ((x - side * 65) / 45) ** 2 + (y / 60) ** 2 + (z / 80) ** 2 < 1
        for name, side in (("lung_left", 1), ("lung_right", -1))
    }
    cord = np.hypot(x, y - 55) < 7
    tumour = np.linalg.norm(np.stack([x - 45, y - 20, z]), axis=0) < 10
    hu = np.where(body, 0.0, -1000.0)
    for lung in lungs.values():
        hu[lung] = -780
    hu[tumour] = 20
    outline = Structure.of("body", body, grid, type=StructureType.EXTERNAL)
    organs = [Structure.of(n, m, grid) for n, m in {**lungs, "Spinal-Cord": cord}.items()]
    gross = Structure.of("L1", tumour, grid, type=StructureType.LESION)
    targets = make_targets(outline, gross, options=TargetOptions())
    ct = Volume(values=hu.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)
    organs = StructureSet((outline, *organs))
    made = prescribe(targets, organs, options=PrescriptionOptions())
    return ct, StructureSet((*targets, *organs)), made


@pytest.fixture(scope="module")
def planned(chest):
    steps = []
    ct, structures, prescription = chest
    progress = lambda done, of: steps.append((done, of))  # noqa: E731
    return plan(ct, structures, prescription, options=OPTIONS, progress=progress), steps


def test_95_percent_of_the_target_receive_the_prescribed_dose(planned):
    made, _ = planned
    target = made.structures["PTV"]

    covered = dose_at_volume(made.dose, target, options=DoseAtVolumeOptions(volume_percent=95))
    hottest = dose_at_volume(made.dose, target, options=DoseAtVolumeOptions(volume_percent=2))

    assert covered == pytest.approx(60, rel=1e-5)
    assert hottest < 1.12 * 60
    assert all(result.is_met for result in made.goals)


def test_cord_and_other_lung_are_spared(planned, chest):
    made, _ = planned
    _, structures, _ = chest

    assert maximum_dose(made.dose, structures["Spinal-Cord"]) < 35
    assert mean_dose(made.dose, structures["lung_right"]) < 5
    assert mean_dose(made.dose, structures["lung_left"]) > 2 * mean_dose(
        made.dose, structures["lung_right"]
    )


def test_beams_enter_on_the_side_of_the_tumour(planned):
    made, _ = planned

    assert len(made.beams) == 7
    # Sources lie left of the isocentre or at most 15° beyond the midline.
    assert all(np.sin(np.deg2rad(b.gantry_deg)) > -0.27 for b in made.beams)
    np.testing.assert_allclose(made.beams[0].isocentre_mm, (45, 20, 0), atol=0.5)


def test_dose_is_that_of_the_beams(planned, chest):
    made, _ = planned
    ct, structures, _ = chest

    again = calculate(
        ct,
        structures["body"],
        made.beams,
        machine("generic_6mv"),
        options=DoseOptions(dose_grid_mm=OPTIONS.dose_grid_mm),
    )

    np.testing.assert_allclose(again.values, made.dose.values, atol=1e-3)
    assert all(np.all(beam.weights >= 0) for beam in made.beams)


def test_objective_falls_and_progress_ends(planned):
    made, steps = planned

    assert np.all(np.diff(made.objective_values) <= 0)
    assert made.objective_values[-1] < 0.1 * made.objective_values[0]
    assert steps[-1] == (38, 38)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_curves_and_goals_cover_what_was_asked(planned):
    made, _ = planned

    names = {"GTV", "CTV", "PTV", "Spinal-Cord", "lungs_minus_gtv"}
    assert {c.structure for c in made.curves} == names
    assert {s.name for s in made.structures} == names | {"body"}
    assert [r.goal for r in made.goals] == list(made.prescription.goals)
    assert made.machine == "Generic 6 MV"
    assert "ideal fluence" in str(made.notices[0])


def test_the_same_input_gives_the_same_bytes(chest):
    ct, structures, prescription = chest
    quick = PhotonPlanOptions(dose_grid_mm=6.0, iterations=5, gantry_deg=(60.0, 120.0))

    one, two = (plan(ct, structures, prescription, options=quick) for _ in range(2))

    assert one.dose.values.tobytes() == two.dose.values.tobytes()
    assert [b.gantry_deg for b in one.beams] == [60, 120]


def test_without_normalising_the_dose_is_what_the_optimiser_found(chest):
    ct, structures, prescription = chest
    quick = PhotonPlanOptions(
        dose_grid_mm=6.0, iterations=5, gantry_deg=(60.0, 120.0), normalise=False
    )

    made = plan(ct, structures, prescription, options=quick)

    assert mean_dose(made.dose, structures["PTV"]) == pytest.approx(60, rel=0.1)
    assert dose_at_volume(
        made.dose, structures["PTV"], options=DoseAtVolumeOptions()
    ) != pytest.approx(60, rel=1e-4)


def test_goals_of_missing_organs_are_left_out_and_said_so(chest):
    ct, structures, _ = chest
    asked = Prescription(
        target="PTV",
        dose_gy=60,
        fractions=30,
        goals=(Goal(structure="heart", metric=Metric.MEAN_DOSE, at_most=26),),
    )
    quick = PhotonPlanOptions(dose_grid_mm=6.0, iterations=1, gantry_deg=(90.0,))

    made = plan(ct, structures, asked, options=quick)

    assert made.goals == ()
    assert "heart" in str(made.notices[1])


def without(structures, name):
    return StructureSet(tuple(s for s in structures if s.name != name))


def emptied(structure):
    return Structure.of(
        structure.name, np.zeros(structure.grid.shape, bool), structure.grid, type=structure.type
    )


def test_refuses_what_cannot_be_planned(chest):
    ct, structures, prescription = chest
    others = without(structures, "PTV")
    air = np.zeros(ct.grid.shape, bool)
    air[:2, :2, :2] = True
    outside = Structure.of("PTV", air, ct.grid, type=StructureType.TARGET)
    moved = replace(structures["PTV"], grid=replace(ct.grid, origin_mm=(0.0, 0.0, 0.0)))
    suv = Volume(values=ct.values, grid=ct.grid, quantity=Quantity.STANDARDISED_UPTAKE)

    def attempt(volume, known):
        return plan(volume, known, prescription, options=OPTIONS)

    with pytest.raises(QuantityError):
        attempt(suv, structures)
    with pytest.raises(InputError, match="'PTV' is empty"):
        attempt(ct, StructureSet((*others, emptied(structures["PTV"]))))
    with pytest.raises(InputError, match="No structure 'PTV'"):
        attempt(ct, others)
    with pytest.raises(InputError, match="'PTV' lies outside 'body'"):
        attempt(ct, StructureSet((*others, outside)))
    with pytest.raises(GeometryError, match="different grids"):
        attempt(ct, StructureSet((*others, moved)))
    with pytest.raises(InputError, match="outline of the body"):
        attempt(ct, without(structures, "body"))
