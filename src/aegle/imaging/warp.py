"""Images, doses and structures carried through an alignment."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid, Points
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure, StructureSet
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
    values = np.empty(grid.shape, np.float32)
    for part, places_mm in _places(registration, grid, to_moving):
        values[part] = _read(volume.values, volume.grid, places_mm, outside)
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
    return warp_structures(
        StructureSet(structures=(structure,)), registration, grid, to_moving=to_moving
    ).structures[0]


def warp_structures(
    structures: StructureSet, registration: Registration, grid: Grid, *, to_moving: bool = False
) -> StructureSet:
    """Return structures of the moving side on a grid of the fixed side, in the same order.

    Where each voxel points is calculated once for all of them; see ``warp_structure``.

    Args:
        structures: Masks in the space of the moving image, on any grids.
        registration: The alignment.
        grid: In the space of the fixed image.
        to_moving: The other way around.

    Raises:
        InputError: The alignment failed.
    """
    insides = [np.zeros(grid.shape, np.bool_) for _ in structures]
    for part, places_mm in _places(registration, grid, to_moving):
        for structure, inside in zip(structures, insides, strict=True):
            values = structure.mask.astype(np.float32)
            inside[part] = _read(values, structure.grid, places_mm, 0.0) >= 0.5
    carried = []
    for structure, inside in zip(structures, insides, strict=True):
        found = Structure.of(structure.name, inside, grid)
        carried.append(replace(structure, box=found.box, start=found.start, grid=grid))
    return StructureSet(structures=tuple(carried))


def _read(
    values: NDArray[np.float32], source: Grid, places_mm: Points, outside: float
) -> NDArray[np.float32]:
    """Return values at LPS positions [mm]."""
    indices = np.moveaxis(source.to_indices(places_mm), -1, 0)
    found = map_coordinates(values, indices, order=1, mode="nearest", prefilter=False)
    for index, count in zip(indices, source.shape, strict=True):
        found[(index < -0.5) | (index > count - 0.5)] = outside
    return np.asarray(found, np.float32)


def _places(
    registration: Registration, grid: Grid, to_moving: bool
) -> Iterator[tuple[slice, Points]]:
    """Yield slices of a grid and where their voxels lie on the other side [mm]."""
    if registration.verdict is Verdict.FAILED:
        raise InputError(
            f"The alignment failed ({registration.reason}); nothing is carried through it."
        )
    lead = registration.to_fixed if to_moving else registration.to_moving
    for part, points_mm in _points(grid):
        yield part, lead(points_mm)


def _points(grid: Grid) -> Iterator[tuple[slice, Points]]:
    """Yield slices of a grid and the LPS positions of their voxels [mm]."""
    count, rows, columns = grid.shape
    depth = max(1, VOXELS_AT_ONCE // (rows * columns))
    for start in range(0, count, depth):
        end = min(count, start + depth)
        index = np.moveaxis(np.indices((end - start, rows, columns), dtype=np.float64), 0, -1)
        index[..., 0] += start
        yield slice(start, end), grid.to_patient(index)
