"""The fluence that an optimiser finds for given beams, and how a collimator delivers it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.plan import Aperture, Beam, Prescription, ScenarioCurves
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Volume
from aegle.planning.dose_volume import CurveOptions, curve
from aegle.planning.intent import Sampling, objectives
from aegle.planning.machine import PhotonMachine
from aegle.planning.objectives import value
from aegle.planning.optimise import OptimiserOptions, Optimum, optimise
from aegle.planning.pencil_beam import (
    BeamDose,
    DoseOptions,
    Medium,
    beam_dose,
    dose_in,
    medium,
    on_ct,
    total,
)
from aegle.planning.photon_options import PhotonPlanOptions
from aegle.planning.robust import Scenario, combined, prepared, scenarios
from aegle.planning.sequencing import delivered, opened_by, sequence

Step = Callable[[], None]
Doses = Callable[[Tensor], list[Tensor]]
"""From weights of all beamlets to the relative dose of each scenario."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be irradiated and how; organs are spared by all goals of the prescription."""

    ct: Volume
    body: Structure
    structures: StructureSet
    prescription: Prescription
    options: PhotonPlanOptions


@dataclass(frozen=True, eq=False)
class Irradiated:
    """Beams with their fluence, and the dose that results, before any normalisation."""

    beams: tuple[Beam, ...]
    dose: Volume
    values: tuple[float, ...]
    """Of the objective, at the start and after each iteration."""


def irradiated(
    task: Task, opened: Sequence[Beam], treated: PhotonMachine, *, step: Step
) -> Irradiated:
    """Optimise the fluence of beams.

    Args:
        task: Patient and goals.
        opened: Beams with their beamlets.
        treated: Beam model.
        step: Called once for each beam and each iteration.

    Raises:
        InputError: No beam reaches the target.
        GeometryError: A beam misses the body.
    """
    patient = medium(task.ct, task.body, options=dose_options(task.options))
    whole = []
    for beam in opened:
        whole.append(_dose_of(task, treated)(patient, beam))
        step()
    beams, values = _Optimiser(task, treated, patient, opened, step).run(whole)
    like = patient.density.values
    with torch.no_grad():
        fluences = [torch.from_numpy(beam.weights.copy()).to(like) for beam in beams]
        dose = on_ct(patient, total(whole, fluences, len(patient.voxels)))
    return Irradiated(beams, dose, values)


def dose_options(options: PhotonPlanOptions) -> DoseOptions:
    """Return how dose is calculated for a plan."""
    return DoseOptions(
        dose_grid_mm=options.dose_grid_mm,
        lateral_cutoff_mm=options.lateral_cutoff_mm,
        device=options.device,
    )


def curves_in_scenarios(
    task: Task, beams: Sequence[Beam], treated: PhotonMachine, shown: Sequence[Structure]
) -> tuple[ScenarioCurves, ...]:
    """Return the dose-volume curves of a plan's structures in every scenario.

    Args:
        task: Patient and errors.
        beams: With their final weights.
        treated: Beam model.
        shown: Structures to judge.
    """
    cases = scenarios(task.options)
    if len(cases) == 1:
        return ()
    patient = medium(task.ct, task.body, options=dose_options(task.options))
    return tuple(
        ScenarioCurves(
            name=case.name,
            curves=tuple(
                curve(dose, structure, options=CurveOptions())
                for dose in (_dose_in(case, task, patient, beams, treated),)
                for structure in shown
            ),
        )
        for case in cases
    )


def _dose_in(
    case: Scenario, task: Task, patient: Medium, beams: Sequence[Beam], treated: PhotonMachine
) -> Volume:
    seen = [case.beam(beam) for beam in beams]
    return dose_in(case.patient(patient), seen, treated, options=dose_options(task.options))


def _dose_of(task: Task, treated: PhotonMachine) -> Callable[[Medium, Beam], BeamDose]:
    return partial(beam_dose, machine=treated, options=dose_options(task.options))


