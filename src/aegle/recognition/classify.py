"""Give a radiograph the class probabilities of a trained model, if the model is made for it."""

from dataclasses import dataclass as plain_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.assessment import ImageClassification
from aegle.domain.errors import InputError, OptionError
from aegle.domain.study import Examination, Projection
from aegle.domain.text import Text
from aegle.options import option

if TYPE_CHECKING:
    from aegle.learning.model import Model

SHIPPED = "radiograph-pneumonia"
"""The model that comes with the package; its card lies beside it."""
NONE = "none"
LATERAL = ("LL", "RL", "LLD", "RLD", "LLO", "RLO")
"""DICOM View Position of radiographs that are not frontal (PS3.3 C.8.1.5)."""

MEASURED = (
    "Measured by cross-validation: {score} {value:.3f} ({low:.3f} to {high:.3f}) on {count} "
    "images; expect less on images from elsewhere."
)
NOT_CLASSIFIED = "{image}: no class was sought: {why}."


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions:
    """Which model says what a radiograph shows."""

    model: Annotated[
        str,
        option(
            "Model of radiographs: radiograph-pneumonia (comes with Aegle), a model's file, or none"
        ),
    ] = SHIPPED


@plain_dataclass(frozen=True)
class Classified:
    """What a model says of the projections of an examination, and of which it says nothing."""

    classifications: tuple[ImageClassification, ...] = ()
    notices: tuple[Text, ...] = ()


def classify(examination: Examination, *, options: ClassifyOptions) -> Classified:
    """Return the class probabilities of every projection that the model is made for.

    Args:
        examination: Its projections are looked at; volumes are not.
        options: Which model.

    Raises:
        OptionError: There is no such model.
        FileError: The model's file is damaged.
    """
    if options.model == NONE or not examination.projections:
        return Classified()
    model = model_of(options)
    made, notices = [], []
    for projection in examination.projections:
        why_not = _why_not(projection, model)
        try:
            if why_not is None:
                made.append(_classified(projection, model))
        except InputError as error:
            why_not = Text("{error}", {"error": str(error).rstrip(".")})
        if why_not is not None:
            notices.append(Text(NOT_CLASSIFIED, {"image": projection.name, "why": why_not}))
    return Classified(tuple(made), tuple(notices))


def model_path(name: str) -> Path:
    """Return the file of a model that comes with the package, or of one that the user names.

    Raises:
        OptionError: There is neither.
    """
    shipped = Path(str(resources.files("aegle.recognition") / "models" / f"{name}.safetensors"))
    if "/" not in name and shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    raise OptionError(
        f"No model '{name}'; give the file of one, '{SHIPPED}' or '{NONE}' as classify.model."
    )


def model_of(options: ClassifyOptions) -> "Model":
    """Return the model that is asked; it is read once.

    Raises:
        OptionError: There is no such model.
        FileError: Its file is damaged.
    """
    return _model(model_path(options.model))


@cache
def _model(path: Path) -> "Model":
    from aegle.learning.model import load

    return load(path)


def _why_not(projection: Projection, model: "Model") -> Text | None:
    """Return why the model has nothing to say of a projection; None if it has."""
    series, facts = projection.series, model.facts
    if facts.modalities and series.modality not in facts.modalities:
        return Text(
            "the model is made for {wanted}, not for {modality} (a picture's modality can be said "
            "with --set files.modality=DX)",
            {"wanted": ", ".join(facts.modalities), "modality": series.modality},
        )
    if facts.body_parts and series.body_part and series.body_part not in facts.body_parts:
        return Text(
            "the model is made for {wanted}, not for {part}",
            {"wanted": ", ".join(facts.body_parts), "part": series.body_part},
        )
    if series.view in LATERAL:
        return Text("the model is made for frontal views")
    if len(projection.image.values) > 1:
        return Text("the model is made for single images, not for series of frames")
    return None


def _classified(projection: Projection, model: "Model") -> ImageClassification:
    from aegle.learning.applicability import not_applicable, outside

    values = model.prepared([projection.image.values[0]])
    (probabilities,) = model.probabilities_of(values)
    (found,) = outside(model, values)
    is_outside = found is not None and found.is_outside
    return ImageClassification(
        image=projection.name,
        model=model.facts.name,
        model_digest=model.digest,
        classes=model.facts.classes,
        probabilities=tuple(float(p) for p in probabilities),
        measured=_measured(model),
        out_of_distribution=found,
        notices=(not_applicable(model.facts.name, found),) if found and is_outside else (),
    )


def _measured(model: "Model") -> Text:
    score = model.facts.measured.get("auc")
    if score is None:
        return Text("How good this model is was not measured.")
    low, high = score["interval"]
    return Text(
        MEASURED,
        {
            "score": "AUC",
            "value": score["value"],
            "low": low,
            "high": high,
            "count": score["count"],
        },
    )
