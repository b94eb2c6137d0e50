"""What is known about each image before its pixels are read, from names, a manifest or arrays."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError, InputError

LABEL = "label"
SPLIT = "split"
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "": "",
}
"""What data sets call their parts, in small letters, and what they are called here."""
_ARCHIVE_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image."""

    name: str
    label: str = ""
    group: str = ""
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a manifest are called; empty for those that do not matter."""

    file: str
    label: str
    group: str
    split: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A manifest as written."""

    header: tuple[str, ...]
    records: tuple[Mapping[str, str], ...]


def read_table(place: Path, content: bytes) -> Table:
    """Return a manifest: comma-, semicolon- or tab-separated UTF-8 text with a header.

    Raises:
        FileError: It is not such a text.
    """
    header, records = _table(place, content)
    return Table(header=tuple(header), records=tuple(records))


def manifest_rows(place: Path, table: Table, columns: Columns) -> list[Row]:
    """Return the rows of a manifest.

    Raises:
        InputError: A column is missing, or a split has an unknown name.
    """
    header = table.header
    wanted = {"file": columns.file, "label": columns.label, "group": columns.group}
    # A manifest need not have a split; only one that was asked for by name must be there.
    split = columns.split if columns.split in header or columns.split != SPLIT else ""
    for what, column in {**wanted, "split": split}.items():
        if column and column not in header:
            raise InputError(
                f"{place}: it has no column '{column}' for the {what}; it has "
                f"{', '.join(header)}. Set the option '{what}'."
            )
    return [
        Row(
            name=record[columns.file],
            label=record.get(columns.label, "").strip(),
            group=record.get(columns.group, "").strip(),
            split=_split(place, record[columns.file], record.get(split, "")),
            columns=record,
        )
        for record in table.records
    ]


def _table(place: Path, content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    try:
        text = content.decode("utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(
            place, f"it is no table ({error}).", "Save it as comma-separated UTF-8 text."
        ) from error
    full = [line for line in lines if line]
    if len(full) < 2:
        raise FileError(place, "it names no images.", "Give a header and one row per image.")
    header, *rows = full
    short = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if short is not None:
        raise FileError(
            place,
            f"row {short} has {len(rows[short - 2])} fields, the header {len(header)}.",
            "Correct the row.",
        )
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def chosen_rows(
    path: Path, rows: list[Row], *, start: str, where: Mapping[str, tuple[str, ...]]
) -> list[Row]:
    """Return the rows whose name starts so and whose columns have one of these values.

    Raises:
        InputError: There is no such column, or no row is left.
    """
    known = {column for row in rows for column in row.columns}
    unknown = sorted(set(where) - known)
    if unknown:
        raise InputError(
            f"{path}: it has no column '{unknown[0]}'; it has {', '.join(sorted(known))}. "
            "Correct the option 'where'."
        )
    chosen = [
        row
        for row in rows
        if row.name.startswith(start)
        and all(row.columns[column] in values for column, values in where.items())
    ]
    if not chosen:
        raise InputError(
            f"{path}: none of {len(rows)} images starts with '{start}' and has the values "
            f"{where}. Correct 'start' or 'where'."
        )
    return chosen


def first_five(names: Sequence[str]) -> str:
    """Return the first five names as a message quotes them, and how many more there are."""
    quoted = ", ".join(f"'{name}'" for name in names[:5])
    return quoted + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _split(place: Path, name: str, text: str) -> str:
    split = SPLITS.get(text.strip().lower())
    if split is None:
        raise InputError(
            f"{place}: '{name}' is in the split '{text}'; known are train, val and test. Correct "
            "it, or set the option 'split' to nothing to ignore the column."
        )
    return split


def folder_rows(place: Path, names: Sequence[str], *, is_labelled: bool) -> list[Row]:
    """Return images whose folder is their class; ``train``, ``val``, ``test`` may stand before it.

    Args:
        place: For messages.
        names: Paths of the images with ``/`` between folders.
        is_labelled: Whether folders are classes.

    Raises:
        InputError: An image lies in no folder of a class.
    """
    if not is_labelled:
        return [Row(name=name) for name in names]
    paths = [tuple(name.split("/")) for name in names]
    depth = _common_depth(paths)
    has_splits = all(len(path) > depth + 2 and path[depth].lower() in SPLITS for path in paths)
    if has_splits:
        return [_folder_row(path, path[depth + 1], SPLITS[path[depth].lower()]) for path in paths]
    loose = next((path for path in paths if len(path) < depth + 2), None)
    if loose is not None:
        raise InputError(
            f"{place}: '{'/'.join(loose)}' lies in no folder of a class. Give one folder per "
            "class, a manifest.csv, or set the option 'label' to nothing."
        )
    return [_folder_row(path, path[depth], "") for path in paths]


def _folder_row(path: tuple[str, ...], label: str, split: str) -> Row:
    return Row(name="/".join(path), label=label, split=split, columns={LABEL: label, SPLIT: split})


def _common_depth(paths: Sequence[tuple[str, ...]]) -> int:
    """Return how many folders hold everything else, as in a zip of a single folder."""
    depth = 0
    while len({path[depth] for path in paths}) == 1 and min(map(len, paths)) > depth + 2:
        depth += 1
    return depth


def archive_rows(
    place: Path, arrays: Mapping[str, NDArray[Any]], classes: tuple[str, ...]
) -> list[Row]:
    """Return the images of a MedMNIST archive, named ``train/00012``.

    Labels are numbers; where none of them is one of ``classes``, they count these from 0.

    Raises:
        FileError: The arrays are not those of MedMNIST.
    """
    parts = [split for split in _ARCHIVE_SPLITS if f"{split}_images" in arrays]
    if not parts:
        raise FileError(
            place,
            f"it holds {', '.join(arrays) or 'nothing'}, but no train_images, val_images or "
            "test_images.",
            "Give a MedMNIST archive.",
        )
    return [row for split in parts for row in _part_rows(place, arrays, split, classes)]


def _part_rows(
    place: Path, arrays: Mapping[str, NDArray[Any]], split: str, classes: tuple[str, ...]
) -> list[Row]:
    count = len(arrays[f"{split}_images"])
    labels = arrays.get(f"{split}_labels", np.full((count, 0), 0))
    if len(labels) != count or labels.size not in (0, count):
        raise FileError(
            place,
            f"{split}_labels has shape {labels.shape} for {count} images.",
            "Give one label per image.",
        )
    names = [_class_name(number, classes) for number in labels.reshape(-1)] or [""] * count
    further = {
        name: array
        for name, array in arrays.items()
        if name.startswith(f"{split}_") and array.shape == (count,)
    }
    return [
        Row(
            name=f"{split}/{index:05d}",
            label=names[index],
            split=split,
            columns={
                LABEL: names[index],
                SPLIT: split,
                **{column: str(array[index]) for column, array in further.items()},
            },
        )
        for index in range(count)
    ]


def _class_name(number: np.generic, classes: tuple[str, ...]) -> str:
    if not np.issubdtype(number.dtype, np.number) or number != np.floor(number):
        raise InputError(
            f"The label {number!r} of an archive is no whole number; number the classes from 0."
        )
    position = int(number)
    by_position = not any(name.isdecimal() for name in classes)
    if by_position and 0 <= position < len(classes):
        return classes[position]
    return str(position)
