"""A smooth field in place of a rough one, where it explains the images as well.

A refinement voxel by voxel follows noise where tissue is even. Of two fields that make the images
equally alike the smoother one is the likelier: the found field is smoothed, fitted again by moves
of whole blocks, and stands if self-similarity, which this fit does not look at, tells it apart
from the found field no more than chance would. Where organs slide, the smooth field fits worse and
is dropped.
"""

import torch
from torch import Tensor
from torch.nn import functional

from aegle.imaging.displacement import Box, resized, unfolded, warp
from aegle.imaging.gauss_newton import LARGEST_STEP, Equations, normal_equations, smooth_move
from aegle.imaging.mind import mind_ssc

BLOCK_MM = 12.0
"""Size of the blocks that move as one."""
STIFFNESS = 10.0
"""Weight of smoothness of each move over that of the images."""
STEPS = 5
SWEEPS = 40
PROMISING = 1.2
"""Misfit of the smoothed field, over that of the found one, from which no fit is tried."""
AS_GOOD = 1.12
"""Misfit after the fit, over that of the found field, up to which the smooth field stands. Images
bent by closed-form fields come to 0.97 to 1.09, breathing lungs and livers to 1.22 to 1.35."""


def plainest(
    moving: Tensor,
    descriptor: Tensor,
    compared: tuple[Tensor, Tensor],
    found: Tensor,
    *,
    seen: Tensor,
    voxel_mm: float,
) -> Tensor:
    """Return the smooth field if it explains the images as well, else the found one.

    Args:
        moving: The moving image, shape (slice, row, column).
        descriptor: Self-similarity of the fixed image, shape (12, slice, row, column).
        compared: Values of both images that mean the same, shape (channel, slice, row, column).
        found: Displacement [voxels].
        seen: 1 where the patient is, shape (slice, row, column).
        voxel_mm: Mean distance of voxels [mm].
    """
    size = max(2, round(BLOCK_MM / voxel_mm))
    blocks = [min(size, n) for n in found.shape[1:]]
    usual = _misfit(moving, descriptor, found, seen)
    plain = _smoothed(found, blocks)
    if usual <= 0 or _misfit(moving, descriptor, plain, seen) > PROMISING * usual:
        return found
    for _ in range(STEPS):
        plain = plain + _move(compared, plain, blocks)
    plain = unfolded(plain)
    return plain if _misfit(moving, descriptor, plain, seen) <= AS_GOOD * usual else found


def _misfit(moving: Tensor, descriptor: Tensor, displacement: Tensor, seen: Tensor) -> float:
    """Return the mean squared difference of self-similarity within the patient."""
    apart = (mind_ssc(warp(moving[None], displacement)[0]) - descriptor).square_().sum(0)
    return float((apart * seen).sum(dtype=torch.float64) / seen.sum().clamp(min=1))


def _pooled(values: Tensor, blocks: list[int]) -> Tensor:
    """Return means of blocks; the last ones may be cut."""
    return functional.avg_pool3d(values[None], blocks, ceil_mode=True, count_include_pad=False)[0]


def _spread(values: Tensor, shape: tuple[int, ...], blocks: list[int]) -> Tensor:
    """Return values of blocks read at the voxels."""
    whole = tuple(n * b for n, b in zip(values.shape[1:], blocks, strict=True))
    return resized(values, whole)[:, : shape[0], : shape[1], : shape[2]]


def _smoothed(displacement: Tensor, blocks: list[int]) -> Tensor:
    coarse = _pooled(displacement, blocks)
    return _spread(Box(coarse)(coarse), tuple(displacement.shape[1:]), blocks)


def _move(compared: tuple[Tensor, Tensor], displacement: Tensor, blocks: list[int]) -> Tensor:
    """Return a smooth further move [voxels] that makes both alike."""
    whole = normal_equations(*compared, displacement)
    box = Box(whole.side)
    means = Equations(
        matrix=_pooled(box(whole.matrix), blocks), side=_pooled(box(whole.side), blocks)
    )
    move = smooth_move(means, Box(means.side), stiffness=STIFFNESS, sweeps=SWEEPS)
    spread = _spread(move, tuple(displacement.shape[1:]), blocks)
    return spread.clamp_(-LARGEST_STEP, LARGEST_STEP)
