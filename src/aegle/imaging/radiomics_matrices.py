"""Matrices of grey levels: which levels occur beside each other, in runs, zones and neighbourhoods.

All take levels from 1 on inside a delineation and 0 outside, shape (slice, row, column). A matrix
has one row per level; what its columns count is said with each function. Distances are those of
steps along any axis or diagonal (Chebyshev norm 1).
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Levels = NDArray[np.intp]
Matrix = NDArray[np.float64]
Step = tuple[int, int, int]

STEPS_3D: tuple[Step, ...] = tuple(
    (z, y, x) for z, y, x in product((0, 1, -1), repeat=3) if (z, y, x) > (0, 0, 0)
)
"""The 13 directions in space, one of each pair of opposite ones."""
STEPS_2D: tuple[Step, ...] = tuple(s for s in STEPS_3D if s[0] == 0)
"""The 4 directions on a slice."""


def co_occurrence(levels: Levels, step: Step, most: int) -> Matrix:
    """Return how often two levels lie one step apart, both ways; shape (most, most)."""
    here, there = _pair(levels, step)
    both = (here > 0) & (there > 0)
    counts = np.zeros((most, most))
    np.add.at(counts, (here[both] - 1, there[both] - 1), 1)
    return counts + counts.T


def runs(levels: Levels, step: Step, most: int) -> Matrix:
    """Return how many runs of each level have each length, shape (most, longest)."""
    length = np.ones(levels.shape, dtype=np.intp)
    longest = max(levels.shape)
    # After n rounds a voxel knows how many equal ones precede it, up to n.
    before = np.zeros(levels.shape, dtype=np.bool_)
    here, there = _windows(levels.shape, step)
    before[there] = levels[there] == levels[here]
    for _ in range(longest):
        grown = np.ones_like(length)
        grown[there] = np.where(before[there], length[here] + 1, 1)
        if (grown == length).all():
            break
        length = grown
    is_last = np.ones(levels.shape, dtype=np.bool_)
    is_last[here] = ~before[there]
    ends = (levels > 0) & is_last
    counts = np.zeros((most, longest))
    np.add.at(counts, (levels[ends] - 1, length[ends] - 1), 1)
    return counts


def zones(
    levels: Levels, distances: Levels, most: int, *, per_slice: bool
) -> tuple[Matrix, Matrix]:
    """Return how many zones of each level have each size, and each distance to the border.

    Args:
        levels: Grey levels.
        distances: Of each voxel to the outside, from 1 on.
        most: Highest level.
        per_slice: Whether zones end at their slice.
    """
    neighbours = np.ones((3, 3, 3), dtype=np.bool_)
    if per_slice:
        neighbours[[0, 2]] = False
    found: list[tuple[int, int, int]] = []
    for level in np.unique(levels[levels > 0]):
        labels, count = ndimage.label(levels == level, structure=neighbours)
        sizes = np.bincount(labels.ravel())[1:]
        nearest = ndimage.minimum(distances, labels, np.arange(1, count + 1))
        found += [
            (int(level), int(size), int(near)) for size, near in zip(sizes, nearest, strict=True)
        ]
    table = np.array(found)
    by_size = np.zeros((most, int(table[:, 1].max())))
    by_distance = np.zeros((most, int(table[:, 2].max())))
    np.add.at(by_size, (table[:, 0] - 1, table[:, 1] - 1), 1)
    np.add.at(by_distance, (table[:, 0] - 1, table[:, 2] - 1), 1)
    return by_size, by_distance


def border_distances(inside: NDArray[np.bool_], *, per_slice: bool) -> Levels:
    """Return how many steps along the axes every voxel inside lies from the outside, from 1 on."""
    neighbours = ndimage.generate_binary_structure(3, 1)
    if per_slice:
        neighbours[[0, 2]] = False
    distances = np.zeros(inside.shape, dtype=np.intp)
    left = np.pad(inside, 1)
    inner = (slice(1, -1),) * 3
    while left.any():
        distances += left[inner]
        left = ndimage.binary_erosion(left, neighbours)
    return distances


def neighbourhood(levels: Levels, most: int, *, per_slice: bool) -> tuple[Matrix, Matrix]:
    """Return the neighbourhood grey tone difference and the grey level dependence matrix.

    Returns:
        Shape (most, 2): voxels of each level that have neighbours, and the sum of their
        differences from the mean of these. Shape (most, 27): voxels of each level by how many
        neighbours have the same level, the voxel itself counted.
    """
    steps = [*STEPS_2D, *((0, -y, -x) for _, y, x in STEPS_2D)]
    if not per_slice:
        steps = [*STEPS_3D, *((-z, -y, -x) for z, y, x in STEPS_3D)]
    total = np.zeros(levels.shape)
    count, same = np.zeros(levels.shape, np.intp), np.zeros(levels.shape, np.intp)
    for step in steps:
        here, there = _windows(levels.shape, step)
        total[here] += levels[there]
        count[here] += levels[there] > 0
        same[here] += levels[there] == levels[here]
    inside, has = levels > 0, (levels > 0) & (count > 0)
    tones = np.zeros((most, 2))
    difference = np.abs(levels[has] - total[has] / count[has])
    np.add.at(tones[:, 0], levels[has] - 1, 1)
    np.add.at(tones[:, 1], levels[has] - 1, difference)
    dependence = np.zeros((most, 27))
    np.add.at(dependence, (levels[inside] - 1, same[inside]), 1)
    return tones, dependence


def slices_of(levels: Levels) -> Sequence[Levels]:
    """Return each slice that holds a part of the delineation, as a volume of one slice."""
    return [levels[k : k + 1] for k in range(levels.shape[0]) if (levels[k] > 0).any()]


def _windows(shape: tuple[int, ...], step: Step) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where voxels lie that have a neighbour one step on, and where these lie."""
    sizes = list(zip(shape, step, strict=True))
    here = tuple(slice(max(-s, 0), n - max(s, 0)) for n, s in sizes)
    there = tuple(slice(max(s, 0), n - max(-s, 0)) for n, s in sizes)
    return here, there


def _pair(levels: Levels, step: Step) -> tuple[Levels, Levels]:
    here, there = _windows(levels.shape, step)
    return levels[here], levels[there]
