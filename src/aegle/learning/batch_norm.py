"""Batch normalisation, put back where it was folded into the weights of other images."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from aegle.domain.errors import InputError

__all__ = ["BATCH", "BatchNorm", "restore_batch_norm", "show"]

BATCH = 32
"""Images that go through a network together."""
MOST_PIXELS = 2**19
"""Of images whose features are measured together: several copies of them are held (0.5 GB for
MobileNetV2)."""
LEAST_VARIANCE = 1e-4
"""Of a feature when normalisation is put back: a silent feature must not be blown up later."""


def restore_batch_norm(network: nn.Module, images: Tensor) -> None:
    """Give batch normalisation the statistics of images without changing the function.

    Mean and variance of what each layer meets become its statistics; weight and bias are set
    such that its answer in evaluation mode stays. For weights into which the normalisation of
    other images was folded, training then starts where the body already is.

    Args:
        network: Changed in place; left in evaluation mode.
        images: Normalised images of the target, shape (image, channel, ...).

    Raises:
        InputError: The network has no batch normalisation.
    """
    layers = [module for module in network.modules() if isinstance(module, BatchNorm)]
    if not layers:
        raise InputError(
            f"{type(network).__name__} has no batch normalisation to restore; build it with one."
        )
    measured = {layer: _Moments() for layer in layers}
    hooks = [layer.register_forward_pre_hook(measured[layer]) for layer in layers]
    pixels = images[0, 0].numel()
    try:
        show(network, images, batch=max(1, min(BATCH, MOST_PIXELS // pixels)))
    finally:
        for hook in hooks:
            hook.remove()
    for layer, moments in measured.items():
        _restate(layer, *moments.mean_and_variance())


def show(
    network: nn.Module,
    images: Tensor,
    *,
    batch: int = BATCH,
    before: Callable[[], None] = lambda: None,
) -> None:
    """Let images pass through a network in evaluation mode, for what hooks see of them.

    Args:
        network: Left in evaluation mode.
        images: Normalised images, shape (image, channel, ...).
        batch: Images that pass together.
        before: Called before each batch.
    """
    network.eval()
    place = next(network.parameters(), images).device
    with torch.inference_mode():
        for part in images.split(batch):
            before()
            network(part.to(place))


class _Moments:
    """Mean and variance per channel of all that passes."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def __call__(self, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].float()
        flat = values.movedim(1, -1).flatten(0, -2)
        mean = flat.mean(0)
        variance = ((flat - mean) ** 2).mean(0).double()
        mean = mean.double()
        self.count += len(flat)
        self.total = self.total + len(flat) * mean
        self.squares = self.squares + len(flat) * (variance + mean**2)

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Return both, each (channel,)."""
        mean = torch.as_tensor(self.total) / self.count
        variance = torch.as_tensor(self.squares) / self.count - mean**2
        return mean, variance.clamp_min(LEAST_VARIANCE)


def _restate(layer: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Give a normalisation other statistics and the weights that keep its answer."""
    if layer.running_mean is None or layer.running_var is None:
        raise InputError("Batch normalisation without running statistics cannot be restored.")
    with torch.no_grad():
        scale = layer.weight.double() / (layer.running_var.double() + layer.eps).sqrt()
        shift = layer.bias.double() - layer.running_mean.double() * scale
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        layer.weight.copy_(scale * (variance + layer.eps).sqrt())
        layer.bias.copy_(shift + scale * mean)
