import time
from math import pi, sqrt

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.measure import (
    border_fractions,
    diameters,
    equivalent_diameter_mm,
    statistics,
)


def on_slice(mask, spacing_mm=(1.0, 1.0, 1.0), **where):
    mask = np.atleast_3d(np.asarray(mask, bool)) if np.ndim(mask) == 3 else np.asarray(mask)[None]
    grid = Grid(shape=mask.shape, spacing_mm=spacing_mm, **where)
    return Structure.of("lesion", mask, grid)


def ellipse_share(half_mm, angle_deg, *, spacing_mm=(1.0, 1.0), shape=(80, 90), fine=8):
    """Return the share of each pixel inside an ellipse around the middle of the slice."""
    rows, columns = (
        ((np.arange(n * fine) + 0.5) / fine - n / 2 + 0.13) * step
        for n, step in zip(shape, spacing_mm, strict=True)
    )
    angle = np.deg2rad(angle_deg)
    along = columns[None] * np.cos(angle) + rows[:, None] * np.sin(angle)
    across = rows[:, None] * np.cos(angle) - columns[None] * np.sin(angle)
    inside = (along / half_mm[0]) ** 2 + (across / half_mm[1]) ** 2 <= 1
    return inside.reshape(shape[0], fine, shape[1], fine).mean((1, 3))


@pytest.mark.parametrize("angle_deg", [0, 17, 45, 90, 133])
@pytest.mark.parametrize("half_mm", [(20, 11), (8, 6), (5, 3)])
def test_an_ellipse_measured_by_its_partial_volumes_is_right_to_a_fifth_of_a_pixel(
    half_mm, angle_deg
):
    share = ellipse_share(half_mm, angle_deg)

    size = diameters(on_slice(share >= 0.5), share[None])

    assert size.longest_mm == pytest.approx(2 * half_mm[0], abs=0.2)
    assert size.perpendicular_mm == pytest.approx(2 * half_mm[1], abs=0.2)


def test_partial_volumes_leave_a_bias_below_a_tenth_of_a_pixel():
    random = np.random.default_rng(3)
    errors = []
    for _ in range(40):
        long = random.uniform(4, 20)
        half_mm = (long, long * random.uniform(0.5, 0.95))
        share = ellipse_share(half_mm, random.uniform(0, 180), shape=(48, 48))
        size = diameters(on_slice(share >= 0.5), share[None])
        errors.append([size.longest_mm - 2 * half_mm[0], size.perpendicular_mm - 2 * half_mm[1]])

    assert np.all(np.abs(np.mean(errors, axis=0)) <= 0.1)
    assert np.all(np.std(errors, axis=0) <= 0.15)


def test_a_bare_mask_is_right_within_one_pixel():
    for half_mm, angle_deg in (((20, 11), 30), ((7, 4), 80)):
        size = diameters(on_slice(ellipse_share(half_mm, angle_deg) >= 0.5))

        assert size.longest_mm == pytest.approx(2 * half_mm[0], abs=1.0)
        assert size.perpendicular_mm == pytest.approx(2 * half_mm[1], abs=1.0)


@pytest.mark.parametrize("angle_deg", [0, 40, 90])
def test_unequal_pixel_sides_do_not_change_an_ellipse(angle_deg):
    share = ellipse_share((20, 12), angle_deg, spacing_mm=(0.7, 1.3), shape=(90, 50))

    size = diameters(on_slice(share >= 0.5, (3.0, 0.7, 1.3)), share[None])

    assert size.longest_mm == pytest.approx(40, abs=0.25)
    assert size.perpendicular_mm == pytest.approx(24, abs=0.25)


def test_a_rectangle_runs_between_the_middles_of_its_outer_pixel_edges():
    mask = np.zeros((30, 40), bool)
    mask[5:15, 8:32] = True

    size = diameters(on_slice(mask))

    assert size.longest_mm == pytest.approx(sqrt(24**2 + 9**2))


