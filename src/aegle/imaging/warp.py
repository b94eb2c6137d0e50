"""Images, doses and structures carried through an alignment."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid, Points
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume

VOXELS_AT_ONCE = 2_000_000


def warp(
    volume: Volume,
    registration: Registration,
    grid: Grid,
    *,
    outside: float,
    to_moving: bool = False,
) -> Volume:
    """Return an image of the moving side as it would lie on a grid of the fixed side.

    Values are read linearly where each voxel centre points; a dose is mapped point by point,
    which keeps neither energy nor mass.

    Args:
        volume: Any quantity, in the space of the moving image.
        registration: The alignment.
        grid: Where values are wanted, in the space of the fixed image.
        outside: Value where ``volume`` ends [unit of volume].
        to_moving: The other way: ``volume`` in the fixed space, ``grid`` in the moving.

    Raises:
        InputError: The alignment failed.
    """
    values = _read(volume.values, volume.grid, registration, grid, outside, to_moving)
    return Volume(values=values, grid=grid, quantity=volume.quantity)


def warp_structure(
    structure: Structure, registration: Registration, grid: Grid, *, to_moving: bool = False
) -> Structure:
    """Return a structure of the moving side on a grid of the fixed side.

    Its border runs where linear interpolation of the mask is one half; what lies beyond the
    grid is cut off.

    Args:
        structure: A mask in the space of the moving image.
        registration: The alignment.
        grid: In the space of the fixed image.
        to_moving: The other way around.

    Raises:
        InputError: The alignment failed.
    """
    mask = structure.mask.astype(np.float32)
    inside = _read(mask, structure.grid, registration, grid, 0.0, to_moving) >= 0.5
    carried = Structure.of(structure.name, inside, grid)
    return replace(structure, box=carried.box, start=carried.start, grid=grid)


def _read(
    values: NDArray[np.float32],
    source: Grid,
    registration: Registration,
    grid: Grid,
    outside: float,
    to_moving: bool,
) -> NDArray[np.float32]:
    if registration.verdict is Verdict.FAILED:
        raise InputError(
            f"The alignment failed ({registration.reason}); nothing is carried through it."
        )
    lead = registration.to_fixed if to_moving else registration.to_moving
    read = np.empty(grid.shape, np.float32)
    for part, points_mm in _points(grid):
        indices = np.moveaxis(source.to_indices(lead(points_mm)), -1, 0)
        found = map_coordinates(values, indices, order=1, mode="nearest", prefilter=False)
        for index, count in zip(indices, source.shape, strict=True):
            found[(index < -0.5) | (index > count - 0.5)] = outside
        read[part] = found
    return read


def _points(grid: Grid) -> Iterator[tuple[slice, Points]]:
    """Yield slices of a grid and the LPS positions of their voxels [mm]."""
    count, rows, columns = grid.shape
    depth = max(1, VOXELS_AT_ONCE // (rows * columns))
    for start in range(0, count, depth):
        end = min(count, start + depth)
        index = np.moveaxis(np.indices((end - start, rows, columns), dtype=np.float64), 0, -1)
        index[..., 0] += start
        yield slice(start, end), grid.to_patient(index)
