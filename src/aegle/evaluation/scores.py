"""How good predictions are, as numbers.

Every score is taken with weights per image, for many sets of weights at once: a bootstrap
resample is such a set (how often each image was drawn), and weights of 1 give the score itself.
So a score and its interval share one definition, and images are sorted only once.

With two classes, AUC, average precision, F1, sensitivity and specificity are those of the
positive class; the predicted class is the likelier one. With more classes AUC and average
precision are macro means of one class against the rest, F1 is the macro mean. Macro means run
over the classes that occur.

Sources:
    Brier GW. Mon Weather Rev 1950;78:1-3 (two classes: squared error of the positive class; more:
        summed over classes).
    Guo C et al. ICML 2017, arXiv:1706.04599 (expected calibration error of the likeliest class);
        Naeini MP et al. AAAI 2015 (of the positive class; used for two classes).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.selection import class_index
from aegle.evaluation.weighted import (
    SMALLEST_PROBABILITY,
    Numbers,
    area_under_curve,
    average_precision,
    logit,
    recalibrate,
)


@dataclass(frozen=True, eq=False)
class _Case:
    """Predictions and the sets of weights under which they are scored."""

    predictions: Predictions
    weights: Numbers
    """Shape (set, image)."""
    options: EvaluationOptions

    @property
    def is_binary(self) -> bool:
        return len(self.predictions.classes) == 2

    @property
    def positive(self) -> int:
        return positive_class(self.predictions, self.options)


@dataclass(frozen=True)
class Score:
    """One kind of score."""

    label: str
    of: Callable[[_Case], Numbers]
    best: float
    """Its value for perfect predictions."""
    binary_only: bool = False
    grows_by_chance: bool = False
    """Whether resampling adds to it on average, as chance does to a sum of absolute gaps."""


def scores(
    predictions: Predictions, *, options: EvaluationOptions, names: Sequence[str] = ()
) -> dict[str, float]:
    """Return scores by name.

    Args:
        predictions: Of at least two classes that occur.
        options: Positive class and bins.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: No image, or only one class occurs.
        OptionError: A score or the positive class is unknown.
    """
    ones = np.ones((1, len(predictions.names)))
    found = weighted_scores(predictions, ones, options=options, names=names)
    return {name: float(values[0]) for name, values in found.items()}


def weighted_scores(
    predictions: Predictions,
    weights: Numbers,
    *,
    options: EvaluationOptions,
    names: Sequence[str] = (),
) -> dict[str, Numbers]:
    """Return scores under sets of weights, each of shape (set,).

    Args:
        predictions: Of at least two classes that occur.
        weights: At least 0, shape (set, image); every class that occurs has weight in each set.
        options: Positive class and bins.
        names: Of ``SCORES``; empty for all that apply.

    Raises:
        InputError: No image, or only one class occurs.
        OptionError: A score or the positive class is unknown.
    """
    require_classes(predictions)
    case = _Case(predictions, weights, options)
    return {name: SCORES[name].of(case) for name in applicable(predictions, names)}


def applicable(predictions: Predictions, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the scores that can be taken, in the order of ``SCORES`` or as asked.

    Raises:
        OptionError: A score is unknown, or asked for and only for two classes.
    """
    is_binary = len(predictions.classes) == 2
    possible = tuple(n for n, score in SCORES.items() if is_binary or not score.binary_only)
    for name in names:
        if name not in possible:
            raise OptionError(
                f"No score '{name}' for {len(predictions.classes)} classes; "
                f"known: {', '.join(possible)}."
            )
    return tuple(names) or possible


def require_classes(predictions: Predictions) -> NDArray[np.int64]:
    """Return the classes that occur, or raise InputError if there are fewer than two."""
    present = np.unique(predictions.truth)
    if not present.size:
        raise InputError("Scores need images of two classes; there is no image.")
    if present.size == 1:
        raise InputError(
            f"Scores need images of two classes; all {len(predictions.names)} images are "
            f"'{predictions.classes[present[0]]}'. Add images of another class."
        )
    return present


def positive_class(predictions: Predictions, options: EvaluationOptions) -> int:
    """Return the index of the class that is looked for.

    Raises:
        OptionError: The positive class is unknown.
    """
    if not options.positive:
        return len(predictions.classes) - 1
    return class_index(predictions, options.positive)


def predicted(predictions: Predictions) -> NDArray[np.int64]:
    """Return the index of the likeliest class of each image; the first of equals."""
    likeliest: NDArray[np.int64] = np.argmax(predictions.probabilities, axis=1)
    return likeliest


def confusion_table(predictions: Predictions) -> NDArray[np.int64]:
    """Return numbers of images, shape (true class, likeliest class)."""
    count = len(predictions.classes)
    cells = predictions.truth * count + predicted(predictions)
    return np.bincount(cells, minlength=count * count).reshape(count, count)


def _confusion(case: _Case) -> Numbers:
    """Return weights by (set, true class, predicted class)."""
    count = len(case.predictions.classes)
    cell = case.predictions.truth * count + predicted(case.predictions)
    return np.reshape(case.weights @ np.eye(count * count)[cell], (-1, count, count))


