"""The running mean of a network's weights, which is steadier than the weights themselves."""

from copy import deepcopy

import torch
from torch import nn


class WeightAverage:
    """A copy of a network whose weights follow the original's slowly.

    Early on the decay is (1 + n) / (10 + n) after n updates where that is less, so that the
    weights at the start are forgotten (as TensorFlow's ExponentialMovingAverage does).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Move towards the weights and statistics that a network has after some updates."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        ours, theirs = self.network.state_dict(), network.state_dict()
        moving = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [ours[name] for name in moving], [theirs[name] for name in moving], 1 - decay
        )
        for name in ours.keys() - set(moving):
            ours[name].copy_(theirs[name])
