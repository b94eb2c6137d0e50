"""Models that say what is odd: learn from normal images, judge, and use.

The first class of the data is the normal one; images of other classes, or the held-out ones, only
judge.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aegle import catalogue
from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import measure
from aegle.evaluation.drawing import Picture, thumbnail
from aegle.learning.anomaly import (
    LIMIT,
    POSITION_LIMIT,
    Scores,
    bank_model,
    fit_bank,
    scores_of,
)
from aegle.learning.model import Model, ModelFacts
from aegle.learning.prepared import PreparedSet
from aegle.learning.transfer import start
from aegle.workflow.learning.building import normalisation
from aegle.workflow.learning.gallery import gallery
from aegle.workflow.learning.judging import numbers_of, rows_of
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Done, write_json, write_table, write_text

if TYPE_CHECKING:
    from aegle.workflow.case_folder import CaseFolder
    from aegle.workflow.learning.materials import Fitted, Materials
    from aegle.workflow.learning.plan import Part
    from aegle.workflow.learning.predicting import Subject

NORMAL = 0
"""Index of the class that is learned from."""
CHANNELS = 3
ODD = "odd"
"""What every other class is called, where there are several."""
MOST_MAPS = 200
"""Images, the oddest first, of which a map is drawn."""
HEAT = np.array((230.0, 60.0, 20.0))
"""Red, green and blue of what is odd."""
STRONGEST = 0.65
"""Share of that colour where a map reaches its limit."""


def remembered(
    prepared: PreparedSet, where: NDArray[np.int64], recipe: Recipe, cache: Path
) -> Model:
    """Return a memory of the normal images among some.

    Args:
        prepared: All images.
        where: Indices of those that may be learned from; images of other classes are passed over.
        recipe: Names the weights of the frozen network, and how the memory is made.
        cache: Folder for downloaded weights.

    Raises:
        OptionError: No weights are named.
        InputError: There are no normal images, or they are of one group.
    """
    if not recipe.transfer.weights:
        raise OptionError(
            "A memory of normal images needs a network that was trained on other images; name its "
            "weights in transfer.weights."
        )
    normal = where[prepared.labels[where] <= NORMAL]
    if not len(normal):
        raise InputError(
            f"None of {len(where)} training images is of the normal class "
            f"'{prepared.classes[NORMAL]}', the first of data.classes; name it first."
        )
    backbone = catalogue.load("network", "mobilenet-v2")(classes=1000, batch_norm=False)
    start(backbone, recipe.transfer, cache)
    values = np.array(prepared.values[normal])
    mean, deviation = normalisation(recipe, values, CHANNELS)
    facts = ModelFacts(
        name=recipe.model.name,
        task="anomaly",
        network="memory-bank",
        classes=prepared.classes,
        preparation=recipe.prepare,
        channels=CHANNELS,
        mean=mean,
        deviation=deviation,
    )
    groups = prepared.groups
    fitted = fit_bank(
        backbone,
        values,
        groups=tuple(groups[place] for place in normal),
        facts=facts,
        options=recipe.bank,
    )
    return bank_model(fitted, facts)


def judge_anomalies(materials: "Materials", fitted: "Fitted", part: "Part") -> Done:
    """Judge on images that the memory was not made from, and write everything about it.

    With images of one class only, or of none, shares above the limit are written without scores.
    """
    where = materials.where(part.judged)
    prepared, folder = materials.prepared, materials.folder
    scores = scores_of(fitted.model, np.array(prepared.values[where]))
    names = tuple(prepared.samples[place].name for place in where)
    rows = score_rows(fitted.model, names, scores)
    labels = prepared.labels[where]
    truth = [prepared.classes[label] if label >= 0 else "" for label in labels]
    table = [{**row, "truth": said} for row, said in zip(rows, truth, strict=True)]
    limit = float(fitted.model.facts.extras[LIMIT])
    numbers: dict[str, Any] = {
        "limit": limit,
        "above_limit": {
            name: float((scores.images[np.array(truth) == name] > limit).mean())
            for name in sorted(set(truth))
        },
    }
    shown: list[dict[str, str]] = []
    if labels.min() == NORMAL < labels.max():
        measured = measure(
            as_predictions(prepared, where, scores, limit),
            options=replace(materials.plan.recipe.evaluate, positive=""),
            names=("auc", "average_precision", "balanced_accuracy"),
        )
        numbers |= numbers_of(measured)
        shown = rows_of(measured)
    else:
        numbers |= {"scores": {}, "images": len(where)}
    files = {
        "scores": write_json(folder, "scores.json", numbers),
        "table": write_table(folder, "scores.csv", table),
    }
    return Done(folder=folder.root, files=files, numbers=numbers, rows=shown)


def as_predictions(
    prepared: PreparedSet, where: NDArray[np.int64], scores: Scores, limit: float
) -> Predictions:
    """Return scores as probabilities of being odd that keep their order; the limit becomes 1/2."""
    samples = [prepared.samples[place] for place in where]
    groups = prepared.groups
    other = prepared.classes[1] if len(prepared.classes) == 2 else ODD
    odd = scores.images / (scores.images + limit)
    return Predictions(
        classes=(prepared.classes[NORMAL], other),
        names=tuple(sample.name for sample in samples),
        truth=np.minimum(prepared.labels[where], 1),
        probabilities=np.stack([1 - odd, odd], axis=1),
        groups=tuple(groups[place] for place in where),
    )


def say_odd(subject: "Subject") -> Done:
    """Write how odd images are, as table and data, and where, as pictures on a page."""
    facts = subject.model.facts
    scores = scores_of(subject.model, subject.values)
    rows = score_rows(subject.model, subject.names, scores)
    order = np.argsort(-scores.images, kind="stable")[:MOST_MAPS]
    limit = float(facts.extras[POSITION_LIMIT])
    pictures = [
        heat_picture(
            subject.values[place],
            scores.maps[place],
            limit,
            f"{subject.names[place]}: {scores.images[place]:.2f}",
        )
        for place in order
    ]
    numbers = {
        "model": facts.name,
        "model_digest": subject.model.digest,
        "failed": list(subject.failed),
        "limit": float(facts.extras[LIMIT]),
        "images": rows,
    }
    title = f"What is odd to {facts.name} in {len(rows)} images, the oddest first"
    files = {
        "scores": write_table(subject.folder, "scores.csv", rows),
        "data": write_json(subject.folder, "scores.json", numbers),
        "maps": _write_maps(subject.folder, [int(place) for place in order], pictures),
        "page": write_text(subject.folder, "odd.html", gallery(title, pictures)),
    }
    notices: tuple[str, ...] = ()
    if len(rows) > MOST_MAPS:
        notices = (f"Maps were drawn of the {MOST_MAPS} oddest of {len(rows)} images.",)
    return Done(
        folder=subject.folder.root, files=files, numbers=numbers, rows=rows[:20], notices=notices
    )


def score_rows(model: Model, names: tuple[str, ...], scores: Scores) -> list[dict[str, str]]:
    """Return one row per image: name, score, limit, and whether the score is above it."""
    limit = float(model.facts.extras[LIMIT])
    return [
        {
            "name": name,
            "score": f"{score:.6f}",
            "limit": f"{limit:.6f}",
            "above": "yes" if score > limit else "no",
        }
        for name, score in zip(names, scores.images, strict=True)
    ]


def heat_picture(
    image: NDArray[np.uint8], odd: NDArray[np.float32], limit: float, caption: str
) -> Picture:
    """Return a prepared image with what is odd coloured: from usual, 1, to the limit and above.

    Args:
        image: 0 to 255, shape (channel, row, column).
        odd: Map of the same rows and columns.
        limit: Value of the map at which the colour is strongest.
        caption: What stands below.
    """
    strength = STRONGEST * np.clip((odd - 1) / max(limit - 1, 1e-6), 0, 1)[..., None]
    grey = image.mean(axis=0, dtype=np.float32)[..., None]
    mixed = (1 - strength) * grey + strength * HEAT
    return thumbnail(np.rint(mixed).astype(np.uint8), f"Map of {caption}", caption)


def _write_maps(folder: "CaseFolder", places: list[int], pictures: list[Picture]) -> Path:
    """Write maps under the numbers of their images, from 1 on; a folder whole or not at all."""
    root = folder.root / "maps"
    with folder.replacing(root) as part:
        part.mkdir()
        for place, picture in zip(places, pictures, strict=True):
            (part / f"{place + 1:05d}.png").write_bytes(picture.data)
    return root
