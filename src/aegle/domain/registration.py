"""Where each point of one image lies in another, and whether that can be relied on."""

from dataclasses import dataclass
from enum import Enum
from itertools import product

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.errors import GeometryError
from aegle.domain.grid import Grid, Points
from aegle.domain.text import Text

SETTLED_MM = 1e-4
"""Going back through a field ends when it misses by less."""
ROUNDS = 100
PATIENCE = 10
STUCK = 0.9
"""A point that still misses by this share after ``PATIENCE`` rounds is left where it is."""


class Verdict(Enum):
    """Whether an alignment can be relied on."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


class Motion(Enum):
    """What an alignment leaves free."""

    RIGID = "rigid"
    AFFINE = "affine"
    DEFORMABLE = "deformable"


@dataclass(frozen=True, eq=False, kw_only=True)
class DisplacementField:
    """How far every point moves, given on a grid and linear in between."""

    vectors_mm: NDArray[np.float32]
    """LPS, shape (slice, row, column, 3) [mm]."""
    grid: Grid

    def __post_init__(self) -> None:
        if self.vectors_mm.shape != (*self.grid.shape, 3):
            raise GeometryError(
                f"Vectors have shape {self.vectors_mm.shape}, the grid asks for "
                f"{(*self.grid.shape, 3)}."
            )
        object.__setattr__(self, "vectors_mm", read_only(self.vectors_mm, np.float32))

    def at(self, points_mm: Points) -> Points:
        """Return the displacement [mm] at ``[..., 3]`` LPS positions; beyond the grid the nearest.

        Args:
            points_mm: Where [mm].
        """
        last = np.subtract(self.grid.shape, 1)
        index = np.clip(self.grid.to_indices(np.asarray(points_mm, np.float64)), 0, last)
        low = np.minimum(np.floor(index).astype(np.intp), np.maximum(last - 1, 0))
        part = index - low
        flat = self.vectors_mm.reshape(-1, 3)
        _, rows, columns = self.grid.shape
        found = np.zeros(index.shape)
        for corner in product((0, 1), repeat=3):
            node = np.minimum(low + corner, last)
            weight = np.prod(np.where(corner, part, 1 - part), axis=-1)
            number = (node[..., 0] * rows + node[..., 1]) * columns + node[..., 2]
            found += weight[..., None] * flat[number]
        return found


@dataclass(frozen=True, kw_only=True)
class RegistrationQuality:
    """What can be said of an alignment without landmarks."""

    agreement: float
    """How alike the images are afterwards where both show the patient: 1 alike, 0 unrelated."""
    overlap: float
    """Share of the smaller patient part that both images show."""
    folded_percent: float = 0.0
    """Voxels whose Jacobian determinant is not positive [%]."""
    least_determinant: float = 1.0
    inverse_consistency_mm: float = 0.0
    """Mean distance by which the field and its stored inverse miss each other [mm]."""
    disagreement_mm: float = 0.0
    """Median distance between the coarse answers of both directions [mm]."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """An alignment of a later (moving) to an earlier (fixed) image.

    A point x of the fixed image lies at M (x + u(x)) in the moving image. That is a Deformable
    Spatial Registration of DICOM (PS3.3 C.20.3) with M as its post-deformation matrix.
    """

    matrix: tuple[tuple[float, float, float, float], ...]
    """M, 4×4, maps LPS positions of the fixed image to the moving image [mm]."""
    correlation_before: float
    """How alike the images were: Pearson's correlation or the agreement of ``quality``."""
    correlation_after: float
    verdict: Verdict
    reason: Text
    motion: Motion = Motion.RIGID
    displacement: DisplacementField | None = None
    """u, in the space of the fixed image; None where nothing deforms."""
    inverse: DisplacementField | None = None
    """v with x = z + v(z) where z = x + u(x)."""
    quality: RegistrationQuality | None = None

    def to_moving(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the fixed image to the moving image [mm]."""
        matrix = np.asarray(self.matrix)
        if self.displacement is not None:
            points_mm = points_mm + self.displacement.at(points_mm)
        return np.asarray(points_mm @ matrix[:3, :3].T + matrix[:3, 3])

    def to_fixed(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the moving image to the fixed image [mm].

        Through a field the answer is refined until it leads back to where it came from.
        """
        matrix = np.asarray(self.matrix)
        wanted = np.asarray((points_mm - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T)
        if self.displacement is None:
            return wanted
        flat = wanted.reshape(-1, 3)
        found = flat.copy() if self.inverse is None else flat + self.inverse.at(flat)
        self._settle(flat, found)
        return np.asarray(found.reshape(wanted.shape))

    def _settle(self, wanted: Points, found: Points) -> None:
        """Move each of ``found`` until the field leads it to its ``wanted``, in place [mm]."""
        assert self.displacement is not None
        open_points, before_mm = np.arange(len(found)), np.full(len(found), np.inf)
        for turn in range(ROUNDS):
            missed = wanted[open_points] - found[open_points]
            missed -= self.displacement.at(found[open_points])
            miss_mm = np.abs(missed).max(-1)
            keep = miss_mm >= SETTLED_MM
            if turn % PATIENCE == 0:
                # Where the field folds no step helps; what comes nearer slowly goes on.
                keep &= miss_mm < STUCK * before_mm
                before_mm = miss_mm
            if not keep.any():
                return
            open_points, missed, before_mm = open_points[keep], missed[keep], before_mm[keep]
            # Half steps also settle where the field stretches up to threefold.
            found[open_points] += 0.5 * missed
