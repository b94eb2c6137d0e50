"""Radiological depth against path lengths through slabs and a ball."""

import numpy as np
import pytest
import torch

from aegle.domain.errors import GeometryError
from aegle.planning.beams import BeamFrame, axes
from aegle.planning.ray_trace import (
    DensityField,
    Window,
    radiological_depth,
    source_to_surface_mm,
    trace,
)

WINDOW = Window((-60.0, -60.0, -110.0), (60.0, 60.0, 110.0))


def field_of(grid, density):
    return DensityField(torch.from_numpy(density.astype(np.float64)), grid)


def depth_at(field, beam, points_mm):
    """Depth at LPS points."""
    local = (points_mm - beam.isocentre_mm) @ beam.axes.T
    seen = beam.project(points_mm)
    places = np.concatenate([seen, local[:, 2:]], axis=1)
    return radiological_depth(field, beam, WINDOW, torch.from_numpy(places)).numpy()


def beam_at(gantry, couch=0.0):
    return BeamFrame(axes(gantry, couch), np.zeros(3), 1000.0)


def test_slabs_of_water_and_lung_add_up_along_oblique_rays(grid_of, positions_of):
    grid = grid_of((60, 100, 60), (2.0, 2.0, 2.0))
    _, y, _ = positions_of(grid)
    # Water from y = -60, lung from -20, water from 20 mm.
    density = np.select([y < -60, y < -20, y < 20], [0.0, 1.0, 0.25], 1.0)
    points = np.array([[0.0, -40, 0], [0, 0, 0], [30, 60, 0], [20, 60, -40], [-40, -10, 25]])
    beam = beam_at(0)

    depth_mm = depth_at(field_of(grid, density), beam, points)

    along = np.linalg.norm(points - beam.source_mm, axis=1) / (points[:, 1] + 1000)
    level = points[:, 1]
    water = np.clip(level + 60, 0, 40) + np.clip(level - 20, 0, None)
    expected = (water + 0.25 * np.clip(level + 20, 0, 40)) * along
    np.testing.assert_allclose(depth_mm, expected, atol=0.3)


def test_rays_far_from_the_axis_cross_more_water(grid_of):
    grid = grid_of((40, 20, 100), (4.0, 8.0, 4.0))
    field = field_of(grid, np.ones(grid.shape))
    wide = Window((-180.0, -80.0, -110.0), (180.0, 80.0, 110.0))
    place = torch.tensor([[170.0, 0.0, -60.0]], dtype=torch.float64)
    beam = beam_at(0)

    centre = radiological_depth(field, beam, wide, place * torch.tensor([0.0, 1.0, 1.0]))
    border = radiological_depth(field, beam, wide, place)

    assert float(border / centre) == pytest.approx(np.sqrt(1 + 0.17**2), rel=1e-4)


@pytest.mark.parametrize(("gantry", "couch"), [(0, 0), (90, 0), (37, 0), (250, 0), (60, 30)])
def test_centre_of_a_ball_is_its_radius_deep_from_everywhere(grid_of, positions_of, gantry, couch):
    grid = grid_of((45, 60, 60), (2.0, 1.5, 1.5))
    ball = np.linalg.norm(positions_of(grid), axis=0) <= 40
    field = field_of(grid, ball.astype(float))
    beam = beam_at(gantry, couch)
    behind = -beam.axes[2:] * 20.0

    depth_mm = depth_at(field, beam, np.concatenate([np.zeros((1, 3)), behind]))

    np.testing.assert_allclose(depth_mm, [40, 60], atol=0.7)
    assert source_to_surface_mm(field, beam, WINDOW) == pytest.approx(960, abs=2.0)


def test_depth_follows_the_side_from_which_the_beam_comes(grid_of, positions_of):
    grid = grid_of((40, 40, 60), (2.0, 2.0, 2.0))
    x, _, _ = positions_of(grid)
    field = field_of(grid, np.where(np.abs(x) < 40, 1.0, 0.0))
    point = np.array([[30.0, 0.0, 0.0]])

    from_left, from_right = (depth_at(field, beam_at(g), point)[0] for g in (90, 270))

    assert from_left == pytest.approx(10, abs=0.2)
    assert from_right == pytest.approx(70, abs=0.2)


def test_a_beam_that_misses_the_body_is_refused(grid_of):
    grid = grid_of((10, 10, 10), (2.0, 2.0, 2.0))

    with pytest.raises(GeometryError, match="misses the body"):
        source_to_surface_mm(field_of(grid, np.zeros(grid.shape)), beam_at(0), WINDOW)


def test_voxels_on_the_skin_are_half_a_voxel_deep_though_the_window_ends_at_their_centres(grid_of):
    grid = grid_of((9, 9, 9), (5.0, 5.0, 5.0))
    field = field_of(grid, np.ones(grid.shape))
    window = Window((-10.0, -10.0, -20.0), (10.0, 10.0, 20.0))
    centres = torch.tensor([[0.0, 0.0, 20.0], [0.0, 0.0, 15.0]], dtype=torch.float64)

    depth_mm = radiological_depth(field, beam_at(0), window, centres)

    np.testing.assert_allclose(depth_mm, [2.5, 7.5], atol=0.7)


def test_rays_reach_the_skin_where_the_body_begins(grid_of, positions_of):
    grid = grid_of((45, 60, 60), (2.0, 2.0, 2.0))
    ball = np.linalg.norm(positions_of(grid), axis=0) <= 40
    rays = trace(field_of(grid, ball.astype(float)), beam_at(30), WINDOW)
    crossings = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, -20.0]], dtype=torch.float64)

    surface_mm = rays.surface_at(crossings)

    # Where a line from the source, 1000 mm away, meets a ball of 40 mm.
    cosine = 1 / np.sqrt(1 + (np.array([0, 20, 20]) / 1000) ** 2)
    expected = 1000 * cosine - np.sqrt(40**2 - 1000**2 * (1 - cosine**2))
    np.testing.assert_allclose(surface_mm, expected, atol=2.0)


def test_a_ray_beside_the_body_takes_the_skin_of_its_neighbour(grid_of, positions_of):
    grid = grid_of((20, 20, 40), (4.0, 4.0, 4.0))
    x, _, _ = positions_of(grid)
    rays = trace(field_of(grid, np.where(x < 20, 1.0, 0.0)), beam_at(0), WINDOW)

    beside = rays.surface_at(torch.tensor([[50.0, 0.0]], dtype=torch.float64))

    assert float(beside) == pytest.approx(960, abs=4.0)


def test_a_window_without_body_has_no_skin(grid_of):
    grid = grid_of((10, 10, 10), (2.0, 2.0, 2.0))
    rays = trace(field_of(grid, np.zeros(grid.shape)), beam_at(0), WINDOW)

    with pytest.raises(GeometryError, match="misses the body"):
        rays.surface_at(torch.zeros(1, 2, dtype=torch.float64))
