"""Where voxels lie in the patient.

Arrays are indexed ``[slice, row, column]`` everywhere. Positions are millimetres
in the DICOM patient coordinate system (LPS: +x to the patient's left, +y to the
back, +z to the head; DICOM PS3.3 C.7.6.2.1.1). No other convention exists inside
the package; readers and writers convert at the boundary.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import GeometryError

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A regular voxel grid in patient space."""

    shape: tuple[int, int, int]
    """Voxels along slice, row and column."""

    spacing_mm: tuple[float, float, float]
    """Distance between voxel centres along slice, row and column [mm]."""

    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """LPS position of the centre of voxel (0, 0, 0) [mm]."""

    axes: tuple[
        tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]
    ] = (
        (0.0, 0.0, 1.0),
        (0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0),
    )
    """LPS unit vectors along which slice, row and column index increase."""

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not min(self.spacing_mm) > 0:
            raise GeometryError(
                f"A grid needs positive shape and spacing, got shape={self.shape}, "
                f"spacing_mm={self.spacing_mm}."
            )
        axes = np.asarray(self.axes)
        if axes.shape != (3, 3) or not np.allclose(axes @ axes.T, np.eye(3), atol=1e-4):
            raise GeometryError(
                f"Grid axes must be three perpendicular unit vectors, got {self.axes}. "
                "Gantry-tilted series must be resampled first."
            )

    @cached_property
    def _step_mm(self) -> Points:
        """Columns are the steps of one slice, row and column [mm]."""
        step_mm: Points = np.asarray(self.axes).T * np.asarray(self.spacing_mm)
        return step_mm

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel [mL]."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def centre_mm(self) -> Points:
        """LPS position of the middle of the grid [mm]."""
        return self.to_patient((np.asarray(self.shape) - 1) / 2)

    def to_patient(self, indices: Points) -> Points:
        """Map ``[..., 3]`` voxel indices to LPS positions [mm]."""
        positions_mm: Points = indices @ self._step_mm.T + np.asarray(self.origin_mm)
        return positions_mm

    def to_indices(self, positions_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions [mm] to (fractional) voxel indices."""
        offsets_mm = (positions_mm - np.asarray(self.origin_mm))[..., None]
        return np.asarray(np.linalg.solve(self._step_mm, offsets_mm)[..., 0])

    def is_same_as(self, other: "Grid", *, tolerance_mm: float = 0.01) -> bool:
        """Return whether both grids put every voxel at the same place.

        Compares the corners, so that small differences in direction count at their full
        lever arm.
        """
        if self.shape != other.shape:
            return False
        corners = np.stack(np.meshgrid(*[(0, n - 1) for n in self.shape]), -1).reshape(-1, 3)
        apart_mm = np.abs(self.to_patient(corners) - other.to_patient(corners)).max()
        # A grid of one slice still has a thickness, which corners cannot show.
        return bool(
            apart_mm <= tolerance_mm
            and np.allclose(self.spacing_mm, other.spacing_mm, atol=tolerance_mm)
        )
