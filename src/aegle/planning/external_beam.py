"""A plan of external beams: from CT, structures and a prescription to dose and judged goals.

Every beamlet's or spot's weight is free. What differs between photons and protons is asked of a
:class:`aegle.planning.radiation.Radiation`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from aegle.domain.codes import StructureType
from aegle.domain.course import Course, Watcher
from aegle.domain.errors import InputError
from aegle.domain.plan import Goal, GoalResult, Metric, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.beams import gantry_angles
from aegle.planning.breathing import BreathingCt, breathing_medium, internal_target
from aegle.planning.checks import cautions, require_plannable
from aegle.planning.constraints import ROUNDS, round_iterations
from aegle.planning.dose_volume import (
    CurveOptions,
    DoseAtVolumeOptions,
    curve,
    dose_at_volume,
    evaluate,
    measure,
)
from aegle.planning.expected_harm import PatientFacts, harms
from aegle.planning.fluence import Task, Tell, curves_in_scenarios, irradiated
from aegle.planning.notices import cut_off, lying_outside, other_fractions, single_lung
from aegle.planning.pencil_beam import threads
from aegle.planning.prescription import is_conventional, lung_alone, lungs_of, published_goals
from aegle.planning.radiation import Radiation
from aegle.planning.targets import LUNGS_MINUS_GTV, with_lungs_minus_gtv

ROUNDING = 1e-6
"""Doses are kept with 24 significant bits."""

Progress = Callable[[int, int], None]

_EXTERNAL = StructureType.EXTERNAL


def planned(
    ct: Volume | BreathingCt,
    structures: StructureSet,
    prescription: Prescription,
    *,
    radiation: Radiation,
    patient: PatientFacts | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Plan external beams.

    Args:
        ct: Planning CT [HU]; or that of a reference phase of breathing and the other phases, over
            which dose is then summed, and which the plan bears like errors.
        structures: Must hold the prescription's target and the outline of the body (type
            ``EXTERNAL``); goals for organs that are missing are left out and said so.
        prescription: What is wanted.
        radiation: What it is made with, and its options.
        patient: Facts with which complications are made unlikely by published models; without,
            only goals count.
        progress: Called with steps done and steps in all.

    Returns:
        Weights of beamlets, absorbed dose on the CT grid and every goal judged on it.

    Raises:
        QuantityError: ``ct`` does not hold HU.
        InputError: Body or target are missing or empty, or the target lies outside the body or in
            air.
        GeometryError: CT and structures lie on different grids, or the CT is a single slice.
    """
    breathing = ct if isinstance(ct, BreathingCt) else BreathingCt(reference=ct, phases=())
    ct = breathing.reference
    require_plannable(ct, structures, prescription)
    options = radiation.options
    target, body = _target_and_body(structures, prescription)
    withheld = () if is_conventional(prescription) else published_goals(structures)
    known = _with_derived(structures, (*prescription.goals, *withheld))
    answerable, notices = _answerable(known, prescription, withheld)
    spared = replace(answerable, goals=(*answerable.goals, *withheld))
    angles = options.gantry_deg or gantry_angles(target, body, options.beams)
    report = _Report(progress, len(angles) + _iterations(spared, radiation) + 1)
    used = _used(known, spared)
    shown = [structure for structure in used if structure.type is not _EXTERNAL]
    with threads(options.threads):
        medium = breathing_medium(radiation.patient(ct, body), breathing)
        covered = internal_target(target, breathing)
        opened = [radiation.opened(medium, covered, (a, options.couch_deg)) for a in angles]
        judged = () if patient is None else harms(known, target, patient)
        task = Task(medium, known, spared, radiation, judged)
        found = irradiated(task, opened, step=report.step, tell=report.tell)

        def scale(dose: Volume) -> float:
            return _scale(dose, target, prescription, known) if options.normalise else 1.0

        factor = scale(found.dose)
        beams = tuple(beam.scaled(factor) for beam in found.beams)
        dose = _times(found.dose, factor)
        ideal = None if found.ideal is None else _times(found.ideal, scale(found.ideal))
        in_scenarios = curves_in_scenarios(task, beams, dose, shown)
    goals = evaluate(answerable.goals, dose, used)
    made = Plan(
        prescription=answerable,
        machine=radiation.machine,
        beams=beams,
        dose=dose,
        structures=used,
        curves=tuple(curve(dose, structure, options=CurveOptions()) for structure in shown),
        goals=goals,
        notices=(
            radiation.notice,
            *_not_kept(goals),
            *_lost(goals, ideal, used),
            *_over_time(breathing),
            *notices,
            *other_fractions(prescription),
            *lying_outside(known, target, body),
            *cut_off(body, target, beams, radiation.sad_mm),
            *single_lung(known),
            *cautions(ct, structures, prescription, beams, radiation.sad_mm),
        ),
        objective_values=found.values,
        scenarios=in_scenarios,
        rbe=radiation.rbe,
    )
    report.finish()
    return made


