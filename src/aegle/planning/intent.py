"""From clinical goals to objectives.

Goals are limits that a plan is judged by; an optimiser needs penalties that pull towards and
past them. The target is to be filled evenly, normal tissue to be spared more the farther it
lies from the target, and each organ kept below its limits with some room to spare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.biological_penalties import UniformOverdose
from aegle.planning.constraints import Constraint
from aegle.planning.objectives import (
    MeanOverdose,
    Objective,
    Overdose,
    Penalty,
    Underdose,
    VolumeOverdose,
)
from aegle.planning.pencil_beam import Medium
from aegle.planning.targets import CTV, GTV

TARGET_LOW, TARGET_HIGH = 1.0, 1.05
"""Levels between which the target's dose costs nothing, relative to the prescribed dose."""
TARGET_WEIGHT = 100.0
SERIAL_WEIGHT = 50.0
"""Of limits on a maximum."""
PARALLEL_WEIGHT = 10.0
"""Of limits on means and volumes."""
SPARING_WEIGHT = 0.2
"""Of an organ's mean dose below its limit: as low as the target allows."""
TISSUE_WEIGHT = 10.0
PRIORITY = {1: 5.0, 2: 1.0, 3: 0.2}
"""Factor on the weight of a goal, by its priority."""
ROOM = 0.9
"""Objectives aim at this part of an organ's limit."""
INWARD = 0.002
"""Limits that must be kept are drawn in by this part."""
FAR_LEVEL = 0.35
"""Dose that costs nothing far from the target, relative to the prescribed dose."""
FALL_MM = 12.0
"""Distance over which the free dose falls by 1/e towards ``FAR_LEVEL``."""
NEAR_TISSUE_MM = 40.0
"""Normal tissue nearer to the target than this is controlled voxel by voxel."""

Points = NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """How many voxels stand for a structure, and how much normal tissue weighs."""

    most: int
    seed: int
    tissue: float = 1.0
    """Factor on the weight of normal tissue."""


def objectives(
    patient: Medium, structures: StructureSet, prescription: Prescription, sampling: Sampling
) -> tuple[Objective, ...]:
    """Return objectives on the medium's voxels for a target, normal tissue and goals."""
    chosen = _Voxels(patient, sampling)
    target = chosen.of(structures[prescription.target], sampled=False)
    rim = chosen.of(structures[prescription.target], sampled=False, least=0.0)
    if target.size == 0:
        raise InputError(f"'{prescription.target}' lies outside the body; check both outlines.")
    organs = [
        (goal, structures[goal.structure])
        for goal in prescription.goals
        if goal.structure != prescription.target
        and goal.at_most is not None
        and not structures[goal.structure].is_empty
    ]
    return (
        # A voxel that the target touches by its corner must be full for the corner to be full.
        chosen.objective(rim, Underdose(TARGET_LOW), TARGET_WEIGHT),
        chosen.objective(target, Overdose(TARGET_HIGH), TARGET_WEIGHT),
        *_tissue(chosen, target),
        *(
            chosen.objective(
                chosen.of(organ), MeanOverdose(0.0), SPARING_WEIGHT * PRIORITY[goal.priority]
            )
            for goal, organ in organs
            if goal.metric is Metric.MEAN_DOSE
        ),
        *(
            chosen.objective(
                chosen.of(structures[goal.structure]),
                Underdose(goal.at_least / prescription.dose_gy),
                TARGET_WEIGHT * PRIORITY[goal.priority],
            )
            for goal in prescription.goals
            # What the target was made of is covered as far as the target reaches.
            if goal.structure not in (prescription.target, GTV, CTV)
            and goal.at_least is not None
            and goal.metric is Metric.DOSE_AT_VOLUME
            and not structures[goal.structure].is_empty
        ),
        *(
            chosen.objective(chosen.of(organ), *_weighted(goal, prescription.dose_gy), goal)
            for goal, organ in organs
        ),
    )


def constraints(
    patient: Medium, structures: StructureSet, prescription: Prescription, sampling: Sampling
) -> tuple[Constraint, ...]:
    """Return the goals that must be kept as limits on all the voxels of their structures.

    Limits are drawn in by a little, so that interpolation of dose does not break them.
    """
    chosen = _Voxels(patient, sampling)
    found = []
    for goal in prescription.goals:
        if goal.is_constraint:
            # A maximum holds for what the structure touches by a corner, too.
            least = 0.0 if goal.metric is Metric.MAXIMUM_DOSE else 0.5
            points = chosen.of(structures[goal.structure], sampled=False, least=least)
            found.append(_constraint(goal, prescription.dose_gy, chosen.indices(points)))
    return tuple(found)


def organ_voxels(
    patient: Medium, organs: Sequence[Structure], sampling: Sampling
) -> dict[str, Tensor]:
    """Return the medium's voxels that stand for each organ, by its name."""
    chosen = _Voxels(patient, sampling)
    return {organ.name: chosen.indices(chosen.of(organ)) for organ in organs}


