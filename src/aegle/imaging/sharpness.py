"""How sharp a plane is, told from its edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float32]

FINE_PX, COARSE_PX = 1.0, 2.0
"""The two blurs at which edges are looked at [pixels]."""
LEAST_EDGES = 12
LEAST_IN_DIRECTION = 20
"""A direction with fewer pixels on edges is not judged by itself."""
_DIRECTIONS = 4
_MOST_PX = 6.0


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """Width of a plane's edges as the deviation of the Gaussian that would blur a step so."""

    blur_px: float
    """Of the edges of all directions together [pixels]."""
    widest_px: float
    """Across the direction in which edges are widest [pixels]: movement blurs one direction."""
    narrowest_px: float
    """Across the direction in which edges are sharpest [pixels]."""
    edges: int
    """Pixels on edges that were looked at."""


def sharpness(
    plane: Plane,
    where: NDArray[np.bool_] | None = None,
    *,
    noise: float = 0.0,
    percentile: float = 25.0,
) -> Sharpness:
    """Measure how wide the strongest edges of a plane are.

    An edge of width b loses slope when it is blurred further: by sqrt((b² + f²) / (b² + c²))
    from blur f to blur c. The slopes at both blurs therefore tell b.

    Args:
        plane: Shape (row, column).
        where: Pixels whose edges count.
        noise: Deviation of the noise [unit of the plane]; weaker edges are left out.
        percentile: Which of the edges stands for all: many are soft by nature, few are sharp.

    Returns:
        Widths [pixels]; infinite if there are too few edges.

    Source: Zhuo S, Sim T. Pattern Recognit 2011;44:1852-1858, blur from the ratio of gradients.
    """
    fine, _, _ = _slopes(plane, FINE_PX)
    coarse, along_rows, along_columns = _slopes(plane, COARSE_PX)
    on_edge = _ridges(coarse, along_rows, along_columns) & (coarse > _least(coarse, where, noise))
    if where is not None:
        on_edge &= where
    edges = int(np.count_nonzero(on_edge))
    if edges < LEAST_EDGES:
        return Sharpness(blur_px=np.inf, widest_px=np.inf, narrowest_px=np.inf, edges=edges)
    ratio = ndimage.maximum_filter(fine, 3)[on_edge] / coarse[on_edge]
    widths = _width(ratio)
    directions = np.arctan2(along_rows[on_edge], along_columns[on_edge]) % np.pi
    sector = np.rint(directions / (np.pi / _DIRECTIONS)).astype(int) % _DIRECTIONS
    apart = [widths[sector == number] for number in range(_DIRECTIONS)]
    blur_px = float(np.percentile(widths, percentile))
    per_direction = [np.percentile(w, percentile) for w in apart if w.size >= LEAST_IN_DIRECTION]
    return Sharpness(
        blur_px=blur_px,
        widest_px=float(max([*per_direction, blur_px])),
        narrowest_px=float(min([*per_direction, blur_px])),
        edges=edges,
    )


def _slopes(
    plane: Plane, blur_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    values = plane.astype(np.float64)
    rows, columns = (
        ndimage.gaussian_filter(values, blur_px, order=order, mode="nearest")
        for order in ((1, 0), (0, 1))
    )
    return np.hypot(rows, columns), rows, columns


def _least(slopes: NDArray[np.float64], where: NDArray[np.bool_] | None, noise: float) -> float:
    """Return the least slope of an edge that counts: among the steepest, and above noise."""
    inside = slopes if where is None else slopes[where]
    steep = float(np.percentile(inside, 90)) if inside.size else np.inf
    # Deviation of the slope of white noise behind a Gaussian: noise / (sqrt(8 pi) blur²).
    return float(max(steep, 4 * noise / (np.sqrt(8 * np.pi) * COARSE_PX**2), 1e-9))


def _ridges(
    slopes: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return pixels at which the slope is highest along its own direction."""
    flat = np.maximum(slopes, 1e-12)
    y, x = np.indices(slopes.shape)
    ahead, behind = (
        ndimage.map_coordinates(
            slopes, [y + way * rows / flat, x + way * columns / flat], order=1, mode="nearest"
        )
        for way in (1, -1)
    )
    return np.asarray((slopes >= ahead) & (slopes > behind))


def _width(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blur that a ratio of slopes, fine over coarse, tells [pixels]."""
    squared = ratio**2
    above = np.maximum(COARSE_PX**2 - squared * FINE_PX**2, 0)
    return np.minimum(np.sqrt(above / np.maximum(squared - 1, 1e-6)), _MOST_PX)
