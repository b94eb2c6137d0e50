"""Values and structures carried from one grid to another through patient space."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from aegle.domain.arrays import Scalar
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume


@dataclass(frozen=True, kw_only=True)
class AxialOrder:
    """How to reorder a grid's axes so that it reads like an axial scan.

    In that order the slice index grows most nearly to the head, the row index to the back and
    the column index to the patient's left. Nothing is interpolated: an oblique grid stays so.
    """

    order: tuple[int, int, int]
    """For slice, row and column: the axis of the original array."""
    flipped: tuple[bool, bool, bool]
    """For slice, row and column: whether it runs against the original axis."""

    @classmethod
    def of(cls, grid: Grid) -> "AxialOrder":
        """Return the order for a grid."""
        along_zyx = np.asarray(grid.axes)[:, ::-1]
        left: list[int] = [0, 1, 2]
        order = [-1, -1, -1]
        for _ in range(3):
            free = [target for target in range(3) if order[target] < 0]
            strength = np.abs(along_zyx[np.ix_(left, free)])
            axis, target = np.unravel_index(int(strength.argmax()), strength.shape)
            order[free[target]] = left.pop(int(axis))
        flips = [bool(along_zyx[order[target], target] < 0) for target in range(3)]
        return cls(order=(order[0], order[1], order[2]), flipped=(flips[0], flips[1], flips[2]))

    @property
    def _ways(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)

    def apply(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return a view of an array in axial order."""
        return np.asarray(array.transpose(self.order)[self._ways])

    def undo(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return a view of an array in axial order as it was before."""
        return np.asarray(array[self._ways].transpose(np.argsort(self.order)))

    def grid(self, grid: Grid) -> Grid:
        """Return the grid of the reordered array."""
        axes = np.asarray(grid.axes)[list(self.order)]
        axes[list(self.flipped)] *= -1
        first = np.zeros(3)
        for target in range(3):
            if self.flipped[target]:
                first[self.order[target]] = grid.shape[self.order[target]] - 1
        shape, spacing_mm = (
            tuple(values[axis] for axis in self.order) for values in (grid.shape, grid.spacing_mm)
        )
        return Grid(
            shape=shape,  # type: ignore[arg-type]
            spacing_mm=spacing_mm,  # type: ignore[arg-type]
            origin_mm=tuple(grid.to_patient(first).tolist()),
            axes=tuple(tuple(axis) for axis in axes.tolist()),  # type: ignore[arg-type]
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Coarse:
    """Means over blocks of voxels, for work that needs no finer detail."""

    values: NDArray[np.float32]
    blocks: tuple[int, int, int]
    """Voxels averaged along slice, row and column."""
    spacing_mm: tuple[float, float, float]
    """Distance of block centres [mm]."""
    fine_shape: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        spacing_mm: tuple[float, float, float],
        target_mm: float,
    ) -> "Coarse":
        """Average so many whole voxels that blocks come closest to a size [mm]."""
        a, b, c = (max(1, round(target_mm / step)) for step in spacing_mm)
        rows, columns = -(-values.shape[1] // b), -(-values.shape[2] // c)
        rim = ((0, rows * b - values.shape[1]), (0, columns * c - values.shape[2]))
        means = np.empty((-(-values.shape[0] // a), rows, columns), dtype=np.float32)
        for index in range(len(means)):
            plane = np.pad(values[index * a : (index + 1) * a].mean(axis=0), rim, mode="edge")
            means[index] = plane.reshape(rows, b, columns, c).mean(axis=(1, 3))
        return cls(
            values=means,
            blocks=(a, b, c),
            spacing_mm=(a * spacing_mm[0], b * spacing_mm[1], c * spacing_mm[2]),
            fine_shape=(values.shape[0], values.shape[1], values.shape[2]),
        )

    def refined(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of blocks as a mask of voxels."""
        for axis in range(3):
            mask = np.repeat(mask, self.blocks[axis], axis=axis)
        a, b, c = self.fine_shape
        return mask[:a, :b, :c]

    def sampled(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of voxels as a mask of blocks, each asking its middle voxel."""
        middles = [
            np.minimum(np.arange(count) * size + size // 2, limit - 1)
            for count, size, limit in zip(
                self.values.shape, self.blocks, self.fine_shape, strict=True
            )
        ]
        return mask[np.ix_(*middles)]


def resample(volume: Volume, grid: Grid, *, outside: float) -> Volume:
    """Carry values over to another grid, linearly between voxel centres.

    Values are read at the new voxel centres, without smoothing first: a much coarser grid
    sees the noise of single voxels.

    Args:
        volume: Values on any grid, also oblique.
        grid: Where to read them.
        outside: Value of new voxels beyond the outer faces of the old ones [unit of volume].

    Returns:
        The same quantity on ``grid``.
    """
    if volume.grid.is_same_as(grid):
        return volume
    values = _sampled(volume.values, volume.grid, grid, sitk.sitkLinear, outside)
    return Volume(values=values, grid=grid, quantity=volume.quantity)


def resample_structure(structure: Structure, grid: Grid, *, smooth: bool = False) -> Structure:
    """Carry a structure over to another grid.

    Args:
        structure: A mask on any grid.
        grid: The grid of the result; what lies beyond it is cut off.
        smooth: Let the border run straight between voxel centres (linear interpolation, one
            half); by default each new voxel asks the old voxel in which its centre lies.

    Returns:
        The same structure on ``grid``; empty if it holds no voxel centre there.
    """
    if structure.grid.is_same_as(grid):
        return structure
    empty = replace(structure, box=np.zeros((0, 0, 0), bool), start=(0, 0, 0), grid=grid)
    if structure.is_empty:
        return empty
    source = _part_of(structure.grid, np.subtract(structure.start, 1), structure.box.shape, rim=1)
    first, last = _reach(source, grid)
    if np.any(first > last):
        return empty
    target = _part_of(grid, first, last - first + 1)
    padded = np.pad(structure.box, 1)
    kind = sitk.sitkLinear if smooth else sitk.sitkNearestNeighbor
    values = padded.astype(np.float32 if smooth else np.uint8)
    inside = _sampled(values, source, target, kind, 0) >= 0.5
    local = Structure.of(structure.name, inside, target)
    if local.is_empty:
        return empty
    start = np.add(local.start, first)
    at = (int(start[0]), int(start[1]), int(start[2]))
    return replace(structure, box=local.box, start=at, grid=grid)


def _part_of(grid: Grid, start: NDArray[Any], shape: Any, rim: int = 0) -> Grid:
    """Return the part of a grid that starts at an index, with a rim at its end."""
    sizes = np.asarray(shape) + 2 * rim
    return Grid(
        shape=(int(sizes[0]), int(sizes[1]), int(sizes[2])),
        spacing_mm=grid.spacing_mm,
        origin_mm=tuple(grid.to_patient(np.asarray(start, float)).tolist()),
        axes=grid.axes,
    )


def _reach(source: Grid, target: Grid) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return first and last index of the target voxels that can lie in the source."""
    ends = [(-0.5, n - 0.5) for n in source.shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    indices = target.to_indices(source.to_patient(corners))
    first = np.maximum(np.ceil(indices.min(axis=0) - 1e-6), 0).astype(int)
    last = np.minimum(np.floor(indices.max(axis=0) + 1e-6), np.subtract(target.shape, 1))
    return first, last.astype(int)


def _sampled(
    values: NDArray[Any], source: Grid, target: Grid, interpolator: int, outside: float
) -> NDArray[Any]:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(source.spacing_mm[::-1])
    image.SetOrigin(source.origin_mm)
    image.SetDirection(_direction(source))
    sampled = sitk.Resample(
        image,
        target.shape[::-1],
        sitk.Transform(),
        interpolator,
        target.origin_mm,
        target.spacing_mm[::-1],
        _direction(target),
        outside,
    )
    return np.asarray(sitk.GetArrayFromImage(sampled))


def _direction(grid: Grid) -> list[float]:
    """Return the direction cosines in SimpleITK's order (x index first, row-major)."""
    return [float(value) for value in np.asarray(grid.axes)[::-1].T.ravel()]
