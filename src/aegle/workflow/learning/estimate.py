"""What a training is expected to cost, before it runs."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aegle.domain.errors import InputError
from aegle.learning.training import TrainingOptions

OPERATIONS_PER_SECOND = 60e9
"""Of one processor core, multiplications and additions counted apart; measured on small CNNs."""
BYTES_PER_WEIGHT = 16
"""Weight, gradient and two running means of the optimiser, 4 bytes each."""


def estimated(
    network: nn.Module, image_shape: tuple[int, ...], images: int, options: TrainingOptions
) -> dict[str, Any]:
    """Return expected steps, memory [MiB] and time [min] of one training.

    Args:
        network: What is trained.
        image_shape: Of one image as it enters the network.
        images: Number of training images.
        options: Epochs and batch.

    Returns:
        Plain data. A backward pass counts twice a forward pass; all processors that torch uses
        are counted.

    Raises:
        InputError: The network does not take such images.
    """
    try:
        operations, kept = _forward(network, image_shape)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"Network {type(network).__name__} does not take images of shape {image_shape} "
            "(channel, row, column; volumes have slices before the rows). Choose a network for "
            "such images, or another prepare.size."
        ) from error
    weights = sum(p.numel() for p in network.parameters())
    steps = options.epochs * math.ceil(images / options.batch)
    seconds = 3 * operations * images * options.epochs / OPERATIONS_PER_SECOND
    memory = weights * BYTES_PER_WEIGHT + kept * options.batch * 4
    return {
        "weights": weights,
        "images": images,
        "steps": steps,
        "memory_mib": round(memory / 2**20),
        "processor_minutes": round(seconds / 60, 1),
    }


def _forward(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return operations, and values that are kept for the backward pass, for one image."""
    kept = 0

    def count(_module: nn.Module, _given: Any, result: Any) -> None:
        nonlocal kept
        kept += result.numel() if isinstance(result, Tensor) else 0

    leaves = [m for m in network.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    was_training = network.training
    network.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros((1, *shape)))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops(), kept