def _constraint(goal: Goal, dose_gy: float, points: Tensor) -> Constraint:
    is_upper = goal.at_most is not None
    limit = goal.at_most if goal.at_most is not None else goal.at_least
    assert limit is not None
    exponent = spared = None
    level_gy = limit
    if goal.metric is Metric.MEAN_DOSE:
        exponent = 1.0
    elif goal.metric is Metric.EQUIVALENT_UNIFORM_DOSE:
        exponent = goal.at
    elif goal.metric is Metric.DOSE_AT_VOLUME:
        assert goal.at is not None
        spared = goal.at if is_upper else 100 - goal.at
    elif goal.metric is Metric.VOLUME_AT_DOSE:
        assert goal.at is not None
        level_gy, spared = goal.at, limit if is_upper else 100 - limit
    inward = 1 - INWARD if is_upper else 1 + INWARD
    return Constraint(
        points=points,
        level=inward * level_gy / dose_gy,
        is_upper=is_upper,
        spared=max(0, ceil((spared or 0.0) / 100 * len(points)) - 1),
        exponent=exponent,
    )


def _weighted(goal: Goal, dose_gy: float) -> tuple[Penalty, float]:
    penalty, weight = _penalty(goal, dose_gy)
    return penalty, weight * PRIORITY[goal.priority]


def _penalty(goal: Goal, dose_gy: float) -> tuple[Penalty, float]:
    assert goal.at_most is not None
    if goal.metric is Metric.MAXIMUM_DOSE:
        return Overdose(ROOM * goal.at_most / dose_gy), SERIAL_WEIGHT
    if goal.metric is Metric.MEAN_DOSE:
        return MeanOverdose(ROOM * goal.at_most / dose_gy), PARALLEL_WEIGHT
    assert goal.at is not None
    if goal.metric is Metric.EQUIVALENT_UNIFORM_DOSE:
        return UniformOverdose(ROOM * goal.at_most / dose_gy, goal.at), PARALLEL_WEIGHT
    if goal.metric is Metric.VOLUME_AT_DOSE:
        return VolumeOverdose(goal.at / dose_gy, ROOM * goal.at_most / 100), PARALLEL_WEIGHT
    return VolumeOverdose(ROOM * goal.at_most / dose_gy, goal.at / 100), PARALLEL_WEIGHT


def _tissue(chosen: "_Voxels", target: Points) -> Sequence[Objective]:
    """Penalise dose that does not fall with the distance from the target."""
    distance_mm = chosen.distances_mm(target)
    near = np.flatnonzero((distance_mm > 0) & (distance_mm <= NEAR_TISSUE_MM))
    far = np.flatnonzero(distance_mm > NEAR_TISSUE_MM)
    found = []
    for points in (chosen.some(near), chosen.some(far)):
        if points.size:
            free = FAR_LEVEL + (1 - FAR_LEVEL) * np.exp(-distance_mm[points] / FALL_MM)
            level = torch.from_numpy(free).to(chosen.like)
            weight = TISSUE_WEIGHT * chosen.tissue
            found.append(chosen.objective(points, Overdose(level), weight))
    return found


class _Voxels:
    """Which of the medium's voxels belong to a structure."""

    def __init__(self, patient: Medium, sampling: Sampling) -> None:
        self._patient = patient
        self._sampling = sampling
        self.like = patient.density.values
        self.tissue = sampling.tissue

    def of(self, structure: Structure, *, sampled: bool = True, least: float = 0.5) -> Points:
        """Return the voxels of which a least share lies inside; all touched, if none is so full."""
        grid = self._patient.grid
        if not structure.grid.is_same_as(grid.fine):
            raise InputError(
                f"'{structure.name}' lies on another grid than the CT; resample it first."
            )
        shares = _block_share(structure, grid.factors, grid.coarse.shape)
        shares = shares.reshape(-1)[self._patient.voxels]
        points = np.flatnonzero((shares >= least - 1e-9) & (shares > 0))
        if points.size == 0:
            points = np.flatnonzero(shares > 0)
        return self.some(points) if sampled else points

    def some(self, points: Points) -> Points:
        """Return at most the allowed number of voxels, drawn evenly and in order."""
        if points.size <= self._sampling.most:
            return points
        chance = np.random.default_rng(self._sampling.seed)
        return np.sort(chance.choice(points, self._sampling.most, replace=False))

    def objective(
        self, points: Points, penalty: Penalty, weight: float, goal: Goal | None = None
    ) -> Objective:
        """Return an objective on voxels, for a goal where it stands for one."""
        return Objective(self.indices(points), penalty, weight, goal)

    def indices(self, points: Points) -> Tensor:
        """Return voxels as an index on the patient's device."""
        return torch.from_numpy(points).to(self.like.device)

    def distances_mm(self, points: Points) -> NDArray[np.float64]:
        """Return each voxel's distance from the nearest of some voxels, capped [mm]."""
        grid = self._patient.grid.coarse
        inside = np.zeros(grid.shape, dtype=np.bool_)
        inside.reshape(-1)[self._patient.voxels[points]] = True
        corner = np.argwhere(inside)
        pads = [ceil(NEAR_TISSUE_MM / s) + 1 for s in grid.spacing_mm]
        box = tuple(
            slice(max(0, low - pad), high + pad + 1)
            for low, high, pad in zip(corner.min(axis=0), corner.max(axis=0), pads, strict=True)
        )
        distance_mm = np.full(grid.shape, 2 * NEAR_TISSUE_MM)
        distance_mm[box] = distance_transform_edt(~inside[box], sampling=grid.spacing_mm)
        return np.asarray(distance_mm.reshape(-1)[self._patient.voxels])


def _block_share(
    structure: Structure, factors: tuple[int, int, int], shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Return which part of each dose voxel lies inside a structure, shape ``shape``."""
    share = np.zeros(shape)
    inside = np.argwhere(structure.box) + np.asarray(structure.start)
    np.add.at(share, tuple((inside // factors).T), 1.0 / np.prod(factors))
    return share
