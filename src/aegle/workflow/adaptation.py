"""A plan on a later CT of the patient: dose of the day, dose in all, and a new plan if needed.

Structures are carried from the planning CT through the alignment; those that were drawn on the CT
of the day take their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass as plain
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.adaptation import AccumulatedDose, Adaptation, DayDose
from aegle.domain.codes import StructureType
from aegle.domain.errors import InputError, OptionError
from aegle.domain.plan import Goal, GoalResult, Plan, Prescription
from aegle.domain.registration import Motion, Registration, Verdict
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.evaluation.surface_distance import surface_distances
from aegle.imaging.warp import warp_structure, warp_structures
from aegle.options import option
from aegle.planning.accumulation import AccumulationOptions, Delivery, accumulate
from aegle.planning.dose_volume import (
    CurveOptions,
    DoseAtVolumeOptions,
    curve,
    dose_at_volume,
    evaluate,
)
from aegle.planning.external_beam import planned
from aegle.planning.given_dose import dose_given
from aegle.planning.prescription import lungs_of
from aegle.planning.radiation import Radiation
from aegle.planning.targets import LUNGS_MINUS_GTV, box_around, with_lungs_minus_gtv
from aegle.response.triggers import fired, triggers
from aegle.workflow.stage import Progress

NEAR_TARGET_MM = 100.0
"""How far beyond the target, along each axis, the body's outline is compared."""


@dataclass(frozen=True, kw_only=True)
class AdaptationOptions(AccumulationOptions):
    """When a plan is made anew, and how doses are added up."""

    fractions_given: Annotated[
        int, option("Fractions that were given as planned before the CT of the day", ge=0)
    ] = 0
    triggers: Annotated[
        str, option("TOML file of reasons to plan anew; those of Aegle if empty")
    ] = ""
    always: Annotated[bool, option("Plan anew whether or not there is a reason")] = False


@plain(frozen=True, eq=False, kw_only=True)
class Today:
    """The patient as a later CT shows them."""

    ct: Volume
    """[HU]."""
    alignment: Registration
    """Of this CT (moving) to the planning CT (fixed); its tissue is followed through it."""
    setup: Registration | None = None
    """How the patient is placed on the couch; None: shifted as the tissue at the isocentre is."""
    drawn: StructureSet = StructureSet(())
    """Drawn on this CT; they take the place of those carried over with the same name."""


def adapt(
    plan: Plan,
    planning_ct: Volume,
    today: Today,
    *,
    radiation: Radiation,
    options: AdaptationOptions,
    progress: Progress | None = None,
) -> Adaptation:
    """Say whether a plan still fits, and plan anew where it does not.

    Args:
        plan: As given so far, with its structures on the planning CT.
        planning_ct: [HU].
        today: The patient as they are now.
        radiation: With which the plan was made, and the new one is.
        options: Fractions given, reasons to plan anew.
        progress: Called with steps done and steps in all while planning anew.

    Returns:
        Dose of the day, dose in all on the planning CT, the reasons that hold, and the new plan
        if one does. The new plan is asked for what the old one was, and to keep each organ at or
        below what the old plan gives it today.

    Raises:
        InputError: The alignment failed, the target is lost, or more fractions were given than
            prescribed.
        QuantityError, GeometryError: Images and structures do not fit together.
    """
    if options.fractions_given > plan.prescription.fractions:
        raise OptionError(
            f"{options.fractions_given} fractions were given, but {plan.prescription.fractions} "
            "are prescribed; correct adaptation.fractions_given."
        )
    if today.alignment.verdict is Verdict.FAILED:
        raise InputError(
            f"The CT of the day could not be aligned ({today.alignment.reason}); nothing can be "
            "said of the plan on it. Align the CTs by other means, or plan on it from the start."
        )
    today = replace(today, setup=today.setup or _shift(plan, today.alignment))
    structures = _on_the_day(plan.structures, today)
    day = _given_today(plan, today, structures, radiation)
    accumulated = _in_all(plan, planning_ct, day, today, options)
    facts = _facts(plan, day, today)
    reasons = fired(triggers(options.triggers), facts)
    adapted = None
    if reasons or options.always:
        adapted = _planned_anew(plan, day, today, radiation, progress)
    return Adaptation(
        plan=plan,
        fractions_given=options.fractions_given,
        day=day,
        accumulated=accumulated,
        accumulated_goals=evaluate(plan.prescription.goals, accumulated.dose, plan.structures),
        fired=reasons,
        adapted=adapted,
        notices=(*_notices(today, plan.structures), *accumulated.notices),
    )


def _on_the_day(planned_on: StructureSet, today: Today) -> StructureSet:
    """Return structures on the CT of the day, those drawn there first."""
    drawn = {structure.name: structure for structure in today.drawn}
    wanted = [one for one in planned_on if one.name not in {*drawn, LUNGS_MINUS_GTV}]
    carried = warp_structures(
        StructureSet(tuple(wanted)), today.alignment, today.ct.grid, to_moving=True
    )
    there = drawn | {one.name: replace(one, origin="carried") for one in carried}
    found = StructureSet(
        tuple(there[one.name] for one in planned_on if one.name != LUNGS_MINUS_GTV)
    )
    lungs = lungs_of(today.drawn) or lungs_of(found)
    if LUNGS_MINUS_GTV in planned_on and lungs:
        return with_lungs_minus_gtv(found, lungs, found.of_type(StructureType.LESION))
    if LUNGS_MINUS_GTV in planned_on:
        whole = warp_structure(
            planned_on[LUNGS_MINUS_GTV], today.alignment, today.ct.grid, to_moving=True
        )
        return StructureSet((*found, whole))
    return found


