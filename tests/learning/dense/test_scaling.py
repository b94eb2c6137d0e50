"""Values and labels at the scale and the distances that the network sees."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.learning.dense.configuration import ChannelScaling
from aegle.learning.dense.scaling import (
    prepared_shape,
    resampled,
    resampled_labels,
    scaled,
    without_fine_detail,
)


def image(*values):
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("how", "given_values", "expected"),
    [
        pytest.param(
            ChannelScaling(scheme="ct", low=-100, high=300, mean=50, deviation=25),
            (-1000, -100, 50, 300, 2000),
            (-6, -6, 0, 10, 10),
            id="ct is clipped, then less mean over deviation",
        ),
        pytest.param(
            ChannelScaling(scheme="range", low=0, high=255, mean=0.5, deviation=0.25),
            (0, 127.5, 255),
            (-2, 0, 2),
            id="a picture's range is 0 to 1 before mean and deviation",
        ),
        pytest.param(
            ChannelScaling(scheme="range", mean=0, deviation=1),
            (0, 51),
            (0, 0.2),
            id="a range without bounds is that of bytes",
        ),
        pytest.param(
            ChannelScaling(scheme="z-score"),
            (2, 4, 4, 4, 5, 5, 7, 9),
            (-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2),
            id="the deviation is that of the population: 2 for mean 5",
        ),
        pytest.param(
            ChannelScaling(scheme="z-score-inside"),
            (0, 0, 0, 10, 30),
            (0, 0, 0, -1, 1),
            id="what is zero stays zero and does not count",
        ),
        pytest.param(
            ChannelScaling(scheme="z-score"), (7, 7, 7), (0, 0, 0), id="one value becomes zero"
        ),
        pytest.param(
            ChannelScaling(scheme="z-score-inside"), (0, 0), (0, 0), id="an empty image stays empty"
        ),
    ],
)
def test_values_are_scaled(how, given_values, expected):
    result = scaled(image(*given_values), (how,))

    np.testing.assert_allclose(result.ravel(), expected, atol=1e-5)
    assert result.dtype == np.float32


def test_one_channel_becomes_several_with_their_own_scale():
    scales = tuple(
        ChannelScaling(scheme="range", low=0, high=1, mean=0, deviation=d) for d in (1, 2)
    )

    assert scaled(image(1, 2), scales)[:, 0, 0].tolist() == [[1, 2], [0.5, 1]]


def test_another_number_of_channels_is_refused():
    with pytest.raises(InputError, match="has 2 channels, 3 are expected"):
        scaled(np.zeros((2, 1, 4, 4), np.float32), (ChannelScaling(scheme="z-score"),) * 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(InputError, match="no finite numbers"):
        scaled(image(1, bad), (ChannelScaling(scheme="z-score"),))


def test_volumes_get_the_wanted_spacing_and_pictures_keep_their_slices(configured):
    grid = Grid(shape=(10, 100, 60), spacing_mm=(5.0, 0.5, 0.75))

    volume = prepared_shape(grid, configured(3, (8, 8, 8), spacing_mm=(2.5, 1.0, 1.0)))
    picture = prepared_shape(grid, configured(2, (1, 8, 8), spacing_mm=(1.0, 1.0, 1.5)))

    assert volume == (20, 50, 45)
    assert picture == (10, 50, 30)


def test_an_image_thinner_than_a_voxel_keeps_one(configured):
    grid = Grid(shape=(1, 40, 40), spacing_mm=(0.2, 1.0, 1.0))

    assert prepared_shape(grid, configured(3, (1, 8, 8)))[0] == 1


def positions(have, want):
    return (np.arange(want) + 0.5) * have / want - 0.5


def test_smooth_values_are_where_they_were_after_resampling():
    def field(slices, rows, columns):
        s, r, c = np.meshgrid(slices / 24, rows / 30, columns / 36, indexing="ij")
        return np.sin(3 * s) + np.cos(4 * r + 1) * (1 + c) ** 2

    values = field(*(np.arange(n) for n in (24, 30, 36))).astype(np.float32)[None]
    wanted = (30, 24, 50)
    expected = field(*(positions(h, w) for h, w in zip((24, 30, 36), wanted, strict=True)))

    result = resampled(values, wanted, order=3)[0]

    inside = (slice(3, -3),) * 3
    np.testing.assert_allclose(result[inside], expected[inside], atol=2e-3)


def test_between_thick_slices_values_lie_on_straight_lines():
    values = np.zeros((1, 4, 8, 8), np.float32)
    values[0, 2:] = 1

    result = resampled(values, (8, 8, 8), order=1)[0, :, 4, 4]

    np.testing.assert_allclose(result, [0, 0, 0, 0.25, 0.75, 1, 1, 1], atol=1e-6)


def test_an_image_at_the_right_size_is_not_touched():
    values = np.random.default_rng(0).standard_normal((1, 3, 4, 5)).astype(np.float32)

    assert resampled(values, (3, 4, 5), order=3) is values


def test_stripes_that_fewer_pixels_cannot_show_become_grey():
    stripes = np.broadcast_to((-1.0) ** np.arange(120, dtype=np.float32), (1, 2, 90, 120)).copy()
    shape = (2, 30, 40)

    result = resampled(without_fine_detail(stripes, shape), shape, order=3)

    assert np.abs(resampled(stripes, shape, order=3)).max() > 0.9
    assert np.abs(result[..., 2:-2]).max() < 0.02
    assert without_fine_detail(stripes, (2, 90, 150)) is stripes


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 11)] * 3))
def test_smooth_labels_are_the_largest_of_linear_shares(seed, shape):
    labels = np.random.default_rng(seed).integers(-1, 4, (5, 6, 7)).astype(np.int32)

    result = resampled_labels(labels, shape, smooth=True)

    hot = torch.stack([torch.from_numpy(labels == label) for label in range(-1, 4)])[None].double()
    shares = functional.interpolate(hot, size=shape, mode="trilinear", align_corners=False)[0]
    chosen = np.take_along_axis(shares.numpy(), result[None].astype(int) + 1, axis=0)[0]
    np.testing.assert_allclose(chosen, shares.numpy().max(axis=0), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 11)] * 3))
def test_objects_are_taken_from_the_nearest_voxel(seed, shape):
    labels = np.random.default_rng(seed).integers(0, 999, (5, 6, 7)).astype(np.int32)

    result = resampled_labels(labels, shape, smooth=False)

    expected = functional.interpolate(
        torch.from_numpy(labels)[None, None].double(), size=shape, mode="nearest-exact"
    )
    assert np.array_equal(result, expected[0, 0].numpy())


def test_image_and_labels_stay_on_each_other():
    values = np.zeros((1, 20, 30, 25), np.float32)
    values[0, 4:9, 10:24, 3:7] = 1
    labels = values[0].astype(np.int32)
    shape = (31, 26, 40)

    image_centre = center_of_mass(resampled(values, shape, order=3)[0])
    label_centre = center_of_mass(resampled_labels(labels, shape, smooth=True))

    expected = [
        (centre + 0.5) * w / h - 0.5
        for centre, w, h in zip(center_of_mass(values[0]), shape, (20, 30, 25), strict=True)
    ]
    np.testing.assert_allclose(image_centre, expected, atol=0.3)
    np.testing.assert_allclose(label_centre, expected, atol=0.3)
