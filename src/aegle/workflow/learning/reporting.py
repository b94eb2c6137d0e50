"""What is written of a classifier that was judged: scores, subgroups, shortcuts, page, card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.agreement import kappa
from aegle.evaluation.bootstrap import Estimate
from aegle.evaluation.cross_validation import CrossValidation
from aegle.evaluation.evaluate import About, evaluate
from aegle.evaluation.evaluate import numbers as evaluation_numbers
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.page import page
from aegle.evaluation.shortcuts import AuditRow, audit
from aegle.learning.model import Model
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.judging import numbers_of, prediction_rows, rows_of
from aegle.workflow.learning.run_folder import Done, write_json, write_table, write_text


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A classifier with what it said of images whose class is known."""

    model: Model
    predictions: Predictions
    values: NDArray[np.uint8]
    """The images as prepared, in the order of the predictions."""
    options: EvaluationOptions
    about: About
    by: tuple[str, ...] = ()
    """Columns by which subgroups are judged."""
    reader: str = ""
    """Column with a second reader's class; empty for none."""
    merge: Mapping[str, str] = field(default_factory=dict)
    """Labels of the second reader that count as another class."""
    audits: Sequence[AuditRow] | None = None
    """Where they were made already."""
    folds: CrossValidation | None = None
    """Where the predictions come from several trainings."""


def report(case: Case, folder: CaseFolder) -> Done:
    """Write everything about a classifier that was judged.

    Raises:
        InputError: The images are of one class only.
        OptionError: A column is unknown.
    """
    predictions = case.predictions
    found = evaluate(
        predictions,
        options=case.options,
        about=case.about,
        by=case.by,
        audit=case.audits if case.audits is not None else _audited(case),
        folds=case.folds,
    )
    if case.reader:
        found = replace(found, agreements=agreement(case))
    places = {name: place for place, name in enumerate(predictions.names)}
    numbers = numbers_of(found.measured) | evaluation_numbers(found)
    files = {
        "evaluation": write_text(
            folder,
            "evaluation.html",
            page(found, image_of=lambda name: case.values[places[name]]),
        ),
        "scores": write_json(folder, "scores.json", numbers),
        "predictions": write_table(folder, "predictions.csv", prediction_rows(predictions)),
    }
    return Done(
        folder=folder.root,
        files=files,
        numbers=numbers,
        rows=rows_of(found.measured),
        notices=tuple(str(row.verdict) for row in found.audit if row.is_suspicious),
        evaluation=found,
    )


def agreement(case: Case) -> tuple[tuple[str, Estimate], ...]:
    """Return Cohen's kappa between a second reader, the labels and the model.

    Raises:
        OptionError: There is no such column.
        InputError: The reader names another class.
    """
    predictions = case.predictions
    if case.reader not in predictions.columns:
        known = ", ".join(predictions.columns) or "none"
        raise OptionError(f"There is no column '{case.reader}' of a second reader; known: {known}.")
    said = [case.merge.get(label, label) for label in predictions.columns[case.reader]]
    judged = [place for place, label in enumerate(said) if label]
    if not judged:
        raise InputError(f"The second reader's column '{case.reader}' is empty.")
    likeliest = predictions.probabilities.argmax(axis=1)
    given = {
        "second reader": [said[place] for place in judged],
        "labels": [predictions.classes[predictions.truth[place]] for place in judged],
        "model": [predictions.classes[likeliest[place]] for place in judged],
    }
    return tuple(
        (
            f"{one} and {other}, {len(judged)} images",
            kappa(
                given[one],
                given[other],
                categories=predictions.classes,
                options=case.options,
                groups=[predictions.groups[place] for place in judged],
            ),
        )
        for one, other in combinations(given, 2)
    )


def _audited(case: Case) -> tuple[AuditRow, ...]:
    return audit(
        case.model.probabilities_of,
        case.values,
        case.predictions.truth,
        case.predictions.groups,
        case.predictions.classes,
        options=case.options,
    )
