"""Where in an image something is to be seen: the part brighter than the background."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WORKING_SIZE = 128
"""The foreground is looked for in every n-th pixel, so that about so many remain across."""
SMOOTHING = 2.0
"""Standard deviation of the Gaussian, in those pixels."""
MARGIN = 0.02
"""Kept around the foreground, as a share of each side."""
DEPTH = 0.5
"""The threshold lies so far from the darkest value to Otsu's: dim parts at the edge stay in."""
SMALLEST = 0.1
"""A smaller box, as a share of the image, is not trusted: the whole image is kept."""


def foreground(image: NDArray[np.float32]) -> tuple[slice, ...]:
    """Return the box around the largest bright part of an image, one slice per axis.

    The threshold is half of Otsu's on the smoothed image (1979, doi 10.1109/TSMC.1979.4310076),
    counted from the darkest value: Otsu's own cuts lungs and deep tissue off.

    Args:
        image: (row, column) or (slice, row, column).

    Returns:
        A box with a small margin; the whole image where the box would be very small.
    """
    steps = [max(1, length // WORKING_SIZE) for length in image.shape]
    small = ndimage.gaussian_filter(
        image[tuple(slice(None, None, step) for step in steps)], SMOOTHING
    )
    darkest = float(small.min())
    parts, count = ndimage.label(small > darkest + DEPTH * (otsu(small) - darkest))
    whole = tuple(slice(0, length) for length in image.shape)
    if count == 0:
        return whole
    sizes = np.bincount(parts.ravel())
    box = ndimage.find_objects(parts)[int(sizes[1:].argmax())]
    share = np.prod([side.stop - side.start for side in box]) / small.size
    if share < SMALLEST:
        return whole
    return tuple(
        _widened(side, step, length)
        for side, step, length in zip(box, steps, image.shape, strict=True)
    )


def _widened(side: slice, step: int, length: int) -> slice:
    margin = round(MARGIN * length)
    return slice(max(0, side.start * step - margin), min(length, side.stop * step + margin))


def otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold that parts values into two groups with the least variance within."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums / below - (sums[-1] - sums) / above
        between = np.where((below > 0) & (above > 0), below * above * apart**2, 0)
    return float(edges[int(between.argmax()) + 1])
