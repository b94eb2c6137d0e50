import pytest
import torch
from torch import nn

from aegle import catalogue
from aegle.learning.dense.memory_need import need

FLAT = {
    "widths": [16, 32, 64],
    "strides": [[1, 1], [2, 2], [2, 2]],
    "kernels": [[3, 3], [3, 3], [3, 3]],
}


def test_operations_of_a_convolution_are_two_per_weight_and_voxel(monkeypatch):
    layer = lambda: nn.Conv2d(3, 8, 3, padding=1, bias=False)  # noqa: E731
    monkeypatch.setattr(catalogue, "load", lambda kind, name: layer)

    found = need("one-layer", {}, (3, 20, 10))

    assert found.operations == 2 * 3 * 8 * 9 * 200
    assert found.weights == 3 * 8 * 9
    assert found.kept == 3 * 200
    assert found.logits == 8 * 200


def test_needs_grow_with_the_voxels():
    small, large = (need("unet", FLAT, (1, side, side)) for side in (32, 128))

    assert large.operations == pytest.approx(small.operations * 16)
    assert large.kept == pytest.approx(small.times(16).kept, rel=0.01)
    assert large.weights == small.times(16).weights


def test_nothing_is_computed():
    # A real patch of this size would take 16 GB.
    assert need("unet", FLAT, (1, 65536, 65536)).logits == 2 * 65536**2


def test_weights_are_those_of_the_real_network():
    built = catalogue.load("network", "unet")(**FLAT)

    assert need("unet", FLAT, (1, 32, 32)).weights == sum(p.numel() for p in built.parameters())
    assert torch.get_default_device().type == "cpu"
