"""How the values of a patch change."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from aegle.learning.dense.augment_options import DenseAugmentOptions
from aegle.learning.dense.intensity import Shading, draw_shading, shaded


@pytest.fixture
def patch():
    """Return two channels of normally distributed values."""
    return np.random.default_rng(0).standard_normal((2, 12, 14, 16)).astype(np.float32)


def test_nothing_drawn_changes_nothing(patch):
    assert np.array_equal(shaded(patch, Shading()), patch)


def test_noise_has_the_deviation_drawn_and_follows_its_seed(patch):
    first, again, other = (shaded(patch, Shading(noise=0.5, noise_seed=s)) for s in (1, 1, 2))

    assert np.std(first - patch) == pytest.approx(0.5, rel=0.03)
    assert abs(np.mean(first - patch)) < 0.03
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("deviation", [0.3, 1.0, 2.0])
def test_blur_is_scipys(patch, deviation):
    result = shaded(patch, Shading(blur=deviation))

    expected = [gaussian_filter(one, deviation, mode="nearest", truncate=3.0) for one in patch]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_picture_is_blurred_within_its_slice():
    picture = np.random.default_rng(0).standard_normal((1, 1, 30, 30)).astype(np.float32)

    result = shaded(picture, Shading(blur=1.5))[0, 0]

    expected = gaussian_filter(picture[0, 0], 1.5, mode="nearest", truncate=3.0)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_brightness_is_added(patch):
    np.testing.assert_allclose(shaded(patch, Shading(brightness=-0.25)), patch - 0.25, atol=1e-6)


def test_contrast_stretches_each_channel_about_its_mean(patch):
    patch = patch + np.array([3, -5], np.float32).reshape(2, 1, 1, 1)

    result = shaded(patch, Shading(contrast=1.2))

    mean = patch.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(result, (patch - mean) * 1.2 + mean, atol=1e-4)


def test_gamma_keeps_mean_deviation_and_order(patch):
    result = shaded(patch, Shading(gamma=1.4))

    for before, after in zip(patch, result, strict=True):
        assert after.mean() == pytest.approx(before.mean(), abs=1e-5)
        assert after.std() == pytest.approx(before.std(), rel=1e-4)
        order = np.argsort(before.ravel())
        assert (np.diff(after.ravel()[order]) >= -1e-6).all()
    middle = (np.median(result) - result.min()) / np.ptp(result)
    assert middle < (np.median(patch) - patch.min()) / np.ptp(patch) - 0.03


def test_gamma_leaves_a_flat_patch_alone():
    flat = np.full((1, 1, 5, 5), 3.0, np.float32)

    assert np.array_equal(shaded(flat, Shading(gamma=0.7)), flat)


@pytest.mark.parametrize("shape", [(1, 12, 16, 20), (2, 1, 32, 32)])
def test_a_coarse_patch_keeps_slow_changes_and_loses_quick_ones(shape):
    columns = np.arange(shape[3], dtype=np.float32)
    slow = np.broadcast_to(columns, shape).copy()
    quick = np.broadcast_to((-1.0) ** columns, shape).astype(np.float32)

    inner = (..., slice(2, -2))
    np.testing.assert_allclose(shaded(slow, Shading(coarse=2.0))[inner], slow[inner], atol=0.51)
    assert np.ptp(shaded(quick, Shading(coarse=2.0))) == 0


def test_shares_say_how_often_and_limits_how_far():
    options = DenseAugmentOptions(gamma_share=0.3, gamma=0.35, noise_share=0.1, noise=0.3)
    drawn = [draw_shading(options, np.random.default_rng(seed)) for seed in range(2000)]

    gammas = np.array([one.gamma for one in drawn])
    noises = np.array([one.noise for one in drawn])
    # Four standard deviations of 2000 draws.
    assert np.mean(gammas != 1) == pytest.approx(0.3, abs=0.041)
    assert np.mean(noises > 0) == pytest.approx(0.1, abs=0.027)
    assert 0.33 < np.abs(np.log(gammas)).max() <= 0.35
    assert 0.28 < noises.max() <= 0.3
    assert noises[noises > 0].mean() == pytest.approx(0.15, abs=0.03)
