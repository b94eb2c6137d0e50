"""Which training images a model finds most like a new one.

Images are compared by what the last layer is given, along the directions in which training images
vary most, each measured in its own deviation (as in ``applicability``, which gives directions and
deviations). A model carries the place of every training image, its name and its class: no picture.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.suggestion import Neighbour
from aegle.learning.applicability import Applicability, features_and_logits, of_model
from aegle.learning.model import Model

Numbers = NDArray[np.float64]

KEY = "neighbours"
"""Under which names and classes lie in a model's extras; arrays begin with it."""
SHOWN = 3
"""Neighbours that are shown."""


def kept_with(
    model: Model, values: NDArray[np.uint8], names: Sequence[str], labels: Sequence[int]
) -> Model:
    """Return a model that carries the places of its training images in its file.

    Args:
        model: A classifier that says what it is applicable to.
        values: Prepared training images, shape (image, channel, ...).
        names: One per image.
        labels: Index of the true class, one per image.

    Raises:
        InputError: The model does not say what it is applicable to, or the numbers differ.
    """
    if not len(values) == len(names) == len(labels):
        raise InputError(f"{len(values)} images, {len(names)} names and {len(labels)} classes.")
    places = _places(_known(model), features_and_logits(model, values)[0])
    extras = {KEY: {"names": list(names), "labels": [int(label) for label in labels]}}
    return replace(
        model,
        facts=replace(model.facts, extras={**model.facts.extras, **extras}),
        arrays={**model.arrays, f"{KEY}.places": places.astype(np.float16)},
    )


def nearest(
    model: Model, values: NDArray[np.uint8], count: int = SHOWN
) -> tuple[tuple[Neighbour, ...], ...]:
    """Return for each prepared image the training images most like it, nearest first.

    Nothing where the model's file does not carry them.
    """
    kept = model.facts.extras.get(KEY)
    if not isinstance(kept, dict) or f"{KEY}.places" not in model.arrays:
        return ((),) * len(values)
    places = model.arrays[f"{KEY}.places"].astype(np.float64)
    new = _places(_known(model), features_and_logits(model, values)[0])
    found = []
    for one in new:
        apart = np.sqrt(((places - one) ** 2).mean(axis=1))
        found.append(
            tuple(
                Neighbour(
                    name=kept["names"][at],
                    category=model.facts.classes[kept["labels"][at]],
                    distance=float(apart[at]),
                )
                for at in np.argsort(apart, kind="stable")[:count]
            )
        )
    return tuple(found)


def _known(model: Model) -> Applicability:
    found = of_model(model)
    if found is None:
        raise InputError(
            f"Model '{model.facts.name}' does not say what it is applicable to, so its images have "
            "no places; fit that first."
        )
    return found


def _places(known: Applicability, features: Numbers) -> Numbers:
    along = (features - known.mean) @ known.axes.T.astype(np.float64)
    return np.asarray(along / np.sqrt(known.variances[:-1].astype(np.float64)))
