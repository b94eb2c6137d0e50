"""A CT as the recognition of organs reads it: in axial order, fine and coarse."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.morphology import Mask, Spacing
from aegle.imaging.resample import AxialOrder, Coarse

BLOCK_MM = 2.0
"""Block size at which organs are found; their borders are then drawn on the full image [mm]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AxialScan:
    """A CT whose slices run to the head, rows to the back and columns to the patient's left."""

    values: NDArray[np.float32]
    """[HU], in axial order."""
    grid: Grid
    coarse: Coarse
    order: AxialOrder
    source: Grid
    """Grid of the CT as it was given."""

    @classmethod
    def of(cls, ct: Volume, block_mm: float = BLOCK_MM) -> "AxialScan":
        """Read a CT.

        Args:
            ct: Radiodensities [HU].
            block_mm: Size of the blocks in which organs are found [mm].

        Raises:
            QuantityError: The values are not radiodensities.
        """
        ct.require(Quantity.RADIODENSITY)
        order = AxialOrder.of(ct.grid)
        values, grid = order.apply(ct.values), order.grid(ct.grid)
        return cls(
            values=values,
            grid=grid,
            coarse=Coarse.of(values, grid.spacing_mm, block_mm),
            order=order,
            source=ct.grid,
        )

    @property
    def spacing_mm(self) -> Spacing:
        """Distance between blocks [mm]."""
        return self.coarse.spacing_mm

    @property
    def block_ml(self) -> float:
        """Volume of one block [mL]."""
        return float(np.prod(self.coarse.spacing_mm)) / 1000

    @property
    def step_mm(self) -> float:
        """The longest distance between neighbouring blocks [mm]."""
        return max(self.coarse.spacing_mm) * 1.01

    def left_mm(self, mask: Mask) -> float:
        """Return how far to the patient's left a mask of blocks lies on average (LPS x) [mm]."""
        middle = np.argwhere(mask).mean(axis=0)
        blocks = np.asarray(self.coarse.blocks)
        return float(self.grid.to_patient(middle * blocks + (blocks - 1) / 2)[0])

    def outlined(self, mask: Mask, filled: Mask, threshold_hu: float, *, below: bool) -> Mask:
        """Draw the border of a mask of blocks on the full image.

        The outermost layer of blocks, and one layer around them, are decided voxel by voxel by
        the threshold; ``filled`` blocks of the mask were not chosen by it and stay whole.

        Args:
            mask: The organ, in blocks.
            filled: Blocks of the organ on the wrong side of the threshold.
            threshold_hu: Radiodensity at the border [HU].
            below: Whether the organ lies below the threshold.
        """
        fine = self.coarse.refined(mask)
        if self.coarse.blocks == (1, 1, 1):
            return fine
        chosen = self.values < threshold_hu if below else self.values >= threshold_hu
        inner = inner_blocks(mask)
        doubtful = self.coarse.refined(mask & ~inner & ~filled)
        around = self.coarse.refined(with_neighbours(mask & ~filled) & ~mask)
        return np.asarray((fine & ~(doubtful & ~chosen)) | (around & chosen))

    def structure(self, name: str, mask: Mask, **facts: object) -> Structure:
        """Build a structure on the grid of the CT from a full mask in axial order."""
        return Structure.of(name, self.order.undo(mask), self.source, **facts)


def with_neighbours(mask: Mask) -> Mask:
    """Return a mask with the blocks added that share a face with it."""
    result = mask.copy()
    for axis in range(3):
        ahead, behind = _shifted(axis)
        result[ahead] |= mask[behind]
        result[behind] |= mask[ahead]
    return result


def inner_blocks(mask: Mask) -> Mask:
    """Return a mask without the blocks that share a face with its outside."""
    return ~with_neighbours(~mask)


def _shifted(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    ahead = [slice(None)] * 3
    behind = [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    return tuple(ahead), tuple(behind)
