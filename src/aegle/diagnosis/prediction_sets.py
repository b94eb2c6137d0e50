"""Limits of prediction sets that a model carries in its file, and the sets that they give.

Limits come from out-of-fold predictions, one for each group of patients where the images' table
tells them apart, and one for all. How often sets held the truth is measured by calibrating on
four fifths of the groups of images (patients, clusters) and counting in the fifth left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.diagnosis.conformal import ConformalOptions, calibrate, from_plain
from aegle.diagnosis.conformal_limit import POOLED
from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.domain.suggestion import PredictionSet
from aegle.evaluation.calibration_tests import folds_by_group

KEY = "conformal"
"""Under which limits lie in a model's extras."""
COLUMNS = ("sex", "view")
"""Facts of a patient or an image by which limits can be told apart when a model is used."""
FOLDS = 5


def calibrated(
    predictions: Predictions, column: str = "", *, options: ConformalOptions
) -> dict[str, Any]:
    """Return limits as plain data, to be kept with a model.

    Args:
        predictions: Out-of-fold.
        column: Of ``COLUMNS``, or empty: groups are not told apart.
        options: Share that may be missed, and the score.

    Raises:
        InputError: There is no such column, or no image.
    """
    everyone = (POOLED,) * len(predictions.names)
    found: dict[str, Any] = {"column": column, "all": _limits(predictions, everyone, options)}
    if column and column not in predictions.columns:
        raise InputError(
            f"The predictions have no column '{column}'; known: "
            f"{', '.join(predictions.columns) or 'none'}."
        )
    if column:
        found["groups"] = _limits(predictions, predictions.columns[column], options)
    return found


def prediction_set(
    kept: Mapping[str, Any] | None, probabilities: Sequence[float], facts: Mapping[str, str]
) -> PredictionSet | None:
    """Return the set of one image; None where no limits are kept.

    Args:
        kept: As ``calibrated`` gives it.
        probabilities: Calibrated, one per class.
        facts: What is known of the image by the names of ``COLUMNS``.

    Raises:
        InputError: The limits are damaged.
    """
    if kept is None:
        return None
    group = facts.get(str(kept.get("column", "")), "")
    # Of a group without limits of its own, the promise is that for all patients.
    has_own = group in kept.get("groups", {}).get("limits", {})
    part, name = (kept["groups"], group) if has_own else (kept["all"], POOLED)
    limits = from_plain(part)
    (held,) = limits.sets(np.array([probabilities], np.float64), [name])
    order = np.argsort(-np.asarray(probabilities), kind="stable")
    return PredictionSet(
        categories=tuple(limits.classes[at] for at in order if held[at]),
        coverage=1 - limits.options.alpha,
        group=f"{kept['column']} {group}" if has_own else "",
        calibration_cases=limits.limits[name].cases,
        measured_coverage=part["measured"][name],
    )


def _limits(
    predictions: Predictions, groups: Sequence[str], options: ConformalOptions
) -> dict[str, Any]:
    """Return limits by group, with the coverage that was measured in each."""
    names = np.asarray(groups, np.str_)
    held, known = _held_out(predictions, names, options)
    measured = {str(g): held[known & (names == g)] for g in np.unique(names)}
    return {
        **_calibrated(predictions, names, np.ones(names.size, bool), options).as_plain(),
        "measured": {g: round(float(h.mean()), 6) if h.size else None for g, h in measured.items()},
    }


def _calibrated(
    predictions: Predictions,
    names: NDArray[np.str_],
    where: NDArray[np.bool_],
    options: ConformalOptions,
) -> Any:
    return calibrate(
        predictions.probabilities[where],
        predictions.truth[where],
        names[where].tolist(),
        classes=predictions.classes,
        options=options,
    )


def _held_out(
    predictions: Predictions, names: NDArray[np.str_], options: ConformalOptions
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether sets, of limits that do not know the image, hold the truth, and which exist.

    A group whose images all lie in one part has no such limits.
    """
    folds = folds_by_group(predictions.groups, FOLDS)
    held, exist = np.zeros((2, names.size), bool)
    for fold in np.unique(folds):
        out = folds == fold
        limits = _calibrated(predictions, names, ~out, options)
        known = out & np.isin(names, list(limits.limits))
        exist |= known
        if known.any():
            sets = limits.sets(predictions.probabilities[known], names[known].tolist())
            held[known] = sets[np.arange(known.sum()), predictions.truth[known]]
    return held, exist
