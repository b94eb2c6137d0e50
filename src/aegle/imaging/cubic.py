"""Axis-aligned volumes brought to other numbers of voxels, fast.

Old and new grid share their outer faces: voxel ``i`` of ``n`` reaches from ``i / n`` to
``(i + 1) / n`` of the image on both. Beyond the outermost voxel centres the value at the edge
goes on. Interpolating splines (Unser 1991) are linear in the values and act along one axis at a
time, so resampling is three products with matrices. A voxel reaches only some twenty others,
hence the products are taken in blocks along the band of each matrix.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from aegle.domain.errors import InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.volume import Volume

Shape = tuple[int, int, int]
Order = Literal[0, 1, 3]
"""0 nearest voxel, 1 straight lines, 3 cubic splines."""

_ROWS = 32
"""New voxels that are computed together along an axis."""
_NEGLIGIBLE = 1e-6
"""Weights below it are left out; the spline's fall by 0.27 per voxel."""
_SHARED_SLICES = 4
"""Slices whose rows and columns are resampled together, so that they stay in the cache."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Block:
    """The part of a matrix that some neighbouring new voxels need."""

    new: slice
    old: slice
    weights: Tensor
    """Shape (new, old)."""


def resized(
    values: NDArray[np.float32],
    shape: Shape,
    *,
    order: Order | tuple[Order, Order, Order] = 3,
    keep_range: bool = False,
) -> NDArray[np.float32]:
    """Return values with other numbers of voxels between the same outer faces.

    Values are read at the new voxel centres, without smoothing first. With cubic splines the
    result is that of ``scipy.ndimage.zoom(mode="nearest", grid_mode=True)`` to within 1e-5 of the
    largest value.

    Args:
        values: Shape (slice, row, column), any unit, finite.
        shape: Wanted numbers of slices, rows and columns.
        order: Of the spline; one for all axes, or one for slices, rows and columns each.
        keep_range: Whether the result is clipped to the range of the values, beyond which cubic
            splines swing next to edges.

    Raises:
        InputError: The values have no three axes, or a wanted number is not positive.
        OptionError: There is no such order.
    """
    if values.ndim != 3 or values.size == 0 or min(shape) < 1:
        raise InputError(
            f"Values of shape {values.shape} cannot be brought to {shape}; give three axes and "
            "at least one voxel along each."
        )
    orders = order if isinstance(order, tuple) else (order, order, order)
    given = torch.from_numpy(np.require(values, np.float32, ("C", "W")))
    with torch.inference_mode():
        found = _along_slices(_within_slices(given, shape, orders), shape[0], orders[0])
        if keep_range and 3 in orders:
            found.clamp_(float(given.min()), float(given.max()))
    result: NDArray[np.float32] = found.numpy()
    return result


def resized_grid(grid: Grid, shape: Shape) -> Grid:
    """Return a grid with other numbers of voxels between the same outer faces."""
    ratio = np.divide(grid.shape, shape)
    spacing_mm = np.multiply(grid.spacing_mm, ratio)
    # The first voxel's outer corner stays; its centre moves by half the change of its size.
    x, y, z = grid.to_patient((ratio - 1) / 2)
    return Grid(
        shape=shape,
        spacing_mm=(float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2])),
        origin_mm=(float(x), float(y), float(z)),
        axes=grid.axes,
    )


def respaced(volume: Volume, spacing_mm: tuple[float, float, float], *, order: Order = 3) -> Volume:
    """Return a volume with voxels of another size.

    Args:
        volume: On any grid; its axes stay.
        spacing_mm: Wanted distance of slices, rows and columns [mm]. The outer faces stay, so the
            distances of the result are those that divide the image into whole voxels.
        order: Of the spline.

    Returns:
        The same quantity within its old range.
    """
    counts = np.maximum(
        1, np.round(np.multiply(volume.grid.shape, volume.grid.spacing_mm) / spacing_mm)
    )
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    values = resized(volume.values, shape, order=order, keep_range=True)
    grid = resized_grid(volume.grid, shape)
    return Volume(values=values, grid=grid, quantity=volume.quantity)


def nearest_voxels(have: int, want: int) -> NDArray[np.int64]:
    """Return the old voxel whose centre lies nearest to each new one, along one axis."""
    middles = (np.arange(want) + 0.5) * (have / want)
    nearest: NDArray[np.int64] = np.minimum(np.floor(middles), have - 1).astype(np.int64)
    return nearest


@lru_cache(maxsize=64)
def blocks(have: int, want: int, order: Order) -> tuple[Block, ...]:
    """Return the matrix that brings an axis from one number of voxels to another, in blocks."""
    if order not in {0, 1, 3}:
        raise OptionError(f"No spline of order {order}; known: 0, 1, 3.")
    matrix = _matrix(have, want, order)
    return tuple(_block(matrix, start, min(start + _ROWS, want)) for start in range(0, want, _ROWS))


def _block(matrix: NDArray[np.float64], start: int, stop: int) -> Block:
    rows = matrix[start:stop]
    reached = np.flatnonzero((np.abs(rows) > _NEGLIGIBLE).any(axis=0))
    old = slice(int(reached[0]), int(reached[-1]) + 1)
    weights = np.ascontiguousarray(rows[:, old], dtype=np.float32)
    return Block(new=slice(start, stop), old=old, weights=torch.from_numpy(weights))


def _matrix(have: int, want: int, order: Order) -> NDArray[np.float64]:
    """Return what a unit in each old voxel becomes, shape (new, old)."""
    if order == 0:
        return np.eye(have)[nearest_voxels(have, want)]
    units = np.eye(have)
    columns = [
        ndimage.zoom(unit, want / have, order=order, mode="nearest", grid_mode=True)
        for unit in units
    ]
    return np.stack(columns, axis=1)


def _within_slices(values: Tensor, shape: Shape, orders: tuple[Order, ...]) -> Tensor:
    """Resample rows and columns, a few slices at a time."""
    rows, columns = shape[1:]
    if values.shape[1:] == (rows, columns):
        return values
    along_rows = blocks(values.shape[1], rows, orders[1])
    along_columns = blocks(values.shape[2], columns, orders[2])
    result = torch.empty(len(values), rows, columns)
    for start in range(0, len(values), _SHARED_SLICES):
        few = values[start : start + _SHARED_SLICES]
        narrow = torch.empty(*few.shape[:2], columns)
        for block in along_columns:
            narrow[..., block.new] = few[..., block.old] @ block.weights.T
        for block in along_rows:
            result[start : start + len(few), block.new] = block.weights @ narrow[:, block.old]
    return result


def _along_slices(values: Tensor, slices: int, order: Order) -> Tensor:
    if len(values) == slices:
        return values
    flat = values.reshape(len(values), -1)
    result = torch.empty(slices, flat.shape[1])
    for block in blocks(len(values), slices, order):
        torch.mm(block.weights, flat[block.old], out=result[block.new])
    return result.view(slices, *values.shape[1:])
