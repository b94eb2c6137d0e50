"""How good predictions are for each class."""

from dataclasses import dataclass

import numpy as np

from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import Estimate, measure, percentiles
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.resamples import resamples_of
from aegle.evaluation.scores import predicted
from aegle.evaluation.selection import against_rest, class_counts
from aegle.evaluation.weighted import Numbers


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class against the rest."""

    name: str
    images: int
    auc: Estimate
    average_precision: Estimate
    recall: Estimate
    """Share of the images of the class that are said to be of it."""
    precision: Estimate
    """Share of the images said to be of the class that are of it."""


def by_class(predictions: Predictions, *, options: EvaluationOptions) -> tuple[ClassScores, ...]:
    """Return scores of each class that occurs.

    Args:
        predictions: Of at least two classes that occur.
        options: Resamples, confidence, seed.

    Raises:
        InputError: No image, or only one class occurs.
    """
    cells = _cells(predictions)
    drawn = np.concatenate([chunk @ cells for (chunk,) in resamples_of((predictions,), options)])
    whole = cells.sum(axis=0, keepdims=True)
    ranked = EvaluationOptions(
        resamples=options.resamples, confidence=options.confidence, seed=options.seed
    )
    return tuple(
        _scores_of(predictions, name, count, (whole, drawn), ranked)
        for name, count in class_counts(predictions)
        if count
    )


def _scores_of(
    predictions: Predictions,
    name: str,
    count: int,
    tables: tuple[Numbers, Numbers],
    options: EvaluationOptions,
) -> ClassScores:
    own = against_rest(predictions, name)
    measured = measure(own, options=options, names=("auc", "average_precision"))
    side, place = len(predictions.classes), predictions.classes.index(name)
    whole, drawn = (table.reshape(-1, side, side) for table in tables)
    recall, precision = (
        _share(kind, one[:, place], many[:, place], place, options)
        for kind, one, many in (
            ("recall", whole, drawn),
            ("precision", whole.swapaxes(1, 2), drawn.swapaxes(1, 2)),
        )
    )
    return ClassScores(
        name=name,
        images=count,
        auc=measured["auc"],
        average_precision=measured["average_precision"],
        recall=recall,
        precision=precision,
    )


def _share(
    kind: str, whole: Numbers, drawn: Numbers, place: int, options: EvaluationOptions
) -> Estimate:
    """Return one cell as a share of its row; NaN for an empty row."""
    with np.errstate(invalid="ignore"):
        value: Numbers = whole[:, place] / whole.sum(axis=1)
        values: Numbers = drawn[:, place] / drawn.sum(axis=1)
    low, high = percentiles(values, options.confidence)
    return Estimate(name=kind, value=float(value[0]), low=low, high=high)


def _cells(predictions: Predictions) -> Numbers:
    """Return which cell of the confusion matrix each image is in, shape (image, cell)."""
    side = len(predictions.classes)
    cells: Numbers = np.eye(side * side)[predictions.truth * side + predicted(predictions)]
    return cells
