"""What is written of a classifier that was judged: scores, subgroups, shortcuts, page, card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.agreement import kappa
from aegle.evaluation.bootstrap import measure
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.shortcuts import AuditRow, audit
from aegle.evaluation.subgroups import SubgroupTable, subgroups
from aegle.evaluation.table import plain
from aegle.learning.model import Model
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.judging import numbers_of, prediction_rows, rows_of
from aegle.workflow.learning.run_folder import Done, write_json, write_table


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A classifier with what it said of images whose class is known."""

    model: Model
    predictions: Predictions
    values: NDArray[np.uint8]
    """The images as prepared, in the order of the predictions."""
    options: EvaluationOptions
    by: tuple[str, ...] = ()
    """Columns by which subgroups are judged."""
    reader: str = ""
    """Column with a second reader's class; empty for none."""
    merge: Mapping[str, str] = field(default_factory=dict)
    """Labels of the second reader that count as another class."""
    audits: Sequence[AuditRow] | None = None
    """Where they were made already."""


def report(case: Case, folder: CaseFolder) -> Done:
    """Write everything about a classifier that was judged.

    Raises:
        InputError: The images are of one class only.
        OptionError: A column is unknown.
    """
    measured = measure(case.predictions, options=case.options)
    tables = subgroups(case.predictions, options=case.options, columns=case.by) if case.by else ()
    audits = case.audits if case.audits is not None else _audited(case)
    numbers = numbers_of(measured) | {
        "subgroups": [_table(table) for table in tables],
        "shortcuts": [plain(asdict(row)) for row in audits],
    }
    if case.reader:
        numbers["second_reader"] = agreement(case)
    files = {
        "scores": write_json(folder, "scores.json", numbers),
        "predictions": write_table(folder, "predictions.csv", prediction_rows(case.predictions)),
    }
    notices = tuple(str(row.verdict) for row in audits if row.is_suspicious)
    return Done(
        folder=folder.root, files=files, numbers=numbers, rows=rows_of(measured), notices=notices
    )


def agreement(case: Case) -> dict[str, Any]:
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
        "labels": [predictions.classes[predictions.truth[place]] for place in judged],
        "reader": [said[place] for place in judged],
        "model": [predictions.classes[likeliest[place]] for place in judged],
    }
    pairs = (("reader", "labels"), ("model", "labels"), ("model", "reader"))
    return {"images": len(judged)} | {
        f"kappa_{one}_{other}": plain(
            asdict(
                kappa(
                    given[one],
                    given[other],
                    categories=predictions.classes,
                    options=case.options,
                    groups=[predictions.groups[place] for place in judged],
                )
            )
        )
        for one, other in pairs
    }


def _audited(case: Case) -> tuple[AuditRow, ...]:
    return audit(
        case.model.probabilities_of,
        case.values,
        case.predictions.truth,
        case.predictions.groups,
        case.predictions.classes,
        options=case.options,
    )


def _table(table: SubgroupTable) -> dict[str, Any]:
    return {
        "column": table.column,
        "reason": str(table.reason),
        "subgroups": [
            {"value": group.value, "images": group.images, "reason": str(group.reason)}
            | (numbers_of(group.measured) if group.measured else {})
            for group in table.subgroups
        ],
    }
