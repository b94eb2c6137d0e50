"""Affine maps of images against rotations, shifts and mirrors of arrays."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from aegle.learning.affine import AffineRanges, normalised, rotation, sample_affine, warp

EXACT = 2e-5
"""Positions are 32-bit numbers, so interpolation weights are off by about this much."""


def picture(*shape):
    return torch.from_numpy(np.random.default_rng(1).random((1, 2, *shape))).float()


def moved(image, linear, shift=None):
    axes = image.ndim - 2
    shift = np.zeros((1, axes)) if shift is None else np.array([shift], float)
    return warp(image, normalised(np.array([linear], float), shift, tuple(image.shape[2:])))


def test_a_quarter_turn_is_counter_clockwise_as_seen():
    image = picture(9, 9)
    (quarter,) = rotation(np.array([np.pi / 2]), (0, 1), 2)

    result = moved(image, quarter)

    np.testing.assert_allclose(result, np.rot90(image, axes=(2, 3)), atol=EXACT)


def test_a_half_turn_of_an_oblong_picture_reverses_rows_and_columns():
    image = picture(6, 10)
    (half,) = rotation(np.array([np.pi]), (0, 1), 2)

    np.testing.assert_allclose(moved(image, half), image.flip(2, 3), atol=EXACT)


def test_an_angle_is_kept_in_an_oblong_picture():
    image = torch.zeros(1, 1, 41, 81)
    image[0, 0, 20, 60] = 1
    (quarter,) = rotation(np.array([np.pi / 2]), (0, 1), 2)

    result = moved(image, quarter)

    # 20 columns right of the centre become 20 rows above it.
    np.testing.assert_allclose(result[0, 0, 0, 40], 1, atol=1e-4)


def test_a_shift_by_whole_pixels_moves_content_right_and_down():
    image = picture(8, 12)

    result = moved(image, np.eye(2), shift=(3, 2))

    np.testing.assert_allclose(result[..., 2:, 3:], image[..., :-2, :-3], atol=EXACT)


def test_what_enters_is_the_mirror_image_at_the_edge():
    image = picture(8, 12)

    result = moved(image, np.eye(2), shift=(3, 0))

    np.testing.assert_allclose(result[..., :3], image[..., :3].flip(3), atol=EXACT)


@pytest.mark.parametrize(("axis", "array_axis"), [(0, 4), (1, 3), (2, 2)])
def test_axes_of_volumes_are_column_row_slice(axis, array_axis):
    volume = picture(4, 6, 8)
    factors = np.ones(3)
    factors[axis] = -1

    np.testing.assert_allclose(moved(volume, np.diag(factors)), volume.flip(array_axis), atol=EXACT)


def test_a_shift_of_a_volume_moves_each_axis():
    volume = picture(6, 7, 8)

    result = moved(volume, np.eye(3), shift=(3, 2, 1))

    np.testing.assert_allclose(result[..., 1:, 2:, 3:], volume[..., :-1, :-2, :-3], atol=EXACT)


def test_twice_the_size_shows_the_middle_half():
    ramp = torch.linspace(-31, 31, 32).expand(1, 1, 32, 32)

    result = moved(ramp, 2 * np.eye(2))

    np.testing.assert_allclose(result[0, 0, 5], ramp[0, 0, 5] / 2, atol=1e-3)


def test_positions_are_those_of_affine_grid():
    generator = np.random.default_rng(2)
    ranges = AffineRanges(rotation=1, scale=0.3, shift=0.2, shear=0.2, mirror=True, flip=True)
    for shape in ((9, 14), (5, 7, 9)):
        image = torch.from_numpy(generator.random((3, 1, *shape))).double()
        maps = sample_affine(ranges, 3, shape, generator)
        grid = functional.affine_grid(torch.from_numpy(maps), image.shape, align_corners=False)
        expected = functional.grid_sample(
            image, grid, padding_mode="reflection", align_corners=False
        )

        np.testing.assert_allclose(warp(image, maps), expected, atol=1e-12)


def test_drawn_maps_stay_within_their_ranges():
    ranges = AffineRanges(rotation=0.2, scale=0.1, shift=0.05)
    maps = sample_affine(ranges, 500, (50, 100), np.random.default_rng(3))
    back = maps[:, :, :2] * np.array([50, 25])[:, None] / np.array([50, 25])
    linear = np.linalg.inv(back)
    size = np.sqrt(np.linalg.det(linear))
    angle = np.arctan2(linear[:, 0, 1], linear[:, 0, 0])
    shift = -np.einsum("nij,nj->ni", linear, maps[:, :, 2] * np.array([50, 25]))

    for values, limit in ((size - 1, 0.1), (angle, 0.2), (shift[:, 0], 5), (shift[:, 1], 2.5)):
        assert np.abs(values).max() == pytest.approx(limit, rel=0.02)
        assert np.abs(values).max() <= limit * (1 + 1e-9)
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)


def test_half_of_the_images_are_mirrored():
    maps = sample_affine(AffineRanges(mirror=True), 1000, (8, 8), np.random.default_rng(4))

    assert np.mean(maps[:, 0, 0] < 0) == pytest.approx(0.5, abs=0.05)
    assert (maps[:, 1, 1] == 1).all()


def test_images_that_are_not_moved_are_not_interpolated():
    images = picture(5, 5).repeat(2, 1, 1, 1)
    maps = np.stack([np.eye(2, 3), np.eye(2, 3)])
    maps[1, 0, 0] = -1

    result = warp(images, maps)

    assert torch.equal(result[0], images[0])
    np.testing.assert_allclose(result[1], images[1].flip(2), atol=EXACT)
