"""Whether what is examined lies wholly within the image."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def seen_field(planes: NDArray[np.float32]) -> Mask:
    """Return the pixels that the scanner reconstructed, shape (row, column).

    Outside of a round field of view scanners store one constant value in all corners; if they
    do not, the whole plane was seen.
    """
    rows, columns = planes.shape[1:]
    y, x = np.indices((rows, columns))
    radius = np.hypot((y - (rows - 1) / 2) / (rows / 2), (x - (columns - 1) / 2) / (columns / 2))
    corners = planes[:, radius > 1.02]
    if corners.size and np.ptp(corners) == 0 and corners.flat[0] < -1000:
        return np.asarray(radius <= 1.0)
    return np.ones((rows, columns), dtype=np.bool_)


def outline_at_border(parts: Mask, field: Mask) -> float:
    """Return which share of the outline of masks lies at the border of the field [%].

    Args:
        parts: Shape (slice, row, column).
        field: What was seen of each plane, shape (row, column).
    """
    inside = parts & field
    eroded = ndimage.binary_erosion(inside, np.ones((1, 3, 3), bool))
    outline = inside & ~eroded
    inner = ndimage.binary_erosion(field, np.ones((3, 3), bool), iterations=2)
    total = np.count_nonzero(outline)
    return 100.0 * float(np.count_nonzero(outline & ~inner) / total) if total else 0.0


def cut_faces(shown: Mask) -> dict[str, float]:
    """Return how much of a mask reaches each face of its array [% of its largest section].

    Args:
        shown: What is examined, in axial order: slices to the head, rows to the back, columns
            to the patient's left.

    Returns:
        By face: ``bottom``, ``top``, ``front``, ``back``, ``right``, ``left``. Faces of an axis
        with a single plane are left out.
    """
    names = (("bottom", "top"), ("front", "back"), ("right", "left"))
    result = {}
    for axis, (first, last) in enumerate(names):
        if shown.shape[axis] < 2:
            continue
        areas = np.count_nonzero(shown, axis=tuple(k for k in range(3) if k != axis))
        largest = max(int(areas.max()), 1)
        result[first] = 100.0 * float(areas[0] / largest)
        result[last] = 100.0 * float(areas[-1] / largest)
    return result


def end_sections(areas: NDArray[np.floating]) -> tuple[float, float]:
    """Return the areas of the first and last section over the largest one [%]."""
    largest = float(areas.max()) if areas.size else 0.0
    if largest <= 0:
        return 0.0, 0.0
    return 100.0 * float(areas[0]) / largest, 100.0 * float(areas[-1]) / largest
