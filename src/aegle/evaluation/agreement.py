"""How well two readers, or a reader and a program, agree.

Sources:
    Cohen J. Educ Psychol Meas 1960;20:37-46 and Psychol Bull 1968;70:213-220 (kappa, weighted).
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428 (intraclass correlations, intervals).
    Bland JM, Altman DG. Lancet 1986;i:307-310; Stat Methods Med Res 1999;8:135-160, section 2.1
        (bias, limits of agreement, their intervals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from aegle.domain.errors import InputError
from aegle.evaluation.bootstrap import Estimate, percentiles
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.resamples import Resamples
from aegle.evaluation.weighted import Numbers

KappaWeights = Literal["unweighted", "linear", "quadratic"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bias and limits of agreement of two measurements, in their unit."""

    pairs: int
    bias: Estimate
    """Mean of first minus second."""
    deviation: float
    """Standard deviation of the differences."""
    lower: Estimate
    upper: Estimate


def kappa(
    first: Sequence[str],
    second: Sequence[str],
    *,
    categories: Sequence[str],
    weights: KappaWeights = "unweighted",
    options: EvaluationOptions,
    groups: Sequence[str] = (),
) -> Estimate:
    """Return Cohen's kappa with a bootstrap interval.

    Args:
        first: Category given to each subject by the first reader.
        second: By the second reader.
        categories: All categories, in their order where weights count the steps between them.
        weights: How disagreement grows with the steps apart.
        options: Resamples, confidence, seed.
        groups: What belongs together, one per subject; each for itself if empty.

    Raises:
        InputError: The readers saw different numbers of subjects, or a category is unknown.
    """
    one, other = (_places(given, categories) for given in (first, second))
    if one.size != other.size or not one.size:
        raise InputError(
            f"The first reader judged {one.size} subjects, the second {other.size}; "
            "give both judgements of each subject."
        )
    grouped = tuple(groups) or tuple(str(index) for index in range(one.size))
    resamples = Resamples([grouped], [np.zeros(one.size, np.int64)], options)
    count = len(categories)
    cells = np.eye(count * count)[one * count + other]
    cost = _cost(count, weights)
    drawn = np.concatenate([_kappas(chunk @ cells, cost) for (chunk,) in resamples])
    low, high = percentiles(drawn, options.confidence)
    value = float(_kappas(cells.sum(axis=0, keepdims=True), cost)[0])
    return Estimate(name=f"{weights}_kappa", value=value, low=low, high=high)


def intraclass_correlation(
    ratings: Numbers, *, form: Literal["2,1", "3,1"], confidence: float = 0.95
) -> Estimate:
    """Return how much of the variation of single ratings is due to the subjects.

    Args:
        ratings: Shape (subject, reader), at least 2 by 2.
        form: ``2,1``: readers stand for all readers, so their offsets count as disagreement;
            ``3,1``: these readers only, offsets do not count.
        confidence: Of the interval, which takes ratings as normally distributed.

    Raises:
        InputError: Fewer than two subjects or readers, or a rating is not finite.
    """
    subjects, readers = _checked(ratings)
    between, among_readers, residual = _mean_squares(ratings)
    if not between + residual:
        raise InputError("All ratings are equal; how well they tell subjects apart is undefined.")
    free = (subjects - 1) * (readers - 1)
    if form == "3,1":
        value = (between - residual) / (between + (readers - 1) * residual)
        ratios = _ratios((between, residual), subjects - 1, free, confidence)
        low, high = ((above - below) / (above + (readers - 1) * below) for above, below in ratios)
        return Estimate(name="icc_3_1", value=value, low=low, high=high)
    value = (between - residual) / (
        between + (readers - 1) * residual + readers * (among_readers - residual) / subjects
    )
    low, high = _interval_of_2_1(
        value, (between, among_readers, residual), (subjects, readers), confidence
    )
    return Estimate(name="icc_2_1", value=value, low=low, high=high)


