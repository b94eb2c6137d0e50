"""How a plan's quantities are written, and which of its notices warn."""

import re

from aegle.domain.plan import Goal, Metric, Plan, ProtonBeam
from aegle.domain.text import Text
from aegle.report.language import Words, clean

ROUTINE = (
    "The dose is that of ideal fluence",
    "The dose is that of the apertures",
    "The dose is weighted by a constant RBE",
)
"""How notices start that hold for every plan of a kind and warn of nothing in this one."""

_GRAY = re.compile(r"\bGy\b(?! \(RBE\))")
_SHIFT = re.compile(r"([xyz]) ([+-])([\d.]+) mm")
_PHASE = "phase "
_DENSITY = re.compile(r"density ([+-][\d.]+) %")


def warnings_of(plan: Plan) -> tuple[Text, ...]:
    """Return the notices of a plan that a reader must weigh."""
    return tuple(notice for notice in plan.notices if not is_routine(notice))


def is_routine(notice: Text) -> bool:
    """Whether a notice stands on every plan of its kind."""
    return notice.template.startswith(ROUTINE)


def is_of_protons(plan: Plan) -> bool:
    """Whether a plan is one of protons."""
    return any(isinstance(beam, ProtonBeam) for beam in plan.beams)


def is_shaped(plan: Plan) -> bool:
    """Whether a multileaf collimator forms the fluence."""
    return any(beam.apertures for beam in plan.beams)


def weighted(told: str, *plans: Plan) -> str:
    """Return a text about doses with the unit of plans: Gy (RBE) where one is weighted by RBE."""
    return _GRAY.sub("Gy (RBE)", told) if any(plan.rbe != 1 for plan in plans) else told


def metric_words(goal: Goal, words: Words) -> str:
    """Return a dose-volume quantity as physicists write it."""
    if goal.metric is Metric.MEAN_DOSE:
        return words("mean dose")
    if goal.metric is Metric.MAXIMUM_DOSE:
        return words("D 0.03 cm³ (maximum)")
    if goal.metric is Metric.DOSE_AT_VOLUME:
        return f"D{goal.at:g}%"
    if goal.metric is Metric.EQUIVALENT_UNIFORM_DOSE:
        return f"gEUD (a = {goal.at:g})".replace("-", "−")
    return f"V{goal.at:g}Gy"


def unit_of(goal: Goal) -> str:
    """Return the unit of a goal's value."""
    return "%" if goal.metric is Metric.VOLUME_AT_DOSE else "Gy"


def limit_words(goal: Goal) -> str:
    """Return the limit of a goal with its unit."""
    if goal.at_least is not None:
        return f"≥ {goal.at_least:g} {unit_of(goal)}"
    return f"≤ {goal.at_most:g} {unit_of(goal)}"


def priority_words(goal: Goal, words: Words) -> str:
    """Return how a goal ranks among the others."""
    if goal.is_constraint:
        return words("must be kept")
    return str(goal.priority)


def angle_words(degrees: float) -> str:
    """Return an angle with at most one decimal."""
    return f"{degrees:.1f}".removesuffix(".0").replace("-", "−")


def scenario_words(name: str, words: Words) -> str:
    """Return an error of set-up or range as a sentence about the patient.

    Shifts are named on LPS axes: +x is towards the patient's left, +y the back, +z the head.
    """
    shift = _SHIFT.fullmatch(name)
    if shift:
        axis, sign, size = shift.groups()
        sides = {
            "x+": words("patient {size} mm to the left"),
            "x-": words("patient {size} mm to the right"),
            "y+": words("patient {size} mm to the back"),
            "y-": words("patient {size} mm to the front"),
            "z+": words("patient {size} mm to the head"),
            "z-": words("patient {size} mm to the feet"),
        }
        return sides[axis + sign].format(size=size)
    density = _DENSITY.fullmatch(name)
    if density:
        percent = density.group(1).replace("-", "−")
        return words("densities {percent} %", percent=percent)
    if name.startswith(_PHASE):
        return words("phase of breathing: {name}", name=clean(name.removeprefix(_PHASE)))
    return words.name(name)
