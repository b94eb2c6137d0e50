"""Boxes in the plane: overlap, the likeliest of those that overlap, and moved boxes.

A box is left, top, right and bottom edge [pixel]; pixel 0 reaches from 0 to 1.
"""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """Return intersection over union of each pair, shape (first, second); 0 for empty boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = area(first)[:, None] + area(second)[None] - shared
    result: NDArray[np.float32] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return result


def area(boxes: Boxes) -> NDArray[np.float32]:
    """Return the areas of boxes [pixel²]."""
    sizes: NDArray[np.float32] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return sizes


def likeliest(
    boxes: Boxes, scores: NDArray[np.float32], classes: NDArray[np.int64], *, overlap: float
) -> NDArray[np.int64]:
    """Return the numbers of the boxes that stay, the likeliest first.

    Of boxes of one class that overlap by more, the one of the higher score stays.
    """
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    shared = overlaps(boxes, boxes) * (classes[:, None] == classes[None])
    for number in order:
        if not kept or shared[number, kept].max() <= overlap:
            kept.append(int(number))
    return np.array(kept, np.int64)


def moved(
    boxes: Boxes, linear: NDArray[np.float64], shift: NDArray[np.float64], size: int
) -> Boxes:
    """Return the boxes around moved boxes.

    Args:
        boxes: Shape (box, 4).
        linear: What moves content about the centre of a square picture, (2, 2), axes x, y.
        shift: What moves it afterwards [pixel], axes x, y.
        size: Rows and columns of the picture.
    """
    corners = boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]].astype(np.float64) - size / 2
    reached = corners @ linear.T + shift + size / 2
    found: Boxes = np.concatenate((reached.min(axis=1), reached.max(axis=1)), axis=1)
    return found.astype(np.float32)


def within(boxes: Boxes, size: int, *, least_share: float) -> tuple[Boxes, NDArray[np.bool_]]:
    """Return boxes cut at the edges of a picture, and which of them keep enough of their area.

    Args:
        boxes: Shape (box, 4).
        size: Rows and columns of the picture.
        least_share: Of its area that a box has to keep.
    """
    cut = boxes.clip(0, size)
    is_seen = area(cut) >= least_share * np.maximum(area(boxes), 1e-6)
    return cut, is_seen & (area(cut) > 1)
