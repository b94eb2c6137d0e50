"""Which dose, of all on a sphere around each of many points, is nearest to the point's own.

Two ways with the same result. On grids of equal spacing a sphere cuts each point's surroundings
into the same cells at the same places, so the doses on the part of the sphere in one cell are a
matrix product of its eight corners; a cell whose doses are all too far off is passed over. On
other grids every point interpolates by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

LARGEST_BLOCK = 1 << 18
"""Doses held at a time, which bounds the memory and stays in the processor's cache."""
OUTSIDE = 1e30
"""Stands for the dose beyond the grid; a share of it, however small, is far off any dose."""
FAR = 1e12
PLACES = 9
"""Decimals of a position in voxels: places on a face lie on it whatever the rounding."""
SAME_PLACE = 1e-6
"""Part of a voxel by which grids of equal spacing may differ in step."""
CORNERS = np.stack(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij"), axis=-1).reshape(8, 3)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lattice:
    """How the voxels of the reference lie among those of the evaluated dose."""

    matrix: Floats
    """From steps of the reference's index to steps of the evaluated one, shape (3, 3)."""
    origin: Floats
    """Evaluated index of the reference's voxel (0, 0, 0), shape (3,)."""
    spacing_mm: Floats
    """Of the reference, shape (3,)."""

    @property
    def steps(self) -> Floats:
        """Steps of the evaluated index per mm along the reference's axes, shape (3, 3)."""
        steps: Floats = self.matrix / self.spacing_mm
        return steps


class Look(Protocol):
    """Looks up the evaluated dose around points."""

    def __call__(self, points: Tensor, doses: Tensor, reach: Tensor, offsets_mm: Floats) -> Tensor:
        """Return the least difference of dose around points.

        Args:
            points: Numbers of the points, shape (point,).
            doses: Reference dose of each.
            reach: Differences from this on need not be found, shape (point,).
            offsets_mm: Where to look, shape (place, 3) along the reference's axes.

        Returns:
            Absolute difference, infinite where none is below ``reach``; shape (point,).
        """
        ...


def lookup(values: Tensor, voxels: Integers, lattice: Lattice, reach_mm: float) -> Look:
    """Return the faster way to look up doses.

    Args:
        values: Evaluated dose, three-dimensional.
        voxels: Indices of the points on the reference's grid, shape (point, 3).
        lattice: Where these lie.
        reach_mm: No displacement is longer.
    """
    whole = np.round(lattice.matrix)
    if np.abs(lattice.matrix - whole).max() * max(int(voxels.max()), 1) < SAME_PLACE:
        return SharedLook(values, voxels, lattice, reach_mm)
    return SingleLook(values, voxels, lattice)


class SharedLook:
    """All points lie alike in their cells, as on grids of equal spacing."""

    def __init__(self, values: Tensor, voxels: Integers, lattice: Lattice, reach_mm: float) -> None:
        start = np.floor(lattice.origin + SAME_PLACE)
        self._fraction = lattice.origin - start
        self._steps = lattice.steps
        base = voxels @ np.round(lattice.matrix).astype(np.int64).T + start.astype(np.int64)
        margin = np.ceil(reach_mm * np.linalg.norm(self._steps, axis=1)).astype(np.int64) + 1
        first, last = base.min(axis=0) - margin, base.max(axis=0) + margin + 1
        padded = _window(values, first, last)
        self._shape = padded.shape
        self._values = padded.reshape(-1)
        self._least = _over_corners(padded, torch.minimum).reshape(-1)
        self._most = _over_corners(padded, torch.maximum).reshape(-1)
        flat = np.ravel_multi_index(tuple((base - first).T), self._shape)
        self._index = torch.from_numpy(flat).to(values.device)
        self._corners = torch.tensor([self._flat(c) for c in CORNERS], device=values.device)

    def __call__(self, points: Tensor, doses: Tensor, reach: Tensor, offsets_mm: Floats) -> Tensor:
        """Return the least difference of dose around points."""
        places = np.round(offsets_mm @ self._steps.T + self._fraction, PLACES)
        cells = np.floor(places).astype(np.int64)
        base = self._index[points]
        best = reach.clamp(max=FAR)
        improved = torch.zeros_like(best, dtype=torch.bool)
        for cell, weights in _by_cell(cells, places - cells):
            shares = torch.from_numpy(weights).to(doses)
            self._lower(base + self._flat(cell), doses, shares, (best, improved))
        return torch.where(improved, best, torch.inf)

    def _lower(
        self, cells: Tensor, doses: Tensor, shares: Tensor, found: tuple[Tensor, Tensor]
    ) -> None:
        """Lower the best difference where a place in each point's cell is nearer."""
        best, improved = found
        misses = torch.maximum(self._least[cells] - doses, doses - self._most[cells])
        for some in torch.nonzero(misses < best)[:, 0].split(LARGEST_BLOCK // shares.shape[1] + 1):
            # Differences of corners, not of doses, which would lose digits.
            corners = self._values[cells[some, None] + self._corners] - doses[some, None]
            nearest = torch.linalg.vector_norm(corners @ shares, ord=-torch.inf, dim=1)
            better = nearest < best[some]
            nearer = some[better]
            best[nearer] = nearest[better]
            improved[nearer] = True

    def _flat(self, cell: Integers) -> int:
        """Return how far the flat index moves with a step of the index."""
        return int((cell[0] * self._shape[1] + cell[1]) * self._shape[2] + cell[2])


class SingleLook:
    """Every point interpolates by itself, in 64 bits; right for any two grids."""

    def __init__(self, values: Tensor, voxels: Integers, lattice: Lattice) -> None:
        self._values = values.double()[None, None]
        self._last = torch.tensor(values.shape, device=values.device) - 1
        self._steps = lattice.steps
        places = voxels @ lattice.matrix.T + lattice.origin
        self._places = torch.from_numpy(places).to(values.device)

    def __call__(self, points: Tensor, doses: Tensor, reach: Tensor, offsets_mm: Floats) -> Tensor:
        """Return the least difference of dose around points."""
        offsets = torch.from_numpy(offsets_mm @ self._steps.T).to(self._places)
        block = LARGEST_BLOCK // len(offsets) + 1
        found = [
            self._nearest(self._places[some], own, offsets)
            for some, own in zip(points.split(block), doses.double().split(block), strict=True)
        ]
        nearest = torch.cat(found).to(doses.dtype)
        return torch.where(nearest < reach.clamp(max=FAR), nearest, torch.inf)

    def _nearest(self, places: Tensor, doses: Tensor, offsets: Tensor) -> Tensor:
        sizes = self._last + 1
        unit = ((2 * places + 1) / sizes - 1).flip(-1)[:, None] + (2 * offsets / sizes).flip(-1)
        sampled = functional.grid_sample(
            self._values, unit[None, None], padding_mode="border", align_corners=False
        )[0, 0, 0]
        apart = (sampled - doses[:, None]).abs_()
        room = torch.minimum(places, self._last - places).amin()
        if room < offsets.abs().max():
            looked = torch.round(places[:, None] + offsets, decimals=PLACES)
            apart.masked_fill_(((looked < 0) | (looked > self._last)).any(dim=-1), torch.inf)
        return apart.amin(dim=1)


def _by_cell(cells: Integers, fractions: Floats) -> Iterator[tuple[Integers, Floats]]:
    """Yield each cell with the shares of its corners at each place in it, shape (8, place)."""
    found, which = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(which.reshape(-1)))[:-1]
    for cell, own in zip(found, np.split(fractions[order], ends), strict=True):
        shares = np.where(CORNERS[:, None] == 1, own, 1 - own)
        yield cell, shares.prod(axis=-1)


def _window(values: Tensor, first: Integers, last: Integers) -> Tensor:
    """Return the values from the first to before the last index; ``OUTSIDE`` beyond the grid."""
    shape = np.asarray(values.shape)
    window = values.new_full((last - first).tolist(), OUTSIDE)
    low, high = np.clip(first, 0, shape), np.clip(last, 0, shape)
    inside = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    place = tuple(slice(int(a), int(b)) for a, b in zip(low - first, high - first, strict=True))
    window[place] = values[inside]
    return window


def _over_corners(values: Tensor, choose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the chosen of the eight corners of the cell that begins at each voxel."""
    for axis in range(3):
        values = choose(values, values.roll(-1, axis))
    return values
