"""Made pictures with and without one round lesion, for measuring explanations: the truth is known.

The ground is smooth noise with straight bright bars in every picture, so that edges alone do not
tell a lesion. Lesions are soft blobs that differ from the bars in shape, not in brightness.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 64
"""Rows and columns [pixel]."""
LESION_RADIUS = (3.0, 5.0)
"""Of the region where a lesion is brighter than half of its height [pixel]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionPictures:
    """Pictures with their truth."""

    values: NDArray[np.uint8]
    """Shape (picture, 1, row, column)."""
    has_lesion: NDArray[np.int64]
    """1 where a lesion is, shape (picture,)."""
    masks: NDArray[np.bool_]
    """Shape (picture, row, column); empty where none is."""


def lesion_pictures(count: int, seed: int) -> LesionPictures:
    """Return pictures, every second one with a lesion."""
    draws = np.random.default_rng(seed)
    values = np.empty((count, 1, SIDE, SIDE), np.uint8)
    masks = np.zeros((count, SIDE, SIDE), bool)
    has_lesion = np.arange(count) % 2
    for number in range(count):
        ground = _ground(draws)
        if has_lesion[number]:
            blob = _blob(draws)
            ground = ground + 90 * blob
            masks[number] = blob > 0.5
        values[number, 0] = np.clip(ground, 0, 255).astype(np.uint8)
    return LesionPictures(values=values, has_lesion=has_lesion, masks=masks)


def _ground(draws: np.random.Generator) -> NDArray[np.float64]:
    noise = ndimage.gaussian_filter(draws.normal(size=(SIDE, SIDE)), 2)
    ground = 90 + 12 * noise / noise.std() + draws.normal(size=(SIDE, SIDE)) * 4
    for _ in range(3):
        row, column = draws.integers(0, SIDE - 8, 2)
        thick, long = int(draws.integers(2, 5)), int(draws.integers(15, 40))
        size = (thick, long) if draws.random() < 0.5 else (long, thick)
        ground[row : row + size[0], column : column + size[1]] += 90
    return np.asarray(ground)


def _blob(draws: np.random.Generator) -> NDArray[np.float64]:
    radius = draws.uniform(*LESION_RADIUS)
    centre = draws.uniform(8, SIDE - 8, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    squared = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
    return np.asarray(np.exp(-np.log(2) * squared / radius**2))