@pytest.mark.parametrize(
    ("mask", "longest_mm", "perpendicular_mm"),
    [
        pytest.param([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 3, 2, id="one voxel: its longer side"),
        pytest.param([[1, 1, 1, 1, 1]], 10, 3, id="a row of voxels"),
        pytest.param([[1], [1], [1], [1]], 12, 2, id="a column of voxels"),
    ],
)
def test_the_smallest_shapes_have_the_size_of_their_voxels(mask, longest_mm, perpendicular_mm):
    size = diameters(on_slice(np.array(mask), (5.0, 3.0, 2.0)))

    assert size.longest_mm == pytest.approx(longest_mm, abs=1e-5)
    assert size.perpendicular_mm == pytest.approx(perpendicular_mm, abs=1e-5)


def test_the_slice_with_the_longest_diameter_is_chosen():
    mask = np.zeros((4, 20, 20), bool)
    mask[0, 5:8, 5:8] = mask[2, 5:8, 2:18] = mask[3, 5:9, 2:12] = True

    size = diameters(Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=(1, 1, 1))))

    assert size.slice_index == 2


def test_a_long_thin_part_beats_a_round_one_in_a_larger_box():
    mask = np.zeros((2, 40, 40), bool)
    mask[0] = np.hypot(*(np.mgrid[:40, :40] - 20)) <= 10
    mask[1, 20, 5:29] = True

    size = diameters(Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=(1, 1, 1))))

    assert (size.slice_index, size.longest_mm) == (1, pytest.approx(24))


def test_parts_that_do_not_touch_are_measured_apart():
    mask = np.zeros((12, 60), bool)
    mask[2:8, 2:10] = mask[2:8, 40:55] = True

    size = diameters(on_slice(mask))

    assert size.longest_mm == pytest.approx(sqrt(15**2 + 5**2))
    assert min(x for x, _, _ in size.longest_ends_mm) > 39


def test_a_cavity_counts_as_inside():
    solid = ellipse_share((20, 14), 0) >= 0.5
    hollow = solid & ~(ellipse_share((12, 8), 0) >= 0.5)

    assert diameters(on_slice(hollow)) == diameters(on_slice(solid))


def test_the_perpendicular_chord_stays_inside_a_crescent():
    rows, columns = np.mgrid[:60, :60] - 30
    disc = rows**2 + columns**2 <= 25**2
    crescent = disc & ~((rows + 12) ** 2 + columns**2 <= 22**2)

    size = diameters(on_slice(crescent))

    start, end = (np.array([y, x]) for x, y, _ in size.perpendicular_ends_mm)
    points = start + np.linspace(0.06, 0.94, 50)[:, None] * (end - start)
    pixels = np.argwhere(crescent)
    to_nearest = np.linalg.norm(points[:, None] - pixels[None], axis=-1).min(axis=1)
    assert to_nearest.max() <= 1.0
    assert size.perpendicular_mm < 26


AXES = {
    "sagittal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "oblique": ((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0)),
}


def test_end_points_on_a_sagittal_grid_lie_along_head_and_back():
    mask = np.zeros((3, 9, 12), bool)
    mask[1, 4, 2:10] = True
    mask[1, 3:6, 5] = True
    structure = Structure.of(
        "lesion",
        mask,
        Grid(
            shape=mask.shape,
            spacing_mm=(5.0, 2.0, 1.5),
            origin_mm=(10, 20, 30),
            axes=AXES["sagittal"],
        ),
    )

    size = diameters(structure)

    # Columns run to the back: 20 + 1.5 * (1.5 ... 9.5); rows to the feet: 30 - 2 * 4.
    ends = sorted(size.longest_ends_mm, key=lambda end: end[1])
    np.testing.assert_allclose(ends, [(15, 22.25, 22), (15, 34.25, 22)], atol=1e-6)
    short = sorted(size.perpendicular_ends_mm, key=lambda end: end[2])
    np.testing.assert_allclose(short, [(15, 27.5, 19), (15, 27.5, 25)], atol=1e-5)


def test_end_points_on_an_oblique_grid_lie_as_far_apart_as_the_diameter_and_at_right_angles():
    share = ellipse_share((18, 9), 25)
    structure = on_slice(share >= 0.5, origin_mm=(-40, 7, 100), axes=AXES["oblique"])

    size = diameters(structure)

    long, short = (
        np.subtract(ends[1], ends[0]) for ends in (size.longest_ends_mm, size.perpendicular_ends_mm)
    )
    assert np.linalg.norm(long) == pytest.approx(size.longest_mm)
    assert np.linalg.norm(short) == pytest.approx(size.perpendicular_mm)
    assert long @ short == pytest.approx(0, abs=1e-6)
    # Rotated by 25 degrees in the plane: cos along x, sin along the second axis.
    direction = long / np.linalg.norm(long) * np.sign(long[0])
    expected = np.cos(np.deg2rad(25)) * np.array([1, 0, 0]) + np.sin(np.deg2rad(25)) * np.array(
        [0, 0.8, 0.6]
    )
    np.testing.assert_allclose(direction, expected, atol=0.05)


