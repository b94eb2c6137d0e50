"""Where a network is put down on an image, and how neighbouring results are joined.

Tiles are a grid of equal steps along each axis. Each counts by a Gaussian around its middle, whose
standard deviation is an eighth of the tile (Isensee 2021). Grid and Gaussian are products over the
axes, so weights that sum to one at every voxel are too: nothing needs to be divided afterwards.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, int, int]

DEVIATION = 1 / 8
"""Of the weight's Gaussian, as a share of the tile."""


@dataclass(frozen=True, kw_only=True)
class AxisTiles:
    """Tiles along one axis."""

    size: int
    """Voxels of the image, no fewer than those of the tile."""
    tile: int
    step: float
    """Largest distance of neighbouring tiles, in tiles."""

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First voxel of each tile."""
        free = self.size - self.tile
        steps = int(np.ceil(free / max(1.0, self.tile * self.step) - 1e-9))
        return tuple(round(free * number / max(1, steps)) for number in range(steps + 1))

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """What each voxel of each tile counts, (tile, voxel); the sum at a place is one."""
        offsets = np.arange(self.tile) - (self.tile - 1) / 2
        bell = np.exp(-0.5 * (offsets / (self.tile * DEVIATION)) ** 2)
        total = np.zeros(self.size)
        for start in self.starts:
            total[start : start + self.tile] += bell
        shares = [bell / total[start : start + self.tile] for start in self.starts]
        return np.stack(shares).astype(np.float32)

    def reaching(self, first: int, stop: int) -> list[int]:
        """Return the numbers of the tiles that cover any voxel from the first one on."""
        return [
            number
            for number, start in enumerate(self.starts)
            if start < stop and start + self.tile > first
        ]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One tile, by its numbers along the axes."""

    start: Shape
    weights: tuple[Tensor, Tensor, Tensor]
    """Of its slices, rows and columns."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Tiles along slices, rows and columns."""

    slices: AxisTiles
    rows: AxisTiles
    columns: AxisTiles

    @classmethod
    def of(cls, shape: Shape, tile: Shape, step: float) -> "Tiling":
        """Lay tiles over an image that is no smaller than they are."""
        slices, rows, columns = (
            AxisTiles(size=size, tile=side, step=step)
            for size, side in zip(shape, tile, strict=True)
        )
        return cls(slices=slices, rows=rows, columns=columns)

    @property
    def tiles_per_layer(self) -> int:
        """Tiles that begin at the same slice."""
        return len(self.rows.starts) * len(self.columns.starts)

    def layers(self, count: int) -> list[list[int]]:
        """Return the numbers of the tiles along slices, so many at a time."""
        numbers = list(range(len(self.slices.starts)))
        return [numbers[start : start + count] for start in range(0, len(numbers), count)]

    def depth(self, count: int) -> int:
        """Return the slices that so many neighbouring layers reach over together."""
        layers = (self.slices.starts[layer[0]] for layer in self.layers(count))
        ends = (self.slices.starts[layer[-1]] + self.slices.tile for layer in self.layers(count))
        return max(end - start for start, end in zip(layers, ends, strict=True))

    def tiles(self, layers: list[int], first_row: int, stop_row: int) -> list[Tile]:
        """Return the tiles of some layers that cover any of the rows."""
        axes = (self.slices, self.rows, self.columns)
        numbers = (
            layers,
            self.rows.reaching(first_row, stop_row),
            self.columns.reaching(0, self.columns.size),
        )
        return [_tile(axes, chosen) for chosen in product(*numbers)]


def _tile(axes: tuple[AxisTiles, AxisTiles, AxisTiles], numbers: tuple[int, ...]) -> Tile:
    a, b, c = (axis.starts[number] for axis, number in zip(axes, numbers, strict=True))
    x, y, z = (
        torch.from_numpy(axis.weights[number]) for axis, number in zip(axes, numbers, strict=True)
    )
    return Tile(start=(a, b, c), weights=(x, y, z))
