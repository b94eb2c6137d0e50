"""The mesh around a mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aegle.imaging.surface_mesh import surface_mesh, volume_and_area

masks = arrays.arrays(bool, st.tuples(*[st.integers(1, 4)] * 3))


@settings(max_examples=150, deadline=None)
@given(masks)
def test_the_mesh_is_closed_and_turns_one_way(mask):
    triangles = surface_mesh(mask, (1.0, 2.0, 0.5))

    sides = {}
    for triangle in triangles.round(6).tolist():
        for k in range(3):
            start, end = tuple(triangle[k]), tuple(triangle[(k + 1) % 3])
            sides[start, end] = sides.get((start, end), 0) + 1
    # Each side is walked as often one way as the other.
    assert all(sides.get((end, start), 0) == count for (start, end), count in sides.items())


def test_one_voxel_is_an_octahedron():
    volume, area = volume_and_area(surface_mesh(np.ones((1, 1, 1), bool), (1.0, 1.0, 1.0)))

    # Half diagonals of 1/2: volume 4/3 r^3, area 4 sqrt(3) r^2.
    assert volume == pytest.approx(1 / 6)
    assert area == pytest.approx(3**0.5)


def test_a_box_loses_its_edges_only():
    volume, area = volume_and_area(surface_mesh(np.ones((10, 10, 10), bool), (1.0, 1.0, 1.0)))

    # 12 edges are cut by prisms of cross section 1/8, 8 corners by what is left of a cube.
    assert 990 - 6 < volume < 1000
    assert volume == pytest.approx(1000 - 12 * 9 / 8, abs=2.0)
    assert 540 < area < 600


def test_a_ball_has_its_volume():
    z, y, x = np.mgrid[-12:13, -12:13, -12:13]
    volume, _ = volume_and_area(surface_mesh(z**2 + y**2 + x**2 <= 10.3**2, (1.0, 1.0, 1.0)))

    assert volume == pytest.approx(4 / 3 * np.pi * 10.3**3, rel=0.01)


def test_no_mask_has_no_surface():
    assert surface_mesh(np.zeros((2, 2, 2), bool), (1.0, 1.0, 1.0)).shape == (0, 3, 3)
