"""How far apart the surfaces of two outlines lie.

A surface runs between voxels. Each 2 x 2 x 2 block of voxels (2 x 2 pixels in pictures) that is
partly inside holds an element of it: placed at the middle of the block, as large as the piece of
the surface that separates the inner from the outer corners halfway between them. Distances are
from element to element and count by area. This is the definition of the normalised surface
distance (surface Dice) in

    Nikolov S et al. Clinically applicable segmentation of head and neck anatomy for radiotherapy.
        J Med Internet Res 2021;23:e26151, doi:10.2196/26151.

The area of a piece is the length of its vector area, which the shares of the block's sides that
lie inside give without a triangulation: what goes in through one side and not out through the
opposite one has crossed the surface (divergence theorem). Where diagonal corners of a side are
inside, they are taken as apart.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.spatial import KDTree

from aegle.evaluation.weighted import Numbers

Mask = NDArray[np.bool_]

_TOUCHING = 1e-9
"""Share by which a distance may exceed a tolerance in floating point."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceDistances:
    """Distance of every surface element of one outline to the nearest of the other [mm]."""

    from_truth: Numbers
    truth_areas: Numbers
    """Of the elements in the same order [mm², mm in pictures]."""
    from_predicted: Numbers
    predicted_areas: Numbers

    def within(self, tolerance: float) -> float:
        """Return the normalised surface distance.

        Args:
            tolerance: Distance that counts as agreement [mm].

        Returns:
            Share of both surfaces that lies within the tolerance of the other one: 0 if only one
            outline is empty, NaN if both are.
        """
        reach = tolerance * (1 + _TOUCHING)
        whole = self.truth_areas.sum() + self.predicted_areas.sum()
        if not whole:
            return float("nan")
        near = self.truth_areas[self.from_truth <= reach].sum()
        near += self.predicted_areas[self.from_predicted <= reach].sum()
        return float(near / whole)

    def percentile(self, percent: float = 95.0) -> float:
        """Return a percentile of the Hausdorff distance.

        Args:
            percent: Share of each surface [%].

        Returns:
            The distance within which that share of either surface lies of the other [mm]:
            infinite if only one outline is empty, NaN if both are.
        """
        sides = (
            (self.from_truth, self.truth_areas),
            (self.from_predicted, self.predicted_areas),
        )
        found = [_percentile(far, areas, percent) for far, areas in sides if far.size]
        return max(found) if found else float("nan")


def surface_distances(
    truth: Mask, predicted: Mask, spacing_mm: tuple[float, float, float]
) -> SurfaceDistances:
    """Return the distances between the surfaces of two outlines.

    Args:
        truth: Shape (slice, row, column); with one slice, the outline of a picture.
        predicted: Of the same shape. Outside of the array nothing is inside, so an outline ends
            at its edge.
        spacing_mm: Of the voxels [mm], slice, row, column; pixels where a picture has no size.
    """
    steps = np.array(spacing_mm, np.float64)
    if truth.shape[0] == 1:
        truth, predicted, steps = truth[0], predicted[0], steps[1:]
    box = _box(truth | predicted)
    codes = [_codes(np.pad(mask[box], 1)) for mask in (truth, predicted)]
    borders = [np.flatnonzero(_is_border(code, steps.size)) for code in codes]
    points = [np.stack(np.unravel_index(b, codes[0].shape), 1) * steps for b in borders]
    areas = _areas(steps)
    distances = []
    for one, other in ((0, 1), (1, 0)):
        shared = _is_border(codes[other].ravel()[borders[one]], steps.size)
        distances.append(_nearest(points[one], points[other], shared))
    return SurfaceDistances(
        from_truth=distances[0],
        truth_areas=areas[codes[0].ravel()[borders[0]]],
        from_predicted=distances[1],
        predicted_areas=areas[codes[1].ravel()[borders[1]]],
    )


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask; an empty one if it is empty."""
    sides = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        sides.append(slice(held[0], held[-1] + 1) if held.size else slice(0, 0))
    return tuple(sides)


def _codes(mask: Mask) -> NDArray[np.uint8]:
    """Return which corners of each block are inside: corner (s, r, c) is bit 4 s + 2 r + c."""
    code = mask.astype(np.uint8)
    for place, axis in enumerate(reversed(range(mask.ndim))):
        first = code[(slice(None),) * axis + (slice(None, -1),)]
        second = code[(slice(None),) * axis + (slice(1, None),)]
        code = (first | (second << (1 << place))).astype(np.uint8, copy=False)
    return code


def _is_border(code: NDArray[np.uint8], axes: int) -> Mask:
    everywhere = (1 << (1 << axes)) - 1
    found: Mask = (code != 0) & (code != everywhere)
    return found


def _nearest(points: Numbers, others: Numbers, shared: Mask) -> Numbers:
    found = np.zeros(len(points))
    if not len(others):
        return np.full(len(points), np.inf)
    if not shared.all():
        tree = KDTree(others, balanced_tree=False, compact_nodes=False)
        found[~shared] = tree.query(points[~shared])[0]
    return found


def _percentile(distances: Numbers, areas: Numbers, percent: float) -> float:
    order = np.argsort(distances, kind="stable")
    covered = np.cumsum(areas[order])
    place = np.searchsorted(covered, covered[-1] * percent / 100 * (1 - _TOUCHING))
    return float(distances[order[min(int(place), order.size - 1)]])


def _areas(steps: Numbers) -> Numbers:
    """Return the area of the element of each code for a spacing."""
    owners, vectors = _elements(steps.size)
    sizes = np.linalg.norm(vectors * (np.prod(steps) / steps), axis=1)
    return np.bincount(owners, sizes, minlength=1 << (1 << steps.size)).astype(np.float64)


@cache
def _elements(axes: int) -> tuple[NDArray[np.int64], Numbers]:
    """Return the pieces of surface in a block of unit size: the code, the vector area of each."""
    corners = 1 << axes
    owners, vectors = [], []
    for code in range(1 << corners):
        inside = ((code >> np.arange(corners)) & 1).astype(bool).reshape((2,) * axes)
        for piece in _pieces(inside):
            owners.append(code)
            vectors.append([_crossing(piece, axis) for axis in range(axes)])
    return np.array(owners), np.array(vectors, np.float64)


def _pieces(inside: Mask) -> list[Mask]:
    """Return corner sets, each parted from the rest of its block by one piece of surface."""
    parts, count = label(inside)
    found = []
    for part in range(1, count + 1):
        own = parts == part
        holes, beyond = label(~own)
        found += [holes == hole for hole in range(1, beyond + 1)] if beyond > 1 else [own]
    return found


def _crossing(piece: Mask, axis: int) -> float:
    low, high = (_share(np.take(piece, [side], axis).squeeze(axis)) for side in (0, 1))
    return low - high


def _share(side: Mask) -> float:
    """Return the share of a block's side that lies inside, cut halfway between its corners."""
    count = int(side.sum())
    if side.ndim == 1:
        return count / 2
    are_diagonal = count == 2 and side[0, 0] == side[1, 1]
    return 0.25 if are_diagonal else (0.0, 0.125, 0.5, 0.875, 1.0)[count]
