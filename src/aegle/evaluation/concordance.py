"""How well a risk orders times to an event: Harrell's C, with intervals over patients.

Two rows can be compared where the shorter time ends in an event; of equal times, an event comes
before a censored row. Equal risks count half (Harrell FE et al. JAMA 1982;247:2543-2546). In
several parts, such as the folds of a cross-validation, the mean of the parts counts, and a patient
has the same weight in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.evaluation.bootstrap import Difference, Estimate, percentiles
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.weighted import Numbers

_CHUNK = 200
"""Resamples held at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranked:
    """Risks of rows whose time is known."""

    time: Numbers
    event: NDArray[np.bool_]
    risk: Numbers
    """Larger where the event is expected earlier."""
    groups: tuple[str, ...]
    """The patient of each row."""


def concordance(part: Ranked) -> float:
    """Return Harrell's C of one set of rows.

    Raises:
        InputError: No two rows can be compared.
    """
    return float(_weighted(part, np.ones((1, len(part.time))))[0])


def concordance_index(parts: Sequence[Ranked], *, options: EvaluationOptions) -> Estimate:
    """Return the mean C of several parts with its interval.

    Raises:
        InputError: In a part no two rows can be compared.
    """
    value, drawn = _resampled([parts], options)
    low, high = percentiles(drawn[0], options.confidence)
    return Estimate(name="concordance", value=float(value[0]), low=low, high=high)


def compare_concordance(
    first: Sequence[Ranked], second: Sequence[Ranked], *, options: EvaluationOptions
) -> Difference:
    """Return how far the first risks order better than the second, resampling both alike.

    Args:
        first: Parts of one model.
        second: The same rows, ranked by another.
        options: Resamples, confidence, seed.

    Raises:
        InputError: The rows differ.
    """
    for one, other in zip(first, second, strict=True):
        if one.groups != other.groups or not np.array_equal(one.time, other.time):
            raise InputError("Two models rank different rows; compare them on the same.")
    value, drawn = _resampled([first, second], options)
    difference = drawn[0] - drawn[1]
    low, high = percentiles(difference, options.confidence)
    return Difference(
        name="concordance",
        first=float(value[0]),
        second=float(value[1]),
        value=float(value[0] - value[1]),
        low=low,
        high=high,
        share_not_above=float(np.mean(difference[~np.isnan(difference)] <= 0)),
    )


def _resampled(
    models: Sequence[Sequence[Ranked]], options: EvaluationOptions
) -> tuple[Numbers, Numbers]:
    """Return the mean C of each model, and that of each resample, shape (model, resample)."""
    whole = np.array(
        [np.mean([concordance(part) for part in parts]) for parts in models], np.float64
    )
    names = np.unique([group for part in models[0] for group in part.groups])
    places = [np.searchsorted(names, part.groups) for part in models[0]]
    generator = np.random.default_rng(options.seed)
    drawn = []
    for start in range(0, options.resamples, _CHUNK):
        count = min(_CHUNK, options.resamples - start)
        picked = generator.integers(0, names.size, (count, names.size))
        weights = np.stack([np.bincount(row, minlength=names.size) for row in picked]).astype(float)
        drawn.append(
            [
                np.mean(
                    [_weighted(part, weights[:, p]) for part, p in zip(parts, places, strict=True)],
                    axis=0,
                )
                for parts in models
            ]
        )
    return whole, np.concatenate(drawn, axis=1)


def _weighted(part: Ranked, weights: Numbers) -> Numbers:
    """Return C under sets of weights, NaN where nothing can be compared."""
    earlier = part.time[:, None] < part.time[None, :]
    together = (part.time[:, None] == part.time[None, :]) & ~part.event[None, :]
    pairs = ((earlier | together) & part.event[:, None]).astype(np.float64)
    if not pairs.any():
        raise InputError("No two rows can be compared: no event comes before another time.")
    gaps = part.risk[:, None] - part.risk[None, :]
    right = pairs * np.where(gaps > 0, 1.0, np.where(gaps == 0, 0.5, 0.0))
    compared = ((weights @ pairs) * weights).sum(axis=1)
    with np.errstate(invalid="ignore"):
        found: Numbers = ((weights @ right) * weights).sum(axis=1) / compared
    return found
