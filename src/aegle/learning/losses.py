"""What training makes small: one number for a batch, a mean over its images.

Every loss is a plain mean over images, so the loss of a batch is the mean of the losses of its
parts, weighted by their sizes; gradients may be summed over parts, steps and processes.
Smoothing, noise and draws belong to training alone: a network in evaluation mode is measured
without them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.learning.assignment import Loss, TrainingOptions
from aegle.learning.networks.autoencoders import VariationalAutoencoder, divergence, draw


def classification_loss(options: TrainingOptions, class_counts: Sequence[int]) -> Loss:
    """Return the cross-entropy of classes.

    Args:
        options: Label smoothing, and whether classes are weighed.
        class_counts: Training images of each class.

    Returns:
        A loss for class indices, or for shares of classes where images were mixed. Weights are
        scaled such that their mean over the training images is 1.

    Raises:
        InputError: Fewer than two classes have training images.
    """
    if sum(count > 0 for count in class_counts) < 2:
        raise InputError(
            f"Of {len(class_counts)} classes fewer than two have training images "
            f"({', '.join(map(str, class_counts))}); a classifier needs two."
        )
    weights = class_weights(class_counts) if options.class_weights else None
    return _CrossEntropy(options.label_smoothing, weights)


def class_weights(class_counts: Sequence[int]) -> Tensor:
    """Return the weight of each class: images per present class, divided by its own images."""
    counts = torch.tensor(class_counts, dtype=torch.float64)
    present = counts > 0
    even = counts.sum() / present.sum()
    return torch.where(present, even / counts.clamp(min=1), 0.0).float()


def reconstruction_loss(noise: float = 0.0) -> Loss:
    """Return the mean squared error between images and what the network draws of them.

    Args:
        noise: Standard deviation of what is added to the images that the network sees while it
            is trained, on the scale of the normalised images.
    """
    return _Reconstruction(noise)


def variational_loss(weight: float) -> Loss:
    """Return mean squared error plus weighted divergence of the codes, both per image value.

    For normally distributed values of variance v, a weight of 2 v gives the evidence lower
    bound of Kingma 2014 up to sign, factor and constant.

    Args:
        weight: Weight of the Kullback-Leibler divergence per image value.
    """
    return _Variational(weight)


class _CrossEntropy:
    """Cross-entropy with optional class weights."""

    def __init__(self, smoothing: float, weights: Tensor | None) -> None:
        self.smoothing = smoothing
        self.weights = weights

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits: Tensor = network(images).float()
        each = functional.cross_entropy(
            logits,
            labels,
            weight=None if self.weights is None else self.weights.to(logits.device),
            reduction="none",
            label_smoothing=self.smoothing if network.training else 0.0,
        )
        return each.mean()


class _Reconstruction:
    """Mean squared error of drawn images."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        del labels
        seen = images
        if self.noise and network.training:
            seen = images + self.noise * torch.randn_like(images)
        return functional.mse_loss(network(seen).float(), images)


class _Variational:
    """Squared error and divergence."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        del labels
        if not isinstance(network, VariationalAutoencoder):
            raise InputError(
                f"{type(network).__name__} gives no distribution of codes; the variational loss "
                "needs a variational autoencoder."
            )
        mean, log_variance = (part.float() for part in network.distribution(images))
        codes = draw(mean, log_variance) if network.training else mean
        error = functional.mse_loss(network.decode(codes).float(), images)
        return error + self.weight * divergence(mean, log_variance).mean() / images[0].numel()
