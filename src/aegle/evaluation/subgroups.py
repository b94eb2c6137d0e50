"""Whether a model is as good for some as for others."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import OptionError
from aegle.domain.prediction import Predictions
from aegle.domain.text import Text
from aegle.evaluation.bootstrap import Measured, measure
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.selection import class_counts, select
from aegle.evaluation.weighted import Numbers

MOST_VALUES = 12
"""A column of words with more values than this forms no subgroups."""
FEWEST_NUMBERS = 7
"""A column with fewer different numbers than this is taken as codes, not as numbers."""

_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*Y?\s*")
"""A number; the Y of a DICOM age string (PS3.5 6.2, AS) is dropped."""


@dataclass(frozen=True, kw_only=True)
class Subgroup:
    """Images that share a value."""

    value: str
    images: int
    groups: int
    counts: tuple[tuple[str, int], ...]
    """Images by class."""
    measured: Measured | None
    reason: Text = Text("")
    """Why it is not scored."""


@dataclass(frozen=True, kw_only=True)
class SubgroupTable:
    """The subgroups that one column forms."""

    column: str
    subgroups: tuple[Subgroup, ...]
    reason: Text = Text("")
    """Why it forms none."""


def subgroups(
    predictions: Predictions,
    *,
    options: EvaluationOptions,
    columns: Sequence[str] = (),
    names: Sequence[str] = ("auc", "balanced_accuracy", "calibration_error"),
) -> tuple[SubgroupTable, ...]:
    """Return scores of the images that share a value, column by column.

    Numeric columns are cut at their tertiles. Subgroups with few images, or few of a class, are
    named but not scored.

    Args:
        predictions: With columns.
        options: Resamples, smallest subgroup.
        columns: Which; all if empty.
        names: Which scores.

    Raises:
        OptionError: A column or a score is unknown.
    """
    for column in columns:
        if column not in predictions.columns:
            known = ", ".join(predictions.columns) or "none"
            raise OptionError(f"The predictions have no column '{column}'; known: {known}.")
    return tuple(
        _table(predictions, column, options, names) for column in columns or predictions.columns
    )


def _table(
    predictions: Predictions, column: str, options: EvaluationOptions, names: Sequence[str]
) -> SubgroupTable:
    values = predictions.columns[column]
    numbers = _numbers(values)
    labels = values if numbers is None else _tertiles(numbers)
    found = sorted(set(labels), key=_order_of(labels, numbers))
    if len(found) < 2:
        reason = Text("Every image has the same value.")
        return SubgroupTable(column=column, subgroups=(), reason=reason)
    if len(found) > MOST_VALUES:
        reason = Text("{count} different values form no subgroups.", {"count": len(found)})
        return SubgroupTable(column=column, subgroups=(), reason=reason)
    of_image = np.array(labels)
    return SubgroupTable(
        column=column,
        subgroups=tuple(
            _subgroup(label, select(predictions, of_image == label), predictions, options, names)
            for label in found
        ),
    )


def _subgroup(
    label: str,
    chosen: Predictions,
    predictions: Predictions,
    options: EvaluationOptions,
    names: Sequence[str],
) -> Subgroup:
    reason = _too_small(chosen, predictions, options)
    return Subgroup(
        value=label or "not stated",
        images=len(chosen.names),
        groups=len(set(chosen.groups)),
        counts=class_counts(chosen),
        measured=None if reason else measure(chosen, options=options, names=names),
        reason=reason or Text(""),
    )


def _too_small(
    chosen: Predictions, predictions: Predictions, options: EvaluationOptions
) -> Text | None:
    if len(chosen.names) < options.subgroup_minimum:
        return Text(
            "Not scored: {count} images, fewer than {minimum}.",
            {"count": len(chosen.names), "minimum": options.subgroup_minimum},
        )
    for index in np.unique(predictions.truth):
        count = int((chosen.truth == index).sum())
        if count < options.class_minimum:
            return Text(
                "Not scored: {count} images of '{name}', fewer than {minimum}.",
                {
                    "count": count,
                    "name": predictions.classes[index],
                    "minimum": options.class_minimum,
                },
            )
    return None


def _numbers(values: Sequence[str]) -> Numbers | None:
    """Return a numeric column, NaN where nothing is stated; None for words and codes."""
    found = [_NUMBER.fullmatch(value) for value in values]
    if any(match is None and value.strip() for match, value in zip(found, values, strict=True)):
        return None
    numbers = np.array([float(match[1]) if match else np.nan for match in found])
    return numbers if np.unique(numbers[~np.isnan(numbers)]).size >= FEWEST_NUMBERS else None


def _tertiles(numbers: Numbers) -> tuple[str, ...]:
    """Name the third in which each number lies; equal numbers lie in the same."""
    low, high = np.quantile(numbers[~np.isnan(numbers)], [1 / 3, 2 / 3], method="inverted_cdf")
    names = np.array([f"≤ {low:g}", f"> {low:g} to {high:g}", f"> {high:g}"])
    thirds: NDArray[np.int64] = np.searchsorted([low, high], numbers, side="left")
    return tuple(
        "" if np.isnan(number) else str(names[third])
        for number, third in zip(numbers, np.minimum(thirds, 2), strict=True)
    )


def _order_of(
    labels: Sequence[str], numbers: Numbers | None
) -> Callable[[str], tuple[bool, float, str]]:
    """Return a sorting key: thirds by their numbers, words by the alphabet, unstated last."""
    if numbers is None:
        return lambda label: (not label, 0.0, label)
    first = {
        label: float(number) if label else 0.0
        for label, number in zip(labels, numbers, strict=True)
    }
    return lambda label: (not label, first[label], label)
