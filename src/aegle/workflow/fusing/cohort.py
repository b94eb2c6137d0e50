"""The patients of a recipe: features in one unit each, the outcome, and what was left out."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aegle.diagnosis.laboratory.analytes import Stated, analytes, value_of
from aegle.domain.errors import InputError, OptionError
from aegle.learning.fusion.table import Feature, Outcome, Table, Values
from aegle.workflow.fusing.embedding import described
from aegle.workflow.fusing.recipe import IMAGE, ColumnOptions, FusionRecipe
from aegle.workflow.fusing.table_files import Row, highest, joined, number, rows_of

MOST_CATEGORIES = 20
"""A column of words with more values than this is no category."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Cohort:
    """A table with its outcome."""

    table: Table
    outcome: Outcome
    notices: tuple[str, ...]
    """What was left out, and why."""
    bar: Values | None = None
    """Values of the column that alone is the bar, in the order of the rows."""


def cohort_of(recipe: FusionRecipe, cache: Path) -> Cohort:
    """Read the table of a recipe.

    Args:
        recipe: Which columns mean what.
        cache: Folder where features of images are kept.

    Raises:
        FileError: The table cannot be read.
        InputError: A column holds text where numbers belong, no row has an outcome, or a feature
            tells the outcome by itself.
        OptionError: A column is not there.
    """
    options = recipe.table
    rows = joined(rows_of(Path(options.path)), [Path(p) for p in options.join], options.patient)
    _require_columns(recipe, rows)
    rows = [row for row in rows if all(row[c] in v for c, v in options.where.items())]
    if options.once:
        rows = _first_values(recipe, rows)
    known = [row for row in rows if _has_outcome(recipe, row)]
    notices = [f"{len(rows) - len(known)} rows without an outcome were left out."]
    if not known:
        raise InputError(
            f"{options.path}: no row has an outcome; check table.positive and table.negative."
        )
    features, values = [], []
    for modality, columns in recipe.modalities.items():
        for column in columns:
            feature, found, notice = _feature(recipe, known, modality, column)
            if np.isnan(found).all():
                notices.append(f"'{column}' holds nothing and was left out.")
                continue
            features.append(feature)
            values.append(found[:, None])
            notices += notice
    if recipe.image.column:
        images = [row[recipe.image.column] for row in known]
        found = described(recipe.image, Path(options.path), images, cache)
        features += [Feature(name=f"image {i}", modality=IMAGE) for i in range(found.shape[1])]
        values.append(found)
    groups = [row[options.patient] if options.patient else str(i) for i, row in enumerate(known)]
    table = Table(
        features=tuple(features),
        names=tuple(str(i) for i in range(len(known))),
        groups=tuple(groups),
        values=np.concatenate(values, axis=1),
        columns={name: tuple(row[name] for row in known) for name in options.by},
    )
    outcome = _outcome(recipe, known)
    _require_no_telltale(table, outcome)
    left_out = tuple(n for n in notices if not n.startswith("0 "))
    return Cohort(table=table, outcome=outcome, notices=left_out, bar=_bar(recipe, known))


def _require_columns(recipe: FusionRecipe, rows: Sequence[Row]) -> None:
    options = recipe.table
    named = [feature for features in recipe.modalities.values() for feature in features]
    named += [c for o in recipe.columns.values() for c in o.ratio]
    named += [options.outcome, options.time, options.patient, options.when, recipe.image.column]
    named += [*options.where, *options.by, *options.labels, recipe.judge.bar]
    for name in named:
        if name and name not in rows[0]:
            raise OptionError(
                f"{options.path} has no column '{name}'; it has {', '.join(list(rows[0])[:40])}."
            )


def _first_values(recipe: FusionRecipe, rows: Sequence[Row]) -> list[Row]:
    """Return one row per patient with the first known value of each column."""
    options = recipe.table
    made: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda r: number(r.get(options.when, "")) or 0.0):
        moment = number(row[options.when]) if options.when else 0.0
        if moment is None or moment > options.until:
            continue
        first = made.setdefault(row[options.patient], dict(row))
        first.update({name: cell for name, cell in row.items() if cell and not first[name]})
    return list(made.values())


def _has_outcome(recipe: FusionRecipe, row: Row) -> bool:
    options = recipe.table
    stated = row[options.outcome] in (*options.positive, *options.negative)
    return stated and (not options.time or (number(row[options.time]) or 0) > 0)


def _outcome(recipe: FusionRecipe, rows: Sequence[Row]) -> Outcome:
    options = recipe.table
    event = np.array([row[options.outcome] in options.positive for row in rows])
    if not options.time:
        return Outcome(event=event)
    return Outcome(event=event, time=np.array([float(row[options.time]) for row in rows]))


