"""Photon dose by pencil beams, without storing a matrix.

For every voxel that a beam reaches, three depth terms and the place where its ray crosses the
isocentre plane are worked out once. Dose is then linear in the beamlet weights: the image of
weights is convolved with three kernels by FFT, sampled where the rays cross, and the samples
are summed with the depth terms. Differentiation by torch gives the exact adjoint.

Method: Bortfeld T, Schlegel W, Rhein B. Med Phys 1993;20:311-318, doi:10.1118/1.597070 (see
``machine``). Scatter is that of water: a change of density alters the depth of a voxel, not
the width of the kernels. Nothing is deposited farther than the lateral cut-off from a beamlet.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.ndimage import binary_dilation
from torch import Tensor
from torch.nn import functional

from aegle.domain.errors import GeometryError, OptionError
from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.beams import frame
from aegle.planning.density import relative_density
from aegle.planning.dose_grid import DoseGrid
from aegle.planning.fluence_plane import FluencePlane
from aegle.planning.influence import StoredDose, total
from aegle.planning.machine import PhotonMachine
from aegle.planning.ray_trace import DensityField, Window, radiological_depth, source_to_surface_mm
from aegle.planning.reach import reached

__all__ = [
    "BeamDose",
    "DoseOptions",
    "Medium",
    "Phase",
    "beam_dose",
    "calculate",
    "medium",
    "on_ct",
    "precision",
    "threads",
    "total",
]


@validated(frozen=True, kw_only=True)
class DoseOptions:
    """How dose is calculated."""

    dose_grid_mm: Annotated[
        float, option("Wanted spacing of the dose grid, in whole CT voxels", unit="mm", gt=0)
    ] = 3.0
    lateral_cutoff_mm: Annotated[
        float,
        option(
            "Distance from a beamlet beyond which its dose is dropped; at least 75 mm, so that "
            "the calibration field is whole",
            unit="mm",
            ge=25,
            le=180,
        ),
    ] = 80.0
    device: Annotated[str, option("Where to calculate: cpu, cuda, cuda:1, ...")] = "cpu"
    threads: Annotated[
        int, option("CPU threads; more than one pays only where the cores are idle", ge=1, le=64)
    ] = 1
    double_precision: Annotated[bool, option("Calculate in 64-bit numbers (for checks)")] = False
    fluence_shift_mm: Annotated[
        float,
        option(
            "Shift of all beamlets along beam x and y; -0.25 repeats that of matRad and "
            "pyRadPlan, whose lattice has no middle",
            unit="mm",
            ge=-1,
            le=1,
        ),
    ] = 0.0


@dataclass(frozen=True, eq=False)
class Medium:
    """The patient as the beams see it."""

    grid: DoseGrid
    density: DensityField
    inside: NDArray[np.bool_]
    """The body on the fine grid."""
    voxels: NDArray[np.int64]
    """Flat indices of the dose voxels that touch the body or its rim, ascending."""
    displaced_mm: NDArray[np.float64] | None = None
    """LPS displacement of the tissue of each voxel, shape (voxel, 3) [mm]; None: it is in place."""
    phases: "tuple[Phase, ...]" = ()
    """Of breathing, the reference phase first; none: the patient holds still."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Phase:
    """The patient in a phase of breathing."""

    name: str
    share: float
    """Part of the time."""
    medium: Medium


