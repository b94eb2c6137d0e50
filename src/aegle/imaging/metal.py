"""Metal in the image and what it spoils."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float32]

_SIZES = (0.012, 0.35)
"""Thickness of what is taken for metal, as shares of the picture's shorter side."""


def bright_solids(plane: Plane, *, rise: float = 0.25, steepness: float = 0.12) -> float:
    """Return the share of a radiograph that compact, sharp-edged, brightest shadows cover [%].

    Metal stops nearly all rays: its shadow is as bright as the picture gets, stands out from
    its surroundings and has steep borders, which no organ has.

    Args:
        plane: Shades, shape (row, column), dense being bright.
        rise: How far metal stands out, as a share of the range of the picture.
        steepness: Slope of its border per pixel, as a share of the range of the picture.
    """
    low, high = np.percentile(plane, (1, 99.9))
    shades = (plane - low) / max(float(high - low), 1e-9)
    side = min(plane.shape)
    thinnest, widest = (max(3, round(share * side)) for share in _SIZES)
    thick = ndimage.grey_opening(shades, footprint=_disc(thinnest))
    coarse = max(1, side // 128)
    around = _background(thick, widest, coarse)
    solid = (thick - around > rise) & (thick > 0.7)
    slope = ndimage.gaussian_gradient_magnitude(shades, 0.8)
    labels, count = ndimage.label(solid)
    if not count:
        return 0.0
    numbers = np.arange(1, count + 1)
    rim = ndimage.grey_dilation(labels, size=3) * (labels == 0) + labels * (
        ndimage.grey_erosion(labels, size=3) == 0
    )
    sharp = np.atleast_1d(ndimage.median(slope, rim, numbers)) > steepness
    inner = _apart_from_edge(labels, count)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return float(100 * sizes[sharp & inner].sum() / plane.size)


def _disc(diameter: int) -> NDArray[np.bool_]:
    radius = diameter / 2
    y, x = np.indices((diameter, diameter)) - (diameter - 1) / 2
    return np.asarray(y**2 + x**2 <= radius**2)


def _background(shades: NDArray[np.floating], widest: int, coarse: int) -> NDArray[np.floating]:
    small = shades[::coarse, ::coarse]
    opened = ndimage.grey_opening(small, size=(max(3, widest // coarse),) * 2)
    return opened.repeat(coarse, 0).repeat(coarse, 1)[: shades.shape[0], : shades.shape[1]]


def _apart_from_edge(labels: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """Return which parts keep off the edge of the picture, where markers and borders are."""
    free = np.ones(count + 1, dtype=np.bool_)
    for edge in (labels[:2], labels[-2:], labels[:, :2], labels[:, -2:]):
        free[np.unique(edge)] = False
    return free[1:]
