"""Scores of several images in one number, with an interval over the groups that they belong to.

Statistics are taken under sets of weights at once: a resample is how often each image was drawn
with its group.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from aegle.domain.errors import InputError
from aegle.evaluation.bootstrap import Estimate, percentiles
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.resamples import Resamples
from aegle.evaluation.weighted import Numbers

Statistic = Callable[[Numbers], Numbers]
"""Takes weights (set, image), gives a value for each set; NaN where there is none."""

_BLOCK = 2_000_000
"""Numbers held at once in each array."""
_BEYOND = 1e200
"""Stands for infinity where percentiles are interpolated."""


def estimates(
    statistics: Mapping[str, Statistic], groups: Sequence[str], options: EvaluationOptions
) -> dict[str, Estimate]:
    """Return statistics with bootstrap intervals, all from the same resamples.

    Args:
        statistics: By name.
        groups: What each image belongs to.
        options: Resamples, confidence, seed.

    Raises:
        InputError: There is no image.
    """
    if not groups:
        raise InputError("There are no images to judge.")
    ones = np.ones((1, len(groups)))
    values = {name: float(of(ones)[0]) for name, of in statistics.items()}
    resamples = Resamples([groups], [np.zeros(len(groups), np.int64)], options)
    drawn: dict[str, list[Numbers]] = {name: [] for name in statistics}
    for (weights,) in resamples:
        for name, of in statistics.items():
            drawn[name].append(of(weights))
    return {
        name: _estimate(name, values[name], np.concatenate(drawn[name]), options.confidence)
        for name in statistics
    }


def mean(values: Sequence[float] | Numbers) -> Statistic:
    """Return the mean over images as a statistic; images without a value (NaN) do not count."""
    column = np.asarray(values, np.float64)
    known = ~np.isnan(column)
    filled = np.where(known, column, 0)
    return lambda weights: ratio(weights @ filled, weights @ known.astype(np.float64))


def median(values: Sequence[float] | Numbers) -> Statistic:
    """Return the median over images as a statistic; infinite values count, NaN does not."""
    column = np.asarray(values, np.float64)
    known = np.flatnonzero(~np.isnan(column))
    order = known[np.argsort(column[known], kind="stable")]
    ordered = column[order]

    def of(weights: Numbers) -> Numbers:
        if not order.size:
            return np.full(len(weights), np.nan)
        reached = np.cumsum(weights[:, order], axis=1)
        half = reached[:, -1:] / 2
        below = np.minimum((reached < half).sum(axis=1), order.size - 1)
        above = np.minimum((reached <= half).sum(axis=1), order.size - 1)
        return np.where(reached[:, -1] > 0, (ordered[below] + ordered[above]) / 2, np.nan)

    return of


def ratio(above: Numbers, below: Numbers) -> Numbers:
    """Return a ratio, NaN where it divides by nothing."""
    found: Numbers = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


def once(of: Statistic) -> Statistic:
    """Return a function of weights that keeps its last result, where several statistics need it."""
    last: list[tuple[Numbers, Numbers]] = []

    def kept(weights: Numbers) -> Numbers:
        if not last or last[0][0] is not weights:
            last[:] = [(weights, of(weights))]
        return last[0][1]

    return kept


def blocks(weights: Numbers, columns: int) -> list[Numbers]:
    """Return weights in parts of so many sets that arrays (set, column) stay small."""
    sets = max(_BLOCK // max(columns, 1), 1)
    return [weights[start : start + sets] for start in range(0, len(weights), sets)]


def _estimate(name: str, value: float, drawn: Numbers, confidence: float) -> Estimate:
    low, high = percentiles(np.minimum(drawn, _BEYOND), confidence)
    low, high = (float("inf") if side > np.sqrt(_BEYOND) else side for side in (low, high))
    return Estimate(name=name, value=value, low=low, high=high)