@dataclass(frozen=True, eq=False)
class BeamDose:
    """The linear map from beamlet weights [MU] to dose [Gy] of one beam."""

    points: Tensor
    """Which of the medium's voxels the beam reaches, shape (point,)."""
    terms: Tensor
    """Depth terms with inverse square and calibration, shape (3, point)."""
    places: Tensor
    """Where rays cross the convolved fluence, in the units of grid_sample, (point, 2)."""
    pixels: Tensor
    """Flat pixel of each beamlet in the fluence image, shape (beamlet,)."""
    kernels: Tensor
    """Spectra of the three kernels, shape (3, row, column)."""
    shape: tuple[int, int]
    """Rows and columns of the fluence image."""
    reach: int
    """Pixels from the middle of a kernel to its end."""

    @property
    def beamlets(self) -> int:
        """How many weights there are."""
        return len(self.pixels)

    def __call__(self, weights: Tensor) -> Tensor:
        """Return the dose at ``points`` [Gy] for weights of shape (beamlet,) [MU]."""
        rows, columns = self.shape
        image = weights.new_zeros(rows * columns).index_put((self.pixels,), weights)
        spectrum = torch.fft.rfft2(image.view(rows, columns))
        convolved = torch.fft.irfft2(spectrum * self.kernels, s=self.shape)
        samples = functional.grid_sample(
            convolved[None], self.places[None, None], align_corners=False
        )
        return (samples[0, :, 0] * self.terms).sum(0)

    def at(self, wanted: Tensor) -> "BeamDose":
        """Return the map to those of the voxels that are marked, renumbered among them.

        Args:
            wanted: True for each voxel of the medium to keep, shape (voxel,).
        """
        kept = wanted[self.points]
        number = wanted.cumsum(0) - 1
        return replace(
            self,
            points=number[self.points[kept]],
            terms=self.terms[:, kept].contiguous(),
            places=self.places[kept],
        )

    def with_cases(self, others: Sequence["BeamDose"], voxels: int) -> "BeamDose":
        """Return one map to the voxels of this and other cases of the beam, case after case.

        Fluence is then convolved once, with the kernels of this case. Those of another differ by
        its source-to-surface distance; 5 mm of it change dose by less than 0.05 % of the maximum.

        Args:
            others: The same beamlets in other cases.
            voxels: How many voxels each case has.
        """
        cases = (self, *others)
        return replace(
            self,
            points=torch.cat([one.points + n * voxels for n, one in enumerate(cases)]),
            terms=torch.cat([one.terms for one in cases], dim=1),
            places=torch.cat([one.places for one in cases]),
        )

    def stored(self) -> StoredDose:
        """Return the same map as a sparse matrix.

        It is faster than this one where few voxels are looked at, but takes 8 bytes for each
        pair of a beamlet and a voxel that it reaches.
        """
        side = 2 * self.reach + 1
        kernels = torch.fft.irfft2(self.kernels, s=self.shape)[:, :side, :side].contiguous()
        rows, columns = self.shape
        sizes = self.places.new_tensor([columns, rows])
        x, y = (((self.places + 1) * sizes - 1) / 2).T.contiguous()
        values, points, counts = [], [], []
        for pixel in self.pixels.tolist():
            row, column = divmod(pixel, columns)
            inside = ((x - column - self.reach).abs() < self.reach) & (
                (y - row - self.reach).abs() < self.reach
            )
            near = torch.nonzero(inside).squeeze(1)
            where = torch.stack([x[near] - column, y[near] - row], dim=-1)
            samples = functional.grid_sample(
                kernels[None], ((2 * where + 1) / side - 1)[None, None], align_corners=False
            )
            values.append((samples[0, :, 0] * self.terms[:, near]).sum(0))
            points.append(near.to(torch.int32))
            counts.append(len(near))
        ends = torch.tensor([0, *counts], device=x.device).cumsum(0)
        return StoredDose(self.points, torch.cat(values), torch.cat(points), ends)


def medium(ct: Volume, body: Structure, *, options: DoseOptions) -> Medium:
    """Prepare the patient: densities inside the body, nothing outside.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        GeometryError: Body and CT lie on different grids.
        OptionError: The device does not exist.
    """
    ct.require(Quantity.RADIODENSITY)
    if not body.grid.is_same_as(ct.grid):
        raise GeometryError(
            f"'{body.name}' and the CT lie on different grids; resample the mask first."
        )
    grid = DoseGrid.of(ct.grid, options.dose_grid_mm)
    inside = body.mask
    density = np.zeros(ct.grid.shape, np.float32)
    density[inside] = relative_density(ct.values[inside])
    touched = binary_dilation(grid.mean(inside) > 0, np.ones((3, 3, 3), bool))
    values = torch.from_numpy(grid.mean(density)).to(_device(options), precision(options))
    return Medium(grid, DensityField(values, grid.coarse), inside, np.flatnonzero(touched))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use a number of CPU threads meanwhile.

    Threads of torch wait by spinning, so on a busy machine two of them are slower than one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(options: DoseOptions) -> torch.device:
    try:
        # Making an empty tensor is the only way to learn whether the device is there.
        return torch.empty(0, device=options.device).device
    except (RuntimeError, AssertionError) as error:
        raise OptionError(
            f"No device '{options.device}' on this machine; use 'cpu'. ({error})"
        ) from error


