"""How long and wide a structure is in space, across its slices.

The border is that of :mod:`aegle.imaging.measure`: where the fraction of a voxel inside falls
through one half on the way to its neighbour, here along all three axes. The greatest distance of
two border points is that of two corners of their convex hull, so the search over these is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.finding import Position
from aegle.domain.structure import Structure

_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Longest diameter in space and the extent at right angles to it."""

    longest_mm: float
    longest_ends_mm: tuple[Position, Position]
    """LPS positions [mm]."""
    width_mm: float
    """Greatest extent at right angles to the longest diameter (Feret)."""
    thickness_mm: float
    """Least extent at right angles to the longest diameter."""


def extent(structure: Structure, fraction: NDArray[np.floating] | None = None) -> Extent:
    """Return the longest diameter of a structure in space, and its widths across.

    Unlike on a slice, parts that do not touch are measured together.

    Args:
        structure: What to measure, on the grid of its image.
        fraction: Share of each voxel inside [0 to 1], shape ``structure.grid.shape``; voxels of
            the structure count as at least one half, others as less.

    Raises:
        InputError: The structure is empty.
        GeometryError: ``fraction`` has another shape than the grid.
    """
    if structure.is_empty:
        raise InputError(f"'{structure.name}' is empty, so it has no extent.")
    if fraction is not None and fraction.shape != structure.grid.shape:
        raise GeometryError(
            f"The fractions for '{structure.name}' have shape {fraction.shape}, "
            f"its grid {structure.grid.shape}."
        )
    indices = _hull(_border(_shares(structure, fraction)))
    points_mm = structure.grid.to_patient(indices + np.asarray(structure.start) - 1.0)
    first, second, longest_mm = _farthest(points_mm)
    across = _across(points_mm, points_mm[second] - points_mm[first])
    width_mm, thickness_mm = _widths(across)
    one, other = (_position(points_mm[k]) for k in (first, second))
    return Extent(
        longest_mm=longest_mm,
        longest_ends_mm=(one, other),
        width_mm=width_mm,
        thickness_mm=thickness_mm,
    )


def _position(point_mm: NDArray[np.float64]) -> Position:
    return float(point_mm[0]), float(point_mm[1]), float(point_mm[2])


def _shares(structure: Structure, fraction: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Return the share of each voxel of the box inside, with a rim around it."""
    inside = np.pad(structure.box, 1)
    if fraction is None:
        return inside.astype(np.float64)
    low = np.asarray(structure.start) - 1
    given = np.zeros(inside.shape)
    first = np.maximum(low, 0)
    last = np.minimum(low + inside.shape, structure.grid.shape)
    there = tuple(slice(int(a), int(b)) for a, b in zip(first - low, last - low, strict=True))
    here = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    given[there] = fraction[here]
    return np.where(inside, np.maximum(given, 0.5), np.where(given < 0.5, given, 0.0))


def _border(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first and last crossing of one half on every line of voxels, as indices."""
    points = []
    for axis in range(3):
        lines = np.moveaxis(shares, axis, -1)
        inside = lines >= 0.5
        used = np.argwhere(inside.any(axis=-1))
        chosen, within = lines[tuple(used.T)], inside[tuple(used.T)]
        count = np.arange(len(used))
        low = within.argmax(axis=1)
        high = within.shape[1] - 1 - within[:, ::-1].argmax(axis=1)
        for end, step in ((low, -1), (high, 1)):
            value, beyond = chosen[count, end], chosen[count, end + step]
            place = end + step * (value - 0.5) / (value - beyond)
            points.append(np.insert(used.astype(np.float64), axis, place, axis=1))
    return np.concatenate(points)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:
        return np.unique(points, axis=0)


def _farthest(points_mm: NDArray[np.float64]) -> tuple[int, int, float]:
    best = (0, 0, 0.0)
    for start in range(0, len(points_mm), _ROWS):
        apart = np.linalg.norm(points_mm[start : start + _ROWS, None] - points_mm[None], axis=-1)
        row, column = np.unravel_index(int(apart.argmax()), apart.shape)
        if apart[row, column] > best[2]:
            best = (start + int(row), int(column), float(apart[row, column]))
    return best


def _across(points_mm: NDArray[np.float64], axis_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points seen along an axis [mm]."""
    direction = axis_mm / np.linalg.norm(axis_mm)
    helper = np.eye(3)[np.abs(direction).argmin()]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first)
    return np.column_stack([points_mm @ first, points_mm @ np.cross(direction, first)])


def _widths(plane_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return the greatest and least width of points on a plane [mm]."""
    corners = plane_mm[ConvexHull(plane_mm).vertices]
    _, _, greatest_mm = _farthest(corners)
    # The least width of a convex shape lies at right angles to one of its sides.
    sides = np.roll(corners, -1, axis=0) - corners
    normals = np.column_stack([-sides[:, 1], sides[:, 0]]) / np.linalg.norm(sides, axis=1)[:, None]
    return greatest_mm, float(np.ptp(corners @ normals.T, axis=0).min())
