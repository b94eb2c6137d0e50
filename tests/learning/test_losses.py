"""Losses against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from aegle.domain.errors import InputError
from aegle.learning.assignment import TrainingOptions
from aegle.learning.losses import (
    class_weights,
    classification_loss,
    reconstruction_loss,
    variational_loss,
)
from aegle.learning.networks.autoencoders import variational_autoencoder

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]])
LABELS = torch.tensor([0, 2])


def negative_logarithms():
    exponentials = np.exp(LOGITS.numpy())
    return -np.log(exponentials / exponentials.sum(axis=1, keepdims=True))


def fixed(mode=True):
    return nn.Identity().train(mode)


def test_cross_entropy_is_the_mean_negative_logarithm_of_the_true_class():
    loss = classification_loss(TrainingOptions(), (5, 5, 5))

    each = negative_logarithms()
    assert float(loss(fixed(), LOGITS, LABELS)) == pytest.approx((each[0, 0] + each[1, 2]) / 2)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    loss = classification_loss(TrainingOptions(), (5, 5, 5, 5))

    assert float(loss(fixed(), torch.zeros(3, 4), torch.tensor([0, 1, 3]))) == pytest.approx(
        math.log(4)
    )


def test_smoothing_spreads_the_target_while_training_only():
    loss = classification_loss(TrainingOptions(label_smoothing=0.3), (5, 5, 5))
    target = np.full((2, 3), 0.1) + 0.7 * np.eye(3)[[0, 2]]
    expected = (target * negative_logarithms()).sum(axis=1).mean()
    each = negative_logarithms()

    assert float(loss(fixed(), LOGITS, LABELS)) == pytest.approx(expected, rel=1e-6)
    assert float(loss(fixed(mode=False), LOGITS, LABELS)) == pytest.approx(
        (each[0, 0] + each[1, 2]) / 2
    )


def test_class_weights_have_mean_one_over_the_images():
    counts = np.array([90, 10, 0, 20])

    weights = class_weights(counts.tolist()).numpy()

    assert (counts * weights).sum() / counts.sum() == pytest.approx(1)
    np.testing.assert_allclose((counts * weights)[[0, 1, 3]], 40, rtol=1e-6)
    assert weights[2] == 0


def test_weighted_losses_of_parts_add_up_to_that_of_the_whole():
    loss = classification_loss(TrainingOptions(class_weights=True), (8, 3, 1))
    each = negative_logarithms()
    expected = (each[0, 0] * 12 / 24 + each[1, 2] * 12 / 3) / 2

    parts = [float(loss(fixed(), LOGITS[i : i + 1], LABELS[i : i + 1])) for i in range(2)]

    assert float(loss(fixed(), LOGITS, LABELS)) == pytest.approx(expected, rel=1e-6)
    assert np.mean(parts) == pytest.approx(expected, rel=1e-6)


def test_shares_of_classes_cost_what_their_classes_cost_together():
    loss = classification_loss(TrainingOptions(), (5, 5, 5))
    shares = torch.tensor([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]])
    each = negative_logarithms()

    assert float(loss(fixed(), LOGITS, shares)) == pytest.approx(
        (0.75 * each[0, 0] + 0.25 * each[0, 2] + each[1, 1]) / 2, rel=1e-6
    )


def test_one_class_alone_is_refused():
    with pytest.raises(InputError, match="fewer than two have training images"):
        classification_loss(TrainingOptions(), (5, 0))


def test_mean_squared_error_counts_every_value():
    loss = reconstruction_loss()
    images = torch.arange(8.0).view(2, 1, 2, 2)

    class Half(nn.Module):
        def forward(self, given):
            return given / 2

    # The mean of (x / 2)² for x from 0 to 7 is 140 / 32.
    assert float(loss(Half(), images, torch.zeros(2))) == pytest.approx(140 / 32)


def test_noise_is_on_what_the_network_sees_and_not_on_the_target():
    loss = reconstruction_loss(noise=0.3)
    torch.manual_seed(0)
    images = torch.zeros(4, 1, 100, 100)

    assert float(loss(fixed(), images, torch.zeros(4))) == pytest.approx(0.09, rel=0.03)
    assert float(loss(fixed(mode=False), images, torch.zeros(4))) == 0


def test_divergence_counts_per_image_value():
    network = variational_autoencoder(code=2, size=8, width=4).eval()
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        plain = float(variational_loss(0.0)(network, images, torch.zeros(3)))
        weighted = float(variational_loss(0.5)(network, images, torch.zeros(3)))
        mean, log_variance = network.distribution(images)

    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    expected = torch.distributions.kl_divergence(normal, standard).sum(1).mean() / 64
    assert weighted - plain == pytest.approx(0.5 * float(expected), rel=1e-3)


def test_only_a_variational_autoencoder_has_a_distribution():
    with pytest.raises(InputError, match="Identity gives no distribution"):
        variational_loss(1.0)(nn.Identity(), torch.zeros(1, 1, 8, 8), torch.zeros(1))
