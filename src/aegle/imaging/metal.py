"""Metal in the image and what it spoils."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.imaging.noise import grain

Plane = NDArray[np.float32]

_SIZES = (0.02, 0.2)
"""Thinnest and widest of what is taken for metal, as shares of the picture's shorter side."""
_NEAR_MM = 40.0
_LEVELS = tuple(np.linspace(0.55, 0.985, 12))


def bright_solids(plane: Plane, *, steepness: float = 0.05) -> float:
    """Return the share of a radiograph that compact bright shadows with steep borders cover [%].

    Metal stops nearly all rays: its shadow is brighter than what lies around it, and all its
    border is steep, which that of no organ is. Shadows at the edge of the picture are left out:
    they are markers and the borders of the field.

    Args:
        plane: Shades, shape (row, column), dense being bright.
        steepness: Least slope of the border per pixel, as a share of the range of the picture;
            three quarters of the border have it.
    """
    low, high = np.percentile(plane, (1, 99.9))
    shades = (plane - low) / max(float(high - low), 1e-9)
    thinnest = max(3, round(_SIZES[0] * min(plane.shape)))
    thick = ndimage.grey_opening(shades, footprint=_disc(thinnest))
    slope = ndimage.gaussian_gradient_magnitude(shades, 0.8)
    solid = np.zeros(plane.shape, dtype=np.bool_)
    for level in _LEVELS:
        solid |= _solids(thick > level, slope, steepness)
    return float(100 * solid.mean())


def _solids(
    bright: NDArray[np.bool_], slope: NDArray[np.floating], steepness: float
) -> NDArray[np.bool_]:
    labels, count = ndimage.label(bright)
    widest = _SIZES[1] * min(bright.shape)
    chosen = np.zeros(count + 1, dtype=np.bool_)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if _touches_edge(place, bright.shape) or max(_size(side) for side in place) > widest:
            continue
        wider = tuple(slice(side.start - 1, side.stop + 1) for side in place)
        shape = labels[wider] == number
        rim = ndimage.binary_dilation(shape) & ~ndimage.binary_erosion(shape)
        chosen[number] = np.percentile(slope[wider][rim], 25) > steepness
    return np.asarray(chosen[labels])


def _size(side: slice) -> int:
    return int(side.stop - side.start)


def _touches_edge(place: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    return any(
        side.start < 3 or side.stop > size - 3 for side, size in zip(place, shape, strict=True)
    )


def _disc(diameter: int) -> NDArray[np.bool_]:
    radius = diameter / 2
    y, x = np.indices((diameter, diameter)) - (diameter - 1) / 2
    return np.asarray(y**2 + x**2 <= radius**2)


@dataclass(frozen=True, kw_only=True)
class Metal:
    """Metal on a CT and what it does to the soft tissue beside it."""

    volume_ml: float
    slices: int
    """How many of the slices looked at show it."""
    streaks_hu: float
    """Unrest of soft tissue within 40 mm of it, on its slices [HU]; 0 if there is none."""


def dense_metal(
    planes: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    *,
    least_hu: float = 2600.0,
    smallest_mm2: float = 3.0,
) -> Metal:
    """Find metal on CT by its radiodensity, which bone and enamel seldom reach.

    Args:
        planes: Radiodensities [HU], shape (slice, row, column), slices at even distances.
        spacing_mm: Distance of the planes, rows and columns [mm].
        least_hu: Lowest radiodensity of metal [HU].
        smallest_mm2: Smaller spots on a plane are left out [mm²].
    """
    dense = planes > least_hu
    hit = np.flatnonzero(dense.any(axis=(1, 2)))
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    pixels, slices, unrest = 0, 0, []
    for index in hit:
        labels, count = ndimage.label(dense[index])
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        large = sizes[sizes * pixel_mm2 >= smallest_mm2].sum()
        if large:
            pixels, slices = pixels + int(large), slices + 1
            unrest.append(_unrest(planes[index], dense[index], spacing_mm))
    return Metal(
        volume_ml=pixels * pixel_mm2 * spacing_mm[0] / 1000,
        slices=slices,
        streaks_hu=float(np.median(unrest)) if unrest else 0.0,
    )


def _unrest(
    plane: Plane, metal: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> float:
    away_mm = ndimage.distance_transform_edt(~metal, sampling=spacing_mm[1:])
    soft = np.abs(ndimage.median_filter(plane, 5)) < 300
    return grain(plane[None], (soft & (away_mm < _NEAR_MM))[None])
