"""Doses of several days on one anatomy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from aegle.domain.errors import GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.registration import DisplacementField, Motion, Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.planning.accumulation import AccumulationOptions, Delivery, accumulate, deposited_j
from aegle.planning.density import RADIODENSITY_HU, RELATIVE_DENSITY, relative_density
from aegle.planning.gamma import GammaOptions, gamma

GRID = Grid(shape=(20, 22, 24), spacing_mm=(4.0, 3.0, 3.0), origin_mm=(-34.5, -31.5, -38.0))
IDENTITY = tuple(tuple(float(x) for x in row) for row in np.eye(4))
ENERGY, DIRECT = AccumulationOptions(), AccumulationOptions(mapping="direct")


def places(grid):
    return grid.to_patient(np.moveaxis(np.indices(grid.shape, dtype=float), 0, -1))


def alignment(*, matrix=IDENTITY, field=None, verdict=Verdict.GOOD):
    return Registration(
        matrix=matrix,
        correlation_before=0.0,
        correlation_after=1.0,
        verdict=verdict,
        reason=Text("known"),
        motion=Motion.RIGID if field is None else Motion.DEFORMABLE,
        displacement=field,
    )


def waves(amplitude_mm, grid=GRID):
    """Return a smooth displacement that folds nothing, for amplitudes below 12 mm."""
    x, y, z = np.moveaxis(places(grid), -1, 0)
    bent = [
        np.sin(y / 23) * np.cos(z / 31),
        np.cos(x / 27) * np.sin(z / 29),
        np.sin(x / 25) * np.sin(y / 33),
    ]
    vectors = amplitude_mm * np.stack(bent, -1)
    return DisplacementField(vectors_mm=vectors.astype(np.float32), grid=grid)


def gy(values, grid=GRID):
    return Volume(values=np.asarray(values, np.float32), grid=grid, quantity=Quantity.ABSORBED_DOSE)


def ct(density, grid=GRID):
    hu = np.interp(density, RELATIVE_DENSITY[1:], RADIODENSITY_HU[1:])
    return Volume(values=hu.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)


def lump(points_mm, centre_mm, width_mm):
    return np.exp(-np.sum((points_mm - centre_mm) ** 2, -1) / (2 * width_mm**2))


def body(points_mm):
    """Return the density of a soft ellipsoid of water with a lighter middle, in air."""
    radius = np.linalg.norm(points_mm / np.array([27.0, 24.0, 30.0]), axis=-1)
    return 0.001 + (1 / (1 + np.exp((radius - 1) * 12))) * (
        1 - 0.6 * lump(points_mm, (5, 3, 0), 12)
    )


def mass_preserving(field):
    """Return reference CT, CT of the day and alignment where tissue moves and keeps its mass."""
    known = alignment(field=field)
    day_points = places(GRID)
    there = known.to_fixed(day_points)
    steps = [np.gradient(there, GRID.spacing_mm[axis], axis=axis) for axis in range(3)]
    shrinking = np.abs(np.linalg.det(np.stack(steps, -2)))
    return ct(body(day_points)), ct(body(there) * shrinking), known


def test_a_dose_on_the_reference_itself_is_only_added():
    first, second = gy(np.full(GRID.shape, 2.0)), gy(np.arange(20 * 22 * 24).reshape(GRID.shape))
    reference = ct(np.ones(GRID.shape))
    days = [Delivery(dose=one, ct=reference, alignment=None) for one in (first, second)]

    found = accumulate(days, reference, options=ENERGY)

    np.testing.assert_allclose(found.dose.values, first.values + second.values, rtol=1e-6)
    assert found.arrived_j == pytest.approx(found.given_j, rel=1e-9)


def test_a_patient_who_did_not_move_gets_the_dose_of_the_day():
    dose = gy(np.random.default_rng(3).random(GRID.shape))
    reference = ct(body(places(GRID)))
    day = Delivery(dose=dose, ct=reference, alignment=alignment())

    found = accumulate([day], reference, options=ENERGY)

    np.testing.assert_allclose(found.dose.values, dose.values, rtol=1e-6)


@settings(max_examples=6, deadline=None)
@given(st.floats(-9, 9), st.sampled_from([ENERGY, DIRECT, AccumulationOptions(parts=1)]))
def test_an_even_dose_stays_even_however_tissue_moves(amplitude_mm, options):
    reference = ct(body(places(GRID)))
    day = Delivery(
        dose=gy(np.full(GRID.shape, 3.0)),
        ct=reference,
        alignment=alignment(field=waves(amplitude_mm)),
    )

    found = accumulate([day], reference, options=options).dose.values

    inner = (slice(6, -6),) * 3
    np.testing.assert_allclose(found[inner], 3.0, rtol=1e-5)


@pytest.mark.parametrize("amplitude_mm", [4.0, 8.0])
def test_energy_is_conserved_where_tissue_keeps_its_mass(amplitude_mm):
    reference, today, known = mass_preserving(waves(amplitude_mm))
    given = gy(2.0 * lump(places(GRID), (6.0, -4.0, 4.0), 10.0))
    day = Delivery(dose=given, ct=today, alignment=known)

    found = accumulate([day], reference, options=ENERGY)

    assert found.conserves_energy
    assert found.given_j == pytest.approx(deposited_j(given, today))
    assert found.arrived_j == pytest.approx(found.given_j, rel=0.02)


def test_energy_and_mass_arrive_where_pieces_pushed_forward_carry_them():
    """Cut the day into 3 x 3 x 3 pieces per voxel and carry each to the voxel it falls into."""
    _, today, known = mass_preserving(waves(6.0))
    given = 2.0 * lump(places(GRID), (0.0, 0.0, 0.0), 14.0)
    energy, mass = np.zeros(GRID.shape), np.zeros(GRID.shape)
    density = relative_density(today.values).astype(float)
    fine = [(np.arange(3 * n) + 0.5) / 3 - 0.5 for n in GRID.shape]
    for z in fine[0]:
        at = np.stack(np.meshgrid([z], fine[1], fine[2], indexing="ij"), -1)
        index = np.moveaxis(at, -1, 0)
        rho = ndimage.map_coordinates(density, index, order=0, mode="nearest")
        dose = ndimage.map_coordinates(given, index, order=0, mode="nearest")
        cell = np.rint(GRID.to_indices(known.to_fixed(GRID.to_patient(at)))).astype(int)
        inside = np.all((cell >= 0) & (cell < GRID.shape), axis=-1)
        np.add.at(energy, tuple(cell[inside].T), (rho * dose)[inside])
        np.add.at(mass, tuple(cell[inside].T), rho[inside])

    found = accumulate(
        [Delivery(dose=gy(given), ct=today, alignment=known)],
        today,
        options=AccumulationOptions(parts=4),
    ).dose.values

    inner = np.zeros(GRID.shape, bool)
    inner[6:-6, 6:-6, 6:-6] = True
    missed = np.abs(found[inner] - energy[inner] / mass[inner]) / given.max()
    # Both cut each voxel, of one dose, into thirds; where dose is steep that shows.
    assert missed.max() < 0.04
    assert missed.mean() < 0.005


@pytest.mark.parametrize("options", [ENERGY, DIRECT])
def test_a_known_sum_is_found_again(options):
    field = waves(7.0)
    known = alignment(field=field)
    planned = 2.0 * lump(places(GRID), (4.0, 0.0, 4.0), 9.0)
    moved = 2.0 * lump(known.to_fixed(places(GRID)), (4.0, 0.0, 4.0), 9.0)
    reference, today, _ = mass_preserving(field)
    days = [
        Delivery(dose=gy(planned), ct=reference, alignment=None),
        Delivery(dose=gy(moved), ct=today, alignment=known),
    ]

    found = accumulate(days, reference, options=options).dose

    judged = gamma(
        gy(2 * planned),
        found,
        options=GammaOptions(dose_percent=3.0, distance_mm=3.0, cutoff_percent=10.0),
    )
    assert judged.pass_percent >= 98.0


def test_direct_mapping_says_that_it_conserves_nothing():
    reference, today, known = mass_preserving(waves(8.0))
    given = gy(2.0 * lump(places(GRID), (8.0, 4.0, 4.0), 7.0))

    direct, energy = (
        accumulate([Delivery(dose=given, ct=today, alignment=known)], reference, options=options)
        for options in (DIRECT, ENERGY)
    )

    assert not direct.conserves_energy
    assert "conserves neither" in str(direct.notices[0])
    assert energy.notices == ()


def test_what_cannot_be_added_is_refused():
    reference = ct(np.ones(GRID.shape))
    dose = gy(np.ones(GRID.shape))
    other = Grid(shape=GRID.shape, spacing_mm=(4.0, 3.0, 3.0), origin_mm=(0.0, 0.0, 0.0))

    with pytest.raises(InputError, match="no dose to add"):
        accumulate([], reference, options=ENERGY)
    failed = Delivery(dose=dose, ct=reference, alignment=alignment(verdict=Verdict.FAILED))
    with pytest.raises(InputError, match="dose 1 failed"):
        accumulate([failed], reference, options=ENERGY)
    with pytest.raises(GeometryError, match="different grids"):
        accumulate(
            [Delivery(dose=gy(dose.values, other), ct=reference, alignment=None)],
            reference,
            options=ENERGY,
        )
    unaligned = Delivery(
        dose=gy(dose.values, other), ct=ct(np.ones(GRID.shape), other), alignment=None
    )
    with pytest.raises(InputError, match="align both first"):
        accumulate([unaligned], reference, options=ENERGY)
    no_dose = Delivery(dose=reference, ct=reference, alignment=None)
    with pytest.raises(QuantityError):
        accumulate([no_dose], reference, options=ENERGY)


def test_a_doubtful_alignment_is_told():
    reference = ct(np.ones(GRID.shape))
    day = Delivery(
        dose=gy(np.ones(GRID.shape)),
        ct=reference,
        alignment=alignment(verdict=Verdict.DOUBTFUL),
    )

    found = accumulate([day], reference, options=ENERGY)

    assert "doubtful" in str(found.notices[0])
