"""Dose in a breathing patient whose motion is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.phantoms.breathing import Motion
from aegle.planning import photon_plan, proton_plan
from aegle.planning.breathing import (
    BreathingCt,
    BreathingPhase,
    breathing_medium,
    internal_target,
    inverted,
)
from aegle.planning.pencil_beam import on_ct
from aegle.planning.photon_plan import PhotonPlanOptions, photons
from aegle.planning.proton_plan import ProtonPlanOptions, protons
from aegle.planning.robust import RobustOptions, breathed, combined, scenarios

GRID = Grid(shape=(44, 52, 64), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(-126.0, -102.0, -130.0))
INHALE = Motion(diaphragm_mm=-20.0, chest_mm=5.0)
SHARE = 0.4
FINE = {"dose_grid_mm": 4.0, "iterations": 25}


def anatomy(points_mm):
    """Return HU, body and tumour at reference positions: lungs over a liver, a tumour between."""
    x, y, z = np.moveaxis(points_mm, -1, 0)
    body = (x / 115) ** 2 + (y / 90) ** 2 < 1
    lungs = ((np.abs(x) - 55) / 38) ** 2 + ((y + 5) / 60) ** 2 < 1
    dome = -52 - ((x - 50) / 40) ** 2 * 8
    tumour = (x - 50) ** 2 + (y + 8) ** 2 + (z + 34) ** 2 < 14**2
    hu = np.where(body, 30.0, -1000.0)
    hu = np.where(lungs & (z > dome), -780.0, hu)
    return np.where(tumour, 40.0, hu).astype(np.float32), body, tumour


@pytest.fixture(scope="module")
def patient():
    """The reference phase with its structures, and one other phase with its known motion."""
    points_mm = GRID.to_patient(np.moveaxis(np.indices(GRID.shape, dtype=np.float64), 0, -1))
    hu, body, tumour = anatomy(points_mm)
    moved_hu, moved_body, _ = anatomy(INHALE.to_reference(points_mm))
    volumes = [Volume(values=v, grid=GRID, quantity=Quantity.RADIODENSITY) for v in (hu, moved_hu)]
    displacement = (INHALE.from_reference(points_mm) - points_mm).astype(np.float32)
    phase = BreathingPhase(name="inhale", ct=volumes[1], displacement_mm=displacement, share=SHARE)
    structures = StructureSet(
        (
            Structure.of("body", body, GRID, type=StructureType.EXTERNAL),
            Structure.of("CTV", tumour, GRID, type=StructureType.TARGET),
        )
    )
    return BreathingCt(reference=volumes[0], phases=(phase,)), structures, moved_body


def dose_in(radiation, medium, beam):
    found = radiation.dose(medium, beam)
    dose = medium.density.values.new_zeros(len(medium.voxels))
    weights = torch.from_numpy(beam.weights.copy()).to(dose)
    return on_ct(medium, dose.index_add_(0, found.points, found(weights))).values


KINDS = [
    pytest.param(photons(PhotonPlanOptions(**FINE)), id="photons"),
    pytest.param(protons(ProtonPlanOptions(**FINE, spacing_mm=8, layer_mm=6)), id="protons"),
]


@pytest.mark.parametrize("radiation", KINDS)
def test_dose_of_a_phase_is_that_of_its_ct_at_the_moved_tissue(patient, radiation):
    breathing, structures, moved_body = patient
    medium = breathing_medium(radiation.patient(breathing.reference, structures["body"]), breathing)
    beam = radiation.opened(medium, structures["CTV"], (270.0, 0.0))
    (phase,) = breathing.phases

    found = dose_in(radiation, medium.phases[1].medium, beam)

    # Independent: a patient who holds still in that phase, whose dose is then carried back.
    outline = Structure.of("body", moved_body, GRID, type=StructureType.EXTERNAL)
    still = radiation.patient(phase.ct, outline)
    there = dose_in(radiation, still, beam)
    places = np.indices(GRID.shape) + np.moveaxis(
        phase.displacement_mm[..., ::-1] / np.array(GRID.spacing_mm), -1, 0
    )
    carried = map_coordinates(there, places, order=1, mode="nearest")
    inside = structures["body"].mask
    apart = np.abs(found - carried)[inside] / there.max()
    unmoved = np.abs(dose_in(radiation, medium, beam) - carried)[inside] / there.max()
    # Linear interpolation of the carried dose costs most at edges of the field and the peak.
    assert apart.mean() < 0.004
    assert np.quantile(apart, 0.99) < 0.06
    # Without motion both would be far off: the tumour moved by about a centimetre.
    assert unmoved.mean() > 5 * apart.mean()


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (photon_plan.plan, PhotonPlanOptions(**FINE, gantry_deg=(0, 270), normalise=False)),
        (
            proton_plan.plan,
            ProtonPlanOptions(**FINE, gantry_deg=(270,), spacing_mm=8, layer_mm=6, normalise=False),
        ),
    ],
    ids=["photons", "protons"],
)
def test_the_dose_of_a_plan_is_the_sum_over_phases_by_their_time(patient, plan, options):
    breathing, structures, _ = patient
    asked = Prescription(target="CTV", dose_gy=50.0, fractions=25)
    made = plan(breathing, structures, asked, options=options)
    make = photons if plan is photon_plan.plan else protons
    radiation = make(options)
    medium = breathing_medium(radiation.patient(breathing.reference, structures["body"]), breathing)

    doses = [
        sum(dose_in(radiation, phase.medium, beam) for beam in made.beams)
        for phase in medium.phases
    ]

    expected = (1 - SHARE) * doses[0] + SHARE * doses[1]
    np.testing.assert_allclose(made.dose.values, expected, atol=1e-3 * expected.max())
    assert [case.name for case in made.scenarios] == ["phase reference", "phase inhale"]
    assert any("2 phases of breathing" in str(text) for text in made.notices)


def test_a_plan_made_for_the_phases_covers_the_target_in_the_worst_one(patient):
    breathing, structures, _ = patient
    asked = Prescription(
        target="CTV",
        dose_gy=50.0,
        fractions=25,
        goals=(Goal(structure="CTV", metric=Metric.DOSE_AT_VOLUME, at=95, at_least=50.0),),
    )
    options = ProtonPlanOptions(
        **FINE, gantry_deg=(270,), spacing_mm=6, layer_mm=4, setup_mm=0, range_percent=0
    )

    def worst_gy(robust):
        made = proton_plan.plan(
            breathing, structures, asked, options=replace(options, robust=robust)
        )
        lowest = []
        for case in made.scenarios:
            (curve,) = (c for c in case.curves if c.structure == "CTV")
            lowest.append(np.interp(-95.0, -curve.volume_percent, curve.dose_gy))
        return min(lowest)

    assert worst_gy("worst") > worst_gy("nominal") + 0.03 * 50


def test_scenarios_are_phases_by_their_time_and_errors(patient):
    breathing, structures, _ = patient
    radiation = photons(PhotonPlanOptions(**FINE))
    medium = breathing_medium(radiation.patient(breathing.reference, structures["body"]), breathing)
    errors = RobustOptions(robust="expected")

    found = scenarios(errors, medium.phases)

    assert len(found) == 2 + 8
    assert [case.weight for case in found[:2]] == pytest.approx([1 - SHARE, SHARE])
    assert len(scenarios(RobustOptions(), medium.phases)) == 1
    assert len(breathed(medium.phases)) == 2


def test_objectives_of_phases_count_by_their_time():
    values = [torch.tensor(v, dtype=torch.float64) for v in (1.0, 5.0, 2.0)]
    shares = [0.5, 0.2, 0.3]

    expected = combined(values, RobustOptions(robust="expected"), shares)
    tail = combined(values, RobustOptions(robust="cvar", tail=0.3), shares)

    assert float(expected) == pytest.approx(0.5 + 1.0 + 0.6)
    # The worst 30 %: all of the 20 % at 5, and 10 % at 2.
    assert float(tail) == pytest.approx((0.2 * 5 + 0.1 * 2) / 0.3)


@settings(max_examples=10, deadline=None)
@given(diaphragm_mm=st.floats(-20, 20), chest_mm=st.floats(-8, 8))
def test_an_inverted_field_leads_back(diaphragm_mm, chest_mm):
    motion = Motion(diaphragm_mm=diaphragm_mm, chest_mm=chest_mm)
    points_mm = GRID.to_patient(np.moveaxis(np.indices(GRID.shape, dtype=np.float64), 0, -1))
    there = (motion.from_reference(points_mm) - points_mm).astype(np.float32)

    back = inverted(there, GRID)

    exact = motion.to_reference(points_mm) - points_mm
    # Fields are linear between voxels of 4 mm; the edge of the grid has no neighbours.
    inner = (slice(6, -6),) * 3
    assert np.abs(back - exact)[inner].max() < 0.6


def test_beams_cover_the_target_wherever_it_goes(patient):
    breathing, structures, _ = patient

    found = internal_target(structures["CTV"], breathing)

    there = np.argwhere(found.mask)[:, 0]
    own = np.argwhere(structures["CTV"].mask)[:, 0]
    (phase,) = breathing.phases
    moved_mm = phase.displacement_mm[structures["CTV"].mask][:, 2]
    assert moved_mm.max() < -4
    assert there.min() == own.min() + np.rint(moved_mm.min() / 4.0)
    assert there.max() == own.max()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"share": 1.2}, InputError, "shares of time add up to 1.2"),
        ({"share": 0.0}, InputError, "takes 0 of the time"),
        ({"name": "reference"}, InputError, "share a name"),
        ({"displacement_mm": np.zeros((4, 4, 4, 3))}, GeometryError, "three numbers per voxel"),
        (
            {"displacement_mm": np.full((*GRID.shape, 3), np.nan)},
            InputError,
            "not numbers everywhere",
        ),
    ],
)
def test_phases_that_do_not_fit_are_refused(patient, change, error, said):
    breathing, _, _ = patient
    (phase,) = breathing.phases

    with pytest.raises(error, match=said):
        BreathingCt(reference=breathing.reference, phases=(replace(phase, **change),))
