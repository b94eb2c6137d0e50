"""Autoencoders: how they start, how well they draw, and what their codes are good for."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aegle.evaluation.drawing import Picture, chart, finish, picture_of, thumbnail
from aegle.evaluation.table import figure, interval
from aegle.learning.assignment import Loss
from aegle.learning.batches import normalise, scaled
from aegle.learning.codes import CodeMap, map_of, nearest
from aegle.learning.losses import reconstruction_loss, variational_loss
from aegle.learning.model import Model, ModelFacts
from aegle.learning.networks.autoencoders import NarrowAutoencoder, VariationalAutoencoder
from aegle.learning.reconstruction_error import ErrorOptions, by_components, scores_between
from aegle.learning.schedule import Group
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Done, write_json, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from aegle.workflow.case_folder import CaseFolder
    from aegle.workflow.learning.materials import Fitted, Materials
    from aegle.workflow.learning.plan import Part
    from aegle.workflow.learning.predicting import Subject

SHOWN = 8
"""Images that are shown beside their drawings."""
LOOK_ALIKES = 5
MOST_VALUES = 2**24
"""Pixels of the training images up to which principal components are fitted beside."""
DRAWN_SIDE = 1600
"""Largest side of the picture of drawings [pixel]."""
LABELS = {
    "mean_squared_error": "mean squared error",
    "structural_similarity": "structural similarity",
    "components_mean_squared_error": "principal components of equal code, mean squared error",
}


def begun(
    network: nn.Module, values: NDArray[np.uint8], facts: ModelFacts
) -> tuple[Group, ...] | None:
    """Start a narrow autoencoder as principal components; return the rates of its parameters.

    Args:
        network: Of any kind; others than narrow autoencoders stay as they are.
        values: Prepared training images.
        facts: How they are normalised.

    Returns:
        Parameters with their share of the rate; None for all at the full rate.
    """
    if not isinstance(network, NarrowAutoencoder):
        return None
    images = normalise(scaled(values), facts.mean, facts.deviation)
    network.start_from(images)
    return network.groups()


def drawing_loss(network: nn.Module, recipe: Recipe) -> Loss:
    """Return what training makes small: squared error, with the divergence where codes vary."""
    if isinstance(network, VariationalAutoencoder):
        return variational_loss(recipe.model.divergence)
    return reconstruction_loss(recipe.model.noise)


def judge_drawings(materials: "Materials", fitted: "Fitted", part: "Part") -> Done:
    """Judge how well images are drawn that were not trained on, and write everything about it."""
    prepared, folder = materials.prepared, materials.folder
    where = materials.where(part.judged)
    values = np.array(prepared.values[where])
    drawn = fitted.model.reconstruct_of(values)
    groups = [prepared.groups[place] for place in where]
    code = fitted.model.encode_of(values[:1]).shape[1]
    each = {
        "mean_squared_error": _squared(values, drawn),
        "structural_similarity": 1
        - scores_between(values, drawn, options=ErrorOptions(measure="structure")).images,
    }
    training = materials.where((*part.training, *part.tuning))
    if code < len(training) and training.size * values[0].size <= MOST_VALUES:
        components = by_components(np.array(prepared.values[training]), code)
        each["components_mean_squared_error"] = _squared(values, components(values))
    scores = {name: mean_with_interval(found, groups) for name, found in each.items()}
    numbers: dict[str, Any] = {"scores": scores, "images": len(where), "code_values": int(code)}
    rows = [
        {
            "name": prepared.samples[place].name,
            **{name: f"{found[number]:.8f}" for name, found in each.items()},
        }
        for number, place in enumerate(where)
    ]
    files = {
        "scores": write_json(folder, "scores.json", numbers),
        "table": write_table(folder, "errors.csv", rows),
        "drawings": _write_picture(folder, "reconstructions.png", side_by_side(values, drawn)),
    }
    shown = [
        {
            "score": LABELS[name],
            "value": figure(score["value"]),
            "95% interval": interval(score["low"], score["high"]),
        }
        for name, score in scores.items()
    ]
    return Done(folder=folder.root, files=files, numbers=numbers, rows=shown)


def say_codes(subject: "Subject") -> Done:
    """Write the codes of images, their map, each image's look-alikes, and drawings."""
    model, values, folder = subject.model, subject.values, subject.folder
    codes = model.encode_of(values)
    drawn = model.reconstruct_of(values[:SHOWN])
    files = {
        "codes": _write_codes(folder, codes),
        "drawings": _write_picture(
            folder, "reconstructions.png", side_by_side(values[:SHOWN], drawn)
        ),
    }
    rows = _look_alikes(subject.names, codes)
    if rows:
        files["neighbours"] = write_table(folder, "neighbours.csv", rows)
    notices: tuple[str, ...] = ()
    if len(codes) > 2 and codes.shape[1] > 1:
        made = map_of(codes)
        files["map"] = _write_picture(folder, "map.png", map_picture(made, codes))
    else:
        notices = (f"{len(codes)} image(s) make no map; give three or more.",)
    numbers = {
        "model": model.facts.name,
        "model_digest": model.digest,
        "failed": list(subject.failed),
        "names": list(subject.names),
        "code_values": int(codes.shape[1]),
        "mean_squared_error": float(_squared(values, _drawn(model, values)).mean()),
    }
    files["data"] = write_json(folder, "codes.json", numbers)
    return Done(folder=folder.root, files=files, numbers=numbers, rows=rows[:20], notices=notices)


