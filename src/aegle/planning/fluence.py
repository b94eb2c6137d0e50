"""The weights that an optimiser finds for given beams, and how a collimator delivers them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.plan import Beam, Prescription, ScenarioCurves
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Volume
from aegle.planning.chasing import BOOST, TIGHTEST_PRIORITY, Chased, Standing, standing
from aegle.planning.constraints import optimise_within, round_iterations
from aegle.planning.dose_volume import CurveOptions, curve
from aegle.planning.expected_harm import Harm
from aegle.planning.influence import DoseMap, total
from aegle.planning.intent import Sampling, constraints, objectives, organ_voxels
from aegle.planning.objectives import value
from aegle.planning.optimise import OptimiserOptions, Optimum
from aegle.planning.pencil_beam import Medium, on_ct
from aegle.planning.plan_options import PlanOptions
from aegle.planning.radiation import Radiation
from aegle.planning.robust import Scenario, borne, breathed, combined, scenarios
from aegle.planning.sequencing import Collimator, opened_by
from aegle.planning.watched import Watched

Step = Callable[[], None]
Tell = Callable[[float, dict[str, float]], None]
"""Takes the objective after an iteration, and doses by what they are called [Gy]."""
Doses = Callable[[Tensor], list[Tensor]]
"""From weights of all beamlets to the relative dose of each scenario."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be irradiated and how; organs are spared by all goals of the prescription."""

    patient: Medium
    structures: StructureSet
    prescription: Prescription
    radiation: Radiation
    harms: tuple[Harm, ...] = ()
    """Complications to make unlikely."""

    @property
    def options(self) -> PlanOptions:
        """Grid, optimiser and errors."""
        return self.radiation.options


@dataclass(frozen=True, eq=False)
class Irradiated:
    """Beams with their fluence, and the dose that results, before any normalisation."""

    beams: tuple[Beam, ...]
    dose: Volume
    """Of all phases of breathing together, each for its part of the time."""
    ideal: Volume | None
    """Dose of the fluence before it was cut into apertures; None: it was not cut."""
    values: tuple[float, ...]
    """Of the objective, at the start and after each iteration."""


def irradiated(
    task: Task, opened: Sequence[Beam], *, step: Step, tell: Tell | None = None
) -> Irradiated:
    """Optimise the fluence of beams.

    Args:
        task: Patient and goals.
        opened: Beams with their beamlets.
        step: Called once for each beam and each iteration.
        tell: Called after each iteration, where someone watches.

    Raises:
        InputError: No beam reaches the target.
        GeometryError: A beam misses the body.
    """
    whole = []
    for beam in opened:
        whole.append(task.radiation.dose(task.patient, beam))
        step()
    beams, uncut, values = _Optimiser(task, opened, step, tell).run(whole)
    dose = _summed(task.patient, whole, beams)
    ideal = None if uncut is None else _summed(task.patient, whole, uncut)
    return Irradiated(beams, _over_phases(task, beams, dose), ideal, values)


def curves_in_scenarios(
    task: Task, beams: Sequence[Beam], dose: Volume, shown: Sequence[Structure]
) -> tuple[ScenarioCurves, ...]:
    """Return the dose-volume curves of a plan's structures in every scenario.

    Args:
        task: Patient and errors.
        beams: With their final weights.
        dose: Of the plan [Gy]; where the patient holds still, that of the nominal scenario.
        shown: Structures to judge.
    """
    nominal, *errors = scenarios(task.options, task.patient.phases)
    if task.patient.phases:
        # Every phase is shown, also where the plan was made for the reference alone.
        moved = breathed(task.patient.phases)
        cases = [*moved, *(case for case in errors if case.phase == 0)]
        return tuple(_curves(case, _dose_in(case, task, beams), shown) for case in cases)
    if not errors:
        return ()
    found = [_curves(nominal, dose, shown)]
    found += [_curves(case, _dose_in(case, task, beams), shown) for case in errors]
    return tuple(found)


def _over_phases(task: Task, beams: Sequence[Beam], reference: Volume) -> Volume:
    """Return the dose over the phases of breathing, each for its part of the time."""
    if not task.patient.phases:
        return reference
    first, *others = breathed(task.patient.phases)
    values = np.float32(first.weight) * reference.values
    for case in others:
        values = values + np.float32(case.weight) * _dose_in(case, task, beams).values
    return replace(reference, values=values.astype(np.float32))


