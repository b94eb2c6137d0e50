"""A recipe for a fusion model: which columns, in which units, of which modality, foretell what."""

import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from aegle.domain.errors import OptionError
from aegle.evaluation.options import EvaluationOptions
from aegle.learning.fusion.boosting import BoostingOptions
from aegle.learning.fusion.fitting import FusionOptions
from aegle.options import option, read


@dataclass(frozen=True, kw_only=True)
class AboutOptions:
    """What the model is for, and what must be said of it."""

    name: Annotated[str, option("Name with version; empty for the name of the recipe")] = ""
    task: Annotated[
        Literal["classify", "cox", "discrete"],
        option("Two classes; time to an event by partial likelihood; or in discrete time"),
    ] = "classify"
    licence: Annotated[str, option("Licence of the model")] = ""
    trained_on: Annotated[tuple[str, ...], option("Data sets, each with its citation")] = ()


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Where the table is and what its columns mean."""

    path: Annotated[str, option("CSV or ARFF file, or a folder with manifest.csv")] = ""
    join: Annotated[
        tuple[str, ...], option("Further CSV files, joined where the patient is the same")
    ] = ()
    patient: Annotated[
        str, option("Column of the patient, who never straddles; empty: each row is one")
    ] = ""
    once: Annotated[
        bool,
        option("Rows are a series of one patient: the first value of each column counts"),
    ] = False
    when: Annotated[str, option("Numeric column of the time of a row in a series")] = ""
    until: Annotated[
        float, option("Rows later than this are not looked at, in the unit of `when`")
    ] = float("inf")
    where: Annotated[dict[str, tuple[str, ...]], option("Rows that count: values by column")] = (
        field(default_factory=dict)
    )
    outcome: Annotated[str, option("Column of the class, or of whether the event was seen")] = ""
    positive: Annotated[
        tuple[str, ...], option("Values of it that are the positive class, or an event")
    ] = ("1",)
    negative: Annotated[
        tuple[str, ...], option("Values that are the other; rows with none of both are left out")
    ] = ("0",)
    time: Annotated[str, option("Column of the time to the event or the last look")] = ""
    labels: Annotated[
        tuple[str, ...],
        option(
            "Columns that come from the outcome or after it (histology, grade, stage, death): they "
            "can never be features"
        ),
    ] = ()
    by: Annotated[tuple[str, ...], option("Columns by which subgroups are judged")] = ()


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """What one column means."""

    unit: Annotated[str, option("Unit of the column, UCUM")] = ""
    analyte: Annotated[
        str,
        option("Laboratory analyte: values are turned into its unit, impossible ones left out"),
    ] = ""
    low: Annotated[float, option("Smallest possible value")] = float("-inf")
    high: Annotated[float, option("Largest possible value")] = float("inf")
    categories: Annotated[
        tuple[str, ...], option("Values of a category; empty: a number, or the values that occur")
    ] = ()
    highest: Annotated[
        bool, option("A cell lists numbers of several lesions, with commas: the highest counts")
    ] = False
    ratio: Annotated[
        tuple[str, ...],
        option("Two columns whose quotient stands in where the column holds nothing"),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Images whose features are a modality of their own; none without a column."""

    column: Annotated[str, option("Column of the image file, beside the table or in its zip")] = ""
    weights: Annotated[str, option("File of weights of the network that describes them")] = ""
    network: Annotated[str, option("That network, kind network of the catalogue")] = "mobilenet-v2"
    model: Annotated[
        str, option("Model file of Aegle whose last features describe them, instead of weights")
    ] = ""


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """How a fusion model is judged."""

    folds: Annotated[int, option("Parts of cross-validation", ge=2, le=20)] = 5
    repeats: Annotated[
        int, option("Splits, each into all parts: few patients need more than one", ge=1, le=20)
    ] = 1
    seed: Annotated[int, option("Start of the randomness of the split", ge=0)] = 0
    bar: Annotated[
        str, option("Column whose values alone are the bar that the model has to reach")
    ] = ""


_SECTIONS: Mapping[str, type[Any]] = {
    "model": AboutOptions,
    "table": TableOptions,
    "image": ImageOptions,
    "fusion": FusionOptions,
    "boosting": BoostingOptions,
    "judge": JudgeOptions,
    "evaluate": EvaluationOptions,
}
IMAGE = "image"
"""Name of the modality of image features."""


