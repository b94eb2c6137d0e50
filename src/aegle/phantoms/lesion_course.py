"""Made lesions without images, at two visits, with what became of each.

Balls of random size lie apart from each other in a trunk. Later some are gone, some have
fallen into two, some neighbours have grown together and some are new; what is left has
changed its size, and all lie where an imperfect alignment puts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import pi

import numpy as np

from aegle.domain.finding import Diameters, Findings, Lesion, LesionKind
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.record.identity import derive_uid

GRID = Grid(shape=(440, 320, 420), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(-210.0, -160.0, -220.0))
TRUNK_MM = ((-140.0, 140.0), (-90.0, 90.0), (-150.0, 150.0))
MEDIAN_MM = 15.0
SPREAD = 0.4
"""Median diameter and standard deviation of its logarithm."""
CHANGE = (-0.1, 0.2)
"""Mean and standard deviation of the logarithm of the change of diameter."""
LOCAL_MM = 1.0
"""Misalignment of the parts of a lesion against each other, per axis."""


@dataclass(frozen=True, kw_only=True)
class CourseKind:
    """How many lesions there are and what happens to them."""

    lesions: int = 40
    gone: int = 4
    new: int = 4
    split: int = 2
    merged: int = 2
    """Pairs that grow together."""
    residual_mm: float = 8.0
    """Root mean square of the misalignment in three dimensions."""


@dataclass(frozen=True, eq=False)
class Course:
    """Findings of two visits and the truth about them."""

    baseline: Findings
    later: Findings
    origins: dict[str, tuple[str, ...]]
    """For each later lesion the baseline lesions it stems from; none if it is new."""

    @property
    def links(self) -> set[tuple[str, str]]:
        """All pairs of a baseline lesion and a later one that stems from it."""
        return {(b, heir) for heir, before in self.origins.items() for b in before}

    @property
    def new(self) -> set[str]:
        """Later lesions without an origin."""
        return {name for name, before in self.origins.items() if not before}

    @property
    def gone(self) -> set[str]:
        """Baseline lesions without an heir."""
        return {o.id for o in self.baseline.lesions} - {b for b, _ in self.links}

    @property
    def split(self) -> set[str]:
        """Baseline lesions with several heirs."""
        heirs = [b for b, _ in self.links]
        return {b for b in heirs if heirs.count(b) > 1}

    @property
    def merged(self) -> set[str]:
        """Baseline lesions that grew together with another one."""
        return {b for before in self.origins.values() if len(before) > 1 for b in before}


@dataclass(eq=False)
class _Room:
    """Balls that do not touch each other."""

    random: np.random.Generator
    centres: list[np.ndarray] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)

    def add(self, centre: np.ndarray, size_mm: float) -> bool:
        for other, other_mm in zip(self.centres, self.sizes, strict=True):
            if np.linalg.norm(centre - other) < (size_mm + other_mm) / 2 + 1.0:
                return False
        self.centres.append(centre)
        self.sizes.append(size_mm)
        return True

    def place(self, least_mm: float = 4.0) -> int:
        """Add a ball of random size somewhere and return its number."""
        while True:
            low, high = np.array(TRUNK_MM).T
            size_mm = max(least_mm, float(np.exp(self.random.normal(np.log(MEDIAN_MM), SPREAD))))
            if self.add(self.random.uniform(low, high), size_mm):
                return len(self.sizes) - 1

    def place_beside(self, number: int) -> int:
        """Add a ball 1 to 4 mm from another one."""
        while True:
            size_mm = self.sizes[number] * self.random.uniform(0.6, 1.2)
            away_mm = (size_mm + self.sizes[number]) / 2 + self.random.uniform(1.0, 4.0)
            way = _direction(self.random)
            if self.add(self.centres[number] + away_mm * way, size_mm):
                return len(self.sizes) - 1


def lesion_course(seed: int, kind: CourseKind) -> Course:
    """Make one course; the same seed and kind make the same one."""
    random = np.random.default_rng(seed)
    room = _Room(random)
    pairs = []
    for _ in range(kind.merged):
        one = room.place()
        pairs.append((one, room.place_beside(one)))
    splitting = [room.place(least_mm=14.0) for _ in range(kind.split)]
    going = [room.place() for _ in range(kind.gone)]
    while len(room.sizes) < kind.lesions:
        room.place()
    baseline = [_ball(f"B{n}", room.centres[n], room.sizes[n]) for n in range(len(room.sizes))]
    coming = [room.place() for _ in range(kind.new)]
    later = _Later(random, kind.residual_mm / 3**0.5)
    for pair in pairs:
        later.merge(room, pair)
    for number in splitting:
        later.split(room, number)
    apart = {*splitting, *going, *coming, *(n for pair in pairs for n in pair)}
    for number in range(len(room.sizes)):
        if number not in apart:
            later.add(room.centres[number], room.sizes[number] * later.change(), (number,))
    for number in coming:
        later.add(room.centres[number], room.sizes[number], ())
    return Course(
        Findings(study_uid=derive_uid("course", str(seed), "0"), lesions=tuple(baseline)),
        Findings(study_uid=derive_uid("course", str(seed), "1"), lesions=tuple(later.lesions)),
        later.origins,
    )


@dataclass(eq=False)
class _Later:
    """Lesions of the later visit, as they come."""

    random: np.random.Generator
    deviation_mm: float
    lesions: list[Lesion] = field(default_factory=list)
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def change(self) -> float:
        return float(np.exp(self.random.normal(*CHANGE)))

    def add(
        self,
        centre: np.ndarray,
        size_mm: float,
        before: Sequence[int],
        shift: np.ndarray | None = None,
    ) -> None:
        moved = self.shift() if shift is None else shift
        name = f"A{len(self.lesions)}"
        self.lesions.append(_ball(name, centre + moved, size_mm))
        self.origins[name] = tuple(f"B{n}" for n in before)

    def shift(self) -> np.ndarray:
        return self.random.normal(0, self.deviation_mm, 3)

    def merge(self, room: _Room, pair: tuple[int, int]) -> None:
        volumes = np.array([room.sizes[n] ** 3 for n in pair])
        centre = np.average([room.centres[n] for n in pair], axis=0, weights=volumes)
        self.add(centre, float(volumes.sum() ** (1 / 3)) * self.change(), pair)

    def split(self, room: _Room, number: int) -> None:
        size_mm = room.sizes[number] * self.change()
        share = self.random.uniform(0.3, 0.7)
        way, shift = _direction(self.random), self.shift()
        for part, along in ((share, 1 - share), (1 - share, -share)):
            # The common centre stays; the parts lie 0.8 to 1 diameters apart.
            away_mm = along * size_mm * self.random.uniform(0.8, 1.0)
            local = shift + self.random.normal(0, LOCAL_MM, 3)
            self.add(
                room.centres[number] + away_mm * way, size_mm * part ** (1 / 3), (number,), local
            )


def _direction(random: np.random.Generator) -> np.ndarray:
    way = random.normal(size=3)
    return np.asarray(way / np.linalg.norm(way))


def _ball(name: str, centre: np.ndarray, size_mm: float) -> Lesion:
    x, y, z = (float(v) for v in centre)
    here = (x, y, z)
    # The grid of the one-voxel structure is moved so that its centre lies exactly there.
    low = tuple(float(v) for v in centre - np.round(centre - np.array(GRID.origin_mm)))
    start = tuple(int(v) for v in np.round(centre - np.array(GRID.origin_mm)))[::-1]
    grid = Grid(shape=GRID.shape, spacing_mm=GRID.spacing_mm, origin_mm=(low[0], low[1], low[2]))
    return Lesion(
        id=name,
        tracking_uid=derive_uid(name, str(here), str(size_mm)),
        structure=Structure(
            name=name,
            box=np.ones((1, 1, 1), bool),
            start=(start[0], start[1], start[2]),
            grid=grid,
        ),
        image="CT",
        kind=LesionKind.TUMOUR,
        site="unknown",
        diameters=Diameters(
            longest_mm=size_mm,
            perpendicular_mm=size_mm,
            longest_ends_mm=(here, here),
            perpendicular_ends_mm=(here, here),
            slice_index=start[0],
        ),
        volume_ml=pi / 6 * size_mm**3 / 1000,
    )
