"""What an optimiser makes small.

A penalty looks at the doses of some voxels, relative to the prescribed dose, and is zero where
they are as wanted. All are differentiable and, but for a tolerated volume, convex.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from aegle.domain.plan import Goal


class Penalty(Protocol):
    """How far doses are from what is wanted."""

    def __call__(self, doses: Tensor) -> Tensor:
        """Return a number ≥ 0 for doses of shape (voxel,)."""
        ...


@dataclass(frozen=True)
class Underdose:
    """Mean square of what is missing to a level."""

    level: float

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return torch.relu(self.level - doses).square().mean()


@dataclass(frozen=True, eq=False)
class Overdose:
    """Mean square of the excess over a level, which may differ from voxel to voxel."""

    level: float | Tensor

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return torch.relu(doses - self.level).square().mean()


@dataclass(frozen=True)
class VolumeOverdose:
    """Mean square of the excess over a level, in all but a tolerated part of the voxels.

    The hottest voxels are those tolerated, so the gradient drives the others below the level.
    """

    level: float
    tolerated: float
    """Part of the voxels in [0, 1] that may exceed the level."""

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        kept = doses.numel() - int(self.tolerated * doses.numel())
        if kept == 0:
            return doses.sum() * 0
        limit = torch.kthvalue(doses.detach(), kept).values
        excess = torch.relu(doses - self.level) * (doses.detach() <= limit)
        return excess.square().mean()


@dataclass(frozen=True)
class MeanOverdose:
    """Square of the mean's excess over a level."""

    level: float

    def __call__(self, doses: Tensor) -> Tensor:
        """Return the penalty."""
        return torch.relu(doses.mean() - self.level).square()


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted penalty on some voxels."""

    points: Tensor
    """Indices of the voxels, shape (voxel,)."""
    penalty: Penalty
    weight: float
    goal: Goal | None = None
    """That it stands for, if it stands for one."""


def value(objectives: Sequence[Objective], doses: Tensor) -> Tensor:
    """Return the weighted sum of all penalties for the doses of all voxels."""
    total = doses.new_zeros(())
    for objective in objectives:
        total = total + objective.weight * objective.penalty(doses[objective.points])
    return total
