"""Use a model on images whose class is not known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.diagnosis.ensemble import EnsembleAnswer, together
from aegle.domain.errors import InputError
from aegle.evaluation.drawing import Picture, thumbnail
from aegle.learning import applicability
from aegle.learning.model import Model, ModelFacts, load
from aegle.learning.prepared import PreparedSet, UnusableImagesError, prepare_all
from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning import box_predicting, outline_predicting
from aegle.workflow.learning.anomaly import say_odd
from aegle.workflow.learning.autoencoding import say_codes
from aegle.workflow.learning.gallery import gallery
from aegle.workflow.learning.judging import probability_columns
from aegle.workflow.learning.recipe import DETECTS, OUTLINES
from aegle.workflow.learning.run_folder import (
    Announce,
    Done,
    Step,
    opened,
    require_no_training,
    unannounced,
    write_json,
    write_table,
    write_text,
)
from aegle.workflow.learning.unlabelled import images_at

MOST_SHOWN = 200
"""Images that a page shows."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """Images ready for a model."""

    model: Model
    names: tuple[str, ...]
    values: NDArray[np.uint8]
    """Prepared, shape (image, channel, ...)."""
    failed: tuple[str, ...] = ()
    """Why other images cannot be used."""
    folder: CaseFolder
    others: tuple[Model, ...] = ()
    """Other trainings of the model; what all say together counts."""


def run(
    model: Path,
    path: Path,
    out: Path,
    *,
    now: datetime,
    others: Sequence[Path] = (),
    announce: Announce | None = None,
) -> Done:
    """Use a model on images; what is written depends on its task.

    Args:
        model: Model file.
        path: Images.
        out: Folder for the results.
        now: Time stamp on DICOM files that are written.
        others: Model files of other trainings for the same classes, for an ensemble.
        announce: Told of each step before it starts.

    An image that cannot be used is named and does not stop the others.

    Raises:
        FileError: The model is damaged.
        InputError: The images are of another kind than the model is made for, none can be used,
            or models of an ensemble differ in more than their weights.
        OptionError: The folder holds something else.
    """
    told = announce or unannounced
    loaded = load(model)
    members = tuple(_member(load(other), other, loaded) for other in others)
    if loaded.facts.task in OUTLINES:
        return outline_predicting.run(loaded, path, out, now=now, announce=told)
    if loaded.facts.task in DETECTS:
        return box_predicting.run(loaded, path, out, announce=told)
    if loaded.facts.task not in PREDICTIONS:
        raise InputError(
            f"{model}: models for '{loaded.facts.task}' cannot be used yet; known: "
            f"{', '.join(PREDICTIONS)}."
        )
    given = images_at(path, loaded.facts, progress=told(Step("read"), False))
    require_no_training(out)
    with opened(out) as folder:
        prepared, failed = _prepared(given.samples, loaded.facts, folder, told)
        subject = Subject(
            model=loaded,
            names=tuple(sample.name for sample in prepared.samples),
            values=np.array(prepared.values),
            failed=failed,
            folder=folder,
            others=members,
        )
        told(Step("predict"), False)
        done = PREDICTIONS[loaded.facts.task](subject)
        left_out = tuple(f"Left out: {why}." for why in failed)
        return replace(done, notices=(*left_out, *done.notices))


def _member(other: Model, path: Path, first: Model) -> Model:
    """Return another training, if it fits."""
    if first.facts.task != "classify":
        raise InputError(
            f"An ensemble is made of classifiers; '{first.facts.name}' is for "
            f"'{first.facts.task}'. Leave out the other models."
        )
    for name in ("task", "classes", "preparation", "channels"):
        ours, theirs = (getattr(model.facts, name) for model in (first, other))
        if ours != theirs:
            raise InputError(
                f"{path}: its {name} is {theirs}, that of '{first.facts.name}' is {ours}; an "
                "ensemble is made of trainings of one recipe."
            )
    return other


def _prepared(
    samples: SampleSet, facts: ModelFacts, folder: CaseFolder, told: Announce
) -> tuple[PreparedSet, tuple[str, ...]]:
    """Return the images that can be used, prepared, and why others cannot be.

    Raises:
        UnusableImagesError: None can be used.
    """

    def of(some: SampleSet) -> PreparedSet:
        return prepare_all(
            some,
            folder.root / "cache",
            options=facts.preparation,
            progress=told(Step(f"prepare {len(some.samples)} images"), False),
        )

    try:
        return of(samples), ()
    except UnusableImagesError as error:
        usable = tuple(one for one in samples.samples if one.name not in error.reasons)
        if not usable:
            raise
        return of(samples.subset(usable)), tuple(error.reasons.values())


def say_classes(subject: Subject) -> Done:
    """Write the class probabilities of images as table, data and page."""
    facts = subject.model.facts
    models = (subject.model, *subject.others)
    members = np.stack([model.probabilities_of(subject.values) for model in models])
    joined = together(members) if subject.others else None
    probabilities = members[0] if joined is None else joined.probabilities
    likeliest = probabilities.argmax(axis=1)
    reasons = applicability.notices(subject.model, subject.values)
    is_known = applicability.KEY in facts.extras
    rows = [
        {"name": name, "likeliest": facts.classes[int(likeliest[place])]}
        | probability_columns(facts.classes, probabilities[place])
        | ({"not_applicable": str(reasons[place] or "")} if is_known else {})
        | {key: f"{value:.4f}" for key, value in _agreement(joined, place).items()}
        for place, name in enumerate(subject.names)
    ]
    numbers: dict[str, Any] = {
        "model": facts.name,
        "model_digest": subject.model.digest,
        "others": [{"name": m.facts.name, "digest": m.digest} for m in subject.others],
        "failed": list(subject.failed),
        "classes": list(facts.classes),
        "images": [
            {
                "name": name,
                "likeliest": facts.classes[int(likeliest[place])],
                "probabilities": [round(float(p), 6) for p in probabilities[place]],
            }
            | ({"not_applicable": str(reasons[place] or "")} if is_known else {})
            | _agreement(joined, place)
            for place, name in enumerate(subject.names)
        ],
    }
    pictures = [
        _picture(subject, place, _words(rows[place], probabilities[place].max()))
        for place in range(min(len(rows), MOST_SHOWN))
    ]
    title = f"What {facts.name} says of {len(rows)} images"
    files = {
        "predictions": write_table(subject.folder, "predictions.csv", rows),
        "data": write_json(subject.folder, "predictions.json", numbers),
        "page": write_text(subject.folder, "predictions.html", gallery(title, pictures)),
    }
    told = tuple(f"{name}: {why}" for name, why in zip(subject.names, reasons, strict=True) if why)
    return Done(
        folder=subject.folder.root, files=files, numbers=numbers, rows=rows[:20], notices=told
    )


def _agreement(joined: EnsembleAnswer | None, place: int) -> dict[str, float]:
    """Return how far the members of an ensemble agree on an image."""
    if joined is None:
        return {}
    return {
        "votes": round(float(joined.votes[place]), 4),
        "disagreement": round(float(joined.disagreement[place]), 4),
    }


def _words(row: Mapping[str, str], probability: float) -> str:
    said = f"{row['likeliest']} {probability:.0%}"
    return f"{said}. {row['not_applicable']}" if row.get("not_applicable") else said


def _picture(subject: Subject, place: int, words: str) -> Picture:
    name = subject.names[place]
    return thumbnail(subject.values[place], f"Image {name}", f"{name}: {words}")


PREDICTIONS: Mapping[str, Callable[[Subject], Done]] = {
    "classify": say_classes,
    "reconstruct": say_codes,
    "anomaly": say_odd,
}
"""By the task of a model: writes what it says of images."""
