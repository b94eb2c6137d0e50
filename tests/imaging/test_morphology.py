import numpy as np
import pytest
from scipy import ndimage

from aegle.imaging.morphology import (
    closed,
    depth_mm,
    distance_mm,
    enclosed_on_slices,
    grown,
    largest,
    opened,
    reached,
    shrunk,
    window,
    without_holes,
)

SPACING_MM = (2.5, 1.0, 1.5)


@pytest.fixture
def blob():
    noise = np.random.default_rng(4).normal(size=(14, 30, 26))
    return ndimage.gaussian_filter(noise, 2) > 0.03


def test_distances_agree_with_scipy(blob):
    expected_mm = ndimage.distance_transform_edt(~blob, sampling=SPACING_MM)

    np.testing.assert_allclose(distance_mm(blob, SPACING_MM), expected_mm, atol=1e-4)
    np.testing.assert_allclose(
        depth_mm(blob, SPACING_MM),
        ndimage.distance_transform_edt(blob, sampling=SPACING_MM),
        atol=1e-4,
    )


def test_nothing_is_infinitely_far_away():
    assert np.isinf(distance_mm(np.zeros((2, 3, 4), bool), SPACING_MM)).all()


def test_growing_one_voxel_gives_a_ball_in_millimetres():
    point = np.zeros((9, 15, 13), bool)
    point[4, 7, 6] = True
    offsets_mm = (np.stack(np.indices(point.shape), -1) - (4, 7, 6)) * SPACING_MM

    np.testing.assert_array_equal(
        grown(point, 4.0, SPACING_MM), np.linalg.norm(offsets_mm, axis=-1) <= 4.0
    )


def test_opening_removes_and_closing_adds_only(blob):
    narrower, wider = opened(blob, 2.6, SPACING_MM), closed(blob, 2.6, SPACING_MM)

    assert not np.any(narrower & ~blob)
    assert not np.any(blob & ~wider)
    assert narrower.sum() < blob.sum() < wider.sum()


def test_closing_bridges_a_gap_narrower_than_the_ball():
    mask = np.ones((5, 40, 20), bool)
    mask[:, 18:22] = False

    assert closed(mask, 3.0, (1, 1, 1))[2, 18:22, 8:12].all()
    assert not closed(mask, 1.5, (1, 1, 1))[2, 19:21].any()


def test_the_edge_of_the_image_eats_nothing_away():
    full = np.ones((4, 5, 6), bool)

    assert shrunk(full, 10.0, SPACING_MM).all()


def test_holes_are_filled_and_bays_are_not():
    mask = np.ones((7, 7, 7), bool)
    mask[3, 3, 3] = False
    mask[3, 0:2, 3] = False

    filled = without_holes(mask)

    assert filled[3, 3, 3]
    assert not filled[3, 0:2, 3].any()


def test_holes_on_single_slices_are_numbered():
    mask = np.zeros((2, 9, 9), bool)
    mask[0, 1:6, 1:6] = True
    mask[0, 3, 3] = False
    mask[1, 1:6, 1:3] = True

    labels, count = enclosed_on_slices(mask)

    assert count == 1
    assert np.argwhere(labels == 1).tolist() == [[0, 3, 3]]


def test_largest_and_reached_parts():
    mask = np.zeros((3, 10, 10), bool)
    mask[1, 1:5, 1:5] = mask[1, 7:9, 7:9] = mask[1, 7, 1] = True
    seed = np.zeros_like(mask)
    seed[1, 8, 8] = True

    assert largest(mask).sum() == 16
    assert largest(mask, share=0.2).sum() == 20
    assert reached(mask, seed).sum() == 4


def test_the_window_of_nothing_is_empty():
    assert np.zeros((3, 3, 3))[window(np.zeros((3, 3, 3), bool))].size == 0
    assert not grown(np.zeros((3, 3, 3), bool), 5, SPACING_MM).any()
    assert not closed(np.zeros((3, 3, 3), bool), 5, SPACING_MM).any()


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_an_empty_box_encloses_nothing(shape):
    labels, count = enclosed_on_slices(np.zeros(shape, bool))

    assert (labels.shape, count) == (shape, 0)
