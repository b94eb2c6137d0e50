"""The grid on which dose is calculated: whole blocks of CT voxels.

Blocks keep the orientation of the CT, so that densities can be averaged exactly and oblique
images need no special care.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aegle.domain.grid import Grid


@dataclass(frozen=True)
class DoseGrid:
    """A CT grid and the coarser grid made of blocks of its voxels."""

    fine: Grid
    coarse: Grid
    factors: tuple[int, int, int]
    """CT voxels per dose voxel along slice, row and column."""

    @classmethod
    def of(cls, fine: Grid, spacing_mm: float) -> "DoseGrid":
        """Choose the blocks whose sides come closest to ``spacing_mm`` and stay above zero."""
        a, b, c = (
            min(max(1, round(spacing_mm / s)), n)
            for s, n in zip(fine.spacing_mm, fine.shape, strict=True)
        )
        factors = np.array((a, b, c))
        x, y, z = fine.to_patient((factors - 1) / 2)
        slices, rows, columns = (-(-np.asarray(fine.shape) // factors)).tolist()
        step_slice, step_row, step_column = (np.asarray(fine.spacing_mm) * factors).tolist()
        coarse = Grid(
            shape=(slices, rows, columns),
            spacing_mm=(step_slice, step_row, step_column),
            origin_mm=(float(x), float(y), float(z)),
            axes=fine.axes,
        )
        return cls(fine, coarse, (a, b, c))

    def mean(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Average values of the fine grid over each block; cut blocks repeat the last voxel."""
        missing = np.asarray(self.coarse.shape) * self.factors - self.fine.shape
        padded = np.pad(values, [(0, int(n)) for n in missing], mode="edge")
        sides = [n for pair in zip(self.coarse.shape, self.factors, strict=True) for n in pair]
        blocks = padded.reshape(sides)
        return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))

    def refine(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate values of the coarse grid linearly on the fine grid."""
        if self.factors == (1, 1, 1):
            return values
        scaled = functional.interpolate(
            torch.from_numpy(values)[None, None],
            scale_factor=[float(f) for f in self.factors],
            mode="trilinear",
            align_corners=False,
        )[0, 0]
        slices, rows, columns = self.fine.shape
        return np.asarray(scaled[:slices, :rows, :columns].contiguous().numpy())