class _Optimiser:
    """The objective of a task on the voxels that it looks at, in every scenario."""

    def __init__(
        self,
        task: Task,
        treated: PhotonMachine,
        patient: Medium,
        opened: Sequence[Beam],
        step: Step,
    ) -> None:
        self._task, self._treated, self._patient = task, treated, patient
        self._opened, self._step = opened, step
        options = task.options
        sampling = Sampling(options.voxels_per_structure, options.seed, options.tissue_weight)
        wanted = objectives(patient, task.structures, task.prescription, sampling)
        self.like = patient.density.values
        self._looked_at = torch.zeros(
            len(patient.voxels), dtype=torch.bool, device=self.like.device
        )
        for objective in wanted:
            self._looked_at[objective.points] = True
        number = self._looked_at.cumsum(0) - 1
        self._count = int(self._looked_at.sum())
        self._wanted = [replace(one, points=number[one.points]) for one in wanted]
        self._ends = np.cumsum([len(beam.weights) for beam in opened]).tolist()[:-1]

    def run(self, whole: Sequence[BeamDose]) -> tuple[tuple[Beam, ...], tuple[float, ...]]:
        """Return beams with optimised weights, and the objective's course.

        Args:
            whole: The beams' doses in the nominal scenario.
        """
        doses = self._doses(whole)
        ones = self.like.new_ones(sum(len(beam.weights) for beam in self._opened))
        with torch.no_grad():
            even = doses(ones)[0][self._wanted[0].points].mean()
        if not float(even) > 0:
            raise InputError("No beam reaches the target; check the outlines of target and body.")
        found = self._minimised(doses, ones / even, None)
        beams = self._with_weights(found.weights)
        if self._task.options.delivery == "fluence":
            return beams, found.values
        beams, values = self._delivered(doses, beams)
        return beams, (*found.values, *values)

    def _doses(self, whole: Sequence[BeamDose]) -> Doses:
        dose_of = _dose_of(self._task, self._treated)
        errors = scenarios(self._task.options)[1:]
        cases = [[beam.at(self._looked_at) for beam in whole]]
        cases += [
            prepared(case, self._patient, self._opened, self._looked_at, dose_of) for case in errors
        ]
        dose_gy = self._task.prescription.dose_gy

        def relative(weights: Tensor) -> list[Tensor]:
            parts = torch.tensor_split(weights, self._ends)
            return [total(case, parts, self._count) / dose_gy for case in cases]

        return relative

    def _minimised(self, doses: Doses, start: Tensor, opening: Tensor | None) -> Optimum:
        options = self._task.options

        def objective(variables: Tensor) -> Tensor:
            weights = variables if opening is None else torch.mv(opening, variables)
            return combined([value(self._wanted, dose) for dose in doses(weights)], options)

        return optimise(
            objective,
            start,
            options=OptimiserOptions(iterations=options.iterations, tolerance=options.tolerance),
            progress=lambda _done, _of: self._step(),
        )

    def _with_weights(self, weights: NDArray[np.float64]) -> tuple[Beam, ...]:
        parts = np.split(weights, self._ends)
        return tuple(
            replace(beam, weights=part) for beam, part in zip(self._opened, parts, strict=True)
        )

    def _delivered(
        self, doses: Doses, beams: Sequence[Beam]
    ) -> tuple[tuple[Beam, ...], tuple[float, ...]]:
        """Cut fluence into apertures, and optimise their monitor units."""
        options = self._task.options
        apertures = [sequence(beam, options=options) for beam in beams]
        blocks = [opened_by(b, a) for b, a in zip(beams, apertures, strict=True)]
        opening = torch.from_numpy(block_diag(*blocks)).to(self.like)
        start = torch.tensor([one.monitor_units for of in apertures for one in of]).to(self.like)
        found = self._minimised(doses, start, opening)
        ends = np.cumsum([len(of) for of in apertures])[:-1]
        shaped = [
            _reweighted(of, units, options.smallest_mu)
            for of, units in zip(apertures, np.split(found.weights, ends), strict=True)
        ]
        return tuple(
            replace(beam, weights=delivered(beam, of), apertures=of)
            for beam, of in zip(beams, shaped, strict=True)
        ), found.values


def _reweighted(
    apertures: Sequence[Aperture], units: NDArray[np.float64], least: float
) -> tuple[Aperture, ...]:
    kept = zip(apertures, units.tolist(), strict=True)
    return tuple(replace(one, monitor_units=mu) for one, mu in kept if mu > 0 and mu >= least)
