"""What earlier patients were given: the library that new patients are compared with.

Of each structure of an earlier patient some voxels are kept, with the prescribed dose around them
and the dose they received, and the dose-volume curve of all of it. Doses are relative to the
highest prescribed dose. No image, outline or position is kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.codes import StructureType, body_part
from aegle.domain.errors import InputError
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Volume
from aegle.planning.dose_volume import doses_inside
from aegle.planning.geometry_features import PrescribedDose

VOLUMES_PERCENT = (
    *(100.0, 99.75, 99.5, 99.0, 98.0),
    *(float(v) for v in range(95, 0, -5)),
    *(2.0, 1.0, 0.5, 0.25, 0.0),
)
"""Volumes at which curves are kept; 0 % stands for the voxel with the highest dose."""
MOST_VOXELS = 400
"""Of each structure at most so many voxels are kept, drawn evenly."""
SAME_LEVEL = 0.05
"""Targets whose relative doses differ by no more are of the same level."""
KINDS = (StructureType.ORGAN, StructureType.AVOIDANCE)
"""Structures that are compared besides the targets that are prescribed a dose."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Surroundings:
    """A structure as the method sees it: where its voxels lie to the prescribed dose."""

    name: str
    """As delineated."""
    level: float | None
    """Prescribed dose relative to the highest, if it is a target."""
    volume_ml: float
    around: NDArray[np.float32]
    """See :meth:`aegle.planning.geometry_features.PrescribedDose.around`; shape (voxel, width),
    for voxels drawn evenly from the structure."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "around", read_only(self.around, np.float32))

    def is_like(self, other: "Surroundings") -> bool:
        """Return whether both are targets of one level, or organs of one name."""
        if self.level is None or other.level is None:
            return self.level == other.level and _plain(self.name) == _plain(other.name)
        return abs(self.level - other.level) <= SAME_LEVEL + 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class Treated(Surroundings):
    """A structure and the dose that it received, relative to the highest prescribed dose."""

    dose: NDArray[np.float32]
    """Of the voxels in ``around``, shape (voxel,)."""
    curve: NDArray[np.float32]
    """Of all voxels: dose that at least ``VOLUMES_PERCENT`` received, shape (volume,)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dose", read_only(self.dose, np.float32))
        object.__setattr__(self, "curve", read_only(self.curve, np.float32))


@dataclass(frozen=True, eq=False, kw_only=True)
class EarlierPatient:
    """What is kept of a patient who was treated."""

    name: str
    """Tells patients apart; choose one that identifies nobody."""
    prescribed_gy: float
    """The highest prescribed dose."""
    structures: tuple[Treated, ...]


@dataclass(frozen=True, eq=False)
class Library:
    """Earlier patients, each under a name of its own."""

    patients: tuple[EarlierPatient, ...]

    def __post_init__(self) -> None:
        names = [p.name for p in self.patients]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(
                f"Earlier patients named twice: {', '.join(twice)}. One patient counts once."
            )

    def __iter__(self) -> Iterator[EarlierPatient]:
        return iter(self.patients)

    def __len__(self) -> int:
        return len(self.patients)

    def without(self, name: str) -> "Library":
        """Return the library without one patient."""
        return Library(tuple(p for p in self.patients if p.name != name))

    def like(self, structure: Surroundings) -> tuple[tuple[str, Treated], ...]:
        """Return each earlier patient's structure of the same kind, with the patient's name.

        Of several targets of one level the one closest in dose counts.
        """
        found = []
        for patient in self.patients:
            alike = [s for s in patient.structures if structure.is_like(s)]
            if alike:
                found.append((patient.name, min(alike, key=lambda s: _apart(structure, s))))
        return tuple(found)


def remember(
    name: str, structures: StructureSet, dose: Volume, prescribed_gy: Mapping[str, float]
) -> EarlierPatient:
    """Take from a treated patient what new ones are compared with.

    Args:
        name: Tells patients apart; it is kept, so it should identify nobody.
        structures: Targets and organs; empty organs are passed over.
        dose: Absorbed dose over all fractions [Gy], on the same grid of axial slices.
        prescribed_gy: Dose of each target, by its name.

    Raises:
        InputError: A target is missing or empty, or the dose of a structure is not finite.
        GeometryError: Structures and dose lie on different grids, or slices are not axial.
        QuantityError: ``dose`` is not an absorbed dose.
        OptionError: A prescribed dose is not positive.
    """
    chosen = compared(structures, prescribed_gy)
    prescribed = PrescribedDose(StructureSet(chosen), prescribed_gy)
    found = []
    for structure in chosen:
        inside = doses_inside(dose, structure) / prescribed.highest_gy
        if not np.isfinite(inside).all():
            raise InputError(
                f"The dose of '{structure.name}' is not a number everywhere; write the dose anew."
            )
        seen, drawn = surroundings(structure, prescribed, prescribed_gy)
        found.append(Treated(**vars(seen), dose=inside[drawn], curve=curve_of(inside)))
    return EarlierPatient(name=name, prescribed_gy=prescribed.highest_gy, structures=tuple(found))


def compared(structures: StructureSet, prescribed_gy: Mapping[str, float]) -> tuple[Structure, ...]:
    """Return the targets that are prescribed a dose, and the organs that are not empty."""
    return tuple(
        s for s in structures if s.name in prescribed_gy or (s.type in KINDS and not s.is_empty)
    )


def surroundings(
    structure: Structure, prescribed: PrescribedDose, prescribed_gy: Mapping[str, float]
) -> tuple[Surroundings, NDArray[np.int64]]:
    """Return how some of a structure's voxels lie, and which of its voxels they are."""
    voxels = np.argwhere(structure.box) + np.asarray(structure.start)
    drawn = np.arange(len(voxels))
    if len(voxels) > MOST_VOXELS:
        # Any fixed seed will do: the draw must be even, and the same every time.
        chance = np.random.default_rng(0)
        drawn = np.sort(chance.choice(len(voxels), MOST_VOXELS, replace=False))
    target_gy = prescribed_gy.get(structure.name)
    seen = Surroundings(
        name=structure.name,
        level=None if target_gy is None else target_gy / prescribed.highest_gy,
        volume_ml=structure.volume_ml,
        around=prescribed.around(voxels[drawn]),
    )
    return seen, drawn


def curve_of(doses: NDArray[Any]) -> NDArray[np.float32]:
    """Return the highest dose that at least each of ``VOLUMES_PERCENT`` receives."""
    ordered = np.sort(np.asarray(doses, np.float32))
    covered = np.ceil(np.round(ordered.size * np.asarray(VOLUMES_PERCENT) / 100, 9)).astype(int)
    found: NDArray[np.float32] = ordered[ordered.size - np.maximum(covered, 1)]
    return found


def _plain(name: str) -> str:
    """Return what a delineated name stands for, whatever its case and punctuation."""
    return body_part(name) or "".join(c for c in name.casefold() if c.isalnum())


def _apart(one: Surroundings, other: Surroundings) -> float:
    if one.level is None or other.level is None:
        return 0.0
    return abs(one.level - other.level)
