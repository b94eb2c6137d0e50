"""Goals that a plan misses weigh more, round by round, until they are met or cost the target.

Penalties of fixed weight settle where their pulls balance, short of a goal that could be met. A
round multiplies the weights of what is missed and goes on from the weights of beamlets found so
far. It counts only if less is missed than before, nothing is missed that was met, and the target
stays even: D2 % within 110 % of the prescribed dose (a convention of Aegle), or no higher than
before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from aegle.domain.plan import Goal, Metric
from aegle.planning.equivalent_dose import generalised_eud

BOOST = 3.0
"""Factor on the weight of a goal that is missed, in each round."""
HIGHEST = 1.10
"""Of the prescribed dose, to 2 % of the target."""
NEAR_MAXIMUM_PERCENT = 2.0
COVERED_PERCENT = 95.0
TIGHTEST_PRIORITY = 2
"""Goals of lower priority are met where it costs little, and not chased."""
ENOUGH = 0.01
"""Part of a limit by which a round must lower what is missed, over all goals."""


@dataclass(frozen=True, eq=False)
class Chased:
    """A goal of an organ, and the voxels that stand for it."""

    goal: Goal
    points: Tensor
    """Among the voxels that the optimiser looks at."""


@dataclass(frozen=True, eq=False)
class Standing:
    """How a plan stands to the goals that are chased."""

    missed: tuple[float, ...]
    """By what part of its limit each goal is missed; 0 where it is met."""
    highest: float
    """D2 % of the target, relative to the prescribed dose."""

    @property
    def all_met(self) -> bool:
        """Whether there is nothing to chase."""
        return not any(self.missed)

    def is_better_than(self, before: "Standing") -> bool:
        """Whether a round brought enough and cost nothing that was met."""
        lost = any(
            now > 0 and not then for now, then in zip(self.missed, before.missed, strict=True)
        )
        is_even = self.highest <= max(HIGHEST, before.highest)
        return is_even and not lost and sum(self.missed) < sum(before.missed) - ENOUGH


def standing(
    relative: Tensor, target: Tensor, chased: Sequence[Chased], *, dose_gy: float, normalised: bool
) -> Standing:
    """Return how doses stand to goals.

    Args:
        relative: Dose over the prescribed dose, of all voxels that are looked at.
        target: Voxels of the target.
        chased: Goals.
        dose_gy: Prescribed.
        normalised: Whether the plan is scaled so that 95 % of the target receive that dose.
    """
    covered = float(_at_volume(relative[target], COVERED_PERCENT))
    scale = 1 / covered if normalised and covered > 0 else 1.0
    missed = []
    for one in chased:
        assert one.goal.at_most is not None
        value = _measured(one.goal, relative[one.points] * scale * dose_gy)
        missed.append(max(value / max(one.goal.at_most, 1e-3) - 1, 0.0))
    highest = float(_at_volume(relative[target], NEAR_MAXIMUM_PERCENT)) * scale
    return Standing(tuple(missed), highest)


def _at_volume(doses: Tensor, percent: float) -> Tensor:
    """Return the highest dose that at least a part of the voxels receives."""
    count = max(1, ceil(round(len(doses) * percent / 100, 9)))
    return doses.topk(count).values[-1]


def _measured(goal: Goal, doses_gy: Tensor) -> float:
    if goal.metric is Metric.MEAN_DOSE:
        return float(doses_gy.mean())
    if goal.metric is Metric.MAXIMUM_DOSE:
        return float(doses_gy.amax())
    assert goal.at is not None
    if goal.metric is Metric.EQUIVALENT_UNIFORM_DOSE:
        return float(generalised_eud(doses_gy, goal.at))
    if goal.metric is Metric.VOLUME_AT_DOSE:
        return 100 * float((doses_gy >= goal.at).to(torch.float64).mean())
    return float(_at_volume(doses_gy, goal.at))
