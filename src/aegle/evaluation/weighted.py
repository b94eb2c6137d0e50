"""Scores of plain numbers under many sets of weights at once.

A bootstrap resample is a set of weights: how often each image was drawn. Images are sorted once
for all sets.

Sources:
    Fawcett T. Pattern Recogn Lett 2006;27:861-874 (AUC as rank statistic, ties count half).
    Cox DR. Biometrika 1958;45:562-565; Steyerberg EW. Clinical Prediction Models (calibration
        slope; calibration in the large = intercept with the slope fixed at 1).
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

SMALLEST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 where a logarithm is taken."""

Numbers = NDArray[np.float64]

_NEWTON_STEPS = 25
_NEWTON_TOLERANCE = 1e-6
"""The error after a step is about the square of the step."""
_RIDGE = 1e-9
"""Keeps the normal equations solvable where the event is separated without error."""


def area_under_curve(values: Numbers, positive: NDArray[np.bool_], weights: Numbers) -> Numbers:
    """Return the area under the ROC curve under sets of weights.

    Args:
        values: What images are ordered by, shape (image,).
        positive: Which are positive, shape (image,).
        weights: Shape (set, image).

    Returns:
        Shape (set,); NaN where positives or negatives have no weight.
    """
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(values[negatives], kind="stable")]
    positives = np.flatnonzero(positive)
    below = np.zeros((len(weights), negatives.size + 1))
    np.cumsum(weights[:, negatives], axis=1, out=below[:, 1:])
    ordered = values[negatives]
    first, last = (
        np.searchsorted(ordered, values[positives], side=side) for side in ("left", "right")
    )
    of_positives = weights[:, positives]
    won = (of_positives * (below[:, first] + below[:, last])).sum(axis=1) / 2
    with np.errstate(invalid="ignore"):
        return cast(Numbers, won / (of_positives.sum(axis=1) * below[:, -1]))


def average_precision(values: Numbers, positive: NDArray[np.bool_], weights: Numbers) -> Numbers:
    """Return the mean precision over recall steps, without interpolation; see AUC for shapes."""
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf))
    hits = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    drawn = np.cumsum(np.add.reduceat(weights[:, order], starts, axis=1), axis=1)
    found = np.cumsum(hits, axis=1)
    precision = np.divide(found, drawn, out=np.zeros_like(found), where=drawn > 0)
    with np.errstate(invalid="ignore"):
        return cast(Numbers, (precision * hits).sum(axis=1) / found[:, -1])


def logit(probability: Numbers) -> Numbers:
    """Return the logarithm of the odds; probabilities are kept off 0 and 1."""
    kept = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return cast(Numbers, np.log(kept) - np.log1p(-kept))


def recalibrate(
    logits: Numbers, came: NDArray[np.bool_], weights: Numbers, *, slope: float | None = None
) -> tuple[Numbers, Numbers]:
    """Fit the odds of an event to stated odds: logit(true) = intercept + slope * logit(stated).

    Args:
        logits: Of the stated probabilities, shape (image,).
        came: Whether the event came, shape (image,).
        weights: Shape (set, image).
        slope: Fixed slope; fitted if None.

    Returns:
        Intercept and slope, each of shape (set,); NaN where the fit does not settle (the event
        is separated without error).
    """
    ones = np.ones_like(logits)
    if slope is not None:
        design, offset = ones[:, None], slope * logits
    else:
        design, offset = np.stack([ones, logits], axis=1), np.zeros_like(logits)
    start = _logistic(design, offset, came, (np.ones((1, logits.size)), np.zeros((1, 1))))
    found = _logistic(design, offset, came, (weights, np.nan_to_num(start)))
    fitted = found[:, 1] if slope is None else np.full(len(found), slope)
    return found[:, 0], fitted


def _logistic(
    design: Numbers,
    offset: Numbers,
    came: NDArray[np.bool_],
    weights_and_start: tuple[Numbers, Numbers],
) -> Numbers:
    """Return coefficients (set, column) of logistic regressions by Newton steps."""
    weights, start = weights_and_start
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    found = np.zeros((len(weights), design.shape[1])) + start
    step = np.full_like(found, np.inf)
    for _ in range(_NEWTON_STEPS):
        expected = expit(found @ design.T + offset)
        slant = (weights * (came - expected)) @ design
        bend = (weights * (expected * (1 - expected))) @ products
        bend = bend.reshape(-1, design.shape[1], design.shape[1])
        bend = bend + _RIDGE * np.eye(design.shape[1])
        step = np.clip(np.linalg.solve(bend, slant[..., None])[..., 0], -5, 5)
        found = found + step
        if np.abs(step).max() < _NEWTON_TOLERANCE:
            return found
    found[np.abs(step).max(axis=1) > _NEWTON_TOLERANCE] = np.nan
    return found
