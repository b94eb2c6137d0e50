"""How the structures of a patient lie to the targets.

Two views. The overlap volume histogram says how much of an organ lies within each distance of a
target: Wu B et al. Med Phys 2009;36:5497-5505. The surroundings of a voxel are the prescribed dose
around it, averaged with Gaussian weights of several widths, in the patient and within its slice:
what the prescription asks for close by, farther away, and at the same level of the body, where
coplanar beams pass.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from aegle.domain.errors import GeometryError, InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet

Floats = NDArray[np.float64]

AROUND_MM = (5.0, 10.0, 20.0, 40.0)
"""Standard deviations of the Gaussian weights in the patient [mm]."""
IN_SLICE_MM = (10.0, 20.0, 40.0)
"""Standard deviations of the Gaussian weights within a slice [mm]."""
BLOCK_MM = 3.0
"""Finer grids are averaged over blocks of voxels whose sides stay within this."""
CUT_OFF = 4.0
"""Standard deviations beyond which a Gaussian weight counts as nothing."""


class PrescribedDose:
    """The dose prescribed to each place: a target's level inside it, elsewhere nothing.

    Where targets overlap, the highest level counts.
    """

    def __init__(self, structures: StructureSet, prescribed_gy: Mapping[str, float]) -> None:
        """Map the prescription.

        Args:
            structures: Every target, and all else that is to be asked about.
            prescribed_gy: Dose of each target, by its name.

        Raises:
            OptionError: No dose is prescribed, or one is not positive.
            InputError: A target is missing or empty.
            GeometryError: Structures lie on different grids, or slices are not axial.
        """
        targets = _checked_targets(structures, prescribed_gy)
        self.grid = targets[0].grid
        self.highest_gy = max(prescribed_gy.values())
        filled = [s for s in structures if not s.is_empty]
        for structure in filled:
            _on_grid(structure, self.grid)
        self._factors = _block(self.grid)
        # One block more on each side, so that there is a next one to be linear to.
        self._low = np.min([s.start for s in filled], axis=0) - self._factors
        extent = np.max([np.add(s.start, s.box.shape) for s in filled], axis=0) - self._low
        blocks = -(-extent // self._factors) + 1
        level = np.zeros(tuple((blocks * self._factors).tolist()), np.float32)
        for target in targets:
            places = tuple((np.argwhere(target.box) + np.subtract(target.start, self._low)).T)
            relative = prescribed_gy[target.name] / self.highest_gy
            level[places] = np.maximum(level[places], relative)
        sides = np.stack((blocks, self._factors), axis=1).reshape(-1).tolist()
        self._blocks = level.reshape(sides).mean(axis=(1, 3, 5), dtype=np.float32)

    def around(self, voxels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the prescribed dose around some voxels of the structures, relative to the highest.

        Args:
            voxels: Indices on the grid, shape (voxel, 3).

        Returns:
            Shape (voxel, width), widths in the order of ``AROUND_MM`` and ``IN_SLICE_MM``.
        """
        # Centres of blocks lie between voxels where a block holds an even number of them.
        places = ((voxels - self._low - (self._factors - 1) / 2) / self._factors).T
        found = [
            map_coordinates(smooth, places, order=1, mode="nearest", prefilter=False)
            for smooth in self._smooth
        ]
        return np.stack(found, axis=1).astype(np.float32)

    @cached_property
    def _smooth(self) -> tuple[NDArray[np.float32], ...]:
        """Gaussian averages at the centres of blocks, one per width."""
        spacing_mm = np.asarray(self.grid.spacing_mm) * self._factors
        widths_mm = [(s, s, s) for s in AROUND_MM] + [(0.0, s, s) for s in IN_SLICE_MM]
        return tuple(
            gaussian_filter(self._blocks, width_mm / spacing_mm, mode="constant", truncate=CUT_OFF)
            for width_mm in widths_mm
        )


def overlap_volume_histogram(
    organ: Structure, target: Structure, distances_mm: Sequence[float]
) -> Floats:
    """Return the part of an organ that lies within each distance of a target [%].

    Args:
        organ: What is looked at.
        target: On the same grid.
        distances_mm: From the target's border outwards; negative ones lie inside the target.

    Returns:
        Shape (distance,). The border lies half a voxel (of its shortest side) beyond the centres
        of the target's outermost voxels.

    Raises:
        InputError: Organ or target is empty.
        GeometryError: They lie on different grids.
    """
    _on_grid(organ, target.grid)
    for structure in (organ, target):
        if structure.is_empty:
            raise InputError(f"'{structure.name}' is empty, so nothing can be measured from it.")
    distance_mm = _signed_distance_mm(organ, target)
    within = distance_mm[None, :] <= np.asarray(distances_mm, np.float64)[:, None]
    return np.asarray(100.0 * within.mean(axis=1))


def _require_axial(grid: Grid) -> None:
    """Raise GeometryError unless the slices of a grid lie across the patient's long axis."""
    if abs(grid.axes[0][2]) < 0.99:
        raise GeometryError(
            "Earlier patients are compared slice by slice, across the long axis of the body; "
            f"here slices follow {grid.axes[0]}. Resample structures and dose to axial slices."
        )


def _signed_distance_mm(organ: Structure, target: Structure) -> Floats:
    """Return the distance of each of an organ's voxels from a target's border [mm]."""
    both = [np.stack((s.start, np.add(s.start, s.box.shape))) for s in (organ, target)]
    low = np.maximum(np.minimum(both[0][0], both[1][0]) - 1, 0)
    high = np.minimum(np.maximum(both[0][1], both[1][1]) + 1, target.grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    inside, wanted = target.mask[box], organ.mask[box]
    spacing_mm = target.grid.spacing_mm
    beyond_mm = distance_transform_edt(~inside, sampling=spacing_mm)[wanted]
    within_mm = np.zeros_like(beyond_mm)
    if not inside.all():
        within_mm = distance_transform_edt(inside, sampling=spacing_mm)[wanted]
    half_mm = min(spacing_mm) / 2
    return np.asarray(np.where(within_mm > 0, half_mm - within_mm, beyond_mm - half_mm))


def _block(grid: Grid) -> NDArray[np.int64]:
    """Return how many voxels along each side are averaged."""
    return np.array([max(1, int(BLOCK_MM / s + 1e-6)) for s in grid.spacing_mm], dtype=np.int64)


def _checked_targets(
    structures: StructureSet, prescribed_gy: Mapping[str, float]
) -> tuple[Structure, ...]:
    if not prescribed_gy:
        raise OptionError("No target is prescribed a dose; name each target and its dose.")
    for name, dose_gy in prescribed_gy.items():
        if not 0 < dose_gy < math.inf:
            raise OptionError(f"'{name}' is prescribed {dose_gy:g} Gy; that is no dose.")
    targets = tuple(structures[name] for name in prescribed_gy)
    for target in targets:
        if target.is_empty:
            raise InputError(f"Target '{target.name}' is empty; delineate it or leave it out.")
        _on_grid(target, targets[0].grid)
    _require_axial(targets[0].grid)
    return targets


def _on_grid(structure: Structure, grid: Grid) -> None:
    if not structure.grid.is_same_as(grid):
        raise GeometryError(
            f"'{structure.name}' lies on another grid than the targets; resample its mask first."
        )
