"""What a network needs for one patch, found without computing anything.

The network is built without memory for its weights and is shown a patch that has a shape only; what
it would keep for the backward pass is counted on the way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aegle import catalogue


@dataclass(frozen=True, kw_only=True)
class Need:
    """Of one patch and one network."""

    weights: int
    """Numbers that are trained."""
    kept: int
    """Values kept for the backward pass."""
    largest: int
    """Values of the largest of them."""
    logits: int
    """Values that the network gives, of all scales."""
    operations: int
    """Multiplications and additions of a forward pass."""

    def times(self, factor: float) -> "Need":
        """Return what so many times the voxels need of the same network."""
        return Need(
            weights=self.weights,
            kept=round(self.kept * factor),
            largest=round(self.largest * factor),
            logits=round(self.logits * factor),
            operations=round(self.operations * factor),
        )


def need(network: str, settings: Mapping[str, Any], shape: tuple[int, ...]) -> Need:
    """Return what a network needs for one patch.

    Args:
        network: Name in the catalogue.
        settings: What it is built with.
        shape: Of the patch, (channel, row, column) or (channel, slice, row, column).
    """
    with torch.device("meta"):
        built: nn.Module = catalogue.load("network", network)(**settings)
        patch = torch.empty((1, *shape))
    built.train()
    own = {id(parameter) for parameter in built.parameters()}
    kept: dict[int, tuple[Tensor, int]] = {}

    def pack(value: Tensor) -> Tensor:
        if id(value) not in own:
            storage = value.untyped_storage()
            # The tensor is held, lest another one gets its place and number.
            kept[storage._cdata] = (value, storage.nbytes() // value.element_size())
        return value

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        given = built(patch)
    sizes = [size for _, size in kept.values()]
    logits = given if isinstance(given, list) else [given]
    return Need(
        weights=sum(parameter.numel() for parameter in built.parameters()),
        kept=sum(sizes),
        largest=max(sizes),
        logits=sum(one.numel() for one in logits),
        operations=counter.get_total_flops(),
    )