class _Report:
    """Counts steps for a progress callback."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._done = 0

    def step(self) -> None:
        """One more step is done."""
        self._done = min(self._done + 1, self._steps - 1)
        if self._progress is not None:
            self._progress(self._done, self._steps)

    @property
    def tell(self) -> Tell | None:
        """Takes objective and doses after each iteration; None: nobody watches."""
        watcher = self._progress
        if not isinstance(watcher, Watcher):
            return None

        def told(objective: float, doses: dict[str, float]) -> None:
            watcher.watch(
                Course(done=self._done, steps=self._steps, objective=objective, doses=doses)
            )

        return told

    def finish(self) -> None:
        """All is done, even if the optimiser stopped early."""
        if self._progress is not None:
            self._progress(self._steps, self._steps)


def _iterations(prescription: Prescription, radiation: Radiation) -> int:
    """Return how many iterations may come: for fluence and for apertures, with their rounds."""
    runs = 1 if radiation.collimator is None else 2
    has_limits = any(goal.is_constraint for goal in prescription.goals)
    iterations = radiation.options.iterations
    each = iterations + has_limits * ROUNDS * round_iterations(iterations)
    chasing = radiation.options.goal_rounds * round_iterations(iterations)
    return runs * each + chasing


def _target_and_body(
    structures: StructureSet, prescription: Prescription
) -> tuple[Structure, Structure]:
    target = structures[prescription.target]
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


def _times(dose: Volume, factor: float) -> Volume:
    return replace(dose, values=dose.values * np.float32(factor))


def _scale(
    dose: Volume, target: Structure, prescription: Prescription, structures: StructureSet
) -> float:
    """Return the factor that covers the target and keeps what must be kept."""
    covered_gy = dose_at_volume(dose, target, options=DoseAtVolumeOptions(volume_percent=95.0))
    if covered_gy <= 0:
        raise InputError(
            f"More than 5 % of '{target.name}' receive no dose; is a part of it outside the body?"
        )
    allowed = [
        _allowed(goal, dose, structures[goal.structure])
        for goal in prescription.goals
        if goal.is_constraint and goal.at_most is not None and goal.structure in structures
    ]
    return min([prescription.dose_gy / covered_gy, *allowed])


def _allowed(goal: Goal, dose: Volume, structure: Structure) -> float:
    """Return the largest factor on the dose with which an upper limit is kept."""
    assert goal.at_most is not None
    limit_gy, asked = goal.at_most, goal
    if goal.metric is Metric.VOLUME_AT_DOSE:
        if not 0 < goal.at_most < 100:
            return np.inf if goal.at_most > 0 else 1.0
        assert goal.at is not None
        # At most v % receive d where D_v stays below d.
        limit_gy = goal.at * (1 - ROUNDING)
        asked = replace(goal, metric=Metric.DOSE_AT_VOLUME, at=goal.at_most, at_most=goal.at)
    reached_gy = measure(asked, dose, structure)
    # A limit that the optimiser could not keep is told, not enforced against the target.
    return max(limit_gy / reached_gy, 1.0) if reached_gy > 0 else np.inf


def _not_kept(goals: Sequence[GoalResult]) -> tuple[Text, ...]:
    """Say which limits could not be kept, and by how much."""
    return tuple(
        Text(
            "The limit that had to be kept for {structure} ({metric}) is not: {value:.1f} instead "
            "of {limit:.1f} {unit}. It cannot be met together with the others; relax one of them.",
            {
                "structure": result.goal.structure,
                "metric": _named(result.goal),
                "value": result.value,
                "limit": _limit(result.goal),
                "unit": "%" if result.goal.metric is Metric.VOLUME_AT_DOSE else "Gy",
            },
        )
        for result in goals
        if result.goal.is_constraint and not result.is_met
    )


def _lost(
    goals: Sequence[GoalResult], ideal: Volume | None, structures: StructureSet
) -> tuple[Text, ...]:
    """Say which goals ideal fluence would meet and apertures do not."""
    if ideal is None:
        return ()
    before = evaluate([one.goal for one in goals], ideal, structures)
    return tuple(
        Text(
            "Cutting the fluence into apertures loses a goal for {structure} ({metric}): "
            "{value:.1f} instead of {before:.1f} {unit}.",
            {
                "structure": now.goal.structure,
                "metric": _named(now.goal),
                "value": now.value,
                "before": then.value,
                "unit": "%" if now.goal.metric is Metric.VOLUME_AT_DOSE else "Gy",
            },
        )
        for now, then in zip(goals, before, strict=True)
        if then.is_met and not now.is_met
    )


def _over_time(breathing: BreathingCt) -> tuple[Text, ...]:
    """Say that dose is that of several phases, and what that leaves out."""
    if not breathing.phases:
        return ()
    said = Text(
        "The dose is summed over {count} phases of breathing, each for its part of the time. How "
        "delivery and breathing coincide within a fraction (interplay) is not modelled.",
        {"count": 1 + len(breathing.phases)},
    )
    return (said,)


def _limit(goal: Goal) -> float:
    limit = goal.at_most if goal.at_most is not None else goal.at_least
    assert limit is not None
    return limit


def _named(goal: Goal) -> str:
    return goal.metric.value + ("" if goal.at is None else f"{goal.at:g}")


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