@dataclass(frozen=True, kw_only=True)
class FusionRecipe:
    """Every decision before a fusion model is trained."""

    model: AboutOptions
    table: TableOptions
    modalities: dict[str, tuple[str, ...]]
    """Columns by modality."""
    columns: dict[str, ColumnOptions] = field(default_factory=dict)
    image: ImageOptions = field(default_factory=ImageOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    boosting: BoostingOptions = field(default_factory=BoostingOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    evaluate: EvaluationOptions = field(default_factory=EvaluationOptions)


def read_fusion_recipe(source: Path | Mapping[str, Any]) -> FusionRecipe:
    """Read a recipe from a TOML file or a mapping of sections.

    Paths in a file are relative to it.

    Raises:
        OptionError: The file cannot be read, a section or option is unknown, no table or outcome
            is named, or a feature is named as a label.
    """
    values, folder, name = _found(source)
    unknown = sorted(set(values) - {*_SECTIONS, "modalities", "columns"})
    if unknown:
        raise OptionError(
            f"Unknown section(s) {', '.join(unknown)} of a fusion recipe; known: "
            f"{', '.join(_SECTIONS)}, modalities, columns."
        )
    parts = {s: read(kind, values.get(s, {}), section=s) for s, kind in _SECTIONS.items()}
    modalities = _modalities(values.get("modalities", {}))
    columns = {
        column: read(ColumnOptions, facts, section=f"columns.{column}")
        for column, facts in values.get("columns", {}).items()
    }
    recipe = FusionRecipe(modalities=modalities, columns=columns, **parts)
    recipe = _placed(recipe, folder, name)
    require_no_leak(recipe)
    return recipe


def require_no_leak(recipe: FusionRecipe) -> None:
    """Refuse features that are labels, or made of them.

    Raises:
        OptionError: No table, outcome or modality is named, or a feature is the outcome, its
            time, the patient, or a label.
    """
    table = recipe.table
    if not (table.path and table.outcome and (recipe.modalities or recipe.image.column)):
        raise OptionError(
            "A fusion recipe names table.path, table.outcome and at least one modality with its "
            "columns."
        )
    if (recipe.model.task == "classify") == bool(table.time):
        raise OptionError(
            f"Task '{recipe.model.task}' and table.time do not fit: classes have no time, survival "
            "needs one."
        )
    forbidden = {table.outcome, table.time, table.patient, *table.labels} - {""}
    for modality, features in recipe.modalities.items():
        for feature in features:
            used = (feature, *recipe.columns.get(feature, ColumnOptions()).ratio)
            if leaked := sorted(forbidden & set(used)):
                raise OptionError(
                    f"'{leaked[0]}' is a label, the outcome or the patient, so it cannot be used "
                    f"for the feature '{feature}' of the modality '{modality}'."
                )


def _found(source: Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], Path, str]:
    if isinstance(source, Mapping):
        return source, Path(), "fusion"
    try:
        return tomllib.loads(source.read_text("utf-8")), source.parent, source.stem
    except (OSError, ValueError) as error:
        raise OptionError(f"{source}: cannot be read as TOML ({error}).") from error


def _modalities(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, features in given.items():
        if not isinstance(features, list | tuple) or not all(isinstance(f, str) for f in features):
            raise OptionError(f"modalities.{name} is a list of columns, as in {name} = ['age'].")
        found[name] = tuple(features)
    named = [feature for features in found.values() for feature in features]
    double = sorted({feature for feature in named if named.count(feature) > 1})
    if double or IMAGE in found:
        wrong = f"the column '{double[0]}' twice" if double else f"the modality '{IMAGE}'"
        raise OptionError(f"modalities name {wrong}; each column has one, '{IMAGE}' is [image].")
    return found


def _placed(recipe: FusionRecipe, folder: Path, name: str) -> FusionRecipe:
    """Return the recipe with paths that do not depend on where it is read, and with a name."""
    from dataclasses import replace

    def at(path: str) -> str:
        return str((folder / Path(path).expanduser()).resolve()) if path else ""

    table, image = recipe.table, recipe.image
    return replace(
        recipe,
        model=replace(recipe.model, name=recipe.model.name or name),
        table=replace(table, path=at(table.path), join=tuple(at(p) for p in table.join)),
        image=replace(image, weights=at(image.weights), model=at(image.model)),
    )
