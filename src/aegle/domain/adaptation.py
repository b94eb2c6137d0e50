"""Whether a plan still fits the patient, and the plan that fits better."""

from dataclasses import dataclass

from aegle.domain.plan import DoseVolumeCurve, GoalResult, Plan
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume


@dataclass(frozen=True, eq=False, kw_only=True)
class AccumulatedDose:
    """Doses of several days on the reference anatomy."""

    dose: Volume
    """On the grid of the reference CT [Gy]."""
    given_j: float
    """Energy deposited in all days' patients [J]."""
    arrived_j: float
    """Dose times mass of the reference CT, summed [J]."""
    conserves_energy: bool
    """Whether the mapping is made to keep energy and mass."""
    notices: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True)
class Fired:
    """A reason to plan anew that holds, with the value that made it hold."""

    id: str
    value: float
    reason: Text
    source: str


@dataclass(frozen=True, eq=False, kw_only=True)
class DayDose:
    """What a plan gives to the anatomy of one day, as if all fractions were given so."""

    dose: Volume
    """On the CT of the day [Gy]."""
    structures: StructureSet
    curves: tuple[DoseVolumeCurve, ...]
    goals: tuple[GoalResult, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Adaptation:
    """A plan on changed anatomy: what it gives there, why to plan anew, and the new plan."""

    plan: Plan
    """As given so far."""
    fractions_given: int
    """Before the day."""
    day: DayDose
    accumulated: AccumulatedDose
    """Of the fractions given and of the rest, if the plan is kept, on the planning CT."""
    accumulated_goals: tuple[GoalResult, ...]
    fired: tuple[Fired, ...]
    """Why to plan anew; empty where the plan still fits."""
    adapted: Plan | None
    """On the CT of the day, for all fractions; None where the plan still fits."""
    notices: tuple[Text, ...]
