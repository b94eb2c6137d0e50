"""All that is found out about predictions, in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.prediction import Predictions
from aegle.domain.text import Text
from aegle.evaluation.bootstrap import Estimate, Measured, measure
from aegle.evaluation.calibration import ReliabilityBin, reliability, temperature_of
from aegle.evaluation.classes import ClassScores, by_class
from aegle.evaluation.cross_validation import CrossValidation
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.pictures import WorstCase, worst_cases
from aegle.evaluation.scores import confusion_table
from aegle.evaluation.shortcuts import AuditRow
from aegle.evaluation.subgroups import SubgroupTable, subgroups
from aegle.evaluation.table import plain

FORMAT = 1
"""Number of the layout of the numbers written to files."""
FEW_IMAGES = 30
"""A class with fewer images is named among the limits."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What is judged, in words."""

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """Model, digest, data, date and the like, shown in their order."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What was found out about predictions."""

    about: About
    options: EvaluationOptions
    predictions: Predictions
    measured: Measured
    classes: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]
    """Images, shape (true class, likeliest class)."""
    reliability: tuple[ReliabilityBin, ...]
    temperature: float
    """What would calibrate these predictions best; 1 if they are calibrated already."""
    worst: tuple[WorstCase, ...]
    subgroups: tuple[SubgroupTable, ...] = ()
    audit: tuple[AuditRow, ...] = ()
    folds: CrossValidation | None = None
    sources: Mapping[str, Measured] = field(default_factory=dict)
    """The same model on images from elsewhere, by source."""
    agreements: tuple[tuple[str, Estimate], ...] = ()
    """Agreement with a second reader: who with whom, and kappa or the like."""


def evaluate(
    predictions: Predictions,
    *,
    options: EvaluationOptions,
    about: About,
    by: Sequence[str] = (),
    audit: Sequence[AuditRow] = (),
    folds: CrossValidation | None = None,
) -> Evaluation:
    """Return all that can be found out about predictions.

    Other sources and second readers are put in with ``dataclasses.replace``.

    Args:
        predictions: Of at least two classes that occur, by a model that has not seen the images.
        options: Resamples, confidence, seed, positive class, bins, smallest subgroup.
        about: What is judged.
        by: Columns that form subgroups; empty for none.
        audit: Rows of a shortcut audit.
        folds: Folds and seeds, if the predictions come from several trainings.

    Raises:
        InputError: No image, only one class, or a class in too few groups.
        OptionError: A column or the positive class is unknown.
    """
    return Evaluation(
        about=about,
        options=options,
        predictions=predictions,
        measured=measure(predictions, options=options),
        classes=by_class(predictions, options=options),
        confusion=confusion_table(predictions),
        reliability=reliability(predictions, options=options),
        temperature=temperature_of(predictions),
        worst=worst_cases(predictions),
        subgroups=subgroups(predictions, options=options, columns=by) if by else (),
        audit=tuple(audit),
        folds=folds,
    )


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """Return every number as plain data, ready for JSON."""
    left_out = ("predictions", "about", "folds")
    return {
        "format": FORMAT,
        "title": evaluation.about.title,
        "facts": plain(evaluation.about.facts),
        "class_names": list(evaluation.predictions.classes),
        **{
            entry.name: plain(getattr(evaluation, entry.name))
            for entry in fields(evaluation)
            if entry.name not in left_out
        },
        "folds": plain(evaluation.folds),
        "limits": plain(limits(evaluation)),
    }


def limits(evaluation: Evaluation) -> tuple[Text, ...]:
    """Return what the numbers do not say."""
    measured = evaluation.measured
    return (
        Text(
            "The scores are of {images} images in {groups} groups. The intervals say how they "
            "would vary with other patients of the same kind, not with other hospitals, devices "
            "or readers.",
            {"images": measured.images, "groups": measured.groups},
        ),
        *_about_groups(measured),
        *(
            Text(
                "There are only {count} images of '{name}'; what is said of it is uncertain.",
                {"count": count, "name": name},
            )
            for name, count in measured.counts
            if 0 < count < FEW_IMAGES
        ),
        *_about_classes(measured),
        Text("The labels are taken as true; wrong labels limit every score."),
        Text(
            "Accuracy, precision and F1 hold for the shares of the classes among these images; "
            "where a finding is rarer, more of the alarms are false."
        ),
        *_about_scope(evaluation),
    )


def _about_groups(measured: Measured) -> tuple[Text, ...]:
    found = []
    if measured.groups == measured.images:
        found.append(
            Text(
                "Every image counts as a patient of its own. If several are of one patient, the "
                "intervals are too narrow."
            )
        )
    if measured.redrawn:
        found.append(
            Text(
                "{count} resamples lacked a class and were drawn anew: a class lies in few "
                "groups, and the intervals are rough.",
                {"count": measured.redrawn},
            )
        )
    return tuple(found)


def _about_classes(measured: Measured) -> tuple[Text, ...]:
    absent = [name for name, count in measured.counts if not count]
    if not absent:
        return ()
    return (
        Text(
            "No image is of {names}; the scores are of the other classes.",
            {"names": ", ".join(absent)},
        ),
    )


def _about_scope(evaluation: Evaluation) -> tuple[Text, ...]:
    found = []
    looks = sum(len(table.subgroups) for table in evaluation.subgroups)
    if looks:
        found.append(
            Text(
                "{count} subgroups were looked at; with so many, some differ by chance.",
                {"count": looks},
            )
        )
    if not evaluation.sources:
        found.append(Text("Images from another source were not judged."))
    if not evaluation.audit:
        found.append(Text("Whether the model uses marks beside the anatomy was not tested."))
    if evaluation.folds:
        found.append(
            Text(
                "The scores are of models that were trained on parts of the images; a model "
                "trained on all of them was not judged itself."
            )
        )
    return tuple(found)
