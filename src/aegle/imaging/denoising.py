"""Noise removed without blurring edges.

Every pixel becomes the mean of pixels whose surroundings look like its own (non-local means).
Its strength follows from the measured noise alone. Diffusion has to be told how many steps to
take; at its best number it errs as little on texture and by more on even tissue.

Sources: Buades A et al. Multiscale Model Simul 2005;4:490-530 (non-local means); Darbon J et al.
IEEE ISBI 2008:1331-1334 (all pixels at once for each shift); Wiest-Daessle N et al. MICCAI
2008;11:171-179 (Rician noise: the mean of squares lies too high by twice the variance).
"""

from dataclasses import dataclass as record
from itertools import product
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.volume import Volume
from aegle.imaging.noise import white_noise
from aegle.options import option

Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DenoisingOptions:
    """How strongly, and among which neighbours."""

    strength: Annotated[
        float, option("Filter parameter over the deviation of the noise", gt=0, le=5)
    ] = 0.8
    patch_px: Annotated[
        int, option("Radius of the surroundings that are compared", unit="pixels", ge=1, le=5)
    ] = 2
    search_px: Annotated[
        int, option("Radius within which pixels are averaged", unit="pixels", ge=1, le=15)
    ] = 5
    is_rician: Annotated[
        bool, option("Whether noise is that of a magnitude MR, which lifts dark signal")
    ] = False


@record(frozen=True, eq=False, kw_only=True)
class Denoised:
    """An image with less noise, and how much there was."""

    volume: Volume
    noise_before: float
    """Deviation, the median of all slices [unit of the image]."""
    noise_after: float


def denoise(volume: Volume, *, options: DenoisingOptions) -> Denoised:
    """Remove noise slice by slice, each by as much as it has.

    Args:
        volume: Any quantity; planes are (row, column).
        options: How strongly.

    Returns:
        The image, and the deviation of the noise before and after.
    """
    deviations = [white_noise(plane) for plane in volume.values]
    planes = [
        denoised_plane(plane, deviation, options=options)
        for plane, deviation in zip(volume.values, deviations, strict=True)
    ]
    values = np.stack(planes)
    return Denoised(
        volume=Volume(values=values, grid=volume.grid, quantity=volume.quantity),
        noise_before=float(np.median(deviations)),
        noise_after=float(np.median([white_noise(plane) for plane in values])),
    )


def denoised_plane(plane: Plane, deviation: float, *, options: DenoisingOptions) -> Plane:
    """Remove white noise of a known standard deviation from one plane.

    Args:
        plane: Shape (row, column).
        deviation: Of the noise [unit of the plane]; 0 leaves the plane as it is.
        options: How strongly.
    """
    if deviation <= 0:
        return plane.copy()
    values = plane.astype(np.float32)
    power = values**2 if options.is_rician else values
    total, weights, highest = (np.zeros(values.shape, np.float32) for _ in range(3))
    for shift in _shifts(options.search_px):
        moved = _moved(values, shift)
        weight = _likeness(values - moved, deviation, options)
        total += weight * (_moved(power, shift) if options.is_rician else moved)
        weights += weight
        np.maximum(highest, weight, out=highest)
    # The pixel itself counts as much as the best of the others, or noise would stay where
    # nothing is alike.
    highest = np.maximum(highest, 1e-6)
    mean = (total + highest * power) / (weights + highest)
    if options.is_rician:
        mean = np.sqrt(np.maximum(mean - 2 * deviation**2, 0))
    return np.asarray(mean, dtype=np.float32)


def edge_contrast_kept(before: Plane, after: Plane, on_edge: NDArray[np.bool_]) -> float:
    """Return the mean slope on edges after over before: 1 if edges stay as they were.

    Args:
        before: Without the noise, if that is known.
        after: Denoised.
        on_edge: Pixels on the edges that should stay.
    """
    slopes = [ndimage.gaussian_gradient_magnitude(p.astype(float), 1.0) for p in (before, after)]
    return float(slopes[1][on_edge].mean() / slopes[0][on_edge].mean())


def _shifts(radius: int) -> list[tuple[int, int]]:
    span = range(-radius, radius + 1)
    return [shift for shift in product(span, span) if shift != (0, 0)]


def _moved(values: Plane, shift: tuple[int, int]) -> Plane:
    rows, columns = (np.arange(size) + step for size, step in zip(values.shape, shift, strict=True))
    return values[np.ix_(_reflected(rows, values.shape[0]), _reflected(columns, values.shape[1]))]


def _reflected(indices: NDArray[np.int_], size: int) -> NDArray[np.int_]:
    period = max(2 * size - 2, 1)
    folded = np.abs(indices) % period
    return np.where(folded < size, folded, period - folded)


def _likeness(difference: Plane, deviation: float, options: DenoisingOptions) -> Plane:
    """Return the weight of pixels at one shift: by how much their surroundings differ."""
    apart = ndimage.uniform_filter(difference**2, 2 * options.patch_px + 1, mode="nearest")
    # Equal surroundings differ by twice the variance of the noise, so that much is no difference.
    excess = np.maximum(apart - 2 * deviation**2, 0)
    return np.asarray(np.exp(-excess / (options.strength * deviation) ** 2), dtype=np.float32)
