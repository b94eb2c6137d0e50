"""What can be done with the codes that an autoencoder gives: a map of a cohort, and look-alikes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError

Codes = NDArray[np.float32]
"""Shape (image, value)."""
TOGETHER = 512
"""Images whose distances are taken together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CodeMap:
    """A plane in which codes are seen from where they are widest."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    """Orthonormal directions of the plane, shape (2, value)."""
    explained: NDArray[np.float64]
    """Share of the variance along each."""

    def place(self, codes: Codes) -> NDArray[np.float64]:
        """Return where codes lie on the map, shape (image, 2)."""
        places: NDArray[np.float64] = (codes.astype(np.float64) - self.mean) @ self.axes.T
        return places


@dataclass(frozen=True, eq=False, kw_only=True)
class Neighbours:
    """The nearest codes of each image, nearest first; both of shape (image, neighbour)."""

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    """Euclidean, in the unit of the codes."""


def map_of(codes: Codes) -> CodeMap:
    """Return the plane of the first two principal components; larger entries point upwards.

    Raises:
        InputError: There are fewer than three images, or fewer than two values.
    """
    if len(codes) < 3 or codes.shape[1] < 2:
        raise InputError(
            f"{len(codes)} codes of {codes.shape[1]} value(s) make no map; give three images and "
            "two values or more."
        )
    wide = codes.astype(np.float64)
    mean = wide.mean(axis=0)
    _, lengths, found = np.linalg.svd(wide - mean, full_matrices=False)
    axes = found[:2]
    # The sign of a component is free; this makes it the same on every machine.
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(2), largest])[:, None]
    total = max(float((lengths**2).sum()), np.finfo(np.float64).tiny)
    return CodeMap(mean=mean, axes=axes, explained=lengths[:2] ** 2 / total)


def nearest(codes: Codes, among: Codes | None = None, *, count: int = 5) -> Neighbours:
    """Return the look-alikes of images by the distance of their codes.

    Args:
        codes: Of the images that are asked about.
        among: Of those that are searched; None for the same images, each but itself.
        count: How many; fewer where there are not so many.

    Raises:
        InputError: There is nothing to search, or the codes differ in length.
    """
    searched = (codes if among is None else among).astype(np.float64)
    count = min(count, len(searched) - (among is None))
    if count < 1 or searched.shape[1] != codes.shape[1]:
        raise InputError(
            f"Among {len(searched)} codes of {searched.shape[1]} values none can be found for "
            f"codes of {codes.shape[1]}; give codes of one model, of two images or more."
        )
    indices, distances = [], []
    for start in range(0, len(codes), TOGETHER):
        asked = codes[start : start + TOGETHER].astype(np.float64)
        apart = _between(asked, searched)
        if among is None:
            apart[np.arange(len(asked)), np.arange(len(asked)) + start] = np.inf
        order = np.argsort(apart, axis=1, kind="stable")[:, :count]
        indices.append(order)
        distances.append(np.take_along_axis(apart, order, axis=1))
    return Neighbours(indices=np.concatenate(indices), distances=np.concatenate(distances))


def _between(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.distance import cdist

    distances: NDArray[np.float64] = cdist(first, second)
    return distances
