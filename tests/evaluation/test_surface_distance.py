"""Surfaces against closed forms and MONAI."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.evaluation.surface_distance import surface_distances

CUBES = (1.0, 1.0, 1.0)
OBLONG = (3.0, 0.8, 1.3)


def ball(shape, centre, radius_mm, spacing_mm=CUBES):
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    far = sum(
        ((place - middle) * step) ** 2
        for place, middle, step in zip(grid, centre, spacing_mm, strict=True)
    )
    return far <= radius_mm**2


def box(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


@pytest.fixture(scope="module")
def lopsided():
    """Two outlines that no mirror image or exchange of axes leaves alike."""
    shape = (20, 60, 50)
    first = ball(shape, (9, 25, 22), 14, OBLONG) | ball(shape, (12, 40, 30), 8, OBLONG)
    return first, ball(shape, (10, 27, 21), 13, OBLONG)


def test_an_outline_agrees_with_itself(lopsided):
    found = surface_distances(lopsided[0], lopsided[0], OBLONG)

    assert found.within(0) == 1
    assert found.percentile() == 0


@pytest.mark.parametrize(
    ("axis", "expected_mm"),
    [
        pytest.param(0, 3.0, id="slices"),
        pytest.param(1, 0.8, id="rows"),
        pytest.param(2, 1.3, id="columns"),
    ],
)
def test_a_shift_by_one_voxel_is_one_spacing_of_its_own_axis(axis, expected_mm):
    first = box((12, 24, 24), (4, 2, 2), (7, 20, 20))
    moved = np.roll(first, 1, axis)

    assert surface_distances(first, moved, OBLONG).percentile(100) == pytest.approx(expected_mm)


def test_the_area_of_a_box_is_that_of_its_sides_less_its_bevelled_edges():
    block = box((12, 14, 16), (2, 2, 2), (6, 8, 10))

    found = surface_distances(block, np.zeros_like(block), CUBES)

    # Sides lose half a voxel at every edge, edges of length n - 1 become sqrt(1/2) wide and each
    # corner a triangle of area sqrt(3) / 8.
    a, b, c = 4 - 1, 6 - 1, 8 - 1
    sides, edges = 2 * (a * b + b * c + a * c), 4 * (a + b + c)
    expected = sides + edges * math.sqrt(0.5) + 8 * math.sqrt(3) / 8
    assert found.truth_areas.sum() == pytest.approx(expected)


def test_the_area_of_a_ball_is_that_of_a_sphere_within_six_percent():
    found = surface_distances(
        ball((50, 50, 50), (25, 25, 25), 20), np.zeros((50, 50, 50), bool), CUBES
    )

    assert found.truth_areas.sum() == pytest.approx(4 * math.pi * 20**2, rel=0.06)


@pytest.mark.parametrize("gap_mm", [2.0, 5.0])
def test_balls_about_one_centre_lie_apart_by_the_difference_of_their_radii(gap_mm):
    inner, outer = (ball((64, 64, 64), (32, 32, 32), radius) for radius in (20, 20 + gap_mm))

    found = surface_distances(inner, outer, CUBES)

    assert found.percentile() == pytest.approx(gap_mm, abs=0.5)
    assert found.within(gap_mm - 1.5) < 0.01
    assert found.within(gap_mm + 1) == 1


def test_a_tolerance_is_reached_by_a_shift_of_just_as_much():
    first = box((1, 40, 40), (0, 5, 5), (1, 25, 35))
    moved = np.roll(first, 3, axis=1)
    spacing_mm = (1.0, 0.1, 0.1)

    far = surface_distances(first, moved, spacing_mm)

    assert far.within(0.3) == 1
    assert far.within(0.29) < 1


def test_the_share_counts_by_area_not_by_elements():
    # A rectangle of 20 x 20 pixels, each 5 mm high and 1 mm wide, against one that is two columns
    # wider. The right side moves 2 mm; its 19 pieces of 5 mm and two corners are far on both.
    shape, spacing_mm = (1, 30, 40), (1.0, 5.0, 1.0)
    first, wider = box(shape, (0, 5, 5), (1, 25, 25)), box(shape, (0, 5, 5), (1, 25, 27))

    found = surface_distances(first, wider, spacing_mm)

    corner = math.hypot(2.5, 0.5)
    # Of the narrow one the corners lie on the long sides of the wide one, at a distance of 0.
    far = 19 * 5.0 + 19 * 5.0 + 2 * corner + 2 * 1.0
    whole = (2 * 19 * 5 + 2 * 19 + 4 * corner) + (2 * 19 * 5 + 2 * 21 + 4 * corner)
    assert found.within(0.5) == pytest.approx(1 - far / whole)
    assert found.within(2.0) == 1


def test_one_empty_outline_is_infinitely_far_and_two_have_no_distance():
    full, empty = ball((9, 9, 9), (4, 4, 4), 3), np.zeros((9, 9, 9), bool)

    missed, invented, none = (
        surface_distances(*pair, CUBES) for pair in ((full, empty), (empty, full), (empty, empty))
    )

    assert (missed.within(1), missed.percentile()) == (0, math.inf)
    assert (invented.within(1), invented.percentile()) == (0, math.inf)
    assert math.isnan(none.within(1))
    assert math.isnan(none.percentile())


def test_an_outline_ends_at_the_edge_of_the_image():
    whole = np.ones((5, 6, 7), bool)

    found = surface_distances(whole, box((5, 6, 7), (0, 0, 0), (5, 6, 6)), CUBES)

    assert found.percentile(100) == 1


def test_a_picture_has_lengths_instead_of_areas():
    square = box((1, 12, 12), (0, 2, 3), (1, 6, 9))

    found = surface_distances(square, np.zeros_like(square), (7.0, 2.0, 0.5))

    sides = 2 * (3 * 2.0 + 5 * 0.5)
    assert found.truth_areas.sum() == pytest.approx(sides + 4 * math.hypot(1.0, 0.25))


of_monai = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")


@of_monai
@pytest.mark.parametrize("tolerance_mm", [0.5, 1.0, 2.0, 3.0, 5.0])
def test_the_normalised_distance_is_that_of_monai(lopsided, tolerance_mm):
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_surface_dice

    truth, said = (torch.tensor(mask)[None, None] for mask in lopsided)
    expected = compute_surface_dice(
        said,
        truth,
        class_thresholds=[tolerance_mm],
        include_background=True,
        spacing=OBLONG,
        use_subvoxels=True,
    )

    found = surface_distances(*lopsided, OBLONG).within(tolerance_mm)

    # MONAI cuts bent pieces into triangles; ours are measured by their vector area.
    assert found == pytest.approx(float(expected), abs=0.003)


@of_monai
def test_the_hausdorff_distance_is_that_of_monai_to_a_fraction_of_a_voxel(lopsided):
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_hausdorff_distance

    truth, said = (torch.tensor(mask)[None, None] for mask in lopsided)
    expected = compute_hausdorff_distance(
        said, truth, include_background=True, percentile=95, spacing=OBLONG
    )

    found = surface_distances(*lopsided, OBLONG).percentile()

    # MONAI measures from the voxels along the border and counts each once.
    assert found == pytest.approx(float(expected), abs=0.4)


def test_distances_are_the_least_to_any_element_of_the_other_outline(lopsided):
    found = surface_distances(*lopsided, OBLONG)
    swapped = surface_distances(*lopsided[::-1], OBLONG)

    np.testing.assert_array_equal(found.from_truth, swapped.from_predicted)
    np.testing.assert_array_equal(found.predicted_areas, swapped.truth_areas)
    assert found.within(2.0) == swapped.within(2.0)
    assert found.percentile() == swapped.percentile()
    assert found.percentile(100) == max(found.from_truth.max(), found.from_predicted.max())


@settings(deadline=None)
@given(st.integers(0, 2**27 - 1), st.integers(0, 2**27 - 1))
def test_distances_equal_those_from_every_element_to_every_other(first_bits, second_bits):
    masks = [
        np.array([(bits >> place) & 1 for place in range(27)], bool).reshape(3, 3, 3)
        for bits in (first_bits, second_bits)
    ]
    if not all(mask.any() for mask in masks):
        return
    points = [_blocks_partly_inside(mask) * OBLONG for mask in masks]
    far = np.linalg.norm(points[0][:, None] - points[1][None], axis=2)

    found = surface_distances(*masks, OBLONG)

    np.testing.assert_allclose(np.sort(found.from_truth), np.sort(far.min(axis=1)), atol=1e-9)
    np.testing.assert_allclose(np.sort(found.from_predicted), np.sort(far.min(axis=0)), atol=1e-9)


def _blocks_partly_inside(mask):
    framed = np.pad(mask, 1).astype(int)
    counts = np.lib.stride_tricks.sliding_window_view(framed, (2, 2, 2)).sum(axis=(3, 4, 5))
    return np.argwhere((counts > 0) & (counts < 8))
