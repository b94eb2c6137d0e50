"""What several trainings say together: folds, seeds, and against a baseline on the same folds.

Two intervals answer two questions. The bootstrap over groups says how the mean of the runs would
vary with other patients. The t interval over the runs says how much trainings differ; folds share
training images, so it is somewhat too narrow (Bengio Y, Grandvalet Y. J Mach Learn Res
2004;5:1089-1105).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as t_distribution

from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import (
    Comparison,
    Difference,
    Estimate,
    Measured,
    compare_means,
    measure,
    measure_mean,
)
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import SCORES, applicable, scores
from aegle.evaluation.selection import joined
from aegle.evaluation.table import figure, interval, markdown_table


@dataclass(frozen=True, kw_only=True)
class RunScores:
    """One score over the runs."""

    name: str
    values: tuple[float, ...]
    """One per run."""
    mean: float
    deviation: float
    """Standard deviation between runs; NaN for one run."""
    low: float
    """t interval of the mean over runs; NaN for one run."""
    high: float


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossValidation:
    """Folds, seeds or both, judged together."""

    runs: tuple[RunScores, ...]
    mean: Measured
    """Mean over the runs, bootstrap by group."""
    pooled: Measured | None
    """All out-of-fold predictions as one set; None if an image is predicted more than once."""
    baseline: Measured | None
    """The baseline's mean over its runs."""
    comparison: Comparison | None
    """Mean of the runs minus that of the baseline's, paired bootstrap by group."""

    def __getitem__(self, name: str) -> RunScores:
        """Return one score over the runs by its name."""
        return next(score for score in self.runs if score.name == name)


def cross_validation(
    runs: Sequence[Predictions],
    *,
    options: EvaluationOptions,
    baseline: Sequence[Predictions] = (),
    names: Sequence[str] = (),
) -> CrossValidation:
    """Judge runs together.

    Args:
        runs: Held-out predictions: one for each fold, each seed, or both.
        options: Resamples, confidence, seed, positive class, bins.
        baseline: The same of another model; together they judge the same images.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: There is no run, a run holds one class only, or the baseline judges others.
        OptionError: A score or the positive class is unknown.
    """
    mean = measure_mean(runs, options=options, names=names)
    names = applicable(runs[0], names)
    each = [scores(run, options=options, names=names) for run in runs]
    is_once = len({n for run in runs for n in run.names}) == sum(len(run.names) for run in runs)
    return CrossValidation(
        runs=tuple(
            over_runs(name, [found[name] for found in each], options.confidence) for name in names
        ),
        mean=mean,
        pooled=measure(joined(runs), options=options, names=names) if is_once else None,
        baseline=measure_mean(baseline, options=options, names=names) if baseline else None,
        comparison=(
            compare_means(runs, baseline, options=options, names=names) if baseline else None
        ),
    )


def over_runs(name: str, values: Sequence[float], confidence: float) -> RunScores:
    """Return the mean of a score over runs with its t interval."""
    count, mean = len(values), float(np.mean(values))
    deviation = float(np.std(values, ddof=1)) if count > 1 else float("nan")
    half = (
        float(t_distribution.ppf((1 + confidence) / 2, count - 1)) * deviation / count**0.5
        if count > 1
        else float("nan")
    )
    return RunScores(
        name=name,
        values=tuple(float(v) for v in values),
        mean=mean,
        deviation=deviation,
        low=mean - half,
        high=mean + half,
    )


def as_markdown(found: CrossValidation) -> str:
    """Return a table of the scores, one per row."""
    percent = f"{found.mean.confidence * 100:g} %"
    heads = ["score", "per run", "mean", f"{percent} by group", f"{percent} over runs"]
    if found.pooled:
        heads.append("pooled")
    if found.comparison:
        heads += ["baseline", "difference", "share ≤ 0"]
    rows = [_row(found, score, found.mean[score.name]) for score in found.runs]
    return markdown_table(heads, rows)


def _row(found: CrossValidation, score: RunScores, mean: Estimate) -> list[str]:
    cells = [
        SCORES[score.name].label,
        " ".join(figure(value) for value in score.values),
        figure(score.mean),
        interval(mean.low, mean.high),
        interval(score.low, score.high),
    ]
    if found.pooled:
        pooled = found.pooled[score.name]
        cells.append(f"{figure(pooled.value)} ({interval(pooled.low, pooled.high)})")
    if found.comparison:
        cells += _against(found.comparison[score.name])
    return cells


def _against(difference: Difference) -> list[str]:
    return [
        figure(difference.second),
        f"{difference.value:+.3f} ({interval(difference.low, difference.high)})",
        figure(difference.share_not_above),
    ]
