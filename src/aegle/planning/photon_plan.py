"""A photon plan: from CT, structures and a prescription to fluence, dose and judged goals.

Intensity-modulated static fields: every beamlet's fluence is free. Leaf sequencing, which
turns fluence into leaf positions, is not part of the plan, so the dose is that of ideal fluence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass as plain
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import Beam, Goal, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.beams import BeamletOptions, aim, gantry_angles
from aegle.planning.dose_volume import (
    CurveOptions,
    DoseAtVolumeOptions,
    curve,
    dose_at_volume,
    evaluate,
)
from aegle.planning.intent import Sampling, objectives
from aegle.planning.machine import PhotonMachine, machine
from aegle.planning.notices import cut_off, lying_outside, other_fractions, single_lung
from aegle.planning.objectives import value
from aegle.planning.optimise import OptimiserOptions, Optimum, optimise
from aegle.planning.pencil_beam import (
    BeamDose,
    DoseOptions,
    Medium,
    beam_dose,
    medium,
    on_ct,
    threads,
    total,
)
from aegle.planning.prescription import (
    PrescriptionOptions,
    is_conventional,
    lung_alone,
    lungs_of,
    prescribe,
    published_goals,
)
from aegle.planning.targets import LUNGS_MINUS_GTV, with_lungs_minus_gtv

__all__ = ["PhotonPlanOptions", "PrescriptionOptions", "plan", "prescribe"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class PhotonPlanOptions:
    """How a photon plan is made."""

    gantry_deg: Annotated[
        tuple[float, ...] | None,
        option("Gantry angles, IEC 61217; none: chosen on the side of the target", unit="°"),
    ] = None
    beams: Annotated[int, option("Number of beams where angles are chosen", ge=1, le=36)] = 7
    couch_deg: Annotated[
        float, option("Couch angle of all beams, IEC 61217", unit="°", ge=-180, le=360)
    ] = 0.0
    beamlet_mm: Annotated[
        float, option("Side of a beamlet on the isocentre plane", unit="mm", ge=2, le=20)
    ] = 5.0
    dose_grid_mm: Annotated[
        float, option("Wanted spacing of the dose grid, in whole CT voxels", unit="mm", gt=0)
    ] = 3.0
    lateral_cutoff_mm: Annotated[
        float,
        option(
            "Distance from a beamlet beyond which its dose is dropped", unit="mm", ge=75, le=180
        ),
    ] = 80.0
    iterations: Annotated[int, option("Most iterations of the optimiser", ge=1, le=2000)] = 80
    tolerance: Annotated[
        float,
        option("Stop where an iteration lowers the objective by less than this part", ge=0, lt=1),
    ] = 1e-5
    normalise: Annotated[
        bool, option("Scale the plan so that 95 % of the target receive the prescribed dose")
    ] = True
    voxels_per_structure: Annotated[
        int, option("Most voxels that stand for an organ in the optimiser", ge=100)
    ] = 4000
    seed: Annotated[int, option("Seed of the drawing of those voxels", ge=0)] = 1
    machine: Annotated[str, option("Beam model")] = "generic_6mv"
    device: Annotated[str, option("Where to calculate: cpu, cuda, cuda:1, ...")] = "cpu"
    threads: Annotated[
        int, option("CPU threads; more than one pays only where the cores are idle", ge=1, le=64)
    ] = 1


def plan(
    ct: Volume,
    structures: StructureSet,
    prescription: Prescription,
    *,
    options: PhotonPlanOptions,
    progress: Progress | None = None,
) -> Plan:
    """Plan external-beam photons.

    Args:
        ct: Planning CT [HU].
        structures: Must hold the prescription's target and the outline of the body (type
            ``EXTERNAL``); goals for organs that are missing are left out and said so.
        prescription: What is wanted.
        options: Beams, grid and optimiser.
        progress: Called with steps done and steps in all.

    Returns:
        Fluence in MU, absorbed dose on the CT grid and every goal judged on it.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        InputError: Body or target are missing or empty, or the target lies outside the body.
        GeometryError: CT and structures lie on different grids.
    """
    ct.require(Quantity.RADIODENSITY)
    target, body = _target_and_body(ct, structures, prescription)
    withheld = () if is_conventional(prescription) else published_goals(structures)
    known = _with_derived(structures, (*prescription.goals, *withheld))
    answerable, notices = _answerable(known, prescription, withheld)
    spared = replace(answerable, goals=(*answerable.goals, *withheld))
    treated = machine(options.machine)
    opened = _open_beams(target, body, treated, options)
    report = _Report(progress, len(opened) + options.iterations + 1)
    with threads(options.threads):
        task = _Task(ct, body, known, spared, options)
        beams, dose, values = _irradiated(task, opened, treated, report)
    scale = _scale(dose, target, prescription) if options.normalise else 1.0
    dose = replace(dose, values=dose.values * np.float32(scale))
    used = _used(known, spared)
    made = Plan(
        prescription=answerable,
        machine=treated.name,
        beams=tuple(replace(beam, weights=beam.weights * scale) for beam in beams),
        dose=dose,
        structures=used,
        curves=tuple(
            curve(dose, s, options=CurveOptions()) for s in used if s.type is not _EXTERNAL
        ),
        goals=evaluate(answerable.goals, dose, used),
        notices=(
            *notices,
            *other_fractions(prescription),
            *lying_outside(known, target, body),
            *cut_off(body, target, beams, treated.sad_mm),
            *single_lung(known),
        ),
        objective_values=values,
    )
    report.finish()
    return made


_EXTERNAL = StructureType.EXTERNAL


@plain(frozen=True, eq=False)
class _Task:
    """What is to be irradiated and how; organs are spared by all goals of the prescription."""

    ct: Volume
    body: Structure
    structures: StructureSet
    prescription: Prescription
    options: PhotonPlanOptions


class _Report:
    """Counts steps for a progress callback."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._done = 0

    def step(self) -> None:
        """One more step is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._steps)

    def finish(self) -> None:
        """All is done, even if the optimiser stopped early."""
        self._done = self._steps - 1
        self.step()


def _target_and_body(
    ct: Volume, structures: StructureSet, prescription: Prescription
) -> tuple[Structure, Structure]:
    for structure in structures:
        if not structure.grid.is_same_as(ct.grid):
            raise GeometryError(
                f"'{structure.name}' and the CT lie on different grids; resample the mask first."
            )
    target = structures[prescription.target]
    if target.is_empty:
        raise InputError(f"'{target.name}' is empty; delineate the target before planning.")
    bodies = [s for s in structures.of_type(_EXTERNAL) if not s.is_empty]
    if not bodies:
        raise InputError("The outline of the body (type EXTERNAL) is missing; segment it first.")
    body = bodies[0]
    if not body.mask[target.window][target.box].any():
        raise InputError(f"'{target.name}' lies outside '{body.name}'; check both outlines.")
    return target, body


def _with_derived(structures: StructureSet, goals: Sequence[Goal]) -> StructureSet:
    """Derive what goals refer to."""
    asked = {goal.structure for goal in goals}
    lungs = lungs_of(structures)
    if LUNGS_MINUS_GTV in asked and LUNGS_MINUS_GTV not in structures and lungs:
        gross = structures.of_type(StructureType.LESION)
        return with_lungs_minus_gtv(structures, lungs, gross)
    return structures


def _answerable(
    structures: StructureSet, prescription: Prescription, withheld: Sequence[Goal]
) -> tuple[Prescription, tuple[Text, ...]]:
    """Leave out goals of structures that are missing, and those that do not hold."""
    asked = {goal.structure for goal in prescription.goals}
    there = {s.name for s in structures if not s.is_empty}
    goals = tuple(
        goal for goal in prescription.goals if goal.structure in there and goal not in withheld
    )
    missing = [
        Text("Goals for {structure} were left out: it is not delineated.", {"structure": structure})
        for structure in sorted(asked - there)
    ]
    ideal = Text(
        "The dose is that of ideal fluence; leaf sequencing is not part of this plan. "
        "For research only."
    )
    return replace(prescription, goals=goals), (ideal, *missing)


def _open_beams(
    target: Structure, body: Structure, treated: PhotonMachine, options: PhotonPlanOptions
) -> tuple[Beam, ...]:
    angles = options.gantry_deg
    if not angles:
        angles = gantry_angles(target, body, options.beams)
    beamlets = BeamletOptions(beamlet_mm=options.beamlet_mm)
    return tuple(
        aim(target, angle, options.couch_deg, treated.sad_mm, options=beamlets) for angle in angles
    )


def _irradiated(
    task: _Task, opened: Sequence[Beam], treated: PhotonMachine, report: _Report
) -> tuple[tuple[Beam, ...], Volume, tuple[float, ...]]:
    """Return beams with optimised weights, their dose, and the objective's course."""
    options = task.options
    dose_options = DoseOptions(
        dose_grid_mm=options.dose_grid_mm,
        lateral_cutoff_mm=options.lateral_cutoff_mm,
        device=options.device,
    )
    patient = medium(task.ct, task.body, options=dose_options)
    prepared = []
    for beam in opened:
        prepared.append(beam_dose(patient, beam, treated, options=dose_options))
        report.step()
    optimum = _optimised(task, patient, prepared, report)
    fluences = _split(torch.from_numpy(optimum.weights).to(patient.density.values), prepared)
    with torch.no_grad():
        dose = on_ct(patient, total(prepared, fluences, len(patient.voxels)))
    beams = tuple(
        replace(beam, weights=fluence.cpu().numpy().astype(np.float64))
        for beam, fluence in zip(opened, fluences, strict=True)
    )
    return beams, dose, optimum.values


