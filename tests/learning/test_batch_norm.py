"""Statistics of other images, and the same function."""

import pytest
import torch
from torch import nn

from aegle.domain.errors import InputError
from aegle.learning.batch_norm import restore_batch_norm
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.plain import base_cnn, small_cnn
from aegle.learning.weights import load_into, read_state


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network():
    """Return a network whose normalisation does not fit the images that it meets."""
    torch.manual_seed(0)
    network = small_cnn(classes=3, width=8, dropout=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


IMAGES = pictures(48, 1, 28, 28)


def test_restored_normalisation_keeps_the_function(network):
    before = network(IMAGES)
    restore_batch_norm(network, IMAGES)

    torch.testing.assert_close(network(IMAGES), before, atol=1e-4, rtol=1e-4)
    other = pictures(4, 1, 28, 28, seed=1)
    assert torch.isfinite(network(other)).all()


def test_restored_normalisation_has_the_statistics_of_the_images(network):
    assert (network.train()(IMAGES) - network.eval()(IMAGES)).abs().max() > 0.1
    restore_batch_norm(network, IMAGES)
    settled = network(IMAGES)

    # The batch is the whole set, so its own statistics are the restored ones.
    torch.testing.assert_close(network.train()(IMAGES), settled, atol=2e-3, rtol=1e-3)


def test_statistics_of_several_batches_are_those_of_all_images(network):
    restore_batch_norm(network, IMAGES)
    stem = network.stem[0](IMAGES)
    layer = network.stem[1]

    assert len(IMAGES) > 32
    torch.testing.assert_close(layer.running_mean, stem.mean((0, 2, 3)))
    torch.testing.assert_close(layer.running_var, stem.var((0, 2, 3), correction=0))


def test_silent_features_are_not_blown_up(network):
    with torch.no_grad():
        network.stem[0].weight[0] = 0
    restore_batch_norm(network, IMAGES)

    assert network.stem[1].running_var[0].item() == pytest.approx(1e-4)
    assert torch.isfinite(network(IMAGES)).all()


def test_folded_imagenet_weights_are_restored_on_other_images(shared_data):
    path = shared_data(
        "weights", "mobilenet_v2_imagenet", "mobilenet_v2_torchvision_int8_bnfolded.npz"
    )
    network = mobilenet_v2(classes=1000, dropout=0).eval()
    load_into(network, read_state(path))
    images = 4 * pictures(8, 3, 64, 64) - 2
    with torch.inference_mode():
        before = network(images)
        restore_batch_norm(network, images)
        after = network(images)

    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(layers) == 52
    assert all(layer.running_var.min() >= 1e-4 * 0.999 for layer in layers)
    assert not any(torch.equal(layer.running_mean, 0 * layer.running_mean) for layer in layers)


def test_network_without_normalisation_has_none_to_restore():
    with pytest.raises(InputError, match="no batch normalisation"):
        restore_batch_norm(base_cnn(size=28), pictures(1, 3, 28, 28))


def test_large_images_pass_few_at_a_time(network):
    counts = []
    network.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))

    restore_batch_norm(network, pictures(5, 1, 512, 512))

    # Two pictures of 512 x 512 have 2^19 pixels.
    assert counts == [2, 2, 1]