def _curves(case: Scenario, dose: Volume, shown: Sequence[Structure]) -> ScenarioCurves:
    curves = tuple(curve(dose, structure, options=CurveOptions()) for structure in shown)
    return ScenarioCurves(name=case.name, curves=curves)


def _dose_in(case: Scenario, task: Task, beams: Sequence[Beam]) -> Volume:
    patient = case.patient(task.patient)
    dose = patient.density.values.new_zeros(len(patient.voxels))
    for beam in beams:
        part = task.radiation.dose(patient, case.beam(beam))
        dose.index_add_(0, part.points, part(_weights(beam, dose)))
    return on_ct(patient, dose)


def _summed(patient: Medium, whole: Sequence[DoseMap], beams: Sequence[Beam]) -> Volume:
    like = patient.density.values
    with torch.no_grad():
        weights = [_weights(beam, like) for beam in beams]
        return on_ct(patient, total(whole, weights, len(patient.voxels)))


def _weights(beam: Beam, like: Tensor) -> Tensor:
    return torch.from_numpy(beam.weights.copy()).to(like)


class _Optimiser:
    """The objective of a task on the voxels that it looks at, in every scenario."""

    def __init__(
        self, task: Task, opened: Sequence[Beam], step: Step, tell: Tell | None = None
    ) -> None:
        self._task, self._opened, self._step, self._tell = task, opened, step, tell
        options, patient = task.options, task.patient
        sampling = Sampling(options.voxels_per_structure, options.seed, options.tissue_weight)
        asked = (patient, task.structures, task.prescription, sampling)
        wanted, limits = objectives(*asked), constraints(*asked)
        self._like = patient.density.values
        self._looked_at = torch.zeros(
            len(patient.voxels), dtype=torch.bool, device=self._like.device
        )
        for points in [one.points for one in wanted] + [one.points for one in limits]:
            self._looked_at[points] = True
        organs = {organ.name: organ for harm in task.harms for organ in harm.organs}
        voxels = organ_voxels(patient, tuple(organs.values()), sampling)
        for points in voxels.values():
            self._looked_at[points] = True
        watched = None
        if tell is not None:
            watched = Watched.of(patient, task.structures, task.prescription, sampling)
            for points in watched.voxels.values():
                self._looked_at[points] = True
        number = self._looked_at.cumsum(0) - 1
        self._watched = watched.among(number) if watched is not None else None
        self._organs = {name: number[points] for name, points in voxels.items()}
        self._count = int(self._looked_at.sum())
        self._wanted = [replace(one, points=number[one.points]) for one in wanted]
        self._limits = [replace(one, points=number[one.points]) for one in limits]
        self._chase = tuple(
            one.goal
            for one in wanted
            if one.goal is not None
            and not one.goal.is_constraint
            and one.goal.priority <= TIGHTEST_PRIORITY
        )
        self._ends = np.cumsum([len(beam.weights) for beam in opened]).tolist()[:-1]

    def run(
        self, whole: Sequence[DoseMap]
    ) -> tuple[tuple[Beam, ...], tuple[Beam, ...] | None, tuple[float, ...]]:
        """Return beams as delivered, as optimised before they were cut, and the objective's course.

        Args:
            whole: The beams' doses in the nominal scenario.
        """
        doses = self._doses(whole)
        ones = self._like.new_ones(sum(len(beam.weights) for beam in self._opened))
        with torch.no_grad():
            even = doses(ones)[0][self._wanted[0].points].mean()
        if not float(even) > 0:
            raise InputError("No beam reaches the target; check the outlines of target and body.")
        found = self._chased(doses, ones / even)
        beams = self._with_weights(found.weights)
        if self._task.radiation.collimator is None:
            return beams, None, found.values
        cut, values = self._delivered(self._task.radiation.collimator, doses, beams)
        return cut, beams, (*found.values, *values)

    def _chased(self, doses: Doses, start: Tensor) -> Optimum:
        """Return weights that meet the objectives, and as many goals as rounds of chasing give."""
        found = self._minimised(doses, start, None)
        options, before = self._task.options, self._standing(doses, found)
        for _ in range(options.goal_rounds):
            if before.all_met:
                break
            usual = self._wanted
            missed = {goal for goal, by in zip(self._chase, before.missed, strict=True) if by > 0}
            self._wanted = [
                replace(one, weight=one.weight * BOOST) if one.goal in missed else one
                for one in usual
            ]
            more = self._minimised(doses, start, None, found)
            now = self._standing(doses, more)
            if not now.is_better_than(before):
                self._wanted = usual
                break
            found, before = Optimum(more.weights, (*found.values, *more.values[1:])), now
        return found

    def _standing(self, doses: Doses, found: Optimum) -> Standing:
        with torch.no_grad():
            relative = doses(torch.from_numpy(found.weights).to(self._like))[0]
        chased = [Chased(one.goal, one.points) for one in self._wanted if one.goal in self._chase]
        task = self._task
        return standing(
            relative,
            self._wanted[1].points,
            chased,
            dose_gy=task.prescription.dose_gy,
            normalised=task.options.normalise,
        )

    def _doses(self, whole: Sequence[DoseMap]) -> Doses:
        task, looked_at = self._task, self._looked_at
        cases = scenarios(task.options, task.patient.phases)
        dose_of = task.radiation.dose
        maps = [
            borne(one, beam, task.patient, looked_at, errors=cases[1:], dose_of=dose_of)
            for one, beam in zip(whole, self._opened, strict=True)
        ]
        dose_gy = task.prescription.dose_gy

        def relative(weights: Tensor) -> list[Tensor]:
            parts = torch.tensor_split(weights, self._ends)
            doses = total(maps, parts, len(cases) * self._count) / dose_gy
            return list(doses.view(len(cases), self._count))

        return relative

    def _minimised(
        self,
        doses: Doses,
        start: Tensor,
        opening: Tensor | None,
        earlier: Optimum | None = None,
    ) -> Optimum:
        """Minimise from a start, or in a shorter run from what was found earlier."""
        options = self._task.options
        shares = [case.weight for case in scenarios(options, self._task.patient.phases)]

        def evaluated(variables: Tensor) -> tuple[Tensor, list[Tensor]]:
            weights = variables if opening is None else torch.mv(opening, variables)
            found = doses(weights)
            objective = combined([self._value(dose) for dose in found], options, shares)
            self._seen = objective, found[0]
            return objective, [limit.excess(dose) for dose in found for limit in self._limits]

        return optimise_within(
            evaluated,
            start if earlier is None else torch.from_numpy(earlier.weights).to(start),
            scale=start,
            options=OptimiserOptions(
                iterations=options.iterations
                if earlier is None
                else round_iterations(options.iterations),
                tolerance=options.tolerance,
                method=options.optimiser,
            ),
            progress=lambda _done, _of: self._iterated(),
        )

    def _iterated(self) -> None:
        self._step()
        if self._tell is not None and self._watched is not None:
            objective, relative = self._seen
            self._tell(float(objective.detach()), self._watched.doses(relative))

    def _value(self, dose: Tensor) -> Tensor:
        """Return the objective for the relative dose of one scenario."""
        task, found = self._task, value(self._wanted, dose)
        doses_gy = {
            name: dose[points] * task.prescription.dose_gy for name, points in self._organs.items()
        }
        for harm in task.harms:
            likely = harm.penalty(doses_gy, task.prescription.fractions)
            found = found + task.options.complication_weight * likely
        return found

    def _with_weights(self, weights: NDArray[np.float64]) -> tuple[Beam, ...]:
        parts = np.split(weights, self._ends)
        return tuple(
            replace(beam, weights=part) for beam, part in zip(self._opened, parts, strict=True)
        )

    def _delivered(
        self, collimator: Collimator, doses: Doses, beams: Sequence[Beam]
    ) -> tuple[tuple[Beam, ...], tuple[float, ...]]:
        """Cut fluence into apertures, and optimise their monitor units."""
        apertures = [collimator.apertures(beam) for beam in beams]
        blocks = [opened_by(b, a) for b, a in zip(beams, apertures, strict=True)]
        opening = torch.from_numpy(block_diag(*blocks)).to(self._like)
        start = torch.tensor([one.monitor_units for of in apertures for one in of]).to(self._like)
        found = self._minimised(doses, start, opening)
        ends = np.cumsum([len(of) for of in apertures])[:-1]
        units = np.split(found.weights, ends)
        shaped = [
            [replace(one, monitor_units=mu) for one, mu in zip(of, given.tolist(), strict=True)]
            for of, given in zip(apertures, units, strict=True)
        ]
        return tuple(
            collimator.given(beam, of) for beam, of in zip(beams, shaped, strict=True)
        ), found.values
