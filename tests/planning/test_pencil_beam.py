"""Dose in water against closed forms, and the operator against its mathematics."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from aegle.domain.errors import GeometryError, OptionError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.beams import frame
from aegle.planning.machine import machine
from aegle.planning.pencil_beam import DoseOptions, beam_dose, calculate, medium, total

LINAC = machine("generic_6mv")
NATIVE = DoseOptions(dose_grid_mm=0.1)


@pytest.fixture(scope="module")
def water(grid_of, positions_of, patient_of):
    """Water of 200 x 210 x 200 mm whose surface lies at y = -100 mm, CT, outline, positions."""
    grid = grid_of((80, 120, 80), (2.5, 2.0, 2.5))
    grid = replace(grid, origin_mm=(grid.origin_mm[0] + 1.25, -119.0, grid.origin_mm[2] + 1.25))
    positions = positions_of(grid)
    ct, body = patient_of(grid, positions[1] > -100)
    return ct, body, positions


@pytest.fixture(scope="module")
def reference_dose(water, open_field):
    """10 x 10 cm, surface at the isocentre, 1 MU."""
    ct, body, _ = water
    return calculate(ct, body, [open_field(100.0, (0, -100, 0))], LINAC, options=NATIVE)


def axis_profile(dose):
    """Depths [mm] and dose along the beam axis of the water phantom."""
    slices, rows, columns = dose.grid.shape
    indices = np.stack([np.full(rows, (slices - 1) / 2), np.arange(rows), np.zeros(rows)], -1)
    indices[:, 2] = (columns - 1) / 2
    depths = dose.grid.to_patient(indices)[:, 1] + 100
    start = dose.grid.to_indices(np.array([0.0, -100.0, 0.0]))
    indices[:, 0], indices[:, 2] = start[0], start[2]
    return depths, map_coordinates(dose.values, indices.T, order=1)


def closed_form(depth_mm, field_mm, ssd_mm):
    """Dose per MU on the axis of a field whose isocentre is at 1000 mm."""
    strength = LINAC.beamlet_kernels(field_mm, np.zeros(1), ssd_mm)[:, 0, 0]
    spread = (1000 / (ssd_mm + depth_mm)) ** 2
    return strength @ LINAC.depth_terms(depth_mm) * spread * LINAC.gy_per_mu


def test_depth_dose_follows_the_closed_form(reference_dose):
    depths, doses = axis_profile(reference_dose)
    inside = depths > 0

    expected = closed_form(depths[inside], 100.0, 1000.0)

    np.testing.assert_allclose(doses[inside], expected, rtol=0.002, atol=0)
    assert np.all(doses[depths < 0] == 0)


def test_one_mu_gives_10_mgy_at_dmax(reference_dose):
    depths, doses = axis_profile(reference_dose)

    assert doses.max() == pytest.approx(0.01, rel=0.002)
    assert depths[doses.argmax()] == pytest.approx(LINAC.reference_depth_mm, abs=2.0)


def test_dose_falls_with_the_square_of_the_distance(water, open_field):
    ct, body, _ = water
    one = np.repeat(LINAC.kernels_per_mm2[:1], len(LINAC.ssd_mm), axis=0)
    same_kernels = replace(LINAC, kernels_per_mm2=one)
    near, far = (
        calculate(ct, body, [open_field(60.0, (0, y, 0))], same_kernels, options=NATIVE)
        for y in (0.0, -100.0)
    )

    depths, doses = axis_profile(near)
    ratio = doses / np.where(depths > 0, axis_profile(far)[1], np.nan)

    expected = ((1000 + depths) / (900 + depths)) ** 2
    np.testing.assert_allclose(ratio[depths > 0], expected[depths > 0], rtol=5e-4)


@pytest.mark.parametrize("axis", [0, 2], ids=["along y", "along x"])
def test_field_edge_lies_at_half_the_dose_of_the_axis(water, reference_dose, axis):
    # At 100 mm depth a 100 mm field has diverged to 110 mm.
    offsets = np.linspace(-80, 80, 321)
    points = np.zeros((321, 3))
    points[:, {0: 2, 2: 0}[axis]] = offsets
    indices = reference_dose.grid.to_indices(points)

    profile = map_coordinates(reference_dose.values, indices.T, order=1)

    inside = offsets[profile >= profile[160] / 2]
    assert inside[0] == pytest.approx(-55, abs=1.0)
    assert inside[-1] == pytest.approx(55, abs=1.0)
    np.testing.assert_allclose(profile, profile[::-1], atol=2e-4 * profile.max())


def test_wider_along_x_than_along_y(water, open_field):
    ct, body, _ = water
    beam = open_field(60.0, (0, -100, 0), length_mm=20.0)
    dose = calculate(ct, body, [beam], LINAC, options=NATIVE)

    at = lambda *p: map_coordinates(  # noqa: E731
        dose.values, dose.grid.to_indices(np.array([p])).T, order=1
    )[0]

    assert at(20, 0, 0) > 0.9 * at(0, 0, 0)
    assert at(0, 0, 20) < 0.2 * at(0, 0, 0)


@pytest.mark.parametrize("width_mm", [60.0, 20.0], ids=["wide", "long"])
def test_scatter_reaches_the_cut_off_on_every_side(water, open_field, width_mm):
    ct, body, (x, y, z) = water
    beam = open_field(width_mm, (0, 0, 0), length_mm=80.0 - width_mm)
    options = DoseOptions(dose_grid_mm=0.1, lateral_cutoff_mm=50.0)

    dose = calculate(ct, body, [beam], LINAC, options=options)

    plane = np.abs(y) < 1.5
    for across, along, half_mm in ((x, z, width_mm / 2), (z, x, 40.0 - width_mm / 2)):
        near = plane & (np.abs(along) < 2.5)
        end_mm = half_mm - 2.5 + 50.0
        for side in (across, -across):
            assert np.all(dose.values[near & (side > end_mm - 5) & (side < end_mm - 2)] > 0)
            assert np.all(dose.values[near & (side > end_mm + 2)] == 0)


def test_dose_of_any_weights_is_the_sum_of_single_beamlets(water, open_field):
    """The explicit sum over beamlets and kernels, at places that no lattice knows."""
    ct, body, (x, y, z) = water
    chance = np.random.default_rng(5)
    beam = open_field(40.0, (0, -60, 0))
    beam = replace(beam, weights=chance.random(len(beam.weights)))
    dose = calculate(ct, body, [beam], LINAC, options=NATIVE)
    near = (np.hypot(x, z) < 40) & (y > -90) & (y < 60)
    chosen = chance.choice(np.flatnonzero(near), 60, replace=False)
    points = np.stack([x.ravel()[chosen], y.ravel()[chosen], z.ravel()[chosen]], -1)

    seen = frame(beam, 1000.0).project(points)
    away = points - frame(beam, 1000.0).source_mm
    distance = np.linalg.norm(away, axis=1)
    depth = (points[:, 1] + 100) * distance / away[:, 1]
    side = np.arange(-75, 75.25, 0.5)
    planes = [np.interp(np.hypot(*np.meshgrid(side, side)), LINAC.radii_mm, k)
              for k in LINAC.kernels(960.0)]  # fmt: skip
    expected = np.zeros(60)
    for number, (place, terms) in enumerate(zip(seen, LINAC.depth_terms(depth).T, strict=True)):
        across = LINAC.field_profile(place - beam.positions_mm - side[:, None, None], 5.0)
        # Separable in x and y for each beamlet: profile_x · kernel · profile_y.
        fluence = np.einsum("xb,yb,b->xy", across[..., 0], across[..., 1], beam.weights)
        strengths = [(plane * fluence).sum() * 0.25 for plane in planes]
        expected[number] = terms @ strengths
    # Fluence is that through the isocentre plane, so only the distance along the axis counts.
    expected *= (1000 / away[:, 1]) ** 2 * LINAC.gy_per_mu

    np.testing.assert_allclose(dose.values.ravel()[chosen], expected, atol=0.006 * expected.max())


@pytest.mark.parametrize(
    ("gantry", "couch", "entry"),
    [(0, 0, (0, -1, 0)), (90, 0, (1, 0, 0)), (270, 0, (-1, 0, 0)), (90, 90, (0, 0, -1))],
)
def test_dose_is_highest_where_the_beam_enters(
    grid_of, patient_of, open_field, gantry, couch, entry
):
    grid = grid_of((30, 30, 30), (4.0, 4.0, 4.0))
    ct, body = patient_of(grid, np.ones(grid.shape, bool))
    beam = open_field(30.0, (0, 0, 0), gantry=gantry, couch=couch)
    dose = calculate(ct, body, [beam], LINAC, options=NATIVE)

    sides = grid.to_indices(np.array([40.0, -40.0])[:, None] * np.array(entry))
    entrance, exit_ = map_coordinates(dose.values, sides.T, order=1)

    expected = closed_form(np.array([20.0, 100.0]), 30.0, 940.0)
    assert entrance / exit_ == pytest.approx(expected[0] / expected[1], rel=0.02)


def test_array_order_does_not_matter(grid_of, positions_of, patient_of, open_field):
    """The same patient with other axes first, and one of them backwards."""
    grid = grid_of((20, 24, 30), (4.0, 3.0, 2.5))
    x, y, z = positions_of(grid)
    ct, body = patient_of(grid, (x / 35) ** 2 + (y / 30) ** 2 + ((z - 4) / 36) ** 2 < 1)
    beam = open_field(30.0, (3.0, 2.0, -5.0), gantry=40.0, couch=15.0)
    straight = calculate(ct, body, [beam], LINAC, options=NATIVE).values

    def turned_array(values):
        return values.transpose(2, 0, 1)[:, ::-1].copy()

    far = grid.to_patient(np.array([19, 0, 0]))
    turned = Grid(
        shape=(30, 20, 24),
        spacing_mm=(2.5, 4.0, 3.0),
        origin_mm=tuple(far),
        axes=((1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0)),
    )
    other = calculate(
        Volume(values=turned_array(ct.values), grid=turned, quantity=Quantity.RADIODENSITY),
        Structure.of("body", turned_array(body.mask), turned),
        [beam],
        LINAC,
        options=NATIVE,
    ).values

    np.testing.assert_allclose(other, turned_array(straight), atol=1e-5 * straight.max())


def test_an_oblique_image_gives_the_same_dose(grid_of, positions_of, patient_of, open_field):
    cos, sin = np.cos(0.5), np.sin(0.5)
    straight = grid_of((48, 48, 48), (2.5, 2.5, 2.5))
    axes = ((0.0, -sin, cos), (0.0, cos, sin), (1.0, 0.0, 0.0))
    middle = (np.array(axes).T * 2.5) @ np.full(3, 23.5)
    oblique = replace(straight, axes=axes, origin_mm=tuple(-middle))
    beam = open_field(40.0, (0, 0, 0), gantry=25.0)
    points = np.random.default_rng(2).uniform(-25, 25, (200, 3))

    samples = []
    for grid in (straight, oblique):
        ball = np.linalg.norm(positions_of(grid), axis=0) < 50
        dose = calculate(*patient_of(grid, ball), [beam], LINAC, options=NATIVE)
        samples.append(map_coordinates(dose.values, grid.to_indices(points).T, order=1))

    # Voxels of 2.5 mm round off penumbra and surface differently on the two grids.
    apart = np.abs(samples[1] - samples[0]) / samples[0].max()
    assert apart.mean() < 0.005
    assert apart.max() < 0.03


def test_a_coarser_dose_grid_changes_little_beyond_the_build_up(water, reference_dose, open_field):
    ct, body, _ = water
    options = DoseOptions(dose_grid_mm=4.0)
    coarse = calculate(ct, body, [open_field(100.0, (0, -100, 0))], LINAC, options=options)

    depths, doses = axis_profile(coarse)
    expected = axis_profile(reference_dose)[1]

    deep = depths > 15
    np.testing.assert_allclose(doses[deep], expected[deep], rtol=0.01)


def test_lung_lets_more_dose_through_than_water(grid_of, positions_of, patient_of, open_field):
    grid = grid_of((20, 60, 20), (4.0, 3.0, 4.0))
    _, y, _ = positions_of(grid)
    beam = open_field(40.0, (0, 0, 0))
    hu = np.where(np.abs(y) < 30, -780.0, 0.0)
    everywhere = np.ones(grid.shape, bool)

    lung, water = (
        calculate(*patient_of(grid, everywhere, values), [beam], LINAC, options=NATIVE)
        for values in (hu, 0.0)
    )

    # 60 mm of density 0.2792 (table between -999 and -90 HU) instead of 1 lie before y = 60 mm.
    density = 0.001 + 0.949 * (999 - 780) / 909
    at = (10, int(np.rint(grid.to_indices(np.array([0.0, 60, 0]))[1])), 10)
    depth = y[at] + 90
    thinner = depth - 60 * (1 - density)
    strength = LINAC.beamlet_kernels(40.0, np.zeros(1), 910.0)[:, 0, 0]
    expected = strength @ LINAC.depth_terms(thinner) / (strength @ LINAC.depth_terms(depth))
    assert lung.values[at] / water.values[at] == pytest.approx(expected, rel=0.005)


def test_outside_the_body_there_is_no_dose_and_no_attenuation(
    grid_of, positions_of, patient_of, open_field
):
    grid = grid_of((20, 40, 20), (4.0, 4.0, 4.0))
    _, y, _ = positions_of(grid)
    mask = np.abs(y) < 40
    ct, body = patient_of(grid, mask)
    couch = np.where(y < -60, 0.0, ct.values).astype(np.float32)
    with_couch = Volume(values=couch, grid=grid, quantity=Quantity.RADIODENSITY)
    beam = open_field(40.0, (0, 0, 0))

    clean, covered = (calculate(v, body, [beam], LINAC, options=NATIVE) for v in (ct, with_couch))

    np.testing.assert_array_equal(covered.values, clean.values)
    assert np.all(clean.values[~mask] == 0)
    assert clean.values[10, 29, 10] > 0.004
    assert clean.values[10, 30, 10] == 0


@pytest.fixture(scope="module")
def operator(grid_of, positions_of, patient_of, open_field):
    """Two beams on a small ball in 64-bit numbers: maps and number of voxels."""
    grid = grid_of((16, 18, 20), (4.0, 4.0, 4.0))
    ct, body = patient_of(grid, np.linalg.norm(positions_of(grid), axis=0) < 30)
    options = DoseOptions(dose_grid_mm=0.1, double_precision=True)
    patient = medium(ct, body, options=options)
    beams = [
        beam_dose(patient, open_field(30.0, (0, 0, 0), gantry=g), LINAC, options=options)
        for g in (10.0, 120.0)
    ]
    return beams, len(patient.voxels)


def random_weights(beams, seed):
    chance = torch.Generator().manual_seed(seed)
    return [torch.rand(len(b.pixels), generator=chance, dtype=torch.float64) for b in beams]


def test_adjoint_passes_the_dot_product_test(operator):
    beams, voxels = operator
    weights = [w.requires_grad_() for w in random_weights(beams, 1)]
    others = random_weights(beams, 2)
    probe = torch.rand(voxels, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    backward = torch.autograd.grad(total(beams, weights, voxels) @ probe, weights)
    forward = total(beams, others, voxels) @ probe

    product = sum(g @ o for g, o in zip(backward, others, strict=True))
    assert float(product) == pytest.approx(float(forward), rel=1e-10)


def test_dose_is_linear_in_the_weights(operator):
    beams, voxels = operator
    one, two = random_weights(beams, 4), random_weights(beams, 5)

    mixed = total(beams, [2 * a + 3 * b for a, b in zip(one, two, strict=True)], voxels)

    expected = 2 * total(beams, one, voxels) + 3 * total(beams, two, voxels)
    torch.testing.assert_close(mixed, expected, rtol=1e-10, atol=1e-14)


def test_dose_at_chosen_voxels_is_the_dose_there(operator):
    beams, voxels = operator
    weights = random_weights(beams, 6)
    wanted = torch.arange(voxels) % 3 == 0

    some = total([b.at(wanted) for b in beams], weights, int(wanted.sum()))

    torch.testing.assert_close(some, total(beams, weights, voxels)[wanted], rtol=0, atol=0)


def test_gradient_of_an_objective_is_that_of_differences(operator):
    beams, voxels = operator
    weights = random_weights(beams, 8)
    joined = torch.cat(weights).requires_grad_()
    direction = torch.rand(len(joined), generator=torch.Generator().manual_seed(9)).double() - 0.5

    def objective(values):
        parts = values.split([b.beamlets for b in beams])
        return (total(beams, parts, voxels) - 0.02).clamp(min=0).square().sum()

    (gradient,) = torch.autograd.grad(objective(joined), joined)

    step = 1e-4
    with torch.no_grad():
        ahead, behind = (objective(joined + s * step * direction) for s in (1, -1))
    difference = float(ahead - behind) / (2 * step)
    assert float(gradient @ direction) == pytest.approx(difference, rel=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_stored_matrix_is_the_same_map(operator, precision):
    beams, voxels = operator
    beams = [
        replace(
            beam,
            terms=beam.terms.to(precision),
            places=beam.places.to(precision),
            kernels=beam.kernels.to(torch.complex(*torch.zeros(2, 1, dtype=precision)).dtype),
        )
        for beam in beams
    ]
    weights = [w.to(precision) for w in random_weights(beams, 7)]
    wanted = torch.arange(voxels) % 2 == 0

    free = total(beams, weights, voxels)
    stored = total([b.stored() for b in beams], weights, voxels)
    some = total([b.at(wanted).stored() for b in beams], weights, int(wanted.sum()))

    worst = float((stored - free).abs().max() / free.max())
    assert worst < (1e-12 if precision is torch.float64 else 1e-5)
    torch.testing.assert_close(some, stored[wanted])
    assert [b.stored().beamlets for b in beams] == [b.beamlets for b in beams]


def test_shifted_fluence_moves_the_dose_along_both_axes(water, open_field):
    ct, body, _ = water
    beam = open_field(60.0, (0, -100, 0))

    shifted, straight = (
        calculate(ct, body, [beam], LINAC, options=replace(NATIVE, fluence_shift_mm=mm))
        for mm in (-0.5, 0.0)
    )

    row = 70
    shifted, straight, depth_mm = (
        shifted.values[:, row],
        straight.values[:, row],
        straight.grid.to_patient(np.array([0.0, row, 0.0]))[1] + 100,
    )
    slopes = np.gradient(straight, 2.5)
    expected = 0.5 * (1000 + depth_mm) / 1000 * (slopes[0] + slopes[1])
    np.testing.assert_allclose(shifted - straight, expected, atol=0.02 * straight.max())


def test_beamlets_off_the_lattice_are_refused(grid_of, patient_of, open_field):
    grid = grid_of((10, 10, 10), (4.0, 4.0, 4.0))
    ct, body = patient_of(grid, np.ones(grid.shape, bool))
    beam = open_field(20.0, (0, 0, 0))
    moved = replace(beam, positions_mm=beam.positions_mm + np.eye(16, 2)[::-1] * 0.3)

    with pytest.raises(GeometryError, match="lattice"):
        calculate(ct, body, [moved], LINAC, options=NATIVE)


def test_refuses_other_quantities_grids_and_devices(grid_of, patient_of, open_field):
    grid = grid_of((10, 10, 10), (4.0, 4.0, 4.0))
    ct, body = patient_of(grid, np.ones(grid.shape, bool))
    suv = Volume(values=ct.values, grid=grid, quantity=Quantity.STANDARDISED_UPTAKE)
    elsewhere = Structure.of("body", body.mask, replace(grid, origin_mm=(0.0, 0.0, 0.0)))

    with pytest.raises(QuantityError):
        medium(suv, body, options=NATIVE)
    with pytest.raises(GeometryError, match="different grids"):
        medium(ct, elsewhere, options=NATIVE)
    with pytest.raises(OptionError, match="nonsense"):
        medium(ct, body, options=DoseOptions(device="nonsense"))
