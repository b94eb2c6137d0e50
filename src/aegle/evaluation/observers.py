"""How a model agrees with two observers, beside how they agree with each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aegle.evaluation.bootstrap import Estimate
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.over_cases import estimates, mean
from aegle.evaluation.overlap import Labels, dice, require_same_shape
from aegle.evaluation.surface_distance import Mask

PAIRS = {
    "model_first": "Model and first observer",
    "model_second": "Model and second observer",
    "first_second": "First and second observer",
    "model_above_second": "First observer: with the model less with the second",
}
"""What is compared, in words."""


@dataclass(frozen=True, kw_only=True)
class ObserverDice:
    """Dice of one class in one image that two observers outlined."""

    model_first: float
    model_second: float
    first_second: float

    @property
    def model_above_second(self) -> float:
        """Return how much better the model agrees with the first observer than the second does."""
        return self.model_first - self.first_second


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Mean Dice of two outlines over the images that both observers outlined."""

    between: str
    class_name: str
    cases: int
    dice: Estimate
    """For the last of ``PAIRS`` a difference of Dice."""


def observer_dice(
    truth: Labels,
    predicted: Labels | None,
    observer: Labels,
    *,
    classes: int,
    region: Mask | None = None,
) -> tuple[ObserverDice, ...]:
    """Return how the three outlines of one image agree, by class.

    Args:
        truth: What the first observer drew.
        predicted: What the model says; None if it failed, which counts as 0.
        observer: What the second observer drew.
        classes: How many there are.
        region: Where the image is judged; None: everywhere.

    Raises:
        GeometryError: The shapes differ.
    """
    require_same_shape(truth, predicted, observer, region)
    inside = np.ones(truth.shape, bool) if region is None else region
    found = []
    for value in range(1, classes + 1):
        first, second = ((one == value) & inside for one in (truth, observer))
        said = None if predicted is None else (predicted == value) & inside
        found.append(
            ObserverDice(
                model_first=0.0 if said is None else dice(said, first),
                model_second=0.0 if said is None else dice(said, second),
                first_second=dice(first, second),
            )
        )
    return tuple(found)


def agreements(
    observed: Mapping[int, Sequence[ObserverDice]],
    *,
    groups: Sequence[str],
    classes: Sequence[str],
    options: EvaluationOptions,
) -> tuple[Agreement, ...]:
    """Return the mean agreement of each pair by class, with intervals over groups.

    Args:
        observed: By image; empty if nothing was outlined twice.
        groups: Of those images, in their order.
        classes: Their names.
        options: Resamples, confidence, seed.
    """
    if not observed:
        return ()
    found = []
    for place, name in enumerate(classes):
        own = [by_class[place] for by_class in observed.values()]
        statistics = {pair: mean([getattr(one, pair) for one in own]) for pair in PAIRS}
        found += [
            Agreement(between=words, class_name=name, cases=len(own), dice=estimate)
            for words, estimate in zip(
                PAIRS.values(), estimates(statistics, groups, options).values(), strict=True
            )
        ]
    return tuple(found)