def _optimised(
    task: _Task, patient: Medium, prepared: Sequence[BeamDose], report: _Report
) -> Optimum:
    """Optimise on the voxels that objectives look at."""
    options, dose_gy = task.options, task.prescription.dose_gy
    sampling = Sampling(options.voxels_per_structure, options.seed)
    wanted = objectives(patient, task.structures, task.prescription, sampling)
    like = patient.density.values
    looked_at = torch.zeros(len(patient.voxels), dtype=torch.bool, device=like.device)
    for objective in wanted:
        looked_at[objective.points] = True
    number = looked_at.cumsum(0) - 1
    count = int(looked_at.sum())
    beams = [beam.at(looked_at) for beam in prepared]
    local = [replace(objective, points=number[objective.points]) for objective in wanted]

    def relative_dose(weights: Tensor) -> Tensor:
        return total(beams, _split(weights, beams), count) / dose_gy

    ones = like.new_ones(sum(len(b.pixels) for b in beams))
    with torch.no_grad():
        even = relative_dose(ones)[local[0].points].mean()
    if not float(even) > 0:
        raise InputError("No beam reaches the target; check the outlines of target and body.")
    return optimise(
        lambda weights: value(local, relative_dose(weights)),
        ones / even,
        options=OptimiserOptions(iterations=options.iterations, tolerance=options.tolerance),
        progress=lambda _done, _of: report.step(),
    )


def _split(weights: Tensor, beams: Sequence[BeamDose]) -> tuple[Tensor, ...]:
    ends = np.cumsum([len(beam.pixels) for beam in beams]).tolist()
    return torch.tensor_split(weights, ends[:-1])


def _scale(dose: Volume, target: Structure, prescription: Prescription) -> float:
    covered_gy = dose_at_volume(dose, target, options=DoseAtVolumeOptions(volume_percent=95.0))
    if covered_gy <= 0:
        raise InputError(
            f"More than 5 % of '{target.name}' receive no dose; is a part of it outside the body?"
        )
    return prescription.dose_gy / covered_gy


def _used(structures: StructureSet, prescription: Prescription) -> StructureSet:
    """Return targets, the body, the organs that goals refer to and a lung without the other."""
    kinds = (StructureType.TARGET, StructureType.LESION, _EXTERNAL)
    asked = {goal.structure for goal in prescription.goals}
    alone = lung_alone(structures)
    if alone is not None:
        asked.add(alone.name)
    return StructureSet(
        tuple(s for s in structures if not s.is_empty and (s.type in kinds or s.name in asked))
    )
