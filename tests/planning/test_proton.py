"""Proton dose in water against the machine's tables and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle.domain.errors import GeometryError, InputError, OptionError
from aegle.domain.plan import ProtonBeam
from aegle.domain.structure import Structure
from aegle.planning.optimise import OptimiserOptions, optimise
from aegle.planning.pencil_beam import DoseOptions, medium
from aegle.planning.proton import ProtonOptions, proton_dose, proton_let_dose
from aegle.planning.proton_machine import proton_machine
from aegle.planning.range_shifter import added_width_mm
from aegle.planning.spots import SpotOptions, place_spots

MACHINE = proton_machine()
NUMBER = 40
ENERGY = float(MACHINE.energies_mev[NUMBER])
TABLE = MACHINE.tables[NUMBER]
GY = 1.602176634e-2
"""Gy mm² per MeV cm²/g and million protons."""
SURFACE_MM = -99.0
"""Along y; the source is 10 m before the origin, the nozzle's exit 1 m."""
EXACT = DoseOptions(dose_grid_mm=0.1, double_precision=True)
WIDE = ProtonOptions(lateral_share=0.9999, rbe=1.0)


@pytest.fixture(scope="module")
def water(grid_of, positions_of, patient_of):
    """Water in voxels of 2 mm, the water before their centres, and their x and z."""
    grid = grid_of((31, 101, 41), (2.0, 2.0, 2.0))
    x, y, z = positions_of(grid)
    ct, body = patient_of(grid, y > SURFACE_MM)
    return medium(ct, body, options=EXACT), (x, y - SURFACE_MM, z)


def spot(x=0.0, y=0.0, *, energy=ENERGY, shifter_mm=0.0, gantry=0.0, count=1):
    return ProtonBeam(
        gantry_deg=gantry,
        couch_deg=0.0,
        isocentre_mm=(0.0, 0.0, 0.0),
        beamlet_mm=5.0,
        positions_mm=np.array([[x, y]] * count),
        weights=np.ones(count),
        energies_mev=np.full(count, energy),
        range_shifter_mm=shifter_mm,
        sad_mm=MACHINE.sad_mm,
        nozzle_to_axis_mm=MACHINE.nozzle_to_axis_mm,
    )


def dose_of(patient, beam, options=WIDE, kind=proton_dose):
    stored = kind(patient, beam, MACHINE, options=options)
    dose = np.zeros(patient.grid.coarse.shape)
    voxels = patient.voxels[stored.points.numpy()]
    dose.reshape(-1)[voxels] = stored(torch.from_numpy(beam.weights.copy())).numpy()
    return dose


def table_depth_mm(depth_mm):
    """Depth in the table: air between nozzle and water, 0.0011 as dense, comes on top."""
    return depth_mm + 0.0011 * (1000 + SURFACE_MM)


@pytest.mark.parametrize("halo", [False, True], ids=["one Gaussian", "with halo"])
def test_dose_summed_over_a_plane_is_the_table(water, halo):
    patient, (_, depth, _) = water
    dose = dose_of(patient, spot(), replace(WIDE, halo=halo))

    depths = depth[0, 1:60, 0]
    summed = dose.sum(axis=(0, 2))[1:60] * 4

    expected = GY * np.interp(table_depth_mm(depths), TABLE.depths_mm, TABLE.dose)
    # Part of the halo lies beyond the phantom; depth is good to a few hundredths of 1 mm.
    assert summed == pytest.approx(expected, abs=(0.03 if halo else 0.004) * expected.max())
    assert expected.max() > 2 * expected[0]


def test_width_grows_as_air_and_water_say(water):
    patient, (x, depth, _) = water
    dose = dose_of(patient, spot())
    # The surface lies 9901 mm from the source.
    in_air = np.interp(9901, MACHINE.air_distances_mm, MACHINE.air_widths_mm[NUMBER])

    for depth_mm in (21.0, 61.0, 101.0):
        plane = depth == depth_mm
        variance = (dose[plane] * x[plane] ** 2).sum() / dose[plane].sum()
        in_water = np.interp(table_depth_mm(depth_mm), TABLE.depths_mm, TABLE.single_mm)
        assert variance == pytest.approx(in_water**2 + in_air**2, rel=0.01)