def precision(options: DoseOptions) -> torch.dtype:
    """Return the number type to calculate with."""
    return torch.float64 if options.double_precision else torch.float32


def beam_dose(
    patient: Medium, beam: Beam, machine: PhotonMachine, *, options: DoseOptions
) -> BeamDose:
    """Work out everything about a beam that does not depend on its weights.

    Raises:
        GeometryError: The beam axis misses the body, or beamlets lie off their lattice.
    """
    aimed = frame(beam, machine.sad_mm)
    plane = FluencePlane.of(beam, options.lateral_cutoff_mm, options.fluence_shift_mm)
    points, seen = reached(
        patient.grid.coarse,
        patient.voxels,
        aimed,
        (plane.first_mm, plane.last_mm),
        patient.displaced_mm,
    )
    if not len(points):
        raise GeometryError(f"The beam at gantry {beam.gantry_deg:g}° misses the body.")
    window = Window.around(seen)
    ssd_mm = source_to_surface_mm(patient.density, aimed, window)
    like = patient.density.values
    local = torch.from_numpy(seen).to(like)
    depth_mm = radiological_depth(patient.density, aimed, window, local)
    kernels = torch.from_numpy(plane.kernels(machine, ssd_mm)).to(like)
    return BeamDose(
        points=torch.from_numpy(points).to(like.device),
        terms=_depth_terms(machine, depth_mm, local),
        places=plane.places(local[:, :2]),
        pixels=torch.from_numpy(plane.pixels(beam)).to(like.device),
        kernels=torch.fft.rfft2(kernels, s=plane.padded),
        shape=plane.padded,
        reach=plane.reach,
    )


def on_ct(patient: Medium, dose_gy: Tensor) -> Volume:
    """Return dose at the medium's voxels as a volume on the CT grid, zero outside the body."""
    coarse = np.zeros(patient.grid.coarse.shape, np.float32)
    coarse.reshape(-1)[patient.voxels] = dose_gy.detach().to("cpu", torch.float32).numpy()
    fine = patient.grid.refine(coarse)
    # Where no dose arrives, round-off of the FFT leaves about -1e-6 Gy.
    values = np.where(patient.inside, np.maximum(fine, 0), np.float32(0))
    return Volume(values=values, grid=patient.grid.fine, quantity=Quantity.ABSORBED_DOSE)


def calculate(
    ct: Volume,
    body: Structure,
    beams: Sequence[Beam],
    machine: PhotonMachine,
    *,
    options: DoseOptions,
) -> Volume:
    """Return the dose of beams with given weights.

    Args:
        ct: Planning CT [HU].
        body: Outline of the patient on the CT grid; what lies outside is taken for vacuum.
        beams: Fields with their beamlet weights [MU].
        machine: Beam model.
        options: Grid, cut-off and device.

    Returns:
        Absorbed dose [Gy] on the CT grid, zero outside the body.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        GeometryError: Grids differ or a beam misses the body.
    """
    with threads(options.threads):
        return dose_in(medium(ct, body, options=options), beams, machine, options=options)


def dose_in(
    patient: Medium, beams: Sequence[Beam], machine: PhotonMachine, *, options: DoseOptions
) -> Volume:
    """Return the dose of beams with given weights in a prepared patient, beam by beam [Gy].

    Raises:
        GeometryError: A beam misses the body.
    """
    like = patient.density.values
    dose = like.new_zeros(len(patient.voxels))
    for beam in beams:
        prepared = beam_dose(patient, beam, machine, options=options)
        weights = torch.from_numpy(beam.weights.copy()).to(like)
        dose.index_add_(0, prepared.points, prepared(weights))
    return on_ct(patient, dose)


def _depth_terms(machine: PhotonMachine, depth_mm: Tensor, local_mm: Tensor) -> Tensor:
    spread = machine.sad_mm / (machine.sad_mm - local_mm[:, 2])
    m = machine.attenuation_per_mm
    betas = torch.from_numpy(machine.build_up_per_mm).to(depth_mm)[:, None]
    build_up = betas / (betas - m) * (torch.exp(-m * depth_mm) - torch.exp(-betas * depth_mm))
    terms: Tensor = build_up * (machine.gy_per_mu * spread.square())
    return terms
