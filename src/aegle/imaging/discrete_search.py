"""A first guess of a deformation from all shifts at once.

For each block of voxels the cost of every shift on a lattice is calculated, and shifts that are
cheap and alike those of their neighbours are chosen by alternating between the two. It is done
both ways; the two answers are made inverse to each other, and how far they were apart says how
much the images agree on where anything went.

Sources: Heinrich MP et al. MICCAI 2014;8674:185 (coupled convex optimisation,
doi:10.1007/978-3-319-10470-6_24); Siebert H et al. arXiv:2112.03053 (both ways).
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from aegle.imaging.displacement import Box, rescaled, smooth, warp

COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""How strongly a shift is drawn to its neighbours', step by step."""
BALANCING = 15
"""Steps that make both ways inverse to each other."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Guess:
    """A coarse displacement, and how far its two ways were apart."""

    displacement: Tensor
    """Shape (3, slice, row, column) of the features [voxels of the features]."""
    disagreement: Tensor
    """Length of the sum of both ways before balancing, shape (slice, row, column) of blocks
    [voxels of the features]."""


def discrete_search(fixed: Tensor, moving: Tensor, *, block: int, reach: int) -> Guess:
    """Find the shifts that fit best.

    Args:
        fixed: Features, shape (channel, slice, row, column).
        moving: Likewise, same shape.
        block: Size of the blocks [voxels].
        reach: Largest shift [blocks].

    Returns:
        The guess; shifts along an axis of one voxel are 0.
    """
    shape = tuple(fixed.shape[1:])
    blocks = [min(block, n) for n in shape]
    still, moved = (functional.avg_pool3d(f[None], blocks)[0] for f in (fixed, moving))
    shifts = _shifts(tuple(still.shape[1:]), reach, still)
    there = _chosen(_costs(still, moved, shifts, reach), shifts)
    back = _chosen(_costs(moved, still, shifts, reach), shifts)
    apart = (there + warp(back, there)).square().sum(0).sqrt() * block
    for _ in range(BALANCING):
        there, back = 0.5 * (there - warp(back, there)), 0.5 * (back - warp(there, back))
    return Guess(displacement=rescaled(there, shape), disagreement=apart)


def _shifts(shape: tuple[int, ...], reach: int, like: Tensor) -> Tensor:
    """Return all shifts, shape (count, 3) [blocks]."""
    ranges = [range(-reach, reach + 1) if n > 1 else range(1) for n in shape]
    return torch.tensor(list(product(*ranges)), dtype=like.dtype, device=like.device)


def _costs(still: Tensor, moved: Tensor, shifts: Tensor, reach: int) -> Tensor:
    """Return the sum of squared differences of features, shape (shift, slice, row, column)."""
    channels, slices, rows, columns = still.shape
    rim = [reach if n > 1 else 0 for n in still.shape[1:]]
    padded = functional.pad(
        moved[None], [r for r in reversed(rim) for _ in range(2)], mode="replicate"
    )[0]
    across = 2 * rim[2] + 1
    here = still.permute(1, 2, 3, 0).reshape(slices * rows, columns, channels)
    own, theirs = still.square().sum(0)[..., None], padded.square().sum(0)
    costs = still.new_empty((len(shifts), *still.shape[1:]))
    starts = product(range(2 * rim[0] + 1), range(2 * rim[1] + 1))
    for number, (first, top) in enumerate(starts):
        there = padded[:, first : first + slices, top : top + rows]
        # All pairs of a row at once; of those a band is wanted.
        table = torch.bmm(
            here, there.permute(1, 2, 0, 3).reshape(slices * rows, channels, columns + 2 * rim[2])
        )
        like = table.as_strided(
            (slices, rows, columns, across),
            (rows * table.stride(0), table.stride(0), table.stride(1) + 1, 1),
        )
        square = theirs[first : first + slices, top : top + rows].unfold(2, across, 1)
        part = costs[number * across : (number + 1) * across]
        part.copy_((own + square).sub_(like, alpha=2).permute(3, 0, 1, 2))
    box = Box(costs)
    return box.borrowed(costs.copy_(box.borrowed(costs)))


def _chosen(costs: Tensor, shifts: Tensor) -> Tensor:
    """Return the smooth displacement of least cost [blocks]."""
    displacement = smooth(shifts[costs.argmin(0)].permute(3, 0, 1, 2))
    # |shift - displacement|² less what is the same for all shifts, as one product.
    factors = torch.cat([shifts, shifts.square().sum(1, keepdim=True)], 1)
    flat, room = costs.reshape(len(shifts), -1), torch.empty_like(costs).reshape(len(shifts), -1)
    for coupling in COUPLINGS:
        place = displacement.reshape(3, -1)
        place = torch.cat([-2 * place, torch.ones_like(place[:1])])
        best = torch.addmm(flat, factors, place, alpha=coupling, out=room).argmin(0)
        displacement = smooth(shifts[best.reshape(costs.shape[1:])].permute(3, 0, 1, 2))
    return displacement
