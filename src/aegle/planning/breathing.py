"""Plans for a patient who breathes: dose in every phase, at the same tissue.

A displacement field says where the tissue at each place of the reference phase lies in another
phase. Dose of a phase is calculated in that phase's densities, at the displaced places of the
reference voxels; so doses of phases add voxel by voxel and nothing is interpolated. To the
optimiser a phase is another set of coordinates and depths, like any error (see ``robust``).

Source: Rosu M, Chetty IJ, Balter JM, et al. Med Phys 2005;32:2487-95, doi:10.1118/1.1949749
(dose in moved tissue); Trofimov A, Rietzel E, Lu HM, et al. Phys Med Biol 2005;50:2779-98,
doi:10.1088/0031-9155/50/12/004 (optimisation over phases).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aegle.domain.arrays import read_only
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.density import relative_density
from aegle.planning.dose_grid import DoseGrid
from aegle.planning.pencil_beam import Medium, Phase
from aegle.planning.ray_trace import DensityField

INVERSIONS = 20
"""Steps of the fixed point that turns a displacement field round: breathing moves neighbours by
less than 0.7 mm per mm, so that less than 1/1000 of the displacement is left."""

Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class BreathingPhase:
    """The patient in one phase of breathing."""

    name: str
    ct: Volume
    """CT of the phase [HU], on the grid of the reference phase."""
    displacement_mm: Field
    """Where tissue of the reference phase has moved to, shape (slice, row, column, 3): LPS x, y
    and z of the displacement [mm]."""
    share: float
    """Part of the time spent in this phase, 0 to 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "displacement_mm", read_only(self.displacement_mm, np.float32))


@dataclass(frozen=True, eq=False, kw_only=True)
class BreathingCt:
    """A CT of a reference phase, and other phases with how tissue moves to them."""

    reference: Volume
    """On which structures are delineated [HU]."""
    phases: tuple[BreathingPhase, ...]
    name: str = "reference"

    def __post_init__(self) -> None:
        names = [self.name, *(phase.name for phase in self.phases)]
        if len(set(names)) != len(names):
            raise InputError(f"Phases of breathing share a name: {', '.join(names)}.")
        if not 0 <= self.reference_share <= 1:
            raise InputError(
                "The other phases' shares of time add up to "
                f"{1 - self.reference_share:g}; they must be positive and not exceed 1."
            )
        for phase in self.phases:
            _require_fitting(phase, self.reference.grid)

    @property
    def reference_share(self) -> float:
        """Part of the time spent in the reference phase."""
        return max(round(1 - sum(phase.share for phase in self.phases), 9), -1.0)


def _require_fitting(phase: BreathingPhase, grid: Grid) -> None:
    phase.ct.require(Quantity.RADIODENSITY)
    if not phase.ct.grid.is_same_as(grid):
        raise GeometryError(
            f"The CT of phase '{phase.name}' lies on another grid than that of the reference "
            "phase; resample it first."
        )
    if phase.displacement_mm.shape != (*grid.shape, 3):
        raise GeometryError(
            f"The displacements of phase '{phase.name}' have shape "
            f"{phase.displacement_mm.shape}, the CT {grid.shape}; give three numbers per voxel."
        )
    if not np.isfinite(phase.displacement_mm).all():
        raise InputError(f"The displacements of phase '{phase.name}' are not numbers everywhere.")
    if not phase.share > 0:
        raise InputError(f"Phase '{phase.name}' takes {phase.share:g} of the time; leave it out.")


def breathing_medium(patient: Medium, breathing: BreathingCt) -> Medium:
    """Return a patient with the phases of breathing.

    Args:
        patient: In the reference phase.
        breathing: The same patient.
    """
    phases = tuple(_phase(patient, phase) for phase in breathing.phases)
    own = Phase(name=breathing.name, share=breathing.reference_share, medium=patient)
    return replace(patient, phases=(own, *phases) if phases else ())


def internal_target(target: Structure, breathing: BreathingCt) -> Structure:
    """Return where a target lies in any phase: what beams must cover."""
    grid = target.grid
    mask = target.mask.copy()
    voxels = np.argwhere(target.mask)
    places_mm = grid.to_patient(voxels.astype(np.float64))
    for phase in breathing.phases:
        moved_mm = places_mm + phase.displacement_mm[tuple(voxels.T)]
        indices = np.rint(grid.to_indices(moved_mm)).astype(int)
        kept = np.all((indices >= 0) & (indices < grid.shape), axis=1)
        mask[tuple(indices[kept].T)] = True
    return Structure.of(target.name, mask, grid, type=target.type, origin=target.origin)


def _phase(patient: Medium, phase: BreathingPhase) -> Phase:
    grid = patient.grid
    # A block's mean of a field that is linear across it is the field at the block's centre.
    coarse_mm = np.stack(
        [grid.mean(phase.displacement_mm[..., axis]) for axis in range(3)], axis=-1
    )
    inside = _moved(patient.inside, coarse_mm, grid)
    density = np.zeros(phase.ct.grid.shape, np.float32)
    density[inside] = relative_density(phase.ct.values[inside])
    values = torch.from_numpy(grid.mean(density)).to(patient.density.values)
    medium = replace(
        patient,
        density=DensityField(values, grid.coarse),
        displaced_mm=coarse_mm.reshape(-1, 3)[patient.voxels].astype(np.float64),
    )
    return Phase(name=phase.name, share=phase.share, medium=medium)


def _moved(inside: NDArray[np.bool_], coarse_mm: Field, grid: DoseGrid) -> NDArray[np.bool_]:
    """Return the body's mask in a phase: where tissue comes from inside the body."""
    back_mm = inverted(coarse_mm, grid.coarse)
    fine_mm = np.stack(
        [grid.refine(np.ascontiguousarray(back_mm[..., axis])) for axis in range(3)], axis=-1
    )
    steps = fine_mm @ _per_index(grid.fine).T.astype(np.float32)
    places = np.indices(inside.shape, dtype=np.float32) + np.moveaxis(steps, -1, 0)
    found = map_coordinates(inside.astype(np.uint8), places, order=0, mode="nearest")
    return np.asarray(found > 0)


def inverted(displacement_mm: Field, grid: Grid) -> Field:
    """Return the field that leads back: v(y) = -u(y + v(y)), by fixed point.

    Args:
        displacement_mm: LPS displacement at each voxel, shape (slice, row, column, 3) [mm].
        grid: Where the voxels lie.
    """
    to_indices = _per_index(grid)
    here = np.indices(grid.shape, dtype=np.float64)
    back = np.zeros_like(displacement_mm, dtype=np.float64)
    for _ in range(INVERSIONS):
        places = here + np.moveaxis(back @ to_indices.T, -1, 0)
        moved = [
            map_coordinates(displacement_mm[..., axis], places, order=1, mode="nearest")
            for axis in range(3)
        ]
        back = -np.stack(moved, axis=-1).astype(np.float64)
    return back.astype(np.float32)


def _per_index(grid: Grid) -> NDArray[np.float64]:
    """Return the matrix from an LPS step [mm] to steps of indices."""
    per_index: NDArray[np.float64] = np.asarray(grid.axes) / np.asarray(grid.spacing_mm)[:, None]
    return per_index
