"""New patients for a fusion model: a table whose columns, units and values have to fit it.

A column is called as in training. A number with a unit states it behind its name, in brackets:
``psa [ng/mL]``; another unit of the same quantity is converted. An empty cell is unknown, and a
modality of which nothing is known is missing. What is stated and cannot be used is never dropped
in silence: the patient gets the reasons in place of a result.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from aegle.diagnosis.laboratory.analytes import Stated, analytes, converted, value_of
from aegle.diagnosis.laboratory.units import convert, spelled
from aegle.domain.errors import FileError, InputError, OptionError, QuantityError
from aegle.evaluation.table import plain
from aegle.learning.fusion.table import Feature, Table
from aegle.workflow.fusing.embedding import described
from aegle.workflow.fusing.recipe import IMAGE, ColumnOptions, FusionRecipe, ImageOptions
from aegle.workflow.fusing.table_files import Row, highest, number, rows_of
from aegle.workflow.learning.building import file_digest

DESCRIBER = "image-network"
"""Name, without its ending, of the copy of the network that describes images."""
_STATED = re.compile(r"(?P<name>.+?)\s+\[(?P<unit>.+)\]")
_NO_UNIT = ("", "1")


@dataclass(frozen=True, eq=False, kw_only=True)
class Patients:
    """Rows that a model can be asked of, and what is wrong with single ones."""

    table: Table
    reasons: tuple[tuple[str, ...], ...]
    """By row: what is stated and cannot be used; empty for most."""
    notices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a table of new patients may hold, as kept in the model."""

    patient: str
    features: tuple[str, ...]
    columns: Mapping[str, ColumnOptions]
    """Of features, and of what their quotients are made of."""
    ignored: tuple[str, ...]
    """The outcome, labels and columns that only judged subgroups: never looked at."""
    image: ImageOptions
    image_digest: str = ""


def form_of(recipe: FusionRecipe, image_file: str = "") -> dict[str, Any]:
    """Return what a model has to keep of its recipe, as plain data.

    Args:
        recipe: Of the model.
        image_file: Name of the copy of the network that describes images, beside the model.
    """
    table, image = recipe.table, recipe.image
    named = [name for features in recipe.modalities.values() for name in features]
    named += [name for options in recipe.columns.values() for name in options.ratio]
    source = image.model or image.weights
    ignored = {table.outcome, table.time, table.when, *table.labels, *table.by, *table.where}
    return {
        "patient": table.patient,
        "features": [name for features in recipe.modalities.values() for name in features],
        "columns": {
            name: plain(asdict(recipe.columns.get(name, ColumnOptions()))) for name in named
        },
        "ignored": sorted(ignored - {"", table.patient, image.column, *named}),
        "image": {
            "column": image.column,
            "network": image.network,
            "file": image_file,
            "is_model": bool(image.model),
            "digest": file_digest(source) if image.column else "",
        },
    }


def read_form(facts: Mapping[str, Any], model: Path) -> Form:
    """Return what a model keeps of its recipe.

    Raises:
        FileError: The model keeps none.
    """
    try:
        kept = facts["table"]
        image = kept["image"]
        at = str(model.parent / image["file"]) if image["column"] else ""
        return Form(
            patient=kept["patient"],
            features=tuple(kept["features"]),
            columns={name: _column(one) for name, one in kept["columns"].items()},
            ignored=tuple(kept["ignored"]),
            image=ImageOptions(
                column=image["column"],
                network=image["network"],
                **{"model" if image["is_model"] else "weights": at},
            ),
            image_digest=image["digest"],
        )
    except (KeyError, TypeError) as error:
        raise FileError(
            model, "does not say how tables of new patients look.", "Train it again: aegle fuse."
        ) from error


def _column(kept: Mapping[str, Any]) -> ColumnOptions:
    low = -math.inf if kept["low"] is None else kept["low"]
    high = math.inf if kept["high"] is None else kept["high"]
    lists = {name: tuple(kept[name]) for name in ("categories", "ratio")}
    return ColumnOptions(**{**kept, "low": low, "high": high, **lists})


