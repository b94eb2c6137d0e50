"""Contrast-limited adaptive histogram equalisation.

Source: Zuiderveld, Contrast limited adaptive histogram equalization, Graphics Gems IV (1994),
474-485.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
TILES = 8
"""Tiles along each side."""
CLIP = 2.0
"""Highest count of a level, as a multiple of the mean count."""


def equalise(image: NDArray[np.float32], *, tiles: int = TILES) -> NDArray[np.float32]:
    """Return an image with its contrast stretched tile by tile.

    Args:
        image: Values in [0, 1], shape (row, column), both at least ``tiles``.
        tiles: Tiles along each side; each has its own histogram, and pixels between their
            centres are interpolated.

    Returns:
        Values in [0, 1], same shape.
    """
    levels = np.rint(image * (LEVELS - 1)).astype(np.intp)
    row_tile, row_low, row_weight = _places(image.shape[0], tiles)
    column_tile, column_low, column_weight = _places(image.shape[1], tiles)
    tile = row_tile[:, None] * tiles + column_tile
    counts = np.bincount((tile * LEVELS + levels).ravel(), minlength=tiles**2 * LEVELS)
    curves = _curves(counts.reshape(-1, LEVELS)).ravel()

    def mapped(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.take(curves, (rows[:, None] * tiles + columns) * LEVELS + levels)

    row_high, column_high = (np.minimum(low + 1, tiles - 1) for low in (row_low, column_low))
    across, down = column_weight[None, :], row_weight[:, None]
    upper = mapped(row_low, column_low) * (1 - across) + mapped(row_low, column_high) * across
    lower = mapped(row_high, column_low) * (1 - across) + mapped(row_high, column_high) * across
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _places(
    length: int, tiles: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return for each pixel its tile, the tile with the centre before it, and how far beyond."""
    position = (np.arange(length) + 0.5) * tiles / length
    centred = np.clip(position - 0.5, 0, tiles - 1)
    low = centred.astype(np.intp)
    return position.astype(np.intp), low, (centred - low).astype(np.float32)


def _curves(counts: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the new value of each level in each tile, shape (tile, level)."""
    total = counts.sum(axis=1, keepdims=True)
    clipped = np.minimum(counts, np.maximum(CLIP * total / LEVELS, 1))
    shared = clipped + (total - clipped.sum(axis=1, keepdims=True)) / LEVELS
    return np.asarray(np.cumsum(shared, axis=1) / total, np.float32)
