"""Refinement of an alignment by Gauss-Newton steps on feature differences.

Each voxel gives three normal equations: how the squared difference of features changes when it
moves. A deformation solves them together with smoothness (Horn-Schunck), by sweeps in which each
voxel is drawn to the mean of its neighbours; a rigid or affine motion sums them all up.

Sources: Horn BKP, Schunck BG. Artif Intell 1981;17:185 (smooth motion from normal equations);
Modersitzki J. FAIR, SIAM 2009 (Gauss-Newton for registration).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aegle.imaging.displacement import Box, gradient, places, rescaled, sample, unfolded

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Entries of a symmetric 3×3 matrix, in the order in which they are kept."""
SLAB_VALUES = 2_000_000
"""Feature values handled at once, so that they stay near the processor."""
LARGEST_STEP = 1.5
"""[voxels]; features are linear over about that distance."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution of a refinement."""

    shrink: int
    """Voxels of the features averaged along each axis."""
    stiffness: float
    """Weight of smoothness over the mean weight of the images."""
    steps: int
    """How often features are read anew."""
    sweeps: int
    """How often each voxel is drawn to its neighbours per step."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Equations:
    """H d = -b for each voxel's move d [voxels]."""

    matrix: Tensor
    """H, shape (6, slice, row, column), entries as in ``PAIRS``."""
    side: Tensor
    """b, shape (3, slice, row, column)."""


def normal_equations(
    fixed: Tensor, moving: Tensor, displacement: Tensor, weight: Tensor | None = None
) -> Equations:
    """Return the equations of every voxel for features read at its present place.

    Args:
        fixed: Features, shape (channel, slice, row, column).
        moving: Likewise.
        displacement: Present displacement [voxels].
        weight: How much each voxel counts, shape (slice, row, column); None: all alike.
    """
    shape = fixed.shape[1:]
    matrix, side = fixed.new_empty((6, *shape)), fixed.new_empty((3, *shape))
    where = places(displacement)
    for inner, outer, cut in _slabs(fixed):
        here = fixed[:, outer]
        there = sample(moving, where[:, outer])
        # Of both images, so that neither way is preferred.
        slopes = [gradient(here + there, axis)[:, cut].mul_(0.5) for axis in (1, 2, 3)]
        difference = (there - here)[:, cut]
        for entry, (i, j) in enumerate(PAIRS):
            torch.sum(slopes[i] * slopes[j], 0, out=matrix[entry, inner])
        for axis in range(3):
            torch.sum(slopes[axis] * difference, 0, out=side[axis, inner])
    if weight is not None:
        matrix *= weight
        side *= weight
    return Equations(matrix=matrix, side=side)


def _slabs(features: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Yield slices of a part, of the part with its neighbours, and of the part within that."""
    channels, count, rows, columns = features.shape
    depth = max(1, SLAB_VALUES // (channels * rows * columns))
    for start in range(0, count, depth):
        end = min(count, start + depth)
        first, last = max(0, start - 1), min(count, end + 1)
        yield slice(start, end), slice(first, last), slice(start - first, end - first)


def refined(
    features: tuple[Tensor, Tensor],
    displacement: Tensor,
    *,
    levels: tuple[Level, ...],
    weight: Tensor | None = None,
    inside: Tensor | None = None,
    allow_folds: bool = False,
) -> Tensor:
    """Return a displacement that fits features better, coarse to fine.

    Args:
        features: Of the fixed and of the moving image, shape (channel, slice, row, column).
        displacement: Where to start, same voxels.
        levels: Resolutions in order.
        weight: How much each voxel counts, shape (slice, row, column).
        inside: A part that slides along the rest, shape (slice, row, column), 0 to 1.
        allow_folds: Whether folds are left as they are.
    """
    shape = tuple(features[0].shape[1:])
    for level in levels:
        still, moved = (_shrunk(f, level.shrink) for f in features)
        size = tuple(still.shape[1:])
        counts, parts = (
            None if mask is None else _shrunk(mask[None], level.shrink)[0]
            for mask in (weight, inside)
        )
        finer = _level(still, moved, rescaled(displacement, size), level, counts, parts)
        if not allow_folds:
            finer = unfolded(finer)
        displacement = rescaled(finer, shape)
    return displacement if allow_folds else unfolded(displacement)


def _shrunk(values: Tensor, factor: int) -> Tensor:
    blocks = [min(factor, n) for n in values.shape[1:]]
    return values if max(blocks) == 1 else functional.avg_pool3d(values[None], blocks)[0]


def _level(
    fixed: Tensor,
    moving: Tensor,
    displacement: Tensor,
    level: Level,
    weight: Tensor | None,
    inside: Tensor | None,
) -> Tensor:
    rim = Box(displacement)
    around = rim if inside is None else Box(displacement, inside=inside > 0.5)
    for _ in range(level.steps):
        equations = normal_equations(fixed, moving, displacement, weight)
        local = Equations(matrix=rim(equations.matrix), side=rim(equations.side))
        pull = around(displacement) - displacement
        step = smooth_move(local, around, stiffness=level.stiffness, sweeps=level.sweeps, pull=pull)
        displacement = displacement + step.clamp_(-LARGEST_STEP, LARGEST_STEP)
    return displacement


def smooth_move(
    equations: Equations,
    around: Box,
    *,
    stiffness: float,
    sweeps: int,
    pull: Tensor | None = None,
) -> Tensor:
    """Return a move [voxels] that solves the equations as well as smoothness allows.

    Args:
        equations: Of every voxel, or means of them over blocks.
        around: Means over neighbours.
        stiffness: Weight of smoothness over the mean weight of the images.
        sweeps: How often each voxel is drawn to its neighbours.
        pull: What smoothness asks of each voxel [voxels]; None: the move alone shall be smooth.
    """
    matrix, side = equations.matrix, equations.side
    weight = stiffness * float(matrix[0].mean() + matrix[3].mean() + matrix[5].mean()) / 3 + 1e-12
    drawn = _inverse(matrix, weight).mul_(weight)
    wanted = side / -weight if pull is None else pull - side / weight
    own = times(drawn, wanted)
    step = own.clone()
    for _ in range(sweeps):
        times(drawn, around.borrowed(step), out=step).add_(own)
    return step


def _inverse(matrix: Tensor, ridge: float) -> Tensor:
    """Return the inverse of H + ridge · 1 at each voxel, entries as in ``PAIRS``."""
    a, b, c, d, e, f = matrix
    a, d, f = a + ridge, d + ridge, f + ridge
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * first + b * second + c * third
    entries = (first, second, third, a * f - c * c, b * c - a * e, a * d - b * b)
    return torch.stack(entries).div_(whole)


def times(matrix: Tensor, vector: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the product of symmetric matrices and vectors at each voxel."""
    a, b, c, d, e, f = matrix
    x, y, z = vector
    product = torch.empty_like(vector) if out is None else out
    torch.mul(a, x, out=product[0]).addcmul_(b, y).addcmul_(c, z)
    torch.mul(b, x, out=product[1]).addcmul_(d, y).addcmul_(e, z)
    torch.mul(c, x, out=product[2]).addcmul_(e, y).addcmul_(f, z)
    return product
