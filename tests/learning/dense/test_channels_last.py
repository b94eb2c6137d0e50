"""Networks laid out anew compute what they computed before."""

import gc
import weakref

import pytest
import torch
from torch import nn

from aegle import catalogue
from aegle.learning.dense.channels_last import channels_last
from aegle.learning.dense.narrow import widened

THREES, TWOS = [(3, 3, 3)] * 3, [(1, 1, 1), (2, 2, 2), (1, 2, 2)]
NETWORKS = {
    "unet": (
        {"classes": 3, "widths": (4, 8, 16), "strides": TWOS, "kernels": THREES},
        (2, 1, 8, 12, 16),
    ),
    "residual-unet": (
        {"classes": 3, "widths": (4, 8, 16), "strides": TWOS, "kernels": THREES},
        (1, 1, 8, 12, 16),
    ),
    "mobile-unet": ({"classes": 2}, (2, 3, 64, 96)),
}


def drawn(network):
    """Draw weights and biases of normalisation too, which start as ones and zeros."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.3)
    return network.eval()


def ordered(values):
    orders = {4: torch.channels_last, 5: torch.channels_last_3d}
    return values.contiguous(memory_format=orders[values.ndim])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_scores_of_autocast_in_another_order(name):
    settings, shape = NETWORKS[name]
    network = drawn(catalogue.load("network", name)(**settings))
    images = 3 * torch.randn(shape) + 1

    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            usual = network(images)
            found = channels_last(network)(ordered(images))

    # Both round to eight bits at every layer, each in its own way.
    error, usual_error = ((one - exact).square().mean().sqrt() for one in (found, usual))
    assert 0 < error < 1.2 * usual_error < 0.1 * exact.std()


@pytest.mark.parametrize("mean", [0.0, 30.0])
@pytest.mark.parametrize("shape", [(1, 16, 40, 48, 56), (2, 3, 40, 36, 32), (2, 5, 7, 9, 11)])
def test_normalisation_has_the_moments_of_float64(shape, mean):
    torch.manual_seed(0)
    values = torch.randn(shape) + mean
    # A large part of a tile may be of one value, which is where sums in float32 lose digits.
    values[:, :, shape[2] // 3 :] = mean + 1.4
    layer = nn.InstanceNorm3d(shape[1], affine=True)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    given = ordered(values.bfloat16())

    with torch.inference_mode():
        found = channels_last(nn.Sequential(layer).eval())(given)

    exact = given.double()
    variance, centre = torch.var_mean(exact, (2, 3, 4), keepdim=True, correction=0)
    scale, shift = (
        one.detach().double()[:, None, None, None] for one in (layer.weight, layer.bias)
    )
    expected = (exact - centre) / torch.sqrt(variance + layer.eps) * scale + shift
    torch.testing.assert_close(found.double(), expected.detach(), atol=0.01, rtol=0.01)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("columns", [8, 9])
@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(1, 4, True), (3, 2, False)])
def test_folded_columns_have_the_sums_of_a_narrow_convolution(inputs, outputs, bias, columns):
    torch.manual_seed(0)
    layer = nn.Conv3d(inputs, outputs, 3, padding=1, bias=bias)
    values = ordered(torch.randn(2, inputs, 5, 6, columns))

    found = widened(layer)(values)

    torch.testing.assert_close(found, layer(values), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(6, 3, True), (5, 1, False)])
def test_eight_voxels_of_one_are_those_of_a_transposed_convolution(inputs, outputs, bias):
    torch.manual_seed(0)
    layer = nn.ConvTranspose3d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=bias)
    values = ordered(torch.randn(2, inputs, 3, 5, 4))

    found = widened(layer)(values)

    torch.testing.assert_close(found, layer(values), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(nn.Conv3d(3, 3, 3, padding=1, stride=2), id="it strides"),
        pytest.param(nn.Conv3d(3, 3, 3, padding=0), id="it is not padded"),
        pytest.param(nn.Conv3d(3, 3, 3, padding=1, groups=3), id="it has groups"),
        pytest.param(nn.Conv3d(3, 3, 3, padding=1, padding_mode="circular"), id="it goes round"),
        pytest.param(nn.Conv3d(3, 16, 3, padding=1), id="it is wide"),
        pytest.param(nn.ConvTranspose3d(8, 3, 2, 2), id="its voxels are apart"),
    ],
)
def test_other_convolutions_stay_as_they_are(layer):
    assert widened(layer) is None


def test_weights_that_change_are_seen():
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)).eval()
    ones = torch.ones(1, 1, 4, 4).bfloat16()
    nn.init.constant_(network[0].weight, 2)
    first = channels_last(network)
    assert first(ones).unique().item() == 2
    assert channels_last(network) is first
    nn.init.constant_(network[0].weight, 3)

    assert channels_last(network)(ones).unique().item() == 3


def test_a_copy_leaves_the_network_and_goes_with_it():
    network = nn.Sequential(nn.Conv3d(1, 16, 3), nn.InstanceNorm3d(16)).eval()
    copied = weakref.ref(channels_last(network))

    assert network[0].weight.dtype == torch.float32
    assert type(network[1]) is nn.InstanceNorm3d
    assert copied() is not None
    del network
    gc.collect()
    assert copied() is None
