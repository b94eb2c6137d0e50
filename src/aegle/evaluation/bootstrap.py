"""How sure a score is.

Intervals are percentiles of scores of resamples (Efron B, Tibshirani RJ. An Introduction to the
Bootstrap, 1993, chapter 13). They say how the score would vary with other patients, the model
being as it is; how it varies with another training is seen from several folds or seeds. The
calibration error is larger in resamples than in the images themselves, since chance adds to every
bin; its resamples are moved back to the error itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.resamples import resamples_of
from aegle.evaluation.scores import SCORES, applicable, weighted_scores
from aegle.evaluation.selection import class_counts, distinct, require_same_images
from aegle.evaluation.weighted import Numbers


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A score with its interval."""

    name: str
    value: float
    low: float
    high: float
    """NaN, as ``low``, where more than 5 % of the resamples give no value."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Scores of one set of predictions, or their mean over several."""

    estimates: tuple[Estimate, ...]
    images: int
    groups: int
    counts: tuple[tuple[str, int], ...]
    """Images by class."""
    confidence: float
    resamples: int
    redrawn: int
    """Resamples drawn anew since a class was absent."""

    def __getitem__(self, name: str) -> Estimate:
        """Return one estimate by the name of its score."""
        return next(e for e in self.estimates if e.name == name)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much one set of predictions scores above another on the same images."""

    name: str
    first: float
    second: float
    value: float
    """``first`` minus ``second``."""
    low: float
    high: float
    share_not_above: float
    """Share of the resamples in which the first does not score above the second."""

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sets of predictions of the same images against each other."""

    differences: tuple[Difference, ...]
    images: int
    groups: int
    confidence: float
    resamples: int
    redrawn: int

    def __getitem__(self, name: str) -> Difference:
        """Return one difference by the name of its score."""
        return next(d for d in self.differences if d.name == name)


def measure(
    predictions: Predictions, *, options: EvaluationOptions, names: Sequence[str] = ()
) -> Measured:
    """Return scores with intervals.

    Args:
        predictions: Of at least two classes that occur.
        options: Resamples, confidence, seed, positive class, bins.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: No image, only one class, or a class in so few groups that hardly any resample
            holds it.
        OptionError: A score or the positive class is unknown.
    """
    return measure_mean((predictions,), options=options, names=names)


def measure_mean(
    runs: Sequence[Predictions], *, options: EvaluationOptions, names: Sequence[str] = ()
) -> Measured:
    """Return the mean scores of several runs with intervals, resampling all runs alike.

    Args:
        runs: Folds, trainings with several seeds, or both; with the same classes.
        options: As for ``measure``.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: As for ``measure``, of any run.
        OptionError: A score or the positive class is unknown.
    """
    names = applicable(_first(runs), names)
    values = _mean_scores(runs, _ones(runs), options, names)
    resamples = resamples_of(runs, options)
    drawn = _joined([_mean_scores(runs, chunk, options, names) for chunk in resamples])
    images = distinct(runs)
    return Measured(
        estimates=tuple(
            _estimate(name, float(values[name][0]), drawn[name], options.confidence)
            for name in names
        ),
        images=len(images.names),
        groups=resamples.groups,
        counts=class_counts(images),
        confidence=options.confidence,
        resamples=options.resamples,
        redrawn=resamples.redrawn,
    )


def compare(
    first: Predictions,
    second: Predictions,
    *,
    options: EvaluationOptions,
    names: Sequence[str] = (),
) -> Comparison:
    """Return how much the first scores above the second, resampling both alike.

    Args:
        first: Predictions.
        second: Predictions of the same images, in any order, with the same classes.
        options: As for ``measure``.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: Images, classes, truth or groups differ; or as for ``measure``.
        OptionError: A score or the positive class is unknown.
    """
    return compare_means((first,), (second,), options=options, names=names)


def compare_means(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    *,
    options: EvaluationOptions,
    names: Sequence[str] = (),
) -> Comparison:
    """Return how much the mean score of some runs lies above that of others.

    Args:
        first: Folds, trainings with several seeds, or both.
        second: The same of another model; together they judge the same images.
        options: As for ``measure``.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: Images, classes, truth or groups differ; or as for ``measure``.
        OptionError: A score or the positive class is unknown.
    """
    names = applicable(_first(first), names)
    _first(second)
    require_same_images(first, second)
    runs, border = (*first, *second), len(first)
    resamples = resamples_of(runs, options)
    sides = [
        (
            _mean_scores(first, chunk[:border], options, names),
            _mean_scores(second, chunk[border:], options, names),
        )
        for chunk in resamples
    ]
    ones = _ones(runs)
    values = _mean_scores(first, ones[:border], options, names)
    others = _mean_scores(second, ones[border:], options, names)
    drawn = _joined([{n: one[n] - other[n] for n in names} for one, other in sides])
    return Comparison(
        differences=tuple(
            _difference(name, values[name], others[name], drawn[name], options.confidence)
            for name in names
        ),
        images=len(distinct(first).names),
        groups=resamples.groups,
        confidence=options.confidence,
        resamples=options.resamples,
        redrawn=resamples.redrawn,
    )


def percentiles(drawn: Numbers, confidence: float) -> tuple[float, float]:
    """Return the middle share of resampled values; NaN where more than 5 % have no value."""
    known = drawn[~np.isnan(drawn)]
    if known.size < 0.95 * drawn.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _first(runs: Sequence[Predictions]) -> Predictions:
    if not runs:
        raise InputError("There are no predictions to judge.")
    return runs[0]


def _ones(runs: Sequence[Predictions]) -> tuple[Numbers, ...]:
    return tuple(np.ones((1, len(run.names))) for run in runs)


def _mean_scores(
    runs: Sequence[Predictions],
    weights: Sequence[Numbers],
    options: EvaluationOptions,
    names: Sequence[str],
) -> dict[str, Numbers]:
    each = [
        weighted_scores(run, weight, options=options, names=names)
        for run, weight in zip(runs, weights, strict=True)
    ]
    return {name: np.mean([scores[name] for scores in each], axis=0) for name in names}


def _joined(chunks: Sequence[dict[str, Numbers]]) -> dict[str, Numbers]:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _estimate(name: str, value: float, drawn: Numbers, confidence: float) -> Estimate:
    if SCORES[name].grows_by_chance:
        drawn = np.maximum(drawn - drawn.mean() + value, 0)
    low, high = percentiles(drawn, confidence)
    return Estimate(name=name, value=value, low=low, high=high)


def _difference(
    name: str, first: Numbers, second: Numbers, drawn: Numbers, confidence: float
) -> Difference:
    low, high = percentiles(drawn, confidence)
    known = drawn[~np.isnan(drawn)]
    return Difference(
        name=name,
        first=float(first[0]),
        second=float(second[0]),
        value=float(first[0] - second[0]),
        low=low,
        high=high,
        share_not_above=float(np.mean(known <= 0)) if known.size else float("nan"),
    )
