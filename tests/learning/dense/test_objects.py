"""Touching objects told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from aegle.domain.errors import InputError
from aegle.learning.dense import objects
from aegle.learning.dense.distances import object_distances
from aegle.learning.dense.objects import ObjectOptions, objects_of


def discs(*places, shape=(60, 80)):
    """Return numbered discs (row, column, radius); a pixel belongs to the nearest middle."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    depth = np.stack([r - np.hypot(rows - y, columns - x) for y, x, r in places])
    return np.where(depth.max(axis=0) > 0, depth.argmax(axis=0) + 1, 0)[None]


def parted(labels, **options):
    distance = object_distances(labels, flat=labels.shape[0] == 1)
    return objects_of((labels > 0).astype(float), distance, ObjectOptions(**options))


def same_parts(first, second):
    """Return whether two label images part their voxels alike, whatever the numbers."""
    pairs = {(int(a), int(b)) for a, b in zip(first.ravel(), second.ravel(), strict=True)}
    return len(pairs) == len(np.unique(first)) == len(np.unique(second))


def test_a_network_that_draws_the_truth_gives_the_objects_back():
    labels = discs((20, 20, 11), (22, 39, 12), (45, 60, 9), (50, 30, 6))

    result = parted(labels)

    assert result.dtype == np.uint16
    assert same_parts(result, labels)


def test_touching_objects_are_parted_where_they_touch():
    labels = discs((30, 25, 14), (30, 50, 14))
    assert ndimage.label(labels[0] > 0)[1] == 1

    result = parted(labels)

    assert result.max() == 2
    assert result[0, 30, 36] != result[0, 30, 39]


def test_touching_balls_are_parted_in_three_dimensions():
    slices, rows, columns = np.mgrid[:20, :30, :40]
    near, far = (np.hypot(np.hypot(slices - 10, rows - 15), columns - c) for c in (12, 25))
    labels = np.where(np.minimum(near, far) < 8, np.where(near < far, 1, 2), 0)

    result = parted(labels)

    assert same_parts(result, labels)


@pytest.mark.parametrize(("pass_depth", "count"), [(0.77, 2), (0.79, 1)])
def test_middles_are_two_where_the_way_between_them_dips_by_more_than_the_rise(pass_depth, count):
    foreground = np.ones((1, 5, 21))
    distance = np.full((1, 5, 21), pass_depth)
    distance[0, :, 3], distance[0, :, 17] = 1.0, 0.98

    assert objects_of(foreground, distance, ObjectOptions()).max() == count


def test_a_foreground_without_a_middle_is_an_object():
    foreground = np.zeros((1, 20, 20))
    foreground[0, 2:8, 2:8] = foreground[0, 12:18, 10:19] = 1

    result = objects_of(foreground, np.zeros((1, 20, 20)), ObjectOptions())

    assert same_parts(result, ndimage.label(foreground[0])[0])


def test_a_middle_does_not_grow_into_another_part():
    labels = discs((20, 20, 10), (20, 60, 10))
    distance = object_distances(labels, flat=True)
    distance[labels == 2] = 0

    result = objects_of((labels > 0).astype(float), distance, ObjectOptions())

    assert same_parts(result, labels)


def test_small_objects_are_left_out_and_numbers_have_no_gaps():
    labels = discs((10, 10, 2), (30, 30, 9), (45, 60, 9))

    sizes = np.bincount(parted(labels, smallest=20).ravel())

    assert len(sizes) == 3
    assert sizes[1:].min() > 200


def test_the_smallest_object_is_kept_at_its_size():
    foreground = np.zeros((1, 9, 9))
    foreground[0, 3:6, 3:6] = 1

    for smallest, count in ((9, 1), (10, 0)):
        options = ObjectOptions(smallest=smallest)
        assert objects_of(foreground, foreground, options).max() == count


def test_an_empty_image_has_no_objects():
    nothing = np.zeros((1, 8, 8), np.float32)

    assert objects_of(nothing, nothing, ObjectOptions()).max() == 0


def test_numbers_go_from_the_top_left():
    labels = discs((10, 60, 8), (30, 20, 8), (50, 50, 8))

    result = parted(labels)[0]

    assert [result[10, 60], result[30, 20], result[50, 50]] == [1, 2, 3]


def test_more_objects_than_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(objects, "MOST", 2)

    with pytest.raises(InputError, match="3 objects were found, at most 2"):
        parted(discs((10, 60, 8), (30, 20, 8), (50, 50, 8)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.8))
def test_every_voxel_of_the_foreground_has_one_connected_object(seed, limit):
    draw = np.random.default_rng(seed)
    foreground, distance = (
        ndimage.gaussian_filter(draw.random((1, 40, 40)), (0, 2, 2)) * 8 - 3.5 for _ in range(2)
    )

    result = objects_of(foreground, distance, ObjectOptions(smallest=1, rise=limit))

    assert np.array_equal(result > 0, foreground >= 0.5)
    for number in range(1, int(result.max()) + 1):
        assert ndimage.label(result[0] == number)[1] == 1
