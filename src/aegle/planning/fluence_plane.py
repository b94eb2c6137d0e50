"""The plane through the isocentre on which fluence is convolved with kernels by FFT."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from aegle.domain.errors import GeometryError
from aegle.domain.plan import Beam
from aegle.planning.machine import PhotonMachine

FLUENCE_STEP_MM = 1.0
"""Greatest spacing at which convolved fluence is held; linear interpolation is then good to
0.4 % of the open field in the steepest penumbra."""


@dataclass(frozen=True)
class FluencePlane:
    """The lattice on the isocentre plane that holds beamlets and convolved fluence."""

    first_mm: tuple[float, float]
    """Beam x and y of the first pixel [mm]."""
    shape: tuple[int, int]
    """Pixels along y and x, cut-off included."""
    step_mm: float
    reach: int
    """Pixels of the lateral cut-off."""
    beamlet_mm: float
    cutoff_mm: float
    shift_mm: float

    @classmethod
    def of(cls, beam: Beam, cutoff_mm: float, shift_mm: float) -> "FluencePlane":
        """Return the lattice of a beam's beamlets.

        Args:
            beam: With its beamlets.
            cutoff_mm: Distance from a beamlet beyond which its dose is dropped.
            shift_mm: By which convolved fluence lies off its place, along x and y.
        """
        step_mm = beam.beamlet_mm / np.ceil(beam.beamlet_mm / FLUENCE_STEP_MM)
        reach = int(np.ceil(cutoff_mm / step_mm)) + 1
        low, high = beam.positions_mm.min(axis=0), beam.positions_mm.max(axis=0)
        x, y = (low - reach * step_mm).tolist()
        columns, rows = (np.rint((high - low) / step_mm).astype(int) + 2 * reach + 1).tolist()
        return cls(
            first_mm=(x, y),
            shape=(rows, columns),
            step_mm=step_mm,
            reach=reach,
            beamlet_mm=beam.beamlet_mm,
            cutoff_mm=cutoff_mm,
            shift_mm=shift_mm,
        )

    @property
    def padded(self) -> tuple[int, int]:
        """Sizes that transform fast and still hold the whole convolution."""
        rows, columns = self.shape
        return next_fast_len(rows, real=True), next_fast_len(columns, real=True)

    @property
    def last_mm(self) -> tuple[float, float]:
        """Beam x and y of the last pixel that is not padding [mm]."""
        (x, y), (rows, columns) = self.first_mm, self.shape
        return x + (columns - 1) * self.step_mm, y + (rows - 1) * self.step_mm

    def pixels(self, beam: Beam) -> NDArray[np.int64]:
        """Return the flat pixel of each beamlet, such that convolved images start at the first.

        Kernels start ``reach`` pixels before their centre, which shifts the convolved image
        by as much; beamlets are therefore placed ``reach`` pixels too early.
        """
        places = (beam.positions_mm - self.first_mm) / self.step_mm - self.reach
        whole = np.rint(places).astype(np.int64)
        if np.abs(places - whole).max() > 1e-3:
            raise GeometryError(
                f"Beamlets at gantry {beam.gantry_deg:g}° do not lie on a lattice of "
                f"{self.step_mm:g} mm; place them at whole multiples from the first."
            )
        return whole[:, 1] * self.padded[1] + whole[:, 0]

    def kernels(self, machine: PhotonMachine, ssd_mm: float) -> NDArray[np.float64]:
        """Return the beamlet kernels up to the cut-off, shape (3, 2 reach + 1, 2 reach + 1)."""
        places = np.arange(-self.reach, self.reach + 1, dtype=np.float64)
        positions_mm = self.step_mm * places
        near = np.hypot(positions_mm[:, None], positions_mm) <= self.cutoff_mm
        return np.asarray(machine.beamlet_kernels(self.beamlet_mm, positions_mm, ssd_mm) * near)

    def places(self, seen_mm: Tensor) -> Tensor:
        """Return places on the plane in the units of grid_sample, shape (point, 2)."""
        rows, columns = self.padded
        first = seen_mm.new_tensor(self.first_mm) + self.shift_mm
        sizes = seen_mm.new_tensor([columns, rows])
        return (2 * (seen_mm - first) / self.step_mm + 1) / sizes - 1
