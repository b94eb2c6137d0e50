"""What speaks for the class that a model gives an image: set, map, and images most like it."""

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aegle.diagnosis.explain.maps import DEFAULT, explain
from aegle.diagnosis.explain.trust import measured_of, trust
from aegle.diagnosis.prediction_sets import KEY, prediction_set
from aegle.domain.assessment import HeatMap, ImageClassification
from aegle.domain.errors import InputError
from aegle.domain.study import Examination
from aegle.learning.model import Model, normalised
from aegle.learning.neighbours import nearest

FOLDER = "evidence"


def with_evidence(
    said: ImageClassification, visit: Examination, number: int, model: Model
) -> ImageClassification:
    """Return what a model said of a projection, with all that speaks for it.

    Args:
        said: Its probabilities.
        visit: The examination that has the projection.
        number: Of the visit, from 1; part of the map's file name.
        model: The model that said it.

    Returns:
        The same where the image is unlike those that the model was trained on: what it says does
        not count, so there is nothing to explain.
    """
    outside = said.out_of_distribution
    if outside is not None and outside.is_outside:
        return said
    projection = next(p for p in visit.projections if p.name == said.image)
    values = model.prepared([projection.image.values[0]])
    facts = {"sex": visit.patient.sex, "view": projection.series.view}
    return replace(
        said,
        prediction_set=prediction_set(model.facts.extras.get(KEY), said.probabilities, facts),
        heat_map=_map(said, values, model, file_name(number, said.image)),
        neighbours=nearest(model, values)[0],
    )


def file_name(number: int, image: str) -> str:
    """Return where the map of an image lies within the case folder."""
    return f"{FOLDER}/visit-{number}-{re.sub(r'[^a-z0-9]+', '-', image.lower()).strip('-')}.png"


def _map(
    said: ImageClassification, values: NDArray[np.uint8], model: Model, file: str
) -> HeatMap | None:
    wanted = np.array([said.classes.index(said.likeliest)])
    try:
        (found,) = explain(model.network, normalised(values, model.facts), wanted, DEFAULT)
    except InputError:
        # A network without positions has no map; its other evidence stays.
        return None
    largest = max(float(found.max()), np.finfo(np.float64).tiny)
    measured = measured_of(model, DEFAULT)
    return HeatMap(
        category=said.likeliest,
        method=DEFAULT,
        seen=values[0].mean(axis=0).round().astype(np.uint8),
        share=np.round(255 * found / largest).astype(np.uint8),
        file=file,
        trust=trust(model, DEFAULT),
        score=None if measured is None else float(measured["precision"]),
        chance=None if measured is None else float(measured["chance"]),
    )
