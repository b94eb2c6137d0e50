"""Voxel values with a place and a meaning."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.errors import GeometryError, QuantityError
from aegle.domain.grid import Grid


class Quantity(Enum):
    """What a voxel value means; the value of each member is its unit."""

    RADIODENSITY = "HU"
    ABSORBED_DOSE = "Gy"
    STANDARDISED_UPTAKE = "g/mL"
    ACTIVITY_CONCENTRATION = "Bq/mL"
    SIGNAL = "arbitrary"


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """A scalar image: values, where they lie and what they mean.

    The array is adopted, not copied, and becomes read-only through this object.
    """

    values: NDArray[np.float32]
    """Shape ``grid.shape``, unit ``quantity.value``."""

    grid: Grid
    quantity: Quantity

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise GeometryError(
                f"Volume values have shape {self.values.shape}, its grid {self.grid.shape}."
            )
        object.__setattr__(self, "values", read_only(self.values, np.float32))

    def require(self, quantity: Quantity) -> "Volume":
        """Return self, or raise QuantityError if the values mean something else."""
        if self.quantity is not quantity:
            raise QuantityError(
                f"Expected {quantity.name.lower()} [{quantity.value}], got "
                f"{self.quantity.name.lower()} [{self.quantity.value}]."
            )
        return self


@dataclass(frozen=True, eq=False, kw_only=True)
class PlanarImage:
    """Frames without a place in the patient: radiographs, ultrasound, cine, microscopy tiles."""

    values: NDArray[np.float32]
    """Shape (frame, row, column), or (frame, row, column, 3) for red, green, blue [0, 255]."""

    quantity: Quantity = Quantity.SIGNAL
    spacing_mm: tuple[float, float] | None = None
    """Distance of pixel centres along row and column index [mm]; None if the file has none.

    For projection radiographs this is the distance on the detector, not in the patient.
    """

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
            raise GeometryError(
                "A planar image is (frame, row, column) or (frame, row, column, 3), "
                f"got shape {shape}."
            )
        object.__setattr__(self, "values", read_only(self.values, np.float32))
