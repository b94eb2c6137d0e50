"""How far a probability may be off because its model's coefficients are known only roughly.

Coefficients are drawn from the errors that their 95 % intervals tell: normal, or log-normal where
a coefficient is positive by its meaning. Errors are independent unless the model says otherwise.
A coefficient without a published interval stays at its value and is named in the result, so that
an interval is never taken for more than it covers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pydantic.dataclasses
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegle.domain.text import Text
from aegle.options import option
from aegle.planning.complication import WIDTH_95, Coefficient, ComplicationModel
from aegle.planning.equivalent_dose import as_doses

POSITIVE = frozenset({"td50_gy", "m", "n", "d50_gy", "gamma50"})
"""Coefficients whose errors are taken on the logarithm."""

Draws = Mapping[str, float]
Floats = NDArray[np.float64]


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True)
class PropagationOptions:
    """How errors of coefficients are carried over."""

    draws: Annotated[int, option("Number of draws", ge=100, le=100_000)] = 1000
    seed: Annotated[int, option("Seed of the draws", ge=0)] = 0
    level_percent: Annotated[
        float, option("Probability of the interval", unit="%", gt=0, lt=100)
    ] = 95.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A probability or a difference of two, with its interval."""

    value: float
    low: float | None
    """None if no coefficient has a published interval."""
    high: float | None
    level_percent: float
    not_published: tuple[str, ...]
    """Coefficients whose errors the interval does not cover."""

    @property
    def text(self) -> Text:
        """The estimate in words, in percent."""
        values: dict[str, str | int | float | Text] = {"value": 100 * self.value}
        if self.low is None or self.high is None:
            return Text("{value:.1f} % (interval not published)", values)
        values |= {"low": 100 * self.low, "high": 100 * self.high, "level": self.level_percent}
        interval = "{value:.1f} % ({level:g} % interval {low:.1f} to {high:.1f} %"
        if not self.not_published:
            return Text(interval + ")", values)
        values["names"] = ", ".join(self.not_published)
        return Text(interval + "; errors of {names} not published)", values)


def estimate(
    model: ComplicationModel,
    doses_gy: Tensor | list[float] | tuple[float, ...],
    *,
    options: PropagationOptions,
    shares: Tensor | list[float] | None = None,
    fractions: int | None = None,
    factors: Sequence[str] = (),
) -> Estimate:
    """Return the probability of a complication and its interval.

    Args:
        model: The published model.
        doses_gy: As for :meth:`aegle.planning.complication.ComplicationModel.probability`.
        options: Draws and level.
        shares: Volumes of a histogram's bins.
        fractions: Converts the doses to fractions of 2 Gy.
        factors: Those that the patient has.
    """
    doses = model.in_2gy(as_doses(doses_gy).detach().double(), fractions)

    def statistic(values: Draws) -> float:
        found = model.probability(doses, shares=shares, factors=factors, coefficients=values)
        return float(found)

    return propagate(model, statistic, factors=factors, options=options)


def estimate_difference(
    model: ComplicationModel,
    first_gy: Tensor | list[float],
    second_gy: Tensor | list[float],
    *,
    options: PropagationOptions,
    fractions: tuple[int | None, int | None] = (None, None),
    factors: Sequence[str] = (),
) -> Estimate:
    """Return how much likelier the complication is with the first dose, and its interval.

    Both probabilities of a draw come from the same coefficients, so what they share cancels.

    Args:
        model: The published model.
        first_gy: Doses of the organ's voxels in the first plan.
        second_gy: The same in the second plan.
        options: Draws and level.
        fractions: Of the two plans.
        factors: Those that the patient has.
    """
    doses = [
        model.in_2gy(as_doses(given).detach().double(), count)
        for given, count in zip((first_gy, second_gy), fractions, strict=True)
    ]

    def statistic(values: Draws) -> float:
        found = [float(model.probability(d, factors=factors, coefficients=values)) for d in doses]
        return found[0] - found[1]

    return propagate(model, statistic, factors=factors, options=options)


def propagate(
    model: ComplicationModel,
    statistic: Callable[[Draws], float],
    *,
    factors: Sequence[str] = (),
    options: PropagationOptions,
) -> Estimate:
    """Return a statistic of a model's coefficients and its interval over their errors.

    Args:
        model: Whose coefficients are drawn.
        statistic: Takes values of the coefficients by name.
        factors: Those that the patient has.
        options: Draws and level.
    """
    used = model.used(factors)
    value = statistic({name: found.value for name, found in used.items()})
    known = [name for name, found in used.items() if found.is_published]
    silent = tuple(name for name in used if name not in known)
    low = high = None
    if known:
        drawn = _drawn(model, {name: used[name] for name in known}, options)
        with torch.no_grad():
            found = [statistic(dict(zip(known, map(float, row), strict=True))) for row in drawn]
        tail = (1 - options.level_percent / 100) / 2
        low, high = (float(q) for q in np.quantile(found, (tail, 1 - tail)))
    return Estimate(
        value=value,
        low=low,
        high=high,
        level_percent=options.level_percent,
        not_published=silent,
    )


def _drawn(
    model: ComplicationModel, known: Mapping[str, Coefficient], options: PropagationOptions
) -> Floats:
    """Return values of some coefficients, shape (draw, coefficient)."""
    names = list(known)
    correlation = np.eye(len(names))
    for first, second, value in model.correlations:
        if first in known and second in known:
            at = names.index(first), names.index(second)
            correlation[at] = correlation[at[::-1]] = value
    chance = np.random.default_rng(options.seed)
    scores = chance.standard_normal((options.draws, len(names))) @ np.linalg.cholesky(correlation).T
    columns = [_value(name, known[name], scores[:, i]) for i, name in enumerate(names)]
    return np.stack(columns, axis=-1)


def _value(name: str, coefficient: Coefficient, scores: Floats) -> Floats:
    """Return values of a coefficient at standard scores."""
    assert coefficient.low is not None
    assert coefficient.high is not None
    if name in POSITIVE:
        error = math.log(coefficient.high / coefficient.low) / WIDTH_95
        return np.asarray(coefficient.value * np.exp(error * scores))
    error = (coefficient.high - coefficient.low) / WIDTH_95
    return np.asarray(coefficient.value + error * scores)
