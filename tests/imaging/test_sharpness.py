import numpy as np
import pytest
from scipy import ndimage

from aegle.imaging.sharpness import sharpness


def discs(blur_px, shape=(192, 192)):
    y, x = np.indices(shape) * 1.0
    plane = sum(
        100.0 * (np.hypot(y - row, x - column) < 24) for row in (48, 144) for column in (48, 144)
    )
    return ndimage.gaussian_filter(plane, blur_px).astype(np.float32)


@pytest.mark.parametrize("blur_px", [1.0, 1.5, 2.0, 3.0])
def test_width_of_an_edge_is_the_blur_that_made_it(blur_px):
    # A voxelised edge has a width of its own of about 0.3 pixels.
    assert sharpness(discs(blur_px)).blur_px == pytest.approx(blur_px, rel=0.12)


def test_sharp_edges_have_no_width():
    assert sharpness(discs(0.3)).blur_px < 0.5


def test_noise_does_not_make_a_blurred_plane_sharp():
    plane = discs(2.0) + np.random.default_rng(0).normal(0, 3, (192, 192))

    assert sharpness(plane.astype(np.float32), noise=3.0).blur_px == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("axis", [0, 1])
def test_movement_blurs_one_direction(axis):
    moved = ndimage.uniform_filter1d(discs(0.8), 9, axis=axis)
    found = sharpness(moved)

    # A box of 9 pixels has a deviation of 9 / sqrt(12) = 2.6.
    assert found.widest_px > 2
    assert found.narrowest_px < 1.2


def test_out_of_focus_blurs_all_directions_alike():
    found = sharpness(discs(2.0))

    assert found.widest_px < 1.15 * found.narrowest_px


def test_only_chosen_edges_count():
    plane = discs(0.5)
    plane[:, 96:] = discs(3.0)[:, 96:]
    left = np.zeros(plane.shape, bool)
    left[:, :88] = True

    assert sharpness(plane, left).blur_px < 1
    assert sharpness(plane, ~left & (np.arange(192) > 104)).blur_px > 2.5


def test_even_plane_has_no_edges():
    assert np.isinf(sharpness(np.zeros((64, 64), np.float32)).blur_px)
