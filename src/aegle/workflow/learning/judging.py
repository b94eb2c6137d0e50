"""Scores as plain data and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import Comparison, Estimate, Measured
from aegle.evaluation.outline_card import Judged as Located
from aegle.evaluation.scores import SCORES
from aegle.evaluation.table import figure, interval
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.run_folder import Done, write_json, write_table, write_text

SHOWN = ("auc", "balanced_accuracy", "accuracy", "f1", "average_precision", "calibration_error")
"""Scores that the command line shows."""


def numbers_of(measured: Measured) -> dict[str, Any]:
    """Return scores with intervals as plain data."""
    return {
        "scores": {
            e.name: {"value": number(e.value), "low": number(e.low), "high": number(e.high)}
            for e in measured.estimates
        },
        "images": measured.images,
        "groups": measured.groups,
        "counts": dict(measured.counts),
        "confidence": measured.confidence,
        "resamples": measured.resamples,
    }


def differences_of(comparison: Comparison) -> dict[str, Any]:
    """Return paired differences with intervals as plain data."""
    return {
        d.name: {
            "first": number(d.first),
            "second": number(d.second),
            "difference": number(d.value),
            "low": number(d.low),
            "high": number(d.high),
            "excludes_zero": d.excludes_zero,
        }
        for d in comparison.differences
    }


def rows_of(measured: Measured) -> list[dict[str, str]]:
    """Return the main scores as a table."""
    percent = f"{measured.confidence:.0%} interval"
    return [
        {
            "score": SCORES[e.name].label,
            "value": figure(e.value),
            percent: interval(e.low, e.high),
        }
        for e in measured.estimates
        if e.name in SHOWN
    ]


def prediction_rows(predictions: Predictions) -> list[dict[str, str]]:
    """Return one row per image: name, group, true and likeliest class, probabilities."""
    likeliest = predictions.probabilities.argmax(axis=1)
    return [
        {
            "name": name,
            "group": predictions.groups[place],
            "truth": predictions.classes[int(predictions.truth[place])],
            "likeliest": predictions.classes[int(likeliest[place])],
        }
        | probability_columns(predictions.classes, predictions.probabilities[place])
        for place, name in enumerate(predictions.names)
    ]


def probability_columns(classes: Sequence[str], probabilities: Any) -> dict[str, str]:
    """Return a column per class."""
    return {
        f"probability_{name}": f"{value:.6f}"
        for name, value in zip(classes, probabilities, strict=True)
    }


def number(value: float) -> float | None:
    """Return the number to six digits; None for what JSON cannot say."""
    return round(float(value), 6) if np.isfinite(value) else None


def written(
    folder: CaseFolder,
    page: str,
    found: Located,
    estimates: Mapping[str, Estimate],
    cases: Sequence[Mapping[str, Any]],
) -> Done:
    """Write what was found about outlines or boxes: page, scores, and a row per image.

    Args:
        folder: Where to.
        page: The page.
        found: What was found.
        estimates: The scores by name.
        cases: Rows with at least ``name`` and ``error``.
    """
    scores = {
        name: {"value": number(e.value), "low": number(e.low), "high": number(e.high)}
        for name, e in estimates.items()
    }
    made = {"scores": scores, "images": len(cases), **found.numbers()}
    failed = [row for row in cases if row["error"]]
    first = f"{failed[0]['name']}: {failed[0]['error']}" if failed else ""
    said = (f"{len(failed)} images failed, first {first}",)
    return Done(
        folder=folder.root,
        files={
            "evaluation": write_text(folder, "evaluation.html", page),
            "scores": write_json(folder, "scores.json", made),
            "cases": write_table(folder, "cases.csv", cases),
        },
        numbers=made,
        rows=found.rows,
        notices=said if failed else (),
        located=found,
    )
