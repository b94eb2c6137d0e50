import numpy as np
import pytest
from scipy import ndimage

from aegle.imaging.noise import grain, white_noise


def noise(deviation, shape=(256, 256), seed=0):
    return np.random.default_rng(seed).normal(0, deviation, shape).astype(np.float32)


@pytest.mark.parametrize("deviation", [0.5, 5.0, 50.0])
def test_white_noise_is_measured_on_an_even_plane(deviation):
    assert white_noise(noise(deviation)) == pytest.approx(deviation, rel=0.05)


def test_slopes_are_no_noise():
    y, x = np.indices((128, 128))

    assert white_noise((3 * x - 2 * y).astype(np.float32)) < 1e-3


def test_structure_hardly_counts():
    y, x = np.indices((256, 256))
    rings = (100 * (np.sin(np.hypot(y - 90, x - 140) / 9) > 0)).astype(np.float32)

    assert white_noise(rings + noise(4.0)) == pytest.approx(4, rel=0.25)


def test_only_chosen_pixels_count():
    plane = noise(2.0)
    plane[:, 128:] += noise(40.0)[:, 128:]
    left = np.zeros(plane.shape, bool)
    left[:, :128] = True

    assert white_noise(plane, left) == pytest.approx(2, rel=0.15)


def test_clipped_background_is_left_out():
    plane = np.zeros((256, 256), np.float32)
    plane[64:192, 64:192] = 100 + noise(5.0, (128, 128))

    assert white_noise(plane) == pytest.approx(5, rel=0.15)


def test_too_few_pixels_have_no_noise():
    assert white_noise(noise(5.0, (12, 12))) == 0


@pytest.mark.parametrize("correlation_px", [0.0, 0.8])
def test_grain_is_the_deviation_that_neighbours_share(correlation_px):
    planes = np.stack([noise(1.0, (128, 128), seed) for seed in range(3)])
    if correlation_px:
        planes = ndimage.gaussian_filter(planes, (0, correlation_px, correlation_px))
    planes *= 20 / planes.std()

    measured = grain(planes, np.ones(planes.shape, bool))

    # Shared noise moves the mean of a small window too, so that less is left inside.
    assert measured == pytest.approx(20, rel=0.25)


def test_white_noise_would_miss_what_grain_sees():
    plane = ndimage.gaussian_filter(noise(1.0), 1.0)
    plane *= 20 / plane.std()

    assert white_noise(plane) < 0.4 * grain(plane[None], np.ones((1, 256, 256), bool))


def test_grain_of_nothing_is_nought():
    planes = noise(1.0)[None]

    assert grain(planes, np.zeros(planes.shape, bool)) == 0
    assert grain(np.zeros_like(planes), np.ones(planes.shape, bool)) == 0
