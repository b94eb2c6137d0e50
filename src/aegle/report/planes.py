"""Slices of a volume as a radiologist hangs them.

Pictures are cut along the grid's own planes, so that voxels are shown unblurred and
diameters lie in the plane in which they were measured. Each plane is turned so that the
patient's right is at the left of axial and coronal pictures, the front is at the top of
axial and at the left of sagittal ones, and the head is at the top of the other two.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import linear_sum_assignment

from aegle.domain.grid import Grid, Points
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume


class Plane(Enum):
    """An anatomical plane; the value holds its normal, rightward and downward LPS axis."""

    AXIAL = ((2, 1), (0, 1), (1, 1))
    CORONAL = ((1, 1), (0, 1), (2, -1))
    SAGITTAL = ((0, 1), (1, 1), (2, -1))


@dataclass(frozen=True)
class View:
    """A grid seen in one plane: which array axes run down and right, and which way.

    Pictures have shape (down, right); picture coordinates are millimetres from the centre
    of the upper left pixel.
    """

    grid: Grid
    plane: Plane

    @cached_property
    def _array_axis(self) -> NDArray[np.intp]:
        """Array axis that lies closest to each LPS axis; each is used once."""
        cosines = np.abs(np.asarray(self.grid.axes))
        array_axes, patient_axes = linear_sum_assignment(-cosines)
        order: NDArray[np.intp] = array_axes[np.argsort(patient_axes)]
        return order

    def _axis(self, role: int) -> tuple[int, bool]:
        patient_axis, wanted = self.plane.value[role]
        axis = int(self._array_axis[patient_axis])
        return axis, bool(np.sign(self.grid.axes[axis][patient_axis]) != wanted)

    @property
    def normal(self) -> int:
        """Array axis across the plane."""
        return self._axis(0)[0]

    @cached_property
    def right(self) -> tuple[int, bool]:
        """Array axis that runs right, and whether it is mirrored for it."""
        return self._axis(1)

    @cached_property
    def down(self) -> tuple[int, bool]:
        """Array axis that runs down, and whether it is mirrored for it."""
        return self._axis(2)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Distance of pixels along down and right [mm]."""
        return self.grid.spacing_mm[self.down[0]], self.grid.spacing_mm[self.right[0]]

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels along down and right."""
        return self.grid.shape[self.down[0]], self.grid.shape[self.right[0]]

    def cut(self, values: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Return slice ``index`` of an array of the grid as it is drawn, shape (down, right)."""
        return self._turned(np.take(values, index, axis=self.normal))

    def _turned(self, slab: NDArray[Any]) -> NDArray[Any]:
        if self.down[0] > self.right[0]:
            slab = slab.T
        return slab[:: -1 if self.down[1] else 1, :: -1 if self.right[1] else 1]

    def section(self, structure: Structure, index: int) -> NDArray[np.bool_] | None:
        """Return a structure's outline mask on a slice, shape (down, right); None if absent."""
        inside = index - structure.start[self.normal]
        if structure.is_empty or not 0 <= inside < structure.box.shape[self.normal]:
            return None
        window = [w for axis, w in enumerate(structure.window) if axis != self.normal]
        kept = [n for axis, n in enumerate(self.grid.shape) if axis != self.normal]
        slab = np.zeros(kept, dtype=np.bool_)
        slab[tuple(window)] = np.take(structure.box, inside, axis=self.normal)
        return self._turned(slab) if slab.any() else None

    def corners_mm(self, index: int) -> Points:
        """Return the LPS positions of pixels (0, 0), (1, 0) and (0, 1) of a slice [mm]."""
        indices = np.zeros((3, 3))
        indices[:, self.normal] = index
        for (axis, mirrored), moved in ((self.down, 1), (self.right, 2)):
            first = self.grid.shape[axis] - 1 if mirrored else 0
            indices[:, axis] = first
            indices[moved, axis] = first + (-1 if mirrored else 1)
        return self.grid.to_patient(indices)

    def to_picture(self, positions_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions to picture coordinates ``[..., (right, down)]`` [mm]."""
        indices = self.grid.to_indices(np.asarray(positions_mm, dtype=np.float64))
        return np.stack(
            [
                self._pixels(indices[..., axis], axis, mirrored) * self.grid.spacing_mm[axis]
                for axis, mirrored in (self.right, self.down)
            ],
            axis=-1,
        )

    def _pixels(self, indices: Points, axis: int, mirrored: bool) -> Points:
        return self.grid.shape[axis] - 1 - indices if mirrored else indices

    def index_at(self, position_mm: Points | tuple[float, float, float]) -> int:
        """Return the slice closest to a position, within the grid."""
        index = self.grid.to_indices(np.asarray(position_mm, dtype=np.float64))[self.normal]
        return int(np.clip(round(float(index)), 0, self.grid.shape[self.normal] - 1))

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Orientation at the left, right, top and bottom border (R L A P H F).

        Source: DICOM PS3.3 C.7.6.1.1.1; a second letter follows where the axis is oblique.
        """
        right, down = (
            np.asarray(self.grid.axes[axis]) * (-1 if mirrored else 1)
            for axis, mirrored in (self.right, self.down)
        )
        return _letters(-right), _letters(right), _letters(-down), _letters(down)


def _letters(direction: Points) -> str:
    """Name a direction by the patient's sides it points to, the main one first."""
    names = ("L", "P", "H"), ("R", "A", "F")
    order = np.argsort(-np.abs(direction), kind="stable")
    # Below 0.38 (22°) a second letter would say more than a reader can see.
    told = [axis for axis in order if abs(direction[axis]) > 0.38][:2]
    return "".join(names[int(direction[axis] < 0)][axis] for axis in told)


def resampled(view: View, index: int, other: Volume) -> NDArray[np.float32]:
    """Return another volume at the pixels of a slice, linear; NaN outside of it.

    Both must share a frame of reference.
    """
    first, below, beside = other.grid.to_indices(view.corners_mm(index))
    rows, columns = (np.arange(n, dtype=np.float64) for n in view.shape)
    indices = (
        first[:, None, None]
        + (below - first)[:, None, None] * rows[:, None]
        + (beside - first)[:, None, None] * columns
    )
    values: NDArray[np.float32] = map_coordinates(
        other.values, indices, order=1, cval=np.nan, output=np.float32
    )
    return values