def _mean(case: _Case, per_image: Numbers) -> Numbers:
    return cast(Numbers, case.weights @ per_image / case.weights.sum(axis=1))


def _ranked(
    score: Callable[[Numbers, NDArray[np.bool_], Numbers], Numbers],
) -> Callable[[_Case], Numbers]:
    def of(case: _Case) -> Numbers:
        chosen = [case.positive] if case.is_binary else np.unique(case.predictions.truth)
        each = [
            score(
                case.predictions.probabilities[:, index],
                case.predictions.truth == index,
                case.weights,
            )
            for index in chosen
        ]
        return cast(Numbers, np.mean(each, axis=0))

    return of


def _accuracy(case: _Case) -> Numbers:
    return _mean(case, (predicted(case.predictions) == case.predictions.truth).astype(np.float64))


def _recalls(case: _Case) -> Numbers:
    counted = _confusion(case)
    with np.errstate(invalid="ignore"):
        return cast(Numbers, np.diagonal(counted, axis1=1, axis2=2) / counted.sum(axis=2))


def _balanced_accuracy(case: _Case) -> Numbers:
    return cast(Numbers, np.nanmean(_recalls(case), axis=1))


def _sensitivity(case: _Case) -> Numbers:
    return _recalls(case)[:, case.positive]


def _specificity(case: _Case) -> Numbers:
    return _recalls(case)[:, 1 - case.positive]


def _f1(case: _Case) -> Numbers:
    counted = _confusion(case)
    both = counted.sum(axis=1) + counted.sum(axis=2)
    with np.errstate(invalid="ignore"):
        each = 2 * np.diagonal(counted, axis1=1, axis2=2) / both
    if case.is_binary:
        return cast(Numbers, np.nan_to_num(each[:, case.positive]))
    return cast(Numbers, np.nanmean(each, axis=1))


def _brier(case: _Case) -> Numbers:
    true = np.eye(len(case.predictions.classes))[case.predictions.truth]
    squared = ((case.predictions.probabilities - true) ** 2).sum(axis=1)
    return _mean(case, squared / 2 if case.is_binary else squared)


def _log_loss(case: _Case) -> Numbers:
    rows = np.arange(len(case.predictions.names))
    of_truth = case.predictions.probabilities[rows, case.predictions.truth]
    return _mean(case, -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1)))


def stated_and_true(
    predictions: Predictions, options: EvaluationOptions
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the probability that is held against events, and whether the event came, per image.

    Of two classes the probability of the positive one; of more that of the likeliest.
    """
    if len(predictions.classes) == 2:
        positive = positive_class(predictions, options)
        return predictions.probabilities[:, positive], predictions.truth == positive
    return predictions.probabilities.max(axis=1), predicted(predictions) == predictions.truth


def bin_of(stated: Numbers, options: EvaluationOptions) -> NDArray[np.int64]:
    """Return the bin of each probability; a value on a border belongs to the bin above it."""
    shares = np.linspace(0, 1, options.bins + 1)[1:-1]
    borders = shares if options.binning == "width" else np.quantile(stated, shares)
    return np.searchsorted(borders, stated, side="right")


def _calibration_error(case: _Case) -> Numbers:
    stated, came = stated_and_true(case.predictions, case.options)
    members = np.eye(case.options.bins)[bin_of(stated, case.options)]
    gap = case.weights @ (members * (stated - came)[:, None])
    return cast(Numbers, np.abs(gap).sum(axis=1) / case.weights.sum(axis=1))


def _calibration_intercept(case: _Case) -> Numbers:
    stated, came = stated_and_true(case.predictions, case.options)
    return recalibrate(logit(stated), came, case.weights, slope=1.0)[0]


def _calibration_slope(case: _Case) -> Numbers:
    stated, came = stated_and_true(case.predictions, case.options)
    return recalibrate(logit(stated), came, case.weights)[1]


SCORES: Mapping[str, Score] = {
    "auc": Score("AUC", _ranked(area_under_curve), 1),
    "balanced_accuracy": Score("balanced accuracy", _balanced_accuracy, 1),
    "accuracy": Score("accuracy", _accuracy, 1),
    "f1": Score("F1", _f1, 1),
    "average_precision": Score("average precision", _ranked(average_precision), 1),
    "sensitivity": Score("sensitivity", _sensitivity, 1, binary_only=True),
    "specificity": Score("specificity", _specificity, 1, binary_only=True),
    "brier": Score("Brier score", _brier, 0),
    "log_loss": Score("log loss", _log_loss, 0),
    "calibration_error": Score(
        "expected calibration error", _calibration_error, 0, grows_by_chance=True
    ),
    "calibration_intercept": Score(
        "calibration in the large", _calibration_intercept, 0, binary_only=True
    ),
    "calibration_slope": Score("calibration slope", _calibration_slope, 1, binary_only=True),
}
"""Every score by its name in files."""