def _given_today(
    plan: Plan, today: Today, structures: StructureSet, radiation: Radiation
) -> DayDose:
    target = structures[plan.prescription.target]
    if target.is_empty:
        raise InputError(
            f"'{target.name}' does not lie in the CT of the day; check its field of view and the "
            "alignment."
        )
    body = structures.of_type(StructureType.EXTERNAL)[0]
    dose = dose_given(plan, today.ct, body, radiation=radiation, setup=today.setup)
    there = [one for one in structures if not one.is_empty]
    shown = [one for one in there if one.type is not StructureType.EXTERNAL]
    names = {one.name for one in there}
    goals = [goal for goal in plan.prescription.goals if goal.structure in names]
    return DayDose(
        dose=dose,
        structures=StructureSet(tuple(there)),
        curves=tuple(curve(dose, one, options=CurveOptions()) for one in shown),
        goals=evaluate(goals, dose, structures),
    )


def _in_all(
    plan: Plan, planning_ct: Volume, day: DayDose, today: Today, options: AdaptationOptions
) -> AccumulatedDose:
    share = options.fractions_given / plan.prescription.fractions
    parts = (
        Delivery(dose=_times(plan.dose, share), ct=planning_ct, alignment=None),
        Delivery(dose=_times(day.dose, 1 - share), ct=today.ct, alignment=today.alignment),
    )
    return accumulate(parts, planning_ct, options=options)


def _times(dose: Volume, factor: float) -> Volume:
    return replace(dose, values=dose.values * np.float32(factor))


def _facts(plan: Plan, day: DayDose, today: Today) -> dict[str, float]:
    """Return what triggers may ask for."""
    before = {result.goal: result.is_met for result in plan.goals}
    lost = [result for result in day.goals if before.get(result.goal) and not result.is_met]
    target = plan.prescription.target
    d95 = DoseAtVolumeOptions(volume_percent=95.0)
    facts = {
        "goals_lost": float(len(lost)),
        "target_d95_percent": 100.0
        * dose_at_volume(day.dose, day.structures[target], options=d95)
        / dose_at_volume(plan.dose, plan.structures[target], options=d95),
    }
    moved_mm = _outline_moved_mm(plan, day, today)
    if moved_mm is not None:
        facts["outline_mm"] = moved_mm
    gross = [
        sum(one.volume_ml for one in among.of_type(StructureType.LESION))
        for among in (plan.structures, day.structures)
    ]
    if gross[0] > 0:
        facts["gross_volume_percent"] = 100.0 * gross[1] / gross[0]
    return facts


def _outline_moved_mm(plan: Plan, day: DayDose, today: Today) -> float | None:
    """Return how far the body's outline has moved near the target, once placed on the couch."""
    before = plan.structures.of_type(StructureType.EXTERNAL)
    now = day.structures.of_type(StructureType.EXTERNAL)
    if not before or not now or today.setup is None:
        return None
    placed = warp_structure(before[0], today.setup, today.ct.grid, to_moving=True)
    near = box_around(day.structures[plan.prescription.target], NEAR_TARGET_MM)
    distances = surface_distances(placed.mask[near], now[0].mask[near], today.ct.grid.spacing_mm)
    return distances.percentile(95.0)


def _shift(plan: Plan, alignment: Registration) -> Registration:
    """Return the couch shift that brings the tissue of the isocentre there."""
    isocentre_mm = np.asarray(plan.beams[0].isocentre_mm)
    x, y, z = (float(v) for v in alignment.to_moving(isocentre_mm) - isocentre_mm)
    return replace(
        alignment,
        matrix=((1.0, 0.0, 0.0, x), (0.0, 1.0, 0.0, y), (0.0, 0.0, 1.0, z), (0.0, 0.0, 0.0, 1.0)),
        motion=Motion.RIGID,
        displacement=None,
        inverse=None,
        quality=None,
    )


def _planned_anew(
    plan: Plan, day: DayDose, today: Today, radiation: Radiation, progress: Progress | None
) -> Plan:
    asked = plan.prescription
    kept = replace(asked, goals=tuple(_no_worse(asked, day.goals)))
    made = planned(today.ct, day.structures, kept, radiation=radiation, progress=progress)
    goals = tuple(goal for goal in asked.goals if goal.structure in made.structures)
    return replace(
        made,
        prescription=replace(asked, goals=goals),
        goals=evaluate(goals, made.dose, made.structures),
    )


def _no_worse(asked: Prescription, today: tuple[GoalResult, ...]) -> Iterator[Goal]:
    """Yield the goals, upper ones lowered to what the old plan gives today."""
    values = {result.goal: result.value for result in today}
    for goal in asked.goals:
        if goal.at_most is None or goal not in values:
            yield goal
            continue
        yield replace(goal, at_most=min(goal.at_most, values[goal]))


def _notices(today: Today, planned_on: StructureSet) -> Iterator[Text]:
    if today.alignment.verdict is Verdict.DOUBTFUL:
        yield Text(
            "The alignment to the CT of the day is doubtful ({reason}): check the structures that "
            "were carried over.",
            {"reason": str(today.alignment.reason)},
        )
    drawn = {one.name for one in today.drawn}
    carried = [one.name for one in planned_on if one.name not in {*drawn, LUNGS_MINUS_GTV}]
    if carried:
        yield Text(
            "Carried over from the planning CT, to be checked by a person: {names}.",
            {"names": ", ".join(carried)},
        )
