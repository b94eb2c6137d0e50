"""A photon plan: from CT, structures and a prescription to fluence, dose and judged goals.

Intensity-modulated static fields. Every beamlet's fluence is free; where delivery is asked for, it
is cut into apertures of a multileaf collimator, and the dose is that of the apertures.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import Beam, Goal, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.planning.beams import BeamletOptions, aim, gantry_angles
from aegle.planning.dose_volume import (
    CurveOptions,
    DoseAtVolumeOptions,
    curve,
    dose_at_volume,
    evaluate,
)
from aegle.planning.fluence import Task, curves_in_scenarios, irradiated
from aegle.planning.machine import PhotonMachine, machine
from aegle.planning.notices import cut_off, lying_outside, other_fractions, single_lung
from aegle.planning.pencil_beam import threads
from aegle.planning.photon_options import PhotonPlanOptions
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
    runs = 1 if options.delivery == "fluence" else 2
    report = _Report(progress, len(opened) + runs * options.iterations + 1)
    task = Task(ct, body, known, spared, options)
    used = _used(known, spared)
    shown = [structure for structure in used if structure.type is not _EXTERNAL]
    with threads(options.threads):
        found = irradiated(task, opened, treated, step=report.step)
        scale = _scale(found.dose, target, prescription) if options.normalise else 1.0
        beams = tuple(beam.scaled(scale) for beam in found.beams)
        in_scenarios = curves_in_scenarios(task, beams, treated, shown)
    dose = replace(found.dose, values=found.dose.values * np.float32(scale))
    made = Plan(
        prescription=answerable,
        machine=treated.name,
        beams=beams,
        dose=dose,
        structures=used,
        curves=tuple(curve(dose, structure, options=CurveOptions()) for structure in shown),
        goals=evaluate(answerable.goals, dose, used),
        notices=(
            _IDEAL if options.delivery == "fluence" else _APERTURES,
            *notices,
            *other_fractions(prescription),
            *lying_outside(known, target, body),
            *cut_off(body, target, beams, treated.sad_mm),
            *single_lung(known),
        ),
        objective_values=found.values,
        scenarios=in_scenarios,
    )
    report.finish()
    return made


_EXTERNAL = StructureType.EXTERNAL
_IDEAL = Text(
    "The dose is that of ideal fluence; leaf sequencing is not part of this plan. "
    "For research only."
)
_APERTURES = Text(
    "The dose is that of the apertures; leaf transmission, tongue and groove and the leaves' tips "
    "are not modelled. For research only."
)


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
    return replace(prescription, goals=goals), tuple(missing)


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
