"""Pictures made smaller by means over equal parts."""

import numpy as np
from numpy.typing import NDArray


def area_means(plane: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return means over equal parts of a plane; pixels between two parts count in both.

    Args:
        plane: Shape (row, column).
        shape: Parts along row and column, at most as many as there are pixels.
    """
    means = plane.astype(np.float64)
    for axis in (0, 1):
        size, parts = means.shape[axis], shape[axis]
        sums = np.concatenate([np.zeros_like(means.take([0], axis)), means.cumsum(axis)], axis)
        edges = np.linspace(0, size, parts + 1)
        below = np.minimum(edges.astype(int), size - 1)
        share = np.expand_dims(edges - below, 1 - axis)
        at = sums.take(below, axis) * (1 - share) + sums.take(below + 1, axis) * share
        means = np.diff(at, axis=axis) * (parts / size)
    return np.asarray(means, dtype=np.float32)


def at_most(plane: NDArray[np.floating], longest_px: int) -> NDArray[np.float32]:
    """Return a plane whose longer side has at most so many pixels, by means over equal parts."""
    share = longest_px / max(plane.shape)
    if share >= 1:
        return np.asarray(plane, dtype=np.float32)
    rows, columns = (max(1, round(size * share)) for size in plane.shape)
    return area_means(plane, (rows, columns))
