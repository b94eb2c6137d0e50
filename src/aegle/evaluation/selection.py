"""Choosing images, classes and order of predictions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions


def class_index(predictions: Predictions, name: str) -> int:
    """Return the index of a class.

    Raises:
        OptionError: The class is unknown.
    """
    if name not in predictions.classes:
        raise OptionError(f"No class '{name}'; known: {', '.join(predictions.classes)}.")
    return predictions.classes.index(name)


def class_counts(predictions: Predictions) -> tuple[tuple[str, int], ...]:
    """Return the number of images of each class."""
    counts = np.bincount(predictions.truth, minlength=len(predictions.classes))
    return tuple((n, int(c)) for n, c in zip(predictions.classes, counts, strict=True))


def against_rest(predictions: Predictions, name: str) -> Predictions:
    """Return predictions of two classes: the rest, and the one named (last, so positive).

    Raises:
        OptionError: The class is unknown.
    """
    index = class_index(predictions, name)
    of_class = predictions.probabilities[:, index]
    return replace(
        predictions,
        classes=("rest", name),
        truth=(predictions.truth == index).astype(np.int64),
        probabilities=np.stack([1 - of_class, of_class], axis=1),
    )


def among(predictions: Predictions, classes: Sequence[str]) -> Predictions:
    """Return the images of some classes, judged as if there were no others.

    Raises:
        OptionError: A class is unknown.
        InputError: An image has no probability left for any of the classes.
    """
    named = [class_index(predictions, name) for name in classes]
    kept = select(predictions, np.isin(predictions.truth, named))
    probabilities = kept.probabilities[:, named]
    total = probabilities.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        name = kept.names[int(np.argmin(total))]
        raise InputError(f"'{name}' has probability 0 for each of {', '.join(classes)}.")
    place = np.full(len(predictions.classes), -1)
    place[named] = np.arange(len(named))
    return replace(
        kept, classes=tuple(classes), truth=place[kept.truth], probabilities=probabilities / total
    )


def select(predictions: Predictions, chosen: NDArray[np.bool_]) -> Predictions:
    """Return the predictions of some images, given as a mask of shape (image,)."""
    where = np.flatnonzero(chosen)
    return replace(
        predictions,
        names=tuple(predictions.names[i] for i in where),
        truth=predictions.truth[where],
        probabilities=predictions.probabilities[where],
        groups=tuple(predictions.groups[i] for i in where),
        columns={
            name: tuple(values[i] for i in where) for name, values in predictions.columns.items()
        },
    )


def joined(runs: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several runs one after another, such as out-of-fold predictions.

    Columns that not every run has are left out.

    Raises:
        InputError: There is no run, classes differ, or an image occurs twice.
    """
    if not runs:
        raise InputError("There are no predictions to judge.")
    names = tuple(name for run in runs for name in run.names)
    _require_same_classes(runs)
    if len(set(names)) != len(names):
        raise InputError(
            f"'{_double(names)}' is predicted twice; only folds without a common image are joined."
        )
    columns = [c for c in runs[0].columns if all(c in run.columns for run in runs)]
    return Predictions(
        classes=runs[0].classes,
        names=names,
        truth=np.concatenate([run.truth for run in runs]),
        probabilities=np.concatenate([run.probabilities for run in runs]),
        groups=tuple(group for run in runs for group in run.groups),
        columns={c: tuple(value for run in runs for value in run.columns[c]) for c in columns},
    )


def distinct(runs: Sequence[Predictions]) -> Predictions:
    """Return each image once, as the first run that holds it predicts it.

    Raises:
        InputError: There is no run, or classes differ.
    """
    known: set[str] = set()
    parts = []
    for run in runs:
        parts.append(select(run, np.array([name not in known for name in run.names], np.bool_)))
        known.update(run.names)
    return joined(parts)


def require_same_images(first: Sequence[Predictions], second: Sequence[Predictions]) -> None:
    """Raise InputError unless two sets of runs judge the same images with the same truth."""
    _require_same_classes((*first, *second))
    one, other = (_facts(runs) for runs in (first, second))
    lacking = sorted(set(one) ^ set(other))
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise InputError(
            f"'{lacking[0]}'{more} is predicted on one side only; "
            "only predictions of the same images can be compared."
        )
    for name, facts in one.items():
        if other[name] != facts:
            raise InputError(
                f"'{name}' has class and group {facts} on one side and {other[name]} on the other."
            )


def _facts(runs: Sequence[Predictions]) -> dict[str, tuple[str, str]]:
    """Return the true class and the group of each image."""
    return {
        name: (run.classes[truth], group)
        for run in runs
        for name, truth, group in zip(run.names, run.truth, run.groups, strict=True)
    }


def _require_same_classes(runs: Sequence[Predictions]) -> None:
    for run in runs:
        if run.classes != runs[0].classes:
            raise InputError(
                f"Classes {', '.join(run.classes)} and {', '.join(runs[0].classes)} differ; "
                "only predictions of the same classes go together."
            )


def _double(names: Sequence[str]) -> str:
    return Counter(names).most_common(1)[0][0]
