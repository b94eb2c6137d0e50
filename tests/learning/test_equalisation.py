"""Contrast is stretched tile by tile, and not without limit."""

import numpy as np
import pytest

from aegle.learning.equalisation import CLIP, LEVELS, equalise


def test_one_tile_gives_the_share_of_darker_pixels():
    image = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)

    result = equalise(image, tiles=1)

    np.testing.assert_allclose(result, image, atol=1.5 / LEVELS)


def test_contrast_grows_at_most_by_the_clip_limit():
    image = np.full((64, 64), 100 / 255, np.float32)
    image[:, 32:] += 1 / 255

    result = equalise(image, tiles=1)

    step = float(result[0, -1] - result[0, 0])
    # All pixels lie in two levels: each is cut to the limit, and the rest is shared out.
    assert step == pytest.approx((CLIP + (1 - 2 * CLIP / LEVELS)) / LEVELS, rel=1e-3)


def test_a_dark_corner_is_stretched_by_itself():
    rng = np.random.default_rng(0)
    image = rng.random((128, 128)).astype(np.float32)
    image[:64, :64] *= 0.2

    result = equalise(image)

    assert image[:32, :32].std() < 0.06
    assert result[:32, :32].std() > 2 * image[:32, :32].std()


def test_there_are_no_seams_between_tiles():
    image = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1))

    result = equalise(image)

    assert np.diff(result, axis=1).max() < 5 / 255
    np.testing.assert_allclose(result[0], result[-1], atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (224, 200)])
def test_values_stay_between_0_and_1(shape):
    image = np.random.default_rng(1).random(shape).astype(np.float32)

    result = equalise(image)

    assert result.shape == shape
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6


def test_rows_and_columns_are_treated_alike():
    image = np.random.default_rng(2).random((40, 56)).astype(np.float32)

    np.testing.assert_allclose(equalise(image.T), equalise(image).T, atol=1e-6)


def test_a_mirrored_image_gives_the_mirrored_result():
    image = np.random.default_rng(3).random((64, 80)).astype(np.float32) ** 2
    image[:, :30] *= 0.3

    np.testing.assert_allclose(equalise(image[:, ::-1])[:, ::-1], equalise(image), atol=1e-5)
    np.testing.assert_allclose(equalise(image[::-1])[::-1], equalise(image), atol=1e-5)
