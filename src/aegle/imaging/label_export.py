"""Labels on a fine grid from the scores of classes on a coarse one, without fine scores.

Between the centres of eight coarse voxels (a cell) scores are interpolated linearly, and a fine
voxel gets the class with the largest one. Interpolated scores are weighted means of the corners':
where all corners have the same label, so does everything between them; and a class that another
one exceeds at every corner is nowhere the largest. So fine scores are computed only in cells whose
corners differ, and only of the few classes that are left there. The result is that of
interpolating every class over the whole image. Beyond the outermost centres the scores at the
edge go on; grids share their outer faces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegle.domain.errors import InputError

Shape = tuple[int, int, int]
Window = tuple[slice, slice, slice]
Labels = NDArray[np.uint8] | NDArray[np.uint16]

MOST_CLASSES = 65_536
"""What labels of two bytes tell apart, background included."""
_CANDIDATES = (2, 4, 8)
"""Numbers of classes for which cells are worked on together."""
_WORKING_VALUES = 2**21
"""Scores that are held at once while cells are worked on."""


def upsampled_labels(scores: NDArray[np.float32] | Tensor, shape: Shape) -> Labels:
    """Return the class with the largest score of each voxel of a finer (or coarser) grid.

    Args:
        scores: Logits or probabilities, (class, slice, row, column).
        shape: Wanted slices, rows and columns.

    Returns:
        Shape as wanted; bytes for up to 256 classes, else two bytes. Of equal scores the class
        that comes first wins.

    Raises:
        InputError: There are more classes than labels of two bytes tell apart, or no scores.
    """
    given = scores if isinstance(scores, Tensor) else torch.from_numpy(np.asarray(scores))
    coarse = tuple(given.shape[1:])
    if given.ndim != 4 or given.numel() == 0:
        raise InputError(
            f"Scores have shape {tuple(given.shape)}; expected (class, slice, row, column)."
        )
    export = LabelExport(len(given), (coarse[0], coarse[1], coarse[2]), shape)
    export.add(given)
    return export.labels


class LabelExport:
    """Takes coarse scores slice by slice and gives the labels of a fine grid."""

    def __init__(
        self, classes: int, coarse: Shape, fine: Shape, *, window: Window | None = None
    ) -> None:
        """Begin without slices.

        Args:
            classes: Background included.
            coarse: Slices, rows and columns of the grid of the scores.
            fine: Of the grid of the labels.
            window: The part of the coarse grid whose scores will be added; None for all of it.

        Raises:
            InputError: There are more classes than labels of two bytes tell apart.
        """
        if classes > MOST_CLASSES:
            raise InputError(
                f"There are {classes} classes; a label map holds at most {MOST_CLASSES}, "
                "background included. Split the classes among several models."
            )
        self._classes = classes
        whole = tuple(slice(0, have) for have in coarse)
        self._axes = tuple(
            _Axis(have, want).part(part.start, part.stop - (part.stop < have))
            for have, want, part in zip(coarse, fine, window or whole, strict=True)
        )
        slices, rows, columns = (axis.fine for axis in self._axes)
        self.region: Window = (slices, rows, columns)
        """The fine voxels that get a label: those between the centres of the coarse ones given."""
        shape = [axis.fine.stop - axis.fine.start for axis in self._axes]
        self.labels: Labels = no_labels(shape, classes)
        """Of the region."""
        self._is_same = coarse == fine
        self._before: Tensor | None = None
        self._labels_before: Tensor | None = None
        self._taken = 0

    def add(self, scores: Tensor) -> None:
        """Take the scores of the window's next slices, (class, slice, row, column)."""
        in_slice = scores[:, :1].numel()
        with torch.inference_mode():
            for few in scores.split(max(1, 4 * _WORKING_VALUES // in_slice), dim=1):
                self._add(few.cpu())

    def _add(self, scores: Tensor) -> None:
        own = _largest(scores)
        first = self._taken
        self._taken += len(own)
        if self._is_same:
            target = self.labels[first : self._taken]
            target[:] = own[: len(target), : target.shape[1], : target.shape[2]].numpy()
            return
        if self._before is not None and self._labels_before is not None:
            scores = torch.cat((self._before, scores), dim=1)
            own = torch.cat((self._labels_before, own))
            first -= 1
        cells = min(max(1, self._taken - first - 1), self._axes[0].cells - first)
        if self._taken - first > 1 or self._axes[0].is_single:
            self._export(_Slab.of(scores, own, first), cells)
        # A copy, lest the whole slab is kept for its last slice.
        self._before = scores[:, -1:].clone()
        self._labels_before = own[-1:].clone()

    def _export(self, slab: "_Slab", cells: int) -> None:
        """Write the labels of all fine voxels in some layers of cells."""
        slices, rows, columns = self._axes
        layers = slices.part(slab.first, slab.first + cells)
        if layers.fine.start == layers.fine.stop:
            return
        target = self.labels[layers.fine]
        lower, differ = _corner_labels(slab.labels, cells)
        # Columns first, while the array is small.
        wide = lower.numpy().take(columns.cell, 2).take(rows.cell, 1).take(layers.cell, 0)
        target[:] = wide
        axes = (layers, rows, columns)
        for where in differ.nonzero().split(max(64, _WORKING_VALUES // (8 * self._classes))):
            self._between(slab, where, axes, target)

    def _between(
        self, slab: "_Slab", where: Tensor, axes: Sequence["_Axis"], target: Labels
    ) -> None:
        """Write the labels of the fine voxels in cells whose corners differ."""
        corners = slab.corners(where)
        kept = _undominated(corners)
        counts = kept.sum(0)
        least = 0
        for most in (*_CANDIDATES, self._classes):
            mine = ((counts > least) & (counts <= most)).nonzero()[:, 0]
            least = most
            if not len(mine):
                continue
            names = _names(kept[:, mine], min(most, self._classes))
            for part in _parts(mine, names, axes):
                chosen, named = part
                table = corners[:, :, chosen].gather(1, named.expand(8, -1, -1))
                _write(table, named, where[chosen], axes, target)


def no_labels(shape: Sequence[int], classes: int) -> Labels:
    """Return background everywhere, in the smallest type that holds so many classes."""
    if classes <= np.iinfo(np.uint8).max + 1:
        return np.zeros(shape, np.uint8)
    return np.zeros(shape, np.uint16)


def _parts(
    cells: Tensor, names: Tensor, axes: Sequence["_Axis"]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield cells, with the classes left in each, in parts that fit the cache."""
    inside = int(np.prod([axis.most for axis in axes]))
    count = max(16, _WORKING_VALUES // (2 * inside * len(names)))
    yield from zip(cells.split(count), names.split(count, dim=1), strict=True)


@dataclass(frozen=True, eq=False)
class _Slab:
    """Scores of some neighbouring slices."""

    scores: Tensor
    """Shape (voxel, class): what is taken together lies together."""
    labels: Tensor
    """Shape (slice, row, column)."""
    first: int
    """Number of the first slice."""

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor, first: int) -> "_Slab":
        """Take scores of shape (class, slice, row, column)."""
        return cls(scores.flatten(1).t().contiguous(), labels, first)

    def corners(self, where: Tensor) -> Tensor:
        """Return the scores at the corners of cells, (corner, class, cell).

        Args:
            where: Slice (counted from the first one), row and column of the cells, (cell, 3).
        """
        slices, rows, columns = self.labels.shape
        limit = torch.tensor([slices - 1, rows - 1, columns - 1])
        found = torch.empty(8, self.scores.shape[1], len(where))
        for corner in range(8):
            offset = torch.tensor([corner >> 2, corner >> 1 & 1, corner & 1])
            z, y, x = torch.minimum(where + offset, limit).unbind(1)
            found[corner] = self.scores.index_select(0, (z * rows + y) * columns + x).t()
        return found


class _Axis:
    """Where the fine voxels along one axis lie among the coarse ones."""

    def __init__(self, have: int, want: int) -> None:
        where = ((np.arange(want) + 0.5) * (have / want) - 0.5).clip(0, have - 1)
        cell = np.minimum(np.floor(where).astype(np.int64), max(0, have - 2))
        self.cells = max(1, have - 1)
        """Pairs of neighbouring coarse voxels; a single voxel is a pair with itself."""
        self.is_single = have == 1
        self._fill(cell, (where - cell).astype(np.float32), slice(0, want))

    def _fill(self, cell: NDArray[np.int64], share: NDArray[np.float32], fine: slice) -> None:
        self.fine = fine
        self.cell = cell
        self._share = share
        self.begin = torch.from_numpy(np.searchsorted(cell, np.arange(self.cells + 1)))

    def part(self, first: int, stop: int) -> "_Axis":
        """Return the fine voxels in some neighbouring cells; they are counted from there on."""
        part = object.__new__(_Axis)
        stop = max(first, min(stop, self.cells))
        begin, end = int(self.begin[first]), int(self.begin[stop])
        part.cells = stop - first
        part.is_single = self.is_single
        part._fill(self.cell[begin:end] - first, self._share[begin:end], slice(begin, end))
        return part

    @cached_property
    def most(self) -> int:
        """Fine voxels in the cell that has most of them."""
        return max(1, int(self.begin.diff().max()))

    @cached_property
    def shares(self) -> Tensor:
        """Weight of a cell's upper corner for each fine voxel in it, (fine voxel, cell)."""
        shares = torch.zeros(self.most, self.cells)
        cell = torch.from_numpy(self.cell)
        shares[torch.arange(len(cell)) - self.begin[cell], cell] = torch.from_numpy(self._share)
        return shares


def _largest(scores: Tensor) -> Tensor:
    """Return the first class with the largest score."""
    best = scores[0].clone()
    kind = torch.uint8 if len(scores) <= 256 else torch.int32
    labels = torch.zeros(best.shape, dtype=kind)
    for number in range(1, len(scores)):
        labels.masked_fill_(scores[number] > best, number)
        torch.maximum(best, scores[number], out=best)
    return labels


def _corner_labels(labels: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the label at each cell's lower corner, and whether its corners differ."""
    last = [cells, max(1, labels.shape[1] - 1), max(1, labels.shape[2] - 1)]
    lower = labels[: last[0], : last[1], : last[2]]
    differ = torch.zeros(lower.shape, dtype=torch.bool)
    for corner in range(1, 8):
        offsets = (corner >> 2, corner >> 1 & 1, corner & 1)
        if any(offset and size == 1 for offset, size in zip(offsets, labels.shape, strict=True)):
            continue
        a, b, c = (slice(o, o + n) for o, n in zip(offsets, last, strict=True))
        differ |= labels[a, b, c] != lower
    return lower, differ


def _undominated(corners: Tensor) -> Tensor:
    """Return whether a class may be the largest within a cell, (class, cell).

    It may not if the class whose least score is the largest exceeds it at every corner.
    """
    strongest = _largest(corners.amin(0)).long()
    rival = corners.gather(1, strongest.expand(8, 1, -1))
    numbers = torch.arange(corners.shape[1])[:, None]
    reaches = (corners >= rival).any(0)
    exceeds = (corners > rival).any(0)
    # Of equal scores the class that comes first wins.
    return torch.where(numbers <= strongest, reaches, exceeds)


def _names(kept: Tensor, most: int) -> Tensor:
    """Return the numbers of the classes left in each cell, ascending, (most, cell).

    Where fewer are left the last one is repeated.
    """
    ranks = kept.cumsum(0)
    names = torch.empty(most, kept.shape[1], dtype=torch.int64)
    for place in range(most):
        names[place] = (ranks <= place).sum(0)
    last = (kept.shape[0] - 1) - kept.flip(0).int().argmax(0)
    return torch.minimum(names, last)


def _write(
    table: Tensor, names: Tensor, where: Tensor, axes: Sequence[_Axis], target: Labels
) -> None:
    """Interpolate the scores of a few classes and write the largest one's number.

    Args:
        table: Scores at the corners, (corner, candidate, cell).
        names: Class of each candidate, (candidate, cell).
        where: Slice, row and column of the cells, (cell, 3).
        axes: Fine voxels along slices, rows and columns.
        target: Of the layers that the first axis covers.
    """
    candidates, cells = names.shape
    values = table.view(2, 2, 2, candidates, cells).permute(3, 0, 1, 2, 4)
    for number, axis in enumerate(axes):
        share = axis.shares[:, where[:, number]]
        lower, upper = values.unbind(number + 1)
        shape = [1] * (number + 1) + [axis.most] + [1] * (2 - number) + [cells]
        values = torch.lerp(
            lower.unsqueeze(number + 1), upper.unsqueeze(number + 1), share.view(shape)
        )
    labels = names.gather(0, _largest(values).flatten(0, 2).long()).view(values.shape[1:])
    _scatter(labels, where, axes, target)


def _scatter(labels: Tensor, where: Tensor, axes: Sequence[_Axis], target: Labels) -> None:
    """Put the labels of cells, (slice, row, column, cell), where their voxels lie."""
    places = torch.zeros((1, 1, 1, 1), dtype=torch.int64)
    is_there = torch.ones((1, 1, 1, 1), dtype=torch.bool)
    for number, axis in enumerate(axes):
        shape = [1] * number + [axis.most] + [1] * (2 - number) + [len(where)]
        inside = torch.arange(axis.most)[:, None]
        cell = where[:, number]
        begin, end = axis.begin[cell], axis.begin[cell + 1]
        places = places * target.shape[number] + (begin + inside).view(shape)
        is_there = is_there & (begin + inside < end).view(shape)
    flat = target.reshape(-1)
    flat[places[is_there].numpy()] = labels[is_there].numpy().astype(target.dtype)