def limits_of_agreement(
    first: Numbers, second: Numbers, *, multiple: float = 1.96, confidence: float = 0.95
) -> Limits:
    """Return the bias between two measurements of each subject and its limits.

    Args:
        first: One value per subject, shape (subject,).
        second: The other measurement of the same subjects, in the same unit.
        multiple: Standard deviations from the bias to a limit.
        confidence: Of the intervals, which take differences as normally distributed.

    Raises:
        InputError: Fewer than three pairs, or a value is not finite.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if differences.size < 3 or not np.isfinite(differences).all():
        raise InputError(
            f"Limits of agreement need at least 3 pairs of finite values; got {differences.size}."
        )
    count, bias = differences.size, float(differences.mean())
    deviation = float(differences.std(ddof=1))
    width = float(t_distribution.ppf((1 + confidence) / 2, count - 1)) * deviation
    of_bias = width * count**-0.5
    of_limit = width * (1 / count + multiple**2 / (2 * (count - 1))) ** 0.5
    lower, upper = bias - multiple * deviation, bias + multiple * deviation
    return Limits(
        pairs=count,
        bias=Estimate(name="bias", value=bias, low=bias - of_bias, high=bias + of_bias),
        deviation=deviation,
        lower=Estimate(
            name="lower_limit", value=lower, low=lower - of_limit, high=lower + of_limit
        ),
        upper=Estimate(
            name="upper_limit", value=upper, low=upper - of_limit, high=upper + of_limit
        ),
    )


def _places(given: Sequence[str], categories: Sequence[str]) -> NDArray[np.int64]:
    unknown = sorted(set(given) - set(categories))
    if unknown:
        raise InputError(f"'{unknown[0]}' is none of the categories {', '.join(categories)}.")
    return np.array([list(categories).index(name) for name in given], np.int64)


def _cost(count: int, weights: KappaWeights) -> Numbers:
    steps = np.abs(np.subtract.outer(np.arange(count), np.arange(count))).astype(np.float64)
    if weights == "unweighted":
        return (steps > 0).astype(np.float64)
    return steps if weights == "linear" else steps**2


def _kappas(cells: Numbers, cost: Numbers) -> Numbers:
    """Return kappa of tables given as (table, cell); NaN where both readers use one category."""
    tables = cells.reshape(len(cells), *cost.shape)
    expected = tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :]
    by_chance = (expected * cost).sum(axis=(1, 2)) / tables.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 1 - (tables * cost).sum(axis=(1, 2)) / by_chance
    return cast(Numbers, np.where(by_chance > 0, found, np.nan))


def _checked(ratings: Numbers) -> tuple[int, int]:
    if ratings.ndim != 2 or min(ratings.shape) < 2 or not np.isfinite(ratings).all():
        raise InputError(
            f"An intraclass correlation needs finite ratings of at least 2 subjects by at least 2 "
            f"readers; got shape {ratings.shape}. Leave out subjects that a reader did not rate."
        )
    return int(ratings.shape[0]), int(ratings.shape[1])


def _mean_squares(ratings: Numbers) -> tuple[float, float, float]:
    """Return the mean squares between subjects, between readers and of what remains."""
    subjects, readers = ratings.shape
    mean = ratings.mean()
    of_subject = ratings.mean(axis=1, keepdims=True)
    of_reader = ratings.mean(axis=0, keepdims=True)
    rest = ratings - of_subject - of_reader + mean
    return (
        float(readers * ((of_subject - mean) ** 2).sum() / (subjects - 1)),
        float(subjects * ((of_reader - mean) ** 2).sum() / (readers - 1)),
        float((rest**2).sum() / ((subjects - 1) * (readers - 1))),
    )


def _ratios(
    squares: tuple[float, float], above: float, below: float, confidence: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the lowest and the highest ratio of two mean squares, as numerator, denominator."""
    tail = (1 + confidence) / 2
    widest = float(f_distribution.ppf(tail, below, above))
    narrowest = float(f_distribution.ppf(tail, above, below))
    return (squares[0], squares[1] * narrowest), (squares[0] * widest, squares[1])


def _interval_of_2_1(
    value: float,
    squares: tuple[float, float, float],
    counts: tuple[int, int],
    confidence: float,
) -> tuple[float, float]:
    """Return the interval of ICC(2,1): Shrout and Fleiss 1979, page 424."""
    between, among_readers, residual = squares
    subjects, readers = counts
    if not residual + among_readers:
        return 1.0, 1.0
    of_readers = readers * value * among_readers
    of_rest = residual * (subjects * (1 + (readers - 1) * value) - readers * value)
    free = (subjects - 1) * (readers - 1) * (of_readers + of_rest) ** 2
    free /= (subjects - 1) * of_readers**2 + of_rest**2
    tail = (1 + confidence) / 2
    lower = f_distribution.ppf(tail, subjects - 1, free)
    upper = f_distribution.ppf(tail, free, subjects - 1)
    shared = readers * among_readers + (readers * subjects - readers - subjects) * residual
    low = subjects * (between - lower * residual) / (lower * shared + subjects * between)
    high = subjects * (upper * between - residual) / (shared + subjects * upper * between)
    return float(low), float(high)
