"""A recipe: all that is to be decided before a model is trained, in sections of a TOML file.

Paths in a recipe are relative to its file; paths given on the command line or in Python are
relative to the working folder.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from aegle.domain.errors import OptionError
from aegle.options import option, read, schema
from aegle.workflow.settings import Sections, changed, from_toml

if TYPE_CHECKING:
    from aegle.evaluation.options import EvaluationOptions
    from aegle.learning.anomaly import BankOptions
    from aegle.learning.assignment import TrainingOptions
    from aegle.learning.augmentation import AugmentationOptions
    from aegle.learning.dense.augmentation import DenseAugmentOptions
    from aegle.learning.dense.configure import OutlineOptions
    from aegle.learning.dense.inference import InferenceOptions
    from aegle.learning.detection.configure import DetectionOptions
    from aegle.learning.detection.source import BoxAugmentOptions
    from aegle.learning.gate import GateOptions
    from aegle.learning.preparation import PreparationOptions
    from aegle.learning.reading_samples import DataOptions
    from aegle.learning.transfer import TransferOptions


OUTLINES = ("segment", "instances")
"""Tasks that give every pixel or voxel a class or an object."""
DETECTS = ("detect",)
"""Tasks that find objects by their boxes."""
CONFIGURED = (*OUTLINES, *DETECTS)
"""Tasks that configure themselves from the images and the memory."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What the model is for, and what must be said of it."""

    name: Annotated[str, option("Name with version; empty for the name of the recipe's file")] = ""
    task: Annotated[
        Literal["classify", "reconstruct", "anomaly", "segment", "instances", "detect"],
        option(
            "Tell classes apart; encode and reconstruct; find what is odd; outline classes in "
            "pictures or volumes; outline small round objects one by one; find objects by boxes"
        ),
    ] = "classify"
    modalities: Annotated[
        tuple[str, ...], option("DICOM modalities that it is made for; empty for any")
    ] = ()
    body_parts: Annotated[
        tuple[str, ...], option("DICOM body parts that it is made for; empty for any")
    ] = ()
    licence: Annotated[str, option("Licence of the weights")] = ""
    trained_on: Annotated[tuple[str, ...], option("Data sets, each with its citation")] = ()
    half: Annotated[
        bool, option("Store the weights in half precision: half the size, three digits each")
    ] = False
    flips: Annotated[bool, option("Take the mean of each image and its mirror image")] = False
    noise: Annotated[
        float,
        option(
            "For reconstruct: standard deviation of what is added to the images that the network "
            "sees, on the scale of the normalised images",
            ge=0,
            le=10,
        ),
    ] = 0.0
    divergence: Annotated[
        float,
        option("For variational autoencoders: weight of the divergence of the codes", ge=0),
    ] = 0.1


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which network is trained."""

    name: Annotated[str, option("Name in the catalogue, kind network")] = "small-cnn"
    settings: Annotated[dict[str, Any], option("What the network is built with")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class NormaliseOptions:
    """How values in [0, 1] are centred and scaled before they enter the network."""

    mean: Annotated[
        tuple[float, ...],
        option(
            "Subtracted, per channel; empty for ImageNet's if weights are given, else that of the "
            "training images"
        ),
    ] = ()
    deviation: Annotated[tuple[float, ...], option("Divided by, per channel; empty as above")] = ()


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """On what a model is judged, and against what."""

    how: Annotated[
        Literal["data", "folds", "holdout"],
        option(
            "data: the split that the data name; folds: equal parts by group and class; holdout: "
            "one part of a given share"
        ),
    ] = "data"
    folds: Annotated[int, option("Parts of cross-validation", ge=2, le=100)] = 5
    share: Annotated[float, option("Share of the images held out", gt=0, lt=1)] = 0.2
    tune: Annotated[
        float,
        option(
            "Share of the training images that chooses the epoch and the temperature, where the "
            "data do not name such images; 0: the last epoch counts",
            ge=0,
            lt=1,
        ),
    ] = 0.1
    split_seed: Annotated[int, option("Start of the randomness of the split", ge=0)] = 0
    seeds: Annotated[
        tuple[int, ...],
        option("Starts of the randomness of training; cross-validation trains with each"),
    ] = (0,)
    by: Annotated[
        tuple[str, ...], option("Columns of the manifest by which subgroups are judged too")
    ] = ()
    baseline: Annotated[
        str,
        option(
            "File of weights: their frozen features with logistic regression are judged on the "
            "same folds; empty for none"
        ),
    ] = ""
    baseline_network: Annotated[str, option("Network of the baseline's weights")] = "mobilenet-v2"
    final: Annotated[
        bool, option("After cross-validation, train the model that is kept on all images")
    ] = False
    label_shares: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        option("Shares of the labels with which training is repeated, above 0; empty for none"),
    ] = ()
    scratch_shares: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        option("Shares with which it is repeated from scratch too, without the given weights"),
    ] = ()


_KINDS = {
    "model": "aegle.workflow.learning.recipe.ModelOptions",
    "data": "aegle.learning.reading_samples.DataOptions",
    "gate": "aegle.learning.gate.GateOptions",
    "prepare": "aegle.learning.preparation.PreparationOptions",
    "normalise": "aegle.workflow.learning.recipe.NormaliseOptions",
    "network": "aegle.workflow.learning.recipe.NetworkOptions",
    "transfer": "aegle.learning.transfer.TransferOptions",
    "augment": "aegle.learning.augmentation.AugmentationOptions",
    "train": "aegle.learning.assignment.TrainingOptions",
    "bank": "aegle.learning.anomaly.BankOptions",
    "outline": "aegle.learning.dense.configure.OutlineOptions",
    "deform": "aegle.learning.dense.augmentation.DenseAugmentOptions",
    "infer": "aegle.learning.dense.inference.InferenceOptions",
    "box_augment": "aegle.learning.detection.source.BoxAugmentOptions",
    "detect": "aegle.learning.detection.configure.DetectionOptions",
    "validate": "aegle.workflow.learning.recipe.ValidateOptions",
    "evaluate": "aegle.evaluation.options.EvaluationOptions",
}
SECTIONS = tuple(_KINDS)
"""Names of the sections, in the order in which they are used."""
PATHS = (("data", "path"), ("transfer", "weights"), ("validate", "baseline"))
"""Options that name files."""
_HINT = "Write a table for each section; docs/reference/recipe.md lists them."


@cache
def kind_of(section: str) -> type[Any]:
    """Return the options class of a section; its module is imported when first asked for.

    Raises:
        OptionError: There is no such section.
    """
    if section not in _KINDS:
        raise OptionError(f"Unknown section '{section}' of a recipe; known: {', '.join(SECTIONS)}.")
    module, _, name = _KINDS[section].rpartition(".")
    kind: type[Any] = getattr(import_module(module), name)
    return kind


def _default(section: str) -> Callable[[], Any]:
    return lambda: kind_of(section)()


@plain_dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every decision before training."""

    data: "DataOptions"
    model: ModelOptions = field(default_factory=ModelOptions)
    gate: "GateOptions" = field(default_factory=_default("gate"))
    prepare: "PreparationOptions" = field(default_factory=_default("prepare"))
    normalise: NormaliseOptions = field(default_factory=NormaliseOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    transfer: "TransferOptions" = field(default_factory=_default("transfer"))
    augment: "AugmentationOptions" = field(default_factory=_default("augment"))
    train: "TrainingOptions" = field(default_factory=_default("train"))
    bank: "BankOptions" = field(default_factory=_default("bank"))
    outline: "OutlineOptions" = field(default_factory=_default("outline"))
    deform: "DenseAugmentOptions" = field(default_factory=_default("deform"))
    infer: "InferenceOptions" = field(default_factory=_default("infer"))
    box_augment: "BoxAugmentOptions" = field(default_factory=_default("box_augment"))
    detect: "DetectionOptions" = field(default_factory=_default("detect"))
    validate: ValidateOptions = field(default_factory=ValidateOptions)
    evaluate: "EvaluationOptions" = field(default_factory=_default("evaluate"))


def read_recipe(
    source: str | Path | Mapping[str, Any], settings: str | Iterable[str] = ()
) -> Recipe:
    """Build a recipe from a TOML file or a mapping of sections, and settings put over it.

    Args:
        source: TOML file; folder, manifest, zip or archive of images; or sections by name, each
            a mapping or its options class.
        settings: ``section.option=value``, one or several.

    Raises:
        OptionError: The file cannot be read, a section or option is unknown, a value is out of
            bounds, or no data are named.
    """
    found, folder, name = _found(source)
    values = _resolved(changed(_resolved(found, folder), settings, kind_of), Path())
    _require_data(values, source)
    model = values.setdefault("model", {})
    model["name"] = model.get("name") or name
    return Recipe(
        **{section: read(kind_of(section), v, section=section) for section, v in values.items()}
    )


def _found(source: str | Path | Mapping[str, Any]) -> tuple[Sections, Path, str]:
    """Return sections, the folder that their paths start from, and a name for the model."""
    if isinstance(source, Mapping):
        return _plain(source), Path(), "model"
    file = Path(source)
    if file.suffix.lower() != ".toml":
        return {"data": {"path": str(file)}}, Path(), file.stem
    return _plain(from_toml(file, _HINT)), file.parent, file.stem


def plain(recipe: Recipe) -> Sections:
    """Return every option of a recipe as plain data, by section."""
    return {
        section: TypeAdapter(kind_of(section)).dump_python(getattr(recipe, section), mode="json")
        for section in SECTIONS
    }


def as_toml(recipe: Recipe) -> str:
    """Return the options of a recipe that are not at their defaults, as TOML.

    Of paths the last two names are given, since others lie elsewhere for the next reader.
    """
    defaults, lines = plain(Recipe(data=kind_of("data")())), []
    for section, values in plain(recipe).items():
        changed_ones = {n: v for n, v in values.items() if v != defaults[section][n]}
        if changed_ones:
            lines.append(f"\n[{section}]")
        for name, value in changed_ones.items():
            shown = "/".join(Path(value).parts[-2:]) if (section, name) in PATHS else value
            lines.append(f"{name} = {_toml(shown)}")
    return "\n".join(lines).strip() + "\n"


def _toml(value: Any) -> str:
    """Return a value of JSON as TOML."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return json.dumps(value, ensure_ascii=False)


def describe() -> list[dict[str, Any]]:
    """Return every option of a recipe with its section, meaning, unit, default and bounds."""
    return [
        {"section": section, "option": name, **facts}
        for section in SECTIONS
        for name, facts in schema(kind_of(section)).get("properties", {}).items()
    ]


def _plain(source: Mapping[str, Any]) -> Sections:
    """Return sections as plain values, whatever form they were given in."""
    made: Sections = {}
    for section, stated in source.items():
        given: Any = stated
        if isinstance(given, kind_of(section)):
            given = {f.name: getattr(given, f.name) for f in fields(given)}
        if not isinstance(given, Mapping):
            raise OptionError(
                f"'{section}' is a section of a recipe and holds {given!r}; give its options by "
                f"name, as in {section}.option = value."
            )
        made[section] = dict(given)
    return made


def _resolved(values: Sections, folder: Path) -> Sections:
    """Return the values with relative paths taken from a folder; URLs stay."""
    made = {section: dict(given) for section, given in values.items()}
    for section, name in PATHS:
        given = made.get(section, {}).get(name)
        if isinstance(given, str | Path) and str(given) and "://" not in str(given):
            made[section][name] = str((folder / Path(given).expanduser()).resolve())
    return made


def _require_data(values: Sections, source: object) -> None:
    if not values.get("data", {}).get("path"):
        where = "the recipe" if isinstance(source, Mapping) else str(source)
        raise OptionError(
            f"{where}: no images are named; give a folder, a manifest, a zip or an archive as "
            "data.path."
        )
