"""Letters and digits burned into a picture, found by their looks; they are not read."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

Plane = NDArray[np.float32]

LEAST_IN_A_ROW = 3
"""Fewer glyphs beside each other are a side marker or chance."""
_HEIGHTS_PX = (5, 40)
_WIDEST = 1.5
"""Width of a glyph over its height, at most."""
_FILL = (0.2, 0.9)
"""Share of its box that a glyph covers."""
_BRIGHT = (0.5, 0.6, 0.75)
"""Signs are written in the brightest shade, but thin strokes dim; the best of these levels is
taken: a low one lets neighbours flow together, a high one takes strokes apart."""
_CONTRAST = 0.3
"""How far a stroke rises above what surrounds it, as a share of the range of the picture."""
_ABOVE_NOISE = 6.0
"""How many deviations of the noise a stroke rises at least."""
_STROKE = 0.16
"""Thickest half stroke over the height of the glyph, at most."""


def glyphs(plane: Plane, *, noise: float = 0.0) -> NDArray[np.int_]:
    """Find what looks like lines of bright letters or digits.

    Glyphs are bright, thin, compact, of one height, and stand side by side on one line.

    Args:
        plane: Shades, shape (row, column), bright letters.
        noise: Deviation of the noise [unit of the plane].

    Returns:
        First row, last row, first column and last column of each glyph in a line of at least
        three, shape (glyph, 4).
    """
    low, high = float(np.percentile(plane, 1)), float(plane.max())
    span = max(high - low, 1e-9)
    shades = (plane - low) / span
    size = 2 * (max(_HEIGHTS_PX[0], round(0.035 * min(plane.shape))) // 2) + 1
    rise = shades - ndimage.grey_opening(shades, size=(size, size))
    risen = rise > max(_CONTRAST, _ABOVE_NOISE * noise / span)
    return max((_lines(risen & (shades > level)) for level in _BRIGHT), key=len)


def _lines(strokes: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Return the boxes of glyphs that stand in a line."""
    boxes = _candidates(strokes)
    if len(boxes) < LEAST_IN_A_ROW:
        return boxes[:0]
    rows = _rows(boxes)
    return boxes[np.bincount(rows)[rows] >= LEAST_IN_A_ROW]


def _candidates(strokes: NDArray[np.bool_]) -> NDArray[np.int_]:
    labels, _ = ndimage.label(strokes, np.ones((3, 3)))
    boxes = [
        _box(place)
        for number, place in enumerate(ndimage.find_objects(labels), start=1)
        if _is_glyph(labels[place] == number)
    ]
    return np.asarray(boxes, dtype=np.int_).reshape(-1, 4)


def _box(place: tuple[slice, slice]) -> tuple[int, int, int, int]:
    rows, columns = place
    return rows.start, rows.stop - 1, columns.start, columns.stop - 1


def _is_glyph(shape: NDArray[np.bool_]) -> bool:
    height, width = shape.shape
    if not _HEIGHTS_PX[0] <= height <= _HEIGHTS_PX[1] or width > _WIDEST * height:
        return False
    if not _FILL[0] <= shape.mean() <= _FILL[1] and width > 2:
        return False
    thickest = ndimage.distance_transform_edt(np.pad(shape, 1)).max()
    return bool(thickest <= max(_STROKE * height, 2.0))


def _rows(boxes: NDArray[np.int_]) -> NDArray[np.int_]:
    """Number the lines of text on which the boxes stand."""
    top, bottom, left, right = boxes.T
    height = (bottom - top + 1).astype(float)
    tallest = np.maximum(height[:, None], height[None])
    level = (np.abs(bottom[:, None] - bottom[None]) <= 0.2 * tallest + 0.5) & (
        np.abs(top[:, None] - top[None]) <= 0.2 * tallest + 0.5
    )
    gap = np.maximum(left[:, None], left[None]) - np.minimum(right[:, None], right[None])
    beside = (gap > -0.2 * tallest) & (gap <= 0.9 * tallest + 1)
    _, rows = connected_components(level & beside, directed=False)
    return np.asarray(rows, dtype=np.int_)
