"""Outlines of masks, and masks of outlines, in the slice planes of a grid.

An outline runs halfway between voxel centres inside and outside, cutting corners, so that the
centres it encloses are exactly the voxels of the mask. Holes are joined to what surrounds them
by a channel of no width (the keyhole of DICOM PS3.3 C.8.8.6.3), which readers that unite the
polygons of a slice and readers that exclude them (XOR) understand alike. The channel runs along
a row border, so that it never touches a voxel centre.

In-plane points are ``(row, column)`` indices; voxel centres have whole numbers.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

Points = NDArray[np.float64]


def outlines(mask: NDArray[np.bool_]) -> Iterator[Points]:
    """Give the closed outlines of the parts of one slice.

    Args:
        mask: True inside, shape (row, column).

    Yields:
        One polygon per connected part, shape (vertex, 2), without repeating the first vertex.
    """
    padded = np.pad(mask, 1).astype(np.float64)
    generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    filled: Any = generator.filled(0.5, np.inf)
    for points, borders in zip(*filled, strict=True):
        # contourpy gives (column, row) and repeats the first vertex of each ring at its end.
        indices = np.asarray(points, dtype=np.float64)[:, ::-1] - 1
        rings = [indices[a : b - 1] for a, b in pairwise(borders)]
        outer, *holes = rings
        yield _without_straight_vertices(_joined(outer, holes) if holes else outer)


def rasterise(
    polygons: Sequence[Points], slices: Sequence[int], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Return the voxels whose centres lie inside an odd number of polygons of their slice.

    Args:
        polygons: Closed polygons, shape (vertex, 2) each; parts outside the grid are cut off.
        slices: Slice of each polygon, 0 to ``shape[0] - 1``.
        shape: Of the grid.

    Returns:
        Mask of that shape. A centre on the border itself counts as inside where the inside
        begins with it (lower row and column) and as outside where it ends.
    """
    flips = np.zeros((shape[0], shape[1], shape[2] + 1), dtype=np.uint8)
    for index, polygon in zip(slices, polygons, strict=True):
        rows, columns = _crossings(polygon, shape[1])
        # A row is entered at the first centre at or after the crossing.
        first = np.clip(np.ceil(columns), 0, shape[2]).astype(np.intp)
        np.bitwise_xor.at(flips[index], (rows, first), 1)
    inside = np.bitwise_xor.accumulate(flips, axis=2)[:, :, :-1]
    return inside.astype(np.bool_)


def _crossings(polygon: Points, row_count: int) -> tuple[NDArray[np.intp], Points]:
    """Return where the polygon crosses rows of centres: row, and column of the crossing."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    is_downward = start[:, 0] <= end[:, 0]
    upper = np.where(is_downward[:, None], start, end)
    lower = np.where(is_downward[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 0]), 0, row_count).astype(np.intp)
    # A row through the lower end belongs to the next edge, so that no vertex counts twice.
    stop = np.clip(np.ceil(lower[:, 0]), 0, row_count).astype(np.intp)
    counts = stop - first
    edges = np.repeat(np.arange(len(polygon)), counts)
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = first[edges] + steps
    height = lower[edges, 0] - upper[edges, 0]
    part = (rows - upper[edges, 0]) / height
    return rows, upper[edges, 1] + part * (lower[edges, 1] - upper[edges, 1])


def _joined(outer: Points, holes: Sequence[Points]) -> Points:
    """Return one polygon that runs around the part and, through channels, around its holes."""
    starts = [_leftmost_of_top(hole) for hole in holes]
    order = sorted(range(len(holes)), key=lambda i: tuple(holes[i][starts[i]]))
    ring = outer
    for i in order:
        hole = np.roll(holes[i], -starts[i], axis=0)
        ring = _with_channel(ring, hole)
    return ring


def _leftmost_of_top(ring: Points) -> int:
    """Return which vertex of the topmost row is leftmost."""
    return int(np.lexsort((ring[:, 1], ring[:, 0]))[0])


def _with_channel(ring: Points, hole: Points) -> Points:
    """Join a hole, which begins at its topmost left vertex, to the ring on its left.

    Holes come from top to bottom and left to right, so what lies to the left of this one's
    first vertex is the outline or a hole that is already part of the ring.
    """
    row, column = hole[0]
    start, end = ring, np.roll(ring, -1, axis=0)
    reaches = (np.minimum(start[:, 0], end[:, 0]) <= row) & (
        row <= np.maximum(start[:, 0], end[:, 0])
    )
    height = end[:, 0] - start[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(height == 0, 0.0, (row - start[:, 0]) / height)
    at = start[:, 1] + part * (end[:, 1] - start[:, 1])
    # Of a level edge, the end nearer to the hole is the start of the next or previous edge.
    at = np.where(reaches & (at < column), at, -np.inf)
    edge = int(np.argmax(at))
    entry = np.array([[row, at[edge]]])
    return np.concatenate([ring[: edge + 1], entry, hole, hole[:1], entry, ring[edge + 1 :]])


def _without_straight_vertices(ring: Points) -> Points:
    """Drop repeated vertices and those in the middle of a straight run."""
    ring = ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    # Where a channel begins, the way there and back again is no straight run.
    goes_back = np.einsum("ij,ij->i", before, after) < 0
    return np.asarray(ring[(turn != 0) | goes_back])
