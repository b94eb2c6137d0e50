"""Convolution and pooling as the networks use them, against sums on paper."""

import numpy as np
import torch
from torch import nn

PICTURE = np.array(
    [
        [1, 0, 2, 1, 0],
        [0, 1, 3, 0, 1],
        [2, 1, 0, 1, 2],
        [1, 0, 1, 2, 1],
        [0, 2, 1, 0, 1],
    ],
    np.float32,
)
KERNEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)


def as_batch(values):
    return torch.from_numpy(values)[None, None]


def convolution(**settings):
    layer = nn.Conv2d(1, 1, 3, **settings)
    with torch.no_grad():
        layer.weight.copy_(as_batch(KERNEL))
        layer.bias.fill_(0.5)
    return layer


def test_a_convolution_slides_the_kernel_without_turning_it():
    # Upper left: (1 + 2·0 + 2) - (2 + 2·3 + 0) = -5. Centre: (1 + 2·1 + 0) - (0 + 2·1 + 2) = -1.
    expected = np.array([[-5, 1, 4], [1, -1, -2], [1, -2, -2]]) + 0.5

    result = convolution()(as_batch(PICTURE))

    np.testing.assert_array_equal(result[0, 0].detach(), expected)


def test_with_same_padding_zeros_stand_outside():
    # Upper left: 0 - (2·0 + 1) = -1. Lower right: (2·0 + 2) - 0 = 2.
    result = convolution(padding=1)(as_batch(PICTURE))[0, 0].detach()

    assert result.shape == (5, 5)
    assert result[0, 0] == -1 + 0.5
    assert result[4, 4] == 2 + 0.5
    np.testing.assert_array_equal(result[1:4, 1:4], convolution()(as_batch(PICTURE))[0, 0].detach())


def test_channels_are_summed():
    layer = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
    two = torch.stack([torch.from_numpy(PICTURE), torch.from_numpy(PICTURE.T.copy())])[None]

    np.testing.assert_array_equal(layer(two)[0, 0].detach(), 2 * PICTURE - PICTURE.T)


def test_max_pooling_keeps_the_largest_and_drops_the_odd_edge():
    result = nn.MaxPool2d(2)(as_batch(PICTURE))

    np.testing.assert_array_equal(result[0, 0], [[1, 3], [2, 2]])


def test_average_pooling_keeps_the_mean():
    result = nn.AvgPool2d(2)(as_batch(PICTURE))

    np.testing.assert_array_equal(result[0, 0], [[0.5, 1.5], [1, 1]])


def test_global_average_pooling_keeps_one_mean_per_channel():
    result = nn.AdaptiveAvgPool2d(1)(as_batch(PICTURE))

    # The picture sums to 24.
    np.testing.assert_allclose(result, [[[[24 / 25]]]], rtol=1e-6)


def test_pooling_before_rectifying_gives_the_same_bits():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 8, 8)))

    assert torch.equal(nn.MaxPool2d(2)(values).relu(), nn.MaxPool2d(2)(values.relu()))