def test_spots_lie_on_their_rays(water):
    patient, (x, depth, z) = water
    dose = dose_of(patient, spot(20.0, -10.0))

    for depth_mm in (21.0, 91.0):
        plane = depth == depth_mm
        magnified = (10000 + depth_mm + SURFACE_MM) / 10000
        across = (dose[plane] * x[plane]).sum() / dose[plane].sum()
        along = (dose[plane] * z[plane]).sum() / dose[plane].sum()
        assert across == pytest.approx(20 * magnified, abs=0.05)
        assert along == pytest.approx(-10 * magnified, abs=0.05)


def test_bragg_peak_lies_where_the_table_says_whatever_the_gantry_angle(
    grid_of, positions_of, patient_of
):
    grid = grid_of((21, 61, 61), (3.0, 2.0, 2.0))
    positions = positions_of(grid)
    ct, body = patient_of(grid, np.hypot(positions[0], positions[1]) < 55)
    patient = medium(ct, body, options=EXACT)
    energy = float(MACHINE.energies_mev[18])
    peak_mm = MACHINE.peaks_mm[18] - 0.0011 * 945

    for gantry in (0.0, 90.0, 200.0):
        dose = dose_of(patient, spot(gantry=gantry, energy=energy))
        towards = np.array([np.sin(np.deg2rad(gantry)), -np.cos(np.deg2rad(gantry)), 0])
        height = np.tensordot(towards, positions, axes=1)
        highest = height.reshape(-1)[dose.argmax()]
        assert 55 - highest == pytest.approx(peak_mm, abs=2.0)


def test_range_shifter_pulls_the_peak_back_and_widens_the_spot(water):
    patient, (x, depth, _) = water
    free, shifted = (dose_of(patient, spot(shifter_mm=mm)) for mm in (0.0, 30.0))

    peaks_mm = [depth.reshape(-1)[dose.argmax()] for dose in (free, shifted)]
    assert peaks_mm[0] - peaks_mm[1] == pytest.approx(30, abs=2)
    plane = depth == 11.0
    widths2 = [(d[plane] * x[plane] ** 2).sum() / d[plane].sum() for d in (free, shifted)]
    scattered = added_width_mm(ENERGY, 30.0, 1000 + SURFACE_MM) ** 2
    places = table_depth_mm(np.array([11.0, 41.0]))
    in_water = np.interp(places, TABLE.depths_mm, TABLE.single_mm) ** 2
    # The phantom cuts the wide spot at 2.6 standard deviations.
    assert widths2[1] - widths2[0] == pytest.approx(scattered + in_water[1] - in_water[0], rel=0.04)


def test_biological_effectiveness_is_a_factor(water):
    patient, _ = water
    plain, weighted = (
        dose_of(patient, spot(), ProtonOptions(rbe=rbe)) for rbe in (1.0, ProtonOptions().rbe)
    )

    # ICRU Report 78 recommends 1.1.
    np.testing.assert_allclose(weighted, 1.1 * plain)


def test_dose_averaged_let_is_that_of_the_depth(water):
    patient, (_, depth, _) = water
    dose, let_dose = (dose_of(patient, spot(), kind=k) for k in (proton_dose, proton_let_dose))
    high = dose > 0.05 * dose.max()

    let = let_dose[high] / dose[high]

    depths = table_depth_mm(depth[high])
    expected = np.interp(depths, TABLE.depths_mm, TABLE.let_kev_per_um)
    # The first voxel's depth is good to 0.3 mm.
    np.testing.assert_allclose(let, expected, atol=0.06)
    # NIST PSTAR: 150 MeV protons lose 0.545 keV/µm, 10 MeV 4.6 keV/µm; fragments add some.
    assert 0.5 < let[depths < 30].mean() < 1.2
    assert let.max() > 4


def test_adjoint_passes_the_dot_product_test(water):
    patient, _ = water
    stored = proton_dose(patient, spot(5.0, 3.0, count=3), MACHINE, options=ProtonOptions())
    chance = torch.Generator().manual_seed(3)
    weights = torch.rand(3, generator=chance, dtype=torch.float64, requires_grad=True)
    probe = torch.rand(len(stored.points), generator=chance, dtype=torch.float64)

    dose = stored(weights)
    (gradient,) = torch.autograd.grad(dose @ probe, weights)

    dotted = float(gradient @ weights.detach())
    assert dotted == pytest.approx(float(dose.detach() @ probe), rel=1e-12)
    torch.testing.assert_close(gradient, stored.adjoint(probe))


