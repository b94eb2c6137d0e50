"""How noisy a plane is, told from the plane alone.

Neighbours differ by structure and by noise. Differences that a straight slope cannot cause
are mostly noise, and where they are least there is the least structure.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float32]

NORMAL_QUARTILE = 0.6745
"""Median of the absolute value of a standard normal variable."""
_BLOCK_PX = 8
_QUARTILE_OF_BLOCKS = 0.873
"""What the lower quartile of the blocks' medians is on white noise of deviation 1 (simulated)."""
_LEAST_BLOCKS = 4
_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6.0
"""White noise of deviation 1 stays of deviation 1; planes and slopes vanish."""
_WINDOW_PX = 5
_BINS = 64


def white_noise(plane: Plane, where: NDArray[np.bool_] | None = None) -> float:
    """Estimate the standard deviation of noise that pixels do not share.

    The median absolute second difference of blocks of 8 x 8 pixels; the lower quartile of the
    blocks, since structure raises some blocks and noise raises all.

    Args:
        plane: Shape (row, column).
        where: Pixels that count; blocks count if most of their pixels do.

    Returns:
        The deviation [unit of the plane]; 0 if there are not four blocks.

    Source: Immerkaer J. Comput Vis Image Underst 1996;64:300-302 (the difference); Donoho DL,
    Johnstone IM. Biometrika 1994;81:425-455 (the median in place of the mean).
    """
    differences = np.abs(ndimage.convolve(plane.astype(np.float64), _DIFFERENCE, mode="nearest"))
    # Clipped shades carry no noise and would hide it.
    usable = (plane > plane.min()) & (plane < plane.max())
    if where is not None:
        usable &= where
    shares, blocks = _blocks(usable), _blocks(differences)
    full = shares.mean(axis=1) > 0.8
    if np.count_nonzero(full) < _LEAST_BLOCKS:
        return 0.0
    quietest = np.percentile(np.median(blocks[full], axis=1), 25)
    return float(quietest / (NORMAL_QUARTILE * _QUARTILE_OF_BLOCKS))


def _blocks(values: NDArray[np.generic]) -> NDArray[np.generic]:
    rows, columns = (size // _BLOCK_PX for size in values.shape)
    inner = values[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
    apart = inner.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2)
    return apart.reshape(-1, _BLOCK_PX**2)


def grain(planes: Plane, where: NDArray[np.bool_]) -> float:
    """Estimate the standard deviation of noise that neighbours may share, as on CT.

    The most frequent deviation inside windows of 5 x 5 pixels that lie wholly inside.

    Args:
        planes: Shape (slice, row, column).
        where: Tissue that should be even, e.g. soft tissue by its radiodensity.

    Returns:
        The deviation [unit of the planes]; 0 if no window fits.

    Source: Christianson O et al. AJR 2015;205:W93-W99, global noise level of clinical CT.
    """
    size = (1, _WINDOW_PX, _WINDOW_PX)
    inside = ndimage.binary_erosion(where, np.ones(size, bool))
    if not inside.any():
        return 0.0
    values = planes.astype(np.float64)
    mean = ndimage.uniform_filter(values, size)
    variance = ndimage.uniform_filter(values**2, size)[inside] - mean[inside] ** 2
    pixels = _WINDOW_PX**2
    deviations = np.sqrt(np.maximum(variance, 0) * pixels / (pixels - 1))
    highest = float(np.percentile(deviations, 95))
    if highest <= 0:
        return 0.0
    counts, edges = np.histogram(deviations, bins=_BINS, range=(0, highest))
    peak = int(np.argmax(ndimage.gaussian_filter1d(counts.astype(float), 1.5)))
    return float((edges[peak] + edges[peak + 1]) / 2)