def read_patients(path: Path, form: Form, features: Sequence[Feature]) -> Patients:
    """Read a table of new patients.

    Args:
        path: CSV or ARFF file, or a folder with manifest.csv.
        form: What the model keeps of its recipe.
        features: What the model takes, in this order.

    Raises:
        FileError: The table or an image cannot be read, or the network that describes images is
            not the one of the training.
        InputError: A column is unknown, states no unit or one that does not fit, or nothing that
            the model takes is there.
    """
    rows = rows_of(path)
    found, units = _columns(rows[0], form, features, path)
    makers = {f.name: _Maker(f, form, found, units) for f in features if f.modality != IMAGE}
    if not any(maker.is_there for maker in makers.values()) and form.image.column not in found:
        raise InputError(
            f"{path} holds nothing that the model takes: {', '.join(list(makers)[:40])}."
        )
    values = np.full((len(rows), len(features)), np.nan)
    reasons: list[list[str]] = [[] for _ in rows]
    for place, feature in enumerate(features):
        if feature.modality == IMAGE:
            continue
        for row, cells in enumerate(rows):
            value, reason = makers[feature.name].value(cells)
            values[row, place] = value
            reasons[row] += [reason] if reason else []
    images = [i for i, feature in enumerate(features) if feature.modality == IMAGE]
    if images:
        values[:, images] = _images(path, rows, form, len(images))
    groups = _groups(rows, form, path)
    lacking = sorted(name for name, maker in makers.items() if not maker.is_there)
    notices = [f"Columns that are not there are unknown: {', '.join(lacking)}."] if lacking else []
    seen = [name for name in form.ignored if name in found]
    if seen:
        notices.append(f"Not looked at: {', '.join(seen)}.")
    table = Table(
        features=tuple(features),
        names=tuple(str(i) for i in range(len(rows))),
        groups=groups,
        values=values,
    )
    return Patients(
        table=table, reasons=tuple(tuple(one) for one in reasons), notices=tuple(notices)
    )


class _Maker:
    """Makes the values of one feature out of cells."""

    def __init__(
        self, feature: Feature, form: Form, found: Mapping[str, str], units: Mapping[str, str]
    ) -> None:
        self.feature, self.form, self.found, self.units = feature, form, found, units
        self.features = frozenset(form.features)
        self.options = form.columns.get(feature.name, ColumnOptions())
        self.is_there = feature.name in found or (
            bool(self.options.ratio) and all(name in found for name in self.options.ratio)
        )

    def value(self, cells: Row) -> tuple[float, str]:
        """Return a value, NaN if it is unknown, and why what is stated cannot be used."""
        cell = cells[self.found[self.feature.name]] if self.feature.name in self.found else ""
        name = self.feature.name
        cell = highest(cell) if self.options.highest else cell
        if not cell:
            return self._quotient(cells)
        if self.feature.categories:
            if cell in self.feature.categories:
                return float(self.feature.categories.index(cell)), ""
            known = ", ".join(self.feature.categories)
            return math.nan, f"'{name}' is '{cell}'; known are {known}."
        if self.options.analyte:
            stated = Stated(number=cell, unit=self.units[name] or "1", name=self.options.analyte)
            found = value_of(stated)
            return (found.value, "") if found.value is not None else (math.nan, _of(name, found))
        stated_number = number(cell)
        if stated_number is None:
            return math.nan, f"'{name}' is '{cell[:40]}', which is no number."
        value = _in_unit(stated_number, self.units[name], self.feature.unit)
        return self._possible(value)

    def _possible(self, value: float) -> tuple[float, str]:
        feature = self.feature
        if feature.low <= value <= feature.high:
            return value, ""
        return math.nan, (
            f"'{feature.name}' is {value:g} {feature.unit}; the model is made for "
            f"{feature.low:g} to {feature.high:g} {feature.unit}."
        )

    def _quotient(self, cells: Row) -> tuple[float, str]:
        """Return the quotient that stands in for an empty cell, in the units of the training."""
        parts = []
        for name in self.options.ratio:
            cell = cells[self.found[name]] if name in self.found else ""
            stated = number(cell)
            if stated is None:
                wrong = f"'{name}' is '{cell[:40]}', which is no number."
                return math.nan, wrong if cell and name not in self.features else ""
            options = self.form.columns[name]
            parts.append(_in_unit(stated, self.units[name], options.unit, options.analyte))
        if len(parts) < 2 or parts[1] == 0:
            return math.nan, ""
        return self._possible(parts[0] / parts[1])