def side_by_side(values: NDArray[np.uint8], drawn: NDArray[np.float32]) -> Picture:
    """Return some images above their drawings as one picture."""
    above = values[:SHOWN].mean(axis=1)
    below = 255 * drawn[:SHOWN].mean(axis=1).clip(0, 1)
    rows = [np.concatenate(list(row), axis=1) for row in (above, below)]
    pixels = np.rint(np.concatenate(rows)).astype(np.uint8)
    words = f"{len(above)} images above, and as they are drawn from their codes below"
    return thumbnail(pixels, words, words, side=DRAWN_SIDE)


def map_picture(made: CodeMap, codes: NDArray[np.float32]) -> Picture:
    """Return the map of a cohort as a picture, one point per image."""
    figure_, axes = chart()
    places = made.place(codes)
    axes.scatter(places[:, 0], places[:, 1], s=12, color="#0072b2", alpha=0.6, linewidths=0)
    one, two = (f"component {n + 1} ({made.explained[n]:.0%} of the variance)" for n in (0, 1))
    finish(axes, one, two)
    return picture_of(figure_, f"Map of {len(codes)} images by their codes")


def mean_with_interval(
    values: NDArray[np.float64], groups: list[str], *, resamples: int = 2000
) -> dict[str, float]:
    """Return a mean over images with the 95 % interval of a bootstrap by group.

    Args:
        values: One per image.
        groups: What belongs together, one per image.
        resamples: How often groups are drawn.
    """
    names, places = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    totals, counts = np.bincount(places, values), np.bincount(places)
    draws = np.random.default_rng(0).multinomial(
        len(names), np.full(len(names), 1 / len(names)), resamples
    )
    low, high = np.percentile((draws @ totals) / (draws @ counts), [2.5, 97.5])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def _squared(values: NDArray[np.uint8], drawn: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean squared error of each image, values in [0, 1]."""
    error = (values.astype(np.float64) / 255 - drawn) ** 2
    each: NDArray[np.float64] = error.reshape(len(error), -1).mean(axis=1)
    return each


def _drawn(model: Model, values: NDArray[np.uint8]) -> NDArray[np.float32]:
    return model.reconstruct_of(values)


def _look_alikes(names: tuple[str, ...], codes: NDArray[np.float32]) -> list[dict[str, str]]:
    """Return a row per image and look-alike, nearest first; none for a single image."""
    if len(codes) < 2:
        return []
    found = nearest(codes, count=LOOK_ALIKES)
    return [
        {
            "name": name,
            "rank": str(rank + 1),
            "neighbour": names[other],
            "distance": f"{found.distances[place, rank]:.6f}",
        }
        for place, name in enumerate(names)
        for rank, other in enumerate(found.indices[place])
    ]


def _write_codes(folder: "CaseFolder", codes: NDArray[np.float32]) -> "Path":
    with folder.replacing(folder.root / "codes.npy") as part, part.open("wb") as file:
        np.save(file, codes, allow_pickle=False)
    return folder.root / "codes.npy"


def _write_picture(folder: "CaseFolder", name: str, picture: Picture) -> "Path":
    with folder.replacing(folder.root / name) as part:
        part.write_bytes(picture.data)
    return folder.root / name
