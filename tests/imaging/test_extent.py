"""Diameters in space, and exactness of diameters on bare masks."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.imaging.extent import extent
from aegle.imaging.measure import diameters


def structure_of(mask, spacing_mm=(1.0, 1.0, 1.0), **where):
    return Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=spacing_mm, **where))


def face_middles(mask, axes):
    """Return the middles of all faces between an inner and an outer voxel, as indices."""
    points = []
    for index in np.argwhere(mask):
        for axis, step in product(axes, (-1, 1)):
            neighbour = index.copy()
            neighbour[axis] += step
            within = 0 <= neighbour[axis] < mask.shape[axis]
            if not (within and mask[tuple(neighbour)]):
                points.append((index + neighbour) / 2)
    return np.array(points)


def longest(points_mm):
    return max((np.linalg.norm(a - b) for a, b in combinations(points_mm, 2)), default=0.0)


masks_2d = arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))
masks_3d = arrays.arrays(bool, st.tuples(*[st.integers(1, 4)] * 3))
spacings = st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.7, 0.9), (5.0, 1.5, 0.6)])


@settings(max_examples=80, deadline=None)
@given(masks_2d, spacings)
def test_the_longest_diameter_of_a_mask_is_that_of_all_pairs(mask, spacing_mm):
    assume(mask.any())
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    expected = max(
        longest(face_middles(parts == n, (0, 1)) * spacing_mm[1:]) for n in range(1, count + 1)
    )

    size = diameters(structure_of(mask[None], spacing_mm))

    assert size.longest_mm == pytest.approx(expected, rel=1e-9)


@settings(max_examples=80, deadline=None)
@given(masks_2d, spacings)
def test_the_perpendicular_chord_is_never_longer_than_the_width(mask, spacing_mm):
    assume(mask.any())

    size = diameters(structure_of(mask[None], spacing_mm))

    assert size.perpendicular_mm <= size.width_mm + 1e-6


def test_chord_and_width_differ_in_a_crescent():
    # A letter C: the gap between its arms is no lesion.
    mask = np.zeros((1, 21, 9), bool)
    mask[0, :, :2] = mask[0, :3] = mask[0, -3:] = True

    size = diameters(structure_of(mask))

    assert size.width_mm > 1.5 * size.perpendicular_mm


@settings(max_examples=60, deadline=None)
@given(masks_3d, spacings)
def test_the_longest_diameter_in_space_is_that_of_all_pairs(mask, spacing_mm):
    assume(mask.any())
    points = face_middles(mask, (0, 1, 2)) * spacing_mm

    assert extent(structure_of(mask, spacing_mm)).longest_mm == pytest.approx(
        longest(points), rel=1e-9
    )


def test_an_ellipsoid_has_its_three_axes():
    z, y, x = (np.arange(n) - n // 2 for n in (30, 40, 60))
    inside = np.zeros((30, 40, 60))
    fine = (np.arange(4) + 0.5) / 4 - 0.5
    for dz, dy, dx in product(fine, fine, fine):
        inside += ((z + dz)[:, None, None] / 6) ** 2 + ((y + dy)[:, None] / 10) ** 2 + (
            (x + dx) / 20
        ) ** 2 <= 1
    share = inside / 64

    size = extent(structure_of(share >= 0.5), share)

    assert size.longest_mm == pytest.approx(40, abs=0.2)
    assert size.width_mm == pytest.approx(20, abs=0.2)
    assert size.thickness_mm == pytest.approx(12, abs=0.2)


def test_ends_lie_in_the_patient():
    mask = np.zeros((4, 4, 10), bool)
    mask[1, 2, 2:9] = True
    headward = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))

    size = extent(structure_of(mask, (2.0, 1.0, 1.5), origin_mm=(5, 6, 7), axes=headward))

    heights = sorted(end[2] for end in size.longest_ends_mm)
    # Columns run to the head from 7 mm: between 1.5 and 8.5 steps of 1.5 mm.
    assert heights == pytest.approx([7 + 1.5 * 1.5, 7 + 8.5 * 1.5])


def test_refuses_what_has_no_extent():
    empty = structure_of(np.zeros((2, 2, 2), bool))
    with pytest.raises(InputError, match="empty"):
        extent(empty)
    with pytest.raises(GeometryError, match="shape"):
        extent(structure_of(np.ones((2, 2, 2), bool)), np.ones((1, 2, 2)))