def _feature(
    recipe: FusionRecipe, rows: Sequence[Row], modality: str, column: str
) -> tuple[Feature, Values, list[str]]:
    """Return a feature, its values, and what was left out of it."""
    options = recipe.columns.get(column, ColumnOptions())
    cells = [highest(row[column]) if options.highest else row[column] for row in rows]
    numbers = [number(cell) for cell in cells]
    is_number = bool(options.unit or options.analyte) or not any(
        cell and found is None for cell, found in zip(cells, numbers, strict=True)
    )
    if options.categories or not is_number:
        return _category(modality, column, cells, options)
    if options.analyte:
        return _analyte(modality, column, cells, options)
    values = np.array([math.nan if found is None else found for found in numbers])
    if options.ratio:
        values = np.where(np.isnan(values), _quotient(rows, options), values)
    words = sum(bool(c) and n is None for c, n in zip(cells, numbers, strict=True))
    wrong = (values < options.low) | (values > options.high)
    values = np.where(wrong, math.nan, values)
    notices = [
        f"{words} values of '{column}' are no numbers and were left out.",
        f"{int(wrong.sum())} values of '{column}' outside {options.low:g} to {options.high:g} "
        f"{options.unit} were left out.",
    ]
    feature = Feature(
        name=column, modality=modality, unit=options.unit, low=options.low, high=options.high
    )
    return feature, values, notices


def _analyte(
    modality: str, column: str, cells: Sequence[str], options: ColumnOptions
) -> tuple[Feature, Values, list[str]]:
    if options.analyte not in analytes():
        raise OptionError(
            f"columns.{column}.analyte '{options.analyte}' is not known; known: "
            f"{', '.join(analytes())}."
        )
    said = [value_of(Stated(number=c, unit=options.unit, name=options.analyte)) for c in cells]
    reasons = Counter(
        str(v.reason) for c, v in zip(cells, said, strict=True) if c and v.reason.template
    )
    analyte = analytes()[options.analyte]
    feature = Feature(
        name=column, modality=modality, unit=analyte.unit, low=analyte.low, high=analyte.high
    )
    values = np.array([math.nan if v.value is None else v.value for v in said])
    return feature, values, [f"'{column}': {count} × {why}" for why, count in reasons.items()]


def _category(
    modality: str, column: str, cells: Sequence[str], options: ColumnOptions
) -> tuple[Feature, Values, list[str]]:
    found = options.categories or tuple(sorted({cell for cell in cells if cell}))
    if len(found) > MOST_CATEGORIES:
        raise InputError(
            f"'{column}' holds text in {len(found)} forms, such as '{found[0]}', where numbers or "
            f"at most {MOST_CATEGORIES} categories belong. Give its unit, or its categories."
        )
    codes = {name: float(code) for code, name in enumerate(found)}
    unknown = sum(bool(cell) and cell not in codes for cell in cells)
    feature = Feature(name=column, modality=modality, categories=tuple(found))
    values = np.array([codes.get(cell, math.nan) for cell in cells])
    return feature, values, [f"{unknown} values of '{column}' are of no category and left out."]


def _quotient(rows: Sequence[Row], options: ColumnOptions) -> Values:
    above, below = (
        np.array([math.nan if (n := number(row[column])) is None else n for row in rows])
        for column in options.ratio
    )
    quotient: Values = above / np.where(below == 0, math.nan, below)
    return quotient


def _bar(recipe: FusionRecipe, rows: Sequence[Row]) -> Values | None:
    if not recipe.judge.bar:
        return None
    found = [number(row[recipe.judge.bar]) for row in rows]
    return np.array([math.nan if one is None else one for one in found])


def _require_no_telltale(table: Table, outcome: Outcome) -> None:
    """Refuse a feature that gives every outcome away: a label under another name.

    Raises:
        InputError: The outcome follows from one feature without exception.
    """
    if outcome.time is not None:
        return
    for feature, values in zip(table.features, table.values.T, strict=True):
        known = ~np.isnan(values)
        negative, positive = (values[known & (outcome.event == e)] for e in (False, True))
        if min(len(negative), len(positive)) < max(10, 0.1 * len(values)):
            continue
        if negative.max() < positive.min() or positive.max() < negative.min():
            raise InputError(
                f"'{feature.name}' tells the outcome of every patient by itself, as a label does. "
                "Name it in table.labels, or leave it out."
            )


def describe(cohort: Cohort) -> Mapping[str, object]:
    """Return what a cohort is, as plain data."""
    table = cohort.table
    present = table.present().mean(axis=0)
    return {
        "rows": len(table.names),
        "patients": len(set(table.groups)),
        "events": int(cohort.outcome.event.sum()),
        "modalities": {
            name: {"features": len(table.of(name)), "present": float(share)}
            for name, share in zip(table.modalities, present, strict=True)
        },
        "notices": list(cohort.notices),
    }
