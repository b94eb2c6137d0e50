"""How far the maps of a model can be trusted, by the audit that its file carries."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from aegle.diagnosis.explain.audit import BASELINES, MapScores
from aegle.domain.text import Text
from aegle.learning.model import Model

KEY = "explanations"
"""Under which an audit lies in a model's extras."""
NOT_MEASURED = "How far this map can be trusted was not measured for this model."
MEASURED = (
    "On {images} images of {data} with outlined findings this map's highest value lay on the "
    "finding in {hit:.0f} %; area under precision and recall {precision:.2f} (chance {chance:.2f})."
)
WEAK = "{measured} That is little: such a map is no evidence by itself."
LEAST_HIT = 0.5
"""Share of hits below which a map is called weak."""


def kept_with(model: Model, found: Sequence[MapScores], data: str) -> Model:
    """Return a model that carries what an audit on ``data`` measured."""
    measured = {
        one.method: {k: v if v == v else None for k, v in asdict(one).items()} | {"data": data}
        for one in found
        if one.method not in BASELINES
    }
    extras = {**model.facts.extras, KEY: measured}
    return replace(model, facts=replace(model.facts, extras=extras))


def measured_of(model: Model, method: str) -> Mapping[str, Any] | None:
    """Return what an audit measured of a method; None if the model carries nothing of it."""
    found = model.facts.extras.get(KEY, {}).get(method)
    return found if isinstance(found, dict) else None


def trust(model: Model, method: str) -> Text:
    """Return in words how far the map of a method can be trusted."""
    found = measured_of(model, method)
    if found is None:
        return Text(NOT_MEASURED)
    said = Text(
        MEASURED,
        {
            "images": found["images"],
            "data": found["data"],
            "hit": 100 * found["hit"],
            "precision": found["precision"],
            "chance": found["chance"],
        },
    )
    return Text(WEAK, {"measured": said}) if found["hit"] < LEAST_HIT else said
