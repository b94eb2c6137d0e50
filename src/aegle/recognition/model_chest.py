"""How much of the lungs a frontal chest radiograph leaves out, by comparison with a model chest.

The model is the made patient's radiograph. Windows of many sizes and places are laid over it;
those that look most like the radiograph tell which part of the chest that shows. Windows far
from the usual one count less.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.imaging.reduction import area_means

Plane = NDArray[np.float32]

PIXELS = 24
"""Windows are compared as so many rows and columns."""
_UNUSUAL = 0.8
"""What a window loses in correlation per squared departure from the whole model."""
_DOUBT = 0.02
"""Windows whose correlation differs by so much are about equally likely."""
_HEIGHTS = tuple(np.geomspace(0.6, 1.4, 7))
_WIDTHS = tuple(np.geomspace(0.6, 1.25, 7))
_ROWS = tuple(np.linspace(0.2, 0.8, 11))
_COLUMNS = tuple(np.linspace(0.25, 0.75, 11))


@dataclass(frozen=True, kw_only=True)
class View:
    """What part of a chest a radiograph shows."""

    lungs_outside_percent: float
    """Share of the model's lungs outside of the picture [%].

    Since unusual windows count less, it is about six tenths of the true share.
    """
    likeness: float
    """Correlation of the ranks of shades with the best window of the model."""


@dataclass(frozen=True, eq=False)
class _Windows:
    shades: NDArray[np.float32]
    """One row per window: its ranks, of mean 0 and length 1."""
    outside: NDArray[np.float64]
    """Share of the lungs outside."""
    penalty: NDArray[np.float64]


def view_of(plane: Plane) -> View:
    """Compare a frontal chest radiograph (dense being bright) with the model chest."""
    windows = _windows()
    shown = ndimage.gaussian_filter(area_means(_exposed(plane), (PIXELS, PIXELS)), 0.5)
    likeness = windows.shades @ _ranked(shown)
    weight = likeness - windows.penalty
    weight = np.exp((weight - weight.max()) / _DOUBT)
    return View(
        lungs_outside_percent=float(100 * (weight * windows.outside).sum() / weight.sum()),
        likeness=float(likeness.max()),
    )


def _exposed(plane: Plane) -> Plane:
    """Return the picture without its collimated borders."""
    low, high = np.percentile(plane, (1, 99))
    shown = ndimage.gaussian_filter(plane, 2) > plane.min() + 0.1 * (high - low)
    rows, columns = (np.flatnonzero(shown.mean(axis=axis) > 0.3) for axis in (1, 0))
    if rows.size < PIXELS or columns.size < PIXELS:
        return plane
    return plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _ranked(plane: NDArray[np.floating]) -> NDArray[np.float32]:
    ranks = np.argsort(np.argsort(plane.ravel(), kind="stable"), kind="stable").astype(np.float64)
    ranks -= ranks.mean()
    return np.asarray(ranks / np.linalg.norm(ranks), dtype=np.float32)


@lru_cache(maxsize=1)
def _windows() -> _Windows:
    with files("aegle.recognition").joinpath("model_chest.npz").open("rb") as file:
        stored = np.load(file)
        shades, lungs = stored["shades"], stored["lungs"]
    rows: list[NDArray[np.float32]] = []
    outside, penalty = [], []
    for height, width, row, column in product(_HEIGHTS, _WIDTHS, _ROWS, _COLUMNS):
        up, down = row - height / 2, row + height / 2
        left, right = column - width / 2, column + width / 2
        rows.append(_ranked(shades[np.ix_(*_at(shades.shape, (up, down), (left, right)))]))
        seen = lungs[_span(up, down, lungs.shape[0]), _span(left, right, lungs.shape[1])]
        outside.append(1 - seen.sum() / lungs.sum())
        unusual = (np.log(height), np.log(width), row - 0.5, column - 0.5)
        penalty.append(_UNUSUAL * float(np.square(unusual).sum()))
    return _Windows(np.stack(rows), np.asarray(outside), np.asarray(penalty))


def _at(shape: tuple[int, ...], *ends: tuple[float, float]) -> list[NDArray[np.int_]]:
    """Return the nearest rows and columns of the model; beyond its edge the edge goes on."""
    middles = (np.arange(PIXELS) + 0.5) / PIXELS
    return [
        np.clip(np.rint((low + middles * (high - low)) * size - 0.5), 0, size - 1).astype(int)
        for size, (low, high) in zip(shape, ends, strict=True)
    ]


def _span(low: float, high: float, size: int) -> slice:
    return slice(max(0, round(low * size)), max(0, round(high * size)))
