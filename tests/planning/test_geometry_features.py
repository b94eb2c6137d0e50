"""How structures lie to the targets, on spheres and slabs whose answers have closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.geometry_features import (
    AROUND_MM,
    IN_SLICE_MM,
    PrescribedDose,
    overlap_volume_histogram,
)

RADIUS_MM = 24.0


@pytest.fixture(scope="module")
def sphere_of(grid_of, positions_of):
    """Return a function that gives a sphere on a grid of 2 mm."""
    grid = grid_of((61, 61, 61), (2.0, 2.0, 2.0))
    places = positions_of(grid)

    def sphere(name, centre_mm, radius_mm, kind=StructureType.ORGAN):
        apart = np.linalg.norm(places - np.reshape(centre_mm, (3, 1, 1, 1)), axis=0)
        return Structure.of(name, apart <= radius_mm, grid, type=kind)

    return sphere


@pytest.fixture(scope="module")
def everywhere(sphere_of):
    """A target in the middle and an organ that fills the grid, so that all places are asked for."""
    return StructureSet(
        (
            sphere_of("PTV", (0, 0, 0), RADIUS_MM, StructureType.TARGET),
            sphere_of("all", (0, 0, 0), 200),
        )
    )


def at(structures, *places_mm):
    grid = structures["PTV"].grid
    voxels = np.rint(grid.to_indices(np.array(places_mm, float))).astype(int)
    return PrescribedDose(structures, {"PTV": 60.0}).around(voxels)


def blurred_sphere(r_mm, radius_mm, sigma_mm):
    """A sphere of ones averaged with Gaussian weights, at a distance from its centre."""
    a, b = radius_mm - r_mm, radius_mm + r_mm
    tails = np.exp(-(a**2) / (2 * sigma_mm**2)) - np.exp(-(b**2) / (2 * sigma_mm**2))
    half = 0.5 * (erf(a / (np.sqrt(2) * sigma_mm)) + erf(b / (np.sqrt(2) * sigma_mm)))
    return half - sigma_mm / (r_mm * np.sqrt(2 * np.pi)) * tails


@pytest.mark.parametrize("r_mm", [2.0, 16.0, 24.0, 32.0, 48.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_prescribed_dose_around_a_sphere(everywhere, r_mm, axis):
    place = np.zeros(3)
    place[axis] = r_mm

    found = at(everywhere, place)[0, : len(AROUND_MM)]

    expected = [blurred_sphere(r_mm, RADIUS_MM, s) for s in AROUND_MM]
    # The border of a sphere of voxels is known to about a quarter of a millimetre.
    np.testing.assert_allclose(found, expected, atol=0.025)


@pytest.mark.parametrize("z_mm", [0.0, -12.0, 20.0])
def test_prescribed_dose_in_a_slice_is_that_of_a_disc(everywhere, z_mm):
    found = at(everywhere, (0, 0, z_mm))[0, len(AROUND_MM) :]

    square = RADIUS_MM**2 - z_mm**2
    expected = [1 - np.exp(-square / (2 * s**2)) for s in IN_SLICE_MM]
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_slice_knows_nothing_of_the_target_above_it(everywhere):
    above, beside = at(everywhere, (0, 0, 40), (40, 0, 0))[:, len(AROUND_MM) :]

    assert np.all(above == 0)
    assert np.all(beside[1:] > 0.05)


def test_where_targets_overlap_the_highest_level_counts(sphere_of):
    inner = sphere_of("boost", (0, 0, 0), 40, StructureType.TARGET)
    outer = sphere_of("PTV", (0, 0, 0), 60, StructureType.TARGET)
    middle = np.array([[30, 30, 30]])

    for order in ((inner, outer), (outer, inner)):
        prescribed = PrescribedDose(StructureSet(order), {"PTV": 56.0, "boost": 70.0})
        # 40 mm are 8 and 4 standard deviations: nothing but the boost is seen.
        np.testing.assert_allclose(prescribed.around(middle)[0, :2], 1.0, atol=1e-3)
        between = prescribed.around(np.array([[30, 30, 55]]))[0, 0]
        levels = 0.8 * blurred_sphere(50, 60, 5) + 0.2 * blurred_sphere(50, 40, 5)
        assert between == pytest.approx(levels, abs=0.01)


def test_only_what_is_prescribed_relative_to_the_highest_matters(everywhere):
    place = np.array([[20, 30, 35]])

    first, second = (
        PrescribedDose(everywhere, {"PTV": dose_gy}).around(place) for dose_gy in (50.0, 70.0)
    )

    np.testing.assert_array_equal(first, second)


def test_fine_and_coarse_grids_agree(grid_of, positions_of):
    found = []
    for spacing_mm in (1.0, 3.0):
        grid = grid_of((int(90 / spacing_mm) + 1,) * 3, (spacing_mm,) * 3)
        x, y, z = positions_of(grid)
        target = np.hypot(np.hypot(x, y), z) <= 20
        organ = np.hypot(np.hypot(x - 30, y), z) <= 12
        structures = StructureSet(
            (
                Structure.of("PTV", target, grid, type=StructureType.TARGET),
                Structure.of("organ", organ, grid),
            )
        )
        found.append(at(structures, (30, 0, 0), (24, 0, 6), (36, -6, 0)))

    np.testing.assert_allclose(found[0], found[1], atol=0.015)


def lens(radius_mm, other_mm, apart_mm):
    """Volume that two spheres share."""
    r, s, d = radius_mm, other_mm, apart_mm
    if d >= r + s:
        return 0.0
    if d <= abs(r - s):
        return 4 / 3 * np.pi * min(r, s) ** 3
    return np.pi * (r + s - d) ** 2 * (d**2 + 2 * d * (r + s) - 3 * (r - s) ** 2) / (12 * d)


@pytest.mark.parametrize("apart_mm", [0.0, 20.0, 34.0])
def test_overlap_volume_histogram_of_two_spheres(sphere_of, apart_mm):
    organ = sphere_of("organ", (apart_mm, 0, 0), 16.0)
    target = sphere_of("PTV", (0, 0, 0), RADIUS_MM)
    distances_mm = np.arange(-18.0, 30.0, 3.0)

    found = overlap_volume_histogram(organ, target, distances_mm)

    # Borders of voxels of 2 mm are known to a part of a voxel.
    whole = 4 / 3 * np.pi * 16**3
    least, most = (
        [100 * lens(16.0, RADIUS_MM + t + shift_mm, apart_mm) / whole for t in distances_mm]
        for shift_mm in (-0.7, 0.7)
    )
    assert np.all((found >= np.array(least) - 0.5) & (found <= np.array(most) + 0.5))


@given(st.lists(st.floats(-30, 60), min_size=2, max_size=8).map(sorted))
def test_more_of_an_organ_lies_within_a_larger_distance(sphere_of, distances_mm):
    organ = sphere_of("organ", (26, 4, -8), 14.0)
    target = sphere_of("PTV", (0, 0, 0), RADIUS_MM)

    found = overlap_volume_histogram(organ, target, distances_mm)

    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= 0) & (found <= 100))


def test_an_organ_inside_a_target_that_fills_the_grid():
    grid = Grid(shape=(4, 4, 4), spacing_mm=(2.0, 2.0, 2.0))
    target = Structure.of("PTV", np.ones(grid.shape, bool), grid)
    organ = Structure.of("organ", np.eye(4, dtype=bool)[None].repeat(4, axis=0), grid)

    assert overlap_volume_histogram(organ, target, [0.0]) == [100.0]


SMALL = Grid(shape=(6, 6, 6), spacing_mm=(2.0, 2.0, 2.0))
SAGITTAL = Grid(
    shape=(6, 6, 6), spacing_mm=(2.0, 2.0, 2.0), axes=((1, 0, 0), (0, 0, -1), (0, 1, 0))
)


def block(name="PTV", grid=SMALL, filled=True):
    return Structure.of(name, np.full(grid.shape, filled), grid, type=StructureType.TARGET)


@pytest.mark.parametrize(
    ("structures", "prescribed_gy", "error", "says"),
    [
        ((block(),), {}, OptionError, "No target"),
        ((block(),), {"PTV": 0.0}, OptionError, "0 Gy"),
        ((block(),), {"PTV": np.inf}, OptionError, "inf"),
        ((block(),), {"PTV": np.nan}, OptionError, "nan"),
        ((block(),), {"PTV70": 70.0}, InputError, "'PTV70'"),
        ((block(filled=False),), {"PTV": 70.0}, InputError, "empty"),
        ((block(grid=SAGITTAL),), {"PTV": 70.0}, GeometryError, "axial"),
        (
            (block(), block("o", Grid(shape=(6, 6, 6), spacing_mm=(3, 3, 3)))),
            {"PTV": 70.0},
            GeometryError,
            "'o'",
        ),
    ],
    ids=["none", "zero", "infinite", "nan", "missing", "empty", "sagittal", "other grid"],
)
def test_refuses(structures, prescribed_gy, error, says):
    with pytest.raises(error, match=says):
        PrescribedDose(StructureSet(structures), prescribed_gy)


def test_an_overlap_with_nothing_is_refused():
    with pytest.raises(InputError, match="'organ' is empty"):
        overlap_volume_histogram(block("organ", filled=False), block(), [0.0])
    with pytest.raises(InputError, match="'PTV' is empty"):
        overlap_volume_histogram(block("organ"), block(filled=False), [0.0])
    with pytest.raises(GeometryError, match="another grid"):
        overlap_volume_histogram(block("organ", SAGITTAL), block(), [0.0])