def _of(name: str, found: Any) -> str:
    return f"'{name}': {found.reason}"


def _in_unit(value: float, given: str, wanted: str, analyte: str = "") -> float:
    """Return a value in the unit of the training; the same spelling needs no conversion.

    Raises:
        QuantityError: One cannot be turned into the other.
    """
    if spelled(given) == spelled(wanted) or wanted in _NO_UNIT:
        return value
    known = analytes().get(analyte)
    facts = {"molar_mass": known.molar_mass, "valence": known.valence} if known else {}
    return convert(value, given, wanted, **facts)  # type: ignore[arg-type]


def _columns(
    first: Row, form: Form, features: Sequence[Feature], path: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the column of every known name, and the unit that it states."""
    taken = {f.name: f for f in features if f.modality != IMAGE}
    others = {form.patient, form.image.column, *form.ignored} - {""}
    known = {*taken, *form.columns, *others}
    found: dict[str, str] = {}
    units: dict[str, str] = {}
    unknown = []
    for column in first:
        split = None if column in known else _STATED.fullmatch(column)
        name, unit = (split[1], split[2]) if split else (column, "")
        if name not in known:
            unknown.append(column)
            continue
        if name in found:
            raise InputError(f"{path} states '{name}' twice: '{found[name]}' and '{column}'.")
        found[name], units[name] = column, unit
        if name not in others:
            _require_unit(name, unit, taken.get(name), form, path)
    if unknown:
        raise InputError(
            f"{path}: the model does not know the column(s) {', '.join(unknown)}; it takes "
            f"{', '.join(_written(name, form) for name in form.columns)}. Leave others out."
        )
    return found, units


def _require_unit(name: str, unit: str, feature: Feature | None, form: Form, path: Path) -> None:
    """Refuse a column that states no unit where one is needed, or one that does not fit.

    Raises:
        InputError: It does.
    """
    options = form.columns.get(name, ColumnOptions())
    wanted = feature.unit if feature and not options.analyte else options.unit
    if wanted in _NO_UNIT:
        if unit not in _NO_UNIT:
            raise InputError(f"{path}: '{name}' has no unit; leave [{unit}] out.")
        return
    if not unit:
        raise InputError(
            f"{path}: '{name}' states no unit. Call the column '{name} [{wanted}]', or with the "
            "unit that it has."
        )
    try:
        if options.analyte:
            converted(1.0, unit, analytes()[options.analyte])
        _in_unit(1.0, unit, wanted, options.analyte)
    except QuantityError as error:
        raise InputError(
            f"{path}: '{name}' is in '{unit}', wanted is '{wanted}'. {error}"
        ) from error


def _written(name: str, form: Form) -> str:
    unit = form.columns[name].unit
    return name if unit in _NO_UNIT else f"{name} [{unit}]"


def _images(path: Path, rows: Sequence[Row], form: Form, count: int) -> Any:
    column, source = form.image.column, form.image.model or form.image.weights
    names = [row.get(column, "") for row in rows]
    if not any(names):
        return np.full((len(rows), count), np.nan)
    if not Path(source).is_file() or file_digest(source) != form.image_digest:
        raise FileError(
            Path(source),
            "is not the network that described the images of the training.",
            "Keep it beside the model, as aegle fuse wrote it.",
        )
    with TemporaryDirectory() as cache:
        return described(form.image, path, names, Path(cache))


def _groups(rows: Sequence[Row], form: Form, path: Path) -> tuple[str, ...]:
    if not form.patient:
        return tuple(f"row {i}" for i in range(1, len(rows) + 1))
    if form.patient not in rows[0]:
        raise OptionError(f"{path} has no column '{form.patient}', which names the patient.")
    if empty := [i for i, row in enumerate(rows, 1) if not row[form.patient]]:
        raise InputError(f"{path} names no patient in row {empty[0]}; fill '{form.patient}'.")
    return tuple(row[form.patient] for row in rows)