blobs = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        sum(
            np.exp(
                -((np.mgrid[:14, :18][0] - r) ** 2 + (np.mgrid[:14, :18][1] - c) ** 2) / (2 * s**2)
            )
            for r, c, s in np.random.default_rng(seed).uniform((3, 3, 1), (11, 15, 3), (4, 3))
        )
        > 0.6
    )
)


@settings(max_examples=40, deadline=None)
@given(blobs)
def test_mirroring_and_turning_the_slice_changes_no_diameter(mask):
    longest_mm = diameters(on_slice(mask, (1.0, 0.8, 1.1))).longest_mm

    for turned, spacing_mm in (
        (mask[::-1], (1.0, 0.8, 1.1)),
        (mask[:, ::-1], (1.0, 0.8, 1.1)),
        (mask.T, (1.0, 1.1, 0.8)),
    ):
        again = diameters(on_slice(turned, spacing_mm))
        assert again.longest_mm == pytest.approx(longest_mm, abs=1e-6)
        assert again.perpendicular_mm <= again.longest_mm + 1e-6


@settings(max_examples=25, deadline=None)
@given(blobs)
def test_the_longest_diameter_agrees_with_simpleitk_feret_within_a_voxel(mask):
    structure = on_slice(mask)
    largest = np.asarray(
        sitk.GetArrayFromImage(
            sitk.RelabelComponent(
                sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), True)
            )
        )
        == 1
    )
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.Execute(sitk.GetImageFromArray(largest.astype(np.uint8)))
    feret_mm = shape.GetFeretDiameter(1)

    longest_mm = diameters(structure).longest_mm

    # SimpleITK measures between voxel centres, which lie half a voxel inside the border.
    assert longest_mm >= feret_mm - 1e-6
    if largest.sum() == mask.sum():
        assert longest_mm <= feret_mm + sqrt(2) + 1e-6


def test_an_empty_structure_has_no_diameter():
    with pytest.raises(InputError, match="'lesion' is empty"):
        diameters(on_slice(np.zeros((4, 4))))


def test_fractions_of_another_shape_are_refused():
    with pytest.raises(GeometryError, match="shape"):
        diameters(on_slice(np.ones((4, 4))), np.ones((1, 4, 5)))


def test_a_lesion_of_sixty_large_slices_is_measured_within_a_second():
    slices, rows, columns = np.ogrid[:60, :512, :512]
    mask = ((slices - 30) / 28) ** 2 + ((rows - 250) / 120) ** 2 + ((columns - 250) / 90) ** 2 <= 1
    structure = Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=(1, 1, 1)))

    start = time.process_time()
    size = diameters(structure)

    assert time.process_time() - start < 1.0
    assert size.longest_mm == pytest.approx(240, abs=1.01)
    assert size.perpendicular_mm == pytest.approx(180, abs=1.01)


def test_volume_and_values_agree_with_simpleitk():
    random = np.random.default_rng(5)
    grid = Grid(shape=(9, 14, 11), spacing_mm=(2.5, 0.9, 1.4), origin_mm=(3, -8, 40))
    values = random.normal(40, 25, grid.shape).astype(np.float32)
    mask = random.random(grid.shape) < 0.3
    structure = Structure.of("lesion", mask, grid)
    image, label = sitk.GetImageFromArray(values), sitk.GetImageFromArray(mask.astype(np.uint8))
    for item in (image, label):
        item.SetSpacing(grid.spacing_mm[::-1])
    shape, intensity = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
    shape.Execute(label)
    intensity.Execute(image, label)

    found = statistics(
        Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY), structure, "CT"
    )

    count = int(mask.sum())
    assert structure.volume_ml == pytest.approx(shape.GetPhysicalSize(1) / 1000)
    assert (found.image, found.unit) == ("CT", "HU")
    assert found.mean == pytest.approx(intensity.GetMean(1), rel=1e-6)
    # SimpleITK divides by n - 1, the population's deviation by n.
    assert found.deviation == pytest.approx(
        intensity.GetSigma(1) * sqrt((count - 1) / count), rel=1e-5
    )
    assert found.minimum == pytest.approx(intensity.GetMinimum(1))
    assert found.maximum == pytest.approx(intensity.GetMaximum(1))


