"""A network moved over an image that is larger than what it sees at once.

Scores of all classes at all voxels may not fit the memory. So the image is worked on layer by
layer along the slices: what no later tile reaches is handed out and forgotten. Where even the
slices that one layer of tiles covers are too many, rows are done strip by strip, and tiles at the
border of two strips are computed twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegle.domain.errors import OptionError
from aegle.imaging.label_export import LabelExport, Labels, Window, no_labels
from aegle.learning.dense.engines import Engine, Precision, TileNeed
from aegle.learning.dense.tiling import Shape, Tile, Tiling
from aegle.learning.memory import kept_memory

_VOXELS = 2**18
"""Voxels that go through the network together, memory allowing: larger batches leave the cache."""
_LEAST_TILES = 2
"""A single tile in float32 takes PyTorch's slow path for narrow layers (torch 2.13)."""
_CLASSES = 8
"""Classes that are blended together."""
_RESERVE_SHARE, _RESERVE_MB = 0.2, 200.0
"""What labels are interpolated with."""


@dataclass(frozen=True, kw_only=True)
class Window3D:
    """How a network is moved over images."""

    tile: Shape
    """Voxels that it sees, slice, row, column; one slice for pictures."""
    axes: int
    """2: the network takes (tile, channel, row, column); 3: with slices."""
    step: float
    """Largest distance of neighbouring tiles, in tiles."""
    memory_mb: float
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How the memory is shared out."""

    batch: int
    """Tiles that go through the network together."""
    layers: int
    """Layers of tiles that are worked on together."""
    rows: int
    """Rows whose scores are held."""
    kind: torch.dtype
    """Number format of the scores."""


def budget(tiling: Tiling, need: TileNeed, window: Window3D) -> Budget:
    """Share out the memory: the scores of a layer first, as many tiles as fit then.

    Raises:
        OptionError: Not even one tile with half its rows fits; the message says what would.
    """
    reserve_mb = min(_RESERVE_MB, _RESERVE_SHARE * window.memory_mb)
    free_mb = window.memory_mb - reserve_mb
    tile_mb = need.megabytes(window.precision)
    least_tiles = _LEAST_TILES if window.precision == "float32" else 1
    wanted = max(least_tiles, round(_VOXELS / np.prod(window.tile)))
    most = min(wanted, tiling.tiles_per_layer * len(tiling.slices.starts))
    for batch in _halved(most):
        layers = 1 if window.axes == 3 else max(1, batch // tiling.tiles_per_layer)
        row_mb = need.classes * tiling.depth(layers) * tiling.columns.size * 4 / 1e6
        rows = tiling.rows.size
        for kind, share in ((torch.float32, 1.0), (torch.float16, 0.5)):
            if batch * tile_mb + share * row_mb * rows <= free_mb:
                return Budget(batch=batch, layers=layers, rows=rows, kind=kind)
    rows = int((free_mb - tile_mb) / (row_mb / 2))
    least = min(tiling.rows.size, max(2, window.tile[1] // 2))
    if rows < least:
        needed = (tile_mb + least * row_mb / 2) / (1 - _RESERVE_SHARE)
        raise OptionError(
            f"{window.memory_mb:.0f} MB are too little to use this network ({need.classes} "
            f"classes, tiles of {window.tile}); give at least {np.ceil(needed):.0f} MB."
        )
    return Budget(batch=1, layers=1, rows=rows, kind=torch.float16)


def _halved(number: int) -> Iterator[int]:
    while number > 1:
        yield number
        number //= 2
    yield 1


@dataclass(frozen=True, eq=False)
class Sliding:
    """A network that is being moved over one image."""

    engine: Engine
    image: Tensor
    """Padded to the tile at least, (channel, slice, row, column)."""
    tiling: Tiling
    shares: Budget
    classes: int
    axes: int

    def slabs(self, first_row: int, stop_row: int) -> Iterator[Tensor]:
        """Yield the scores of some rows, (class, slice, row, column), a few slices at a time.

        What is yielded is overwritten by the next slices.
        """
        layers = self.tiling.layers(self.shares.layers)
        starts = [self.tiling.slices.starts[layer[0]] for layer in layers]
        ends = [*starts[1:], self.tiling.slices.size]
        depth = self.tiling.depth(self.shares.layers)
        shape = (self.classes, depth, stop_row - first_row, self.tiling.columns.size)
        scores = torch.zeros(shape, dtype=self.shares.kind)
        sides = (self.tiling.slices.tile, self.tiling.rows.tile, self.tiling.columns.tile)
        scratch = torch.empty(min(_CLASSES, self.classes), *sides)
        for layer, start, end in zip(layers, starts, ends, strict=True):
            tiles = self.tiling.tiles(layer, first_row, stop_row)
            for few in _evenly(tiles, self.shares.batch):
                self._add(few, scores, (start, first_row), scratch)
            yield scores[:, : end - start]
            _advance(scores, end - start)

    def _add(
        self, tiles: list[Tile], scores: Tensor, origin: tuple[int, int], scratch: Tensor
    ) -> None:
        """Add the scores of tiles; they are forgotten before the next ones are computed."""
        for tile, values in zip(tiles, self._computed(tiles), strict=True):
            _blend(scores, values, tile, origin, scratch)

    def _computed(self, tiles: list[Tile]) -> Tensor:
        """Return the scores of tiles, (tile, class, slice, row, column)."""
        sides = (self.tiling.slices.tile, self.tiling.rows.tile, self.tiling.columns.tile)
        cut = [
            self.image[:, *(slice(a, a + side) for a, side in zip(tile.start, sides, strict=True))]
            for tile in tiles
        ]
        batch = torch.stack(cut)
        found = self.engine(batch[:, :, 0] if self.axes == 2 else batch).cpu()
        return found[:, :, None] if self.axes == 2 else found


def _evenly(tiles: list[Tile], most: int) -> Iterator[list[Tile]]:
    """Yield tiles in groups of equal size, give or take one."""
    groups = -(-len(tiles) // most)
    borders = [round(len(tiles) * number / groups) for number in range(groups + 1)]
    for number in range(groups):
        yield tiles[borders[number] : borders[number + 1]]


def _blend(
    scores: Tensor, values: Tensor, tile: Tile, origin: tuple[int, int], scratch: Tensor
) -> None:
    """Add a tile's scores by its weights, as far as it lies in the rows that are held.

    A few classes at a time, for which there is scratch memory; new memory would cost more than
    what is done in it.
    """
    first_slice, first_row = tile.start[0] - origin[0], tile.start[1] - origin[1]
    begin, end = max(0, first_row), min(scores.shape[2], first_row + values.shape[2])
    part = slice(begin - first_row, end - first_row)
    slices, rows, columns = tile.weights
    weights = slices[:, None, None] * rows[part, None] * columns
    target = scores[
        :,
        first_slice : first_slice + values.shape[1],
        begin:end,
        tile.start[2] : tile.start[2] + values.shape[3],
    ]
    room = scratch[:, :, : end - begin]
    for few in range(0, len(values), len(room)):
        some = values[few : few + len(room), :, part]
        weighted = torch.mul(some, weights, out=room[: len(some)])
        target[few : few + len(room)].add_(weighted)


def _advance(scores: Tensor, slices: int) -> None:
    """Move what is not finished to the front."""
    depth = scores.shape[1]
    for start in range(0, depth, slices):
        stop = min(start + slices, depth)
        left = scores[:, start + slices : stop + slices]
        scores[:, start : start + left.shape[1]] = left
        scores[:, start + left.shape[1] : stop] = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class _Padded:
    """An image no smaller than the tile, and where the original lies in it."""

    image: Tensor
    inside: Window


def _padded(image: NDArray[np.float32], window: Window3D) -> _Padded:
    """Pad as training does: volumes by zeros, pictures by their mirror image, on both sides."""
    short = [max(0, side - have) for side, have in zip(window.tile, image.shape[1:], strict=True)]
    # Where the difference is odd the smaller part comes before, as in training patches.
    margins = [(0, 0)] + [(lack // 2, lack - lack // 2) for lack in short]
    mode = "symmetric" if window.axes == 2 else "constant"
    values = np.pad(image, margins, mode=mode) if any(short) else image  # type: ignore[call-overload]
    a, b, c = (
        slice(before, before + size)
        for (before, _), size in zip(margins[1:], image.shape[1:], strict=True)
    )
    ready = torch.from_numpy(np.require(values, np.float32, ("C", "W")))
    return _Padded(image=ready, inside=(a, b, c))


def _sliding(engine: Engine, padded: _Padded, need: TileNeed, window: Window3D) -> Sliding:
    slices, rows, columns = padded.image.shape[1:]
    tiling = Tiling.of((slices, rows, columns), window.tile, window.step)
    shares = budget(tiling, need, window)
    return Sliding(engine, padded.image, tiling, shares, need.classes, window.axes)


@kept_memory()
def scores_of(
    engine: Engine, image: NDArray[np.float32], *, need: TileNeed, window: Window3D
) -> NDArray[np.float32]:
    """Return the scores of every class at every voxel, (class, slice, row, column).

    All of them are held; ``labels_of`` needs less.
    """
    padded = _padded(image, window)
    shape = padded.image.shape[1:]
    sliding = _sliding(engine, padded, need, window)
    result = np.empty((need.classes, *shape), np.float32)
    for first, stop in _strips(shape[1], sliding.shares.rows, shared=0):
        _copy(sliding, result, (first, stop))
    inside: NDArray[np.float32] = result[:, *padded.inside]
    return inside


def _copy(sliding: Sliding, result: NDArray[np.float32], strip: tuple[int, int]) -> None:
    """Copy the scores of a strip; they are forgotten before the next strip."""
    at = 0
    for slab in sliding.slabs(*strip):
        result[:, at : at + slab.shape[1], slice(*strip)] = slab.numpy()
        at += slab.shape[1]


@kept_memory()
def labels_of(
    engine: Engine,
    image: NDArray[np.float32],
    shape: Shape,
    *,
    need: TileNeed,
    window: Window3D,
    box: Window | None = None,
) -> Labels:
    """Return the class of each voxel of a grid with the same outer faces as the image.

    Args:
        engine: What computes the scores.
        image: As the network sees it, (channel, slice, row, column).
        shape: Of the labels, slice, row, column.
        need: What the network takes for one tile.
        window: How it is moved.
        box: The part of the image that is looked at; the rest is background. None for all.

    Returns:
        Shape as wanted; scores are interpolated linearly between voxel centres.

    Raises:
        OptionError: The memory is too little.
    """
    coarse: Shape = (image.shape[1], image.shape[2], image.shape[3])
    whole = (slice(0, coarse[0]), slice(0, coarse[1]), slice(0, coarse[2]))
    deep, high, wide = box or whole
    padded = _padded(image[:, deep, high, wide], window)
    sliding = _sliding(engine, padded, need, window)
    labels = no_labels(shape, need.classes)
    # Neighbouring strips share a row, between which and the next one labels are interpolated.
    for first, stop in _strips(high.stop - high.start, sliding.shares.rows, shared=1):
        part = (deep, slice(high.start + first, high.start + stop), wide)
        export = LabelExport(need.classes, coarse, shape, window=part)
        _export(sliding, export, padded.inside, (first, stop))
        labels[export.region] = export.labels
    return labels


def _export(sliding: Sliding, export: LabelExport, inside: Window, strip: tuple[int, int]) -> None:
    """Turn the scores of a strip into labels; they are forgotten before the next strip."""
    slices, rows, columns = inside
    at = 0
    for slab in sliding.slabs(rows.start + strip[0], rows.start + strip[1]):
        begin, end = max(0, slices.start - at), min(slab.shape[1], slices.stop - at)
        at += slab.shape[1]
        if end > begin:
            export.add(slab[:, begin:end, :, columns])


def _strips(rows: int, most: int, *, shared: int) -> list[tuple[int, int]]:
    """Return first and last row of strips of at most so many rows."""
    if most >= rows:
        return [(0, rows)]
    count = -(-(rows - shared) // (most - shared))
    borders = [round((rows - shared) * number / count) for number in range(count + 1)]
    return [(a, b + shared) for a, b in pairwise(borders)]


def box_of_interest(mask: NDArray[np.bool_], shape: Shape, *, margin: Shape = (0, 0, 0)) -> Window:
    """Return the box of a fine grid that holds what a coarse mask shows.

    Args:
        mask: On any grid with the same outer faces as the fine one.
        shape: Of the fine grid.
        margin: Fine voxels that are added on either side.

    Returns:
        Slices of an array on the fine grid; the whole of it if the mask is empty.
    """
    if not mask.any():
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    spans = []
    for axis, (size, extra) in enumerate(zip(shape, margin, strict=True)):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        ratio = size / mask.shape[axis]
        first = int(np.floor(inside[0] * ratio)) - extra
        stop = int(np.ceil((inside[-1] + 1) * ratio)) + extra
        spans.append(slice(max(0, first), min(size, stop)))
    return spans[0], spans[1], spans[2]