def test_spots_keep_their_order(water):
    patient, _ = water
    numbers = [30, 40, 20, 30]
    mixed = replace(
        spot(count=4),
        positions_mm=np.array([[0.0, 0], [5, 0], [0, 5], [-5, -5]]),
        energies_mev=MACHINE.energies_mev[numbers],
    )
    together = proton_dose(patient, mixed, MACHINE, options=ProtonOptions())

    for number, (place, energy) in enumerate(
        zip(mixed.positions_mm, mixed.energies_mev, strict=True)
    ):
        unit = torch.nn.functional.one_hot(torch.tensor(number), 4).double()
        alone = dose_of(patient, spot(*place, energy=energy), ProtonOptions())
        inside = patient.voxels[together.points.numpy()]
        np.testing.assert_allclose(
            together(unit).numpy(), alone.reshape(-1)[inside], atol=2e-3 * alone.max()
        )


def test_spread_out_bragg_peak_is_flat(grid_of, positions_of, patient_of):
    """Equal spots across 50 mm, one weight per layer, 50 mm of water to be filled."""
    grid = grid_of((15, 101, 15), (4.0, 2.0, 4.0))
    x, y, z = positions_of(grid)
    patient = medium(*patient_of(grid, y > SURFACE_MM), options=EXACT)
    depth = y - SURFACE_MM
    mask = (np.abs(x) < 21) & (np.abs(z) < 21) & (depth > 74) & (depth < 124)
    target = Structure.of("PTV", mask, patient.grid.coarse)
    beam = place_spots(patient, target, (0.0, 0.0), MACHINE, options=SpotOptions())
    stored = proton_dose(patient, beam, MACHINE, options=ProtonOptions())
    energies, layer = np.unique(beam.energies_mev, return_inverse=True)
    axis = (np.abs(x) < 1) & (np.abs(z) < 1)
    layers = torch.eye(len(energies), dtype=torch.float64)[torch.from_numpy(layer)]
    on_axis = stored.at(torch.from_numpy(axis.reshape(-1)[patient.voxels]))
    # One column per layer; both distances and doses are those of the axis, from the surface.
    curves = torch.stack([on_axis(column) for column in layers.T], dim=1)
    depths = depth[axis]
    wanted = torch.from_numpy((depths > 74) & (depths < 124))

    found = optimise(
        lambda weights: (curves[wanted] @ weights - 1).square().mean(),
        torch.full((len(energies),), 1.0 / float(curves.sum(1).max()), dtype=torch.float64),
        options=OptimiserOptions(iterations=400, tolerance=1e-9),
    )
    fine_mm = np.arange(1.0, 190.0, 0.1)
    profile = np.interp(fine_mm, depths, curves.numpy() @ found.weights)

    high_mm = fine_mm[profile >= 0.95]
    assert high_mm[0] < 74
    assert 123 < high_mm[-1] < 130
    # The last voxel before an end lies between 95 % and 98 %.
    between = (fine_mm > high_mm[0] + 2) & (fine_mm < high_mm[-1] - 2)
    np.testing.assert_allclose(profile[between], 1.0, atol=0.02)
    assert profile[fine_mm > high_mm[-1] + 10].max() < 0.03


def test_beams_that_cannot_be_are_refused(water):
    patient, _ = water
    with pytest.raises(OptionError, match="no energy"):
        dose_of(patient, spot(energy=100.0))
    with pytest.raises(InputError, match="place some"):
        dose_of(patient, spot(count=0))
    with pytest.raises(InputError, match="stops protons"):
        dose_of(patient, spot(shifter_mm=1000.0))
    with pytest.raises(GeometryError, match="misses the body"):
        dose_of(patient, spot(x=5000.0))
    with pytest.raises(OptionError, match="2 energies for 1 spots"):
        replace(spot(), energies_mev=np.array([ENERGY, ENERGY]))