def test_a_ball_has_its_own_equivalent_diameter():
    axis = (np.arange(41) - 20.0) ** 2
    mask = axis[:, None, None] + axis[None, :, None] + axis[None, None] <= 15**2
    structure = Structure.of("ball", mask, Grid(shape=mask.shape, spacing_mm=(0.5, 0.5, 0.5)))

    assert structure.volume_ml == pytest.approx(4 / 3 * pi * 7.5**3 / 1000, rel=0.01)
    assert equivalent_diameter_mm(structure) == pytest.approx(15, rel=0.005)


@pytest.fixture
def coarse_ramp():
    """An image whose value is its LPS x position, on a coarse sagittal grid."""
    grid = Grid(
        shape=(12, 10, 10),
        spacing_mm=(4.0, 4.0, 4.0),
        origin_mm=(-20, -20, 20),
        axes=AXES["sagittal"],
    )
    positions = grid.to_patient(np.stack(np.indices(grid.shape), -1).astype(float))
    return Volume(
        values=positions[..., 0].astype(np.float32),
        grid=grid,
        quantity=Quantity.STANDARDISED_UPTAKE,
    )


def test_values_are_read_at_the_same_place_of_another_grid(coarse_ramp):
    fine = Grid(shape=(30, 30, 30), spacing_mm=(1, 1, 1), origin_mm=(0, -15, -12))
    mask = np.zeros(fine.shape, bool)
    mask[5:25, 5:25, 4:16] = True  # x from 4 to 15 mm, so voxels at 4, 8 and 12 mm.

    found = statistics(coarse_ramp, Structure.of("lesion", mask, fine), "PT")

    assert (found.minimum, found.maximum) == (4, 12)
    assert found.unit == "g/mL"


def test_a_lesion_smaller_than_a_voxel_is_read_at_the_nearest_one(coarse_ramp):
    fine = Grid(shape=(3, 3, 3), spacing_mm=(1, 1, 1), origin_mm=(8.7, -3.0, 1.0))
    mask = np.zeros(fine.shape, bool)
    mask[1, 1, 1] = True

    found = statistics(coarse_ramp, Structure.of("lesion", mask, fine), "PT")

    assert found.mean == found.maximum == 8 + 4 * round((9.7 - 8) / 4)


def test_a_lesion_outside_an_image_has_no_values_there(coarse_ramp):
    far = Grid(shape=(3, 3, 3), spacing_mm=(1, 1, 1), origin_mm=(500, 0, 0))

    with pytest.raises(GeometryError, match="outside the image 'PT'"):
        statistics(coarse_ramp, Structure.of("lesion", np.ones(far.shape), far), "PT")


def blurred_ball(surroundings_hu, spread_hu=10.0):
    grid = Grid(shape=(11, 24, 24), spacing_mm=(2.5, 1.5, 1.5))
    centre_mm = np.array([12.5, 17.4, 16.9])
    indices = np.stack(np.indices(grid.shape), -1) * grid.spacing_mm
    away_mm = np.linalg.norm(indices - centre_mm, axis=-1)
    share = np.clip((6.0 - away_mm) / 1.8 + 0.5, 0, 1)
    noise = np.random.default_rng(1).normal(0, spread_hu, grid.shape)
    values = (40 * share + surroundings_hu * (1 - share) + noise).astype(np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return volume, Structure.of("lesion", share >= 0.5, grid)


def test_the_image_sharpens_the_border_of_a_ball_in_lung():
    volume, ball = blurred_ball(-850.0)

    fraction = border_fractions(volume, ball)

    assert fraction is not None
    assert diameters(ball, fraction).longest_mm == pytest.approx(12, abs=0.4)


def test_a_ball_that_hardly_differs_from_its_surroundings_is_measured_by_its_mask():
    assert border_fractions(*blurred_ball(20.0)) is None
