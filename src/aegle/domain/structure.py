"""Delineated parts of the body."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid


@dataclass(frozen=True, eq=False, kw_only=True)
class Structure:
    """One delineated organ, target or lesion.

    Only the box around the structure is held, so that a hundred lesions of a large image
    stay small. Build one from a full mask with :meth:`of`.
    """

    name: str
    box: NDArray[np.bool_]
    """True inside; the smallest box that holds the structure, shape (slice, row, column)."""
    start: tuple[int, int, int]
    """Voxel index of ``box[0, 0, 0]`` on the grid."""
    grid: Grid
    type: StructureType = StructureType.ORGAN
    origin: str = "automatic"
    """Where it comes from: ``automatic``, ``RTSTRUCT``, ``SEG``, ``labelmap``, ``made``."""

    def __post_init__(self) -> None:
        end = np.add(self.start, self.box.shape)
        if self.box.ndim != 3 or min(self.start) < 0 or np.any(end > self.grid.shape):
            raise GeometryError(
                f"'{self.name}' spans voxels {self.start} to {tuple(end.tolist())}, "
                f"outside its grid of shape {self.grid.shape}."
            )
        object.__setattr__(self, "box", read_only(self.box, np.bool_))

    @classmethod
    def of(cls, name: str, mask: NDArray[Any], grid: Grid, **facts: Any) -> "Structure":
        """Build a structure from a mask of shape ``grid.shape``; an empty mask is allowed.

        Raises:
            GeometryError: Mask and grid differ in shape.
        """
        if mask.shape != grid.shape:
            raise GeometryError(f"Mask of '{name}' has shape {mask.shape}, its grid {grid.shape}.")
        inside = np.asarray(mask, dtype=np.bool_)
        spans = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        if spans[0].size == 0:
            return cls(
                name=name, box=np.zeros((0, 0, 0), bool), start=(0, 0, 0), grid=grid, **facts
            )
        box = tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)
        start = (box[0].start, box[1].start, box[2].start)
        return cls(name=name, box=inside[box].copy(), start=start, grid=grid, **facts)

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the box lies, to index an array of shape ``grid.shape``."""
        a, b, c = (slice(s, s + n) for s, n in zip(self.start, self.box.shape, strict=True))
        return a, b, c

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The full mask, shape ``grid.shape``; made anew at each call."""
        mask = np.zeros(self.grid.shape, dtype=np.bool_)
        mask[self.window] = self.box
        return mask

    @property
    def is_empty(self) -> bool:
        """Whether no voxel is inside."""
        return not self.box.any()

    @property
    def volume_ml(self) -> float:
        """Volume inside the mask, whole voxels [mL]."""
        return int(np.count_nonzero(self.box)) * self.grid.voxel_volume_ml

    @property
    def centroid_mm(self) -> tuple[float, float, float]:
        """Mean LPS position of the voxels inside [mm].

        Raises:
            InputError: The structure is empty.
        """
        if self.is_empty:
            raise InputError(f"'{self.name}' is empty, so it has no centre.")
        x, y, z = self.grid.to_patient(np.argwhere(self.box).mean(axis=0) + self.start)
        return float(x), float(y), float(z)


@dataclass(frozen=True, eq=False)
class StructureSet:
    """Structures delineated on one image."""

    structures: tuple[Structure, ...]

    def __getitem__(self, name: str) -> Structure:
        for structure in self.structures:
            if structure.name == name:
                return structure
        known = ", ".join(sorted(s.name for s in self.structures)) or "none"
        raise InputError(f"No structure '{name}'; delineated: {known}.")

    def __contains__(self, name: object) -> bool:
        return any(s.name == name for s in self.structures)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.structures)

    def __len__(self) -> int:
        return len(self.structures)

    def of_type(self, kind: StructureType) -> tuple[Structure, ...]:
        """Return the structures of one type, in order."""
        return tuple(s for s in self.structures if s.type is kind)
