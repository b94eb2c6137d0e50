"""Dose on the AAPM TG-119 phantom against pyRadPlan 0.5.0 with the same beam data.

Two beams of 10 mm beamlets on the native CT grid, so that nothing is resampled. The reference
cuts beamlets off at 50 mm; so does this calculation. No scale factor is fitted.
"""

import json

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from aegle.domain.grid import Grid
from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.machine import machine
from aegle.planning.pencil_beam import DoseOptions, calculate

LINAC = machine("generic_6mv")


@pytest.fixture(scope="module")
def doses(shared_data):
    """The reference plan's dose, ours for the same beamlet weights, and their grid."""
    folder = shared_data("rt", "reference")
    reference = np.load(folder / "pyradplan_tg119_ph_2b_bw10_ct.npz")
    phantom = np.load(folder / "tg119_ct_structures.npz")
    meta = json.loads(str(reference["meta"]))
    grid = Grid(
        shape=phantom["hu"].shape,
        spacing_mm=tuple(phantom["spacing_xyz"][::-1].tolist()),
        origin_mm=tuple(phantom["origin_xyz"].tolist()),
    )
    body = phantom["mask_BODY"] | phantom["mask_OuterTarget"] | phantom["mask_Core"]
    beams = []
    for number, gantry in enumerate(meta["gantry"]):
        own = reference["beam_of_bixel"] == number
        beams.append(
            Beam(
                gantry_deg=gantry,
                couch_deg=0.0,
                isocentre_mm=tuple(meta["iso"]),
                beamlet_mm=meta["bixel_mm"],
                positions_mm=reference["ray_pos_bev"][own][:, [0, 2]],
                weights=reference["w"][own] / LINAC.gy_per_mu,
            )
        )
    ours = calculate(
        Volume(values=phantom["hu"], grid=grid, quantity=Quantity.RADIODENSITY),
        Structure.of("BODY", body, grid),
        beams,
        LINAC,
        options=DoseOptions(dose_grid_mm=1.0, lateral_cutoff_mm=50.0),
    )
    return reference["dose_opt"], ours.values, grid


def gamma_pass_rate(reference, evaluated, spacing_mm, *, percent, distance_mm, points):
    """Global gamma by trying displacements in a ball, above 10 % of the maximum.

    Low DA et al. Med Phys 1998;25:656-661, doi:10.1118/1.598248.
    """
    criterion = percent / 100 * reference.max()
    high = np.argwhere(reference > 0.1 * reference.max())
    chosen = np.random.default_rng(119).choice(high, points, replace=False)
    side_mm = distance_mm * np.linspace(-1, 1, 11)
    shifts_mm = np.stack(np.meshgrid(side_mm, side_mm, side_mm), -1).reshape(-1, 3)
    shifts_mm = shifts_mm[np.linalg.norm(shifts_mm, axis=1) <= distance_mm]
    apart = np.sum((shifts_mm / distance_mm) ** 2, axis=1)
    passed = 0
    for index in chosen:
        places = index + shifts_mm / spacing_mm
        found = map_coordinates(evaluated, places.T, order=1)
        gamma2 = apart + ((found - reference[tuple(index)]) / criterion) ** 2
        passed += gamma2.min() <= 1
    return passed / points


def test_gamma_of_1_percent_and_1_mm_passes(doses):
    reference, ours, grid = doses

    rate = gamma_pass_rate(
        reference, ours, grid.spacing_mm, percent=1.0, distance_mm=1.0, points=4000
    )

    assert rate >= 0.99


def test_absolute_dose_agrees(doses):
    reference, ours, _ = doses
    high = reference > 0.1 * reference.max()

    assert np.median(ours[high] / reference[high]) == pytest.approx(1.0, abs=0.002)
    assert ours.max() == pytest.approx(reference.max(), rel=0.005)


def test_gamma_notices_a_shift_and_a_wrong_dose(doses):
    reference, _, grid = doses
    settings = {"percent": 1.0, "distance_mm": 1.0, "points": 300}

    assert gamma_pass_rate(reference, reference, grid.spacing_mm, **settings) == 1
    shifted = np.roll(reference, 1, axis=2)
    assert gamma_pass_rate(reference, shifted, grid.spacing_mm, **settings) < 0.9
    assert gamma_pass_rate(reference, 1.03 * reference, grid.spacing_mm, **settings) < 0.9
