import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.phantoms.canvas import Canvas, Tissue
from aegle.phantoms.shapes import Axes, Ellipsoid, Segment, Tube, coverage, smooth_union


def at(*points):
    x, y, z = np.asarray(points, dtype=np.float32).T
    return Axes(x, y, z)


def test_a_capsule_ends_in_half_balls():
    piece = Segment(np.array([0.0, 0, 0]), np.array([10.0, 0, 0]), 2.0, 2.0)

    distance = piece.distance(at((5, 3, 0), (5, 0, 0), (-5, 0, 0), (13, 4, 0)))

    np.testing.assert_allclose(distance, [1, -2, 3, 3], atol=1e-5)


def test_a_tapered_piece_is_half_as_wide_in_the_middle_as_both_ends_together():
    piece = Segment(np.array([0.0, 0, 0]), np.array([0.0, 10, 0]), 4.0, 2.0)

    np.testing.assert_allclose(piece.distance(at((0, 5, 5))), [2], atol=1e-5)


def test_a_tube_passes_through_its_knots():
    tube = Tube.through((0, 0, 0, 1), (10, 5, 0, 2), (20, 0, 3, 1), steps=4)

    np.testing.assert_allclose(tube.points[[0, 4, 8]], [[0, 0, 0], [10, 5, 0], [20, 0, 3]])
    np.testing.assert_allclose(tube.radii[[0, 4, 8]], [1, 2, 1])


def test_distance_to_an_ellipsoid_is_exact_on_its_axes():
    ball = Ellipsoid.turned((1, 2, 3), (10, 6, 4), first=(0, 1, 0), second=(1, 0, 0))

    # The long axis points along y.
    distance = ball.distance(at((1, 15, 3), (1, 11, 3), (8, 2, 3), (1, 2, 8)))

    np.testing.assert_allclose(distance, [3, -1, 1, 1], atol=1e-4)


def test_voxels_that_a_wall_halves_are_half_covered():
    np.testing.assert_allclose(
        coverage(np.float32([-2, -0.5, 0, 0.5, 2]), 2.0), [1, 0.75, 0.5, 0.25, 0]
    )


def test_union_is_smooth_only_near_the_groove():
    near = smooth_union(np.float32([1, 1]), np.float32([1, 9]), 4)

    np.testing.assert_allclose(near, [0, 1])


def test_painted_balls_keep_their_volume():
    grid = Grid(shape=(40, 44, 48), spacing_mm=(1.5, 1.0, 1.0), origin_mm=(-24, -22, -30))
    canvas = Canvas.blank(grid, with_uptake=False)
    ball = Segment(np.array([0.3, 0.4, 0.2]), np.array([0.3, 0.4, 0.2]), 12.0, 12.0)

    canvas.paint_segment(ball, Tissue(0))

    part = (canvas.hu + 1000) / 1000
    volume_ml = part.sum() * grid.voxel_volume_ml
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.01)
