"""Rows of a table file: CSV, ARFF, or the manifest beside images."""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from aegle.domain.errors import FileError, OptionError

Row = Mapping[str, str]

REMEDY = "Give a CSV file in UTF-8 whose first line names the columns, or an ARFF file."
NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "?", "."})
"""What stands for 'not known' in a cell, in small letters."""
_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.+)", re.IGNORECASE)


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a table, cells as text, empty where nothing is known.

    Raises:
        FileError: The file cannot be read, or a row has more or fewer cells than columns.
    """
    file = path / "manifest.csv" if path.is_dir() else path
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(file, f"cannot be read ({error}).", REMEDY) from error
    is_arff = file.suffix.lower() == ".arff"
    names, cells = _arff(text, file) if is_arff else _csv(text, file)
    made: list[Row] = []
    for number, row in enumerate(cells, start=1):
        if len(row) != len(names):
            raise FileError(
                file, f"has {len(row)} cells in row {number}, not {len(names)}.", REMEDY
            )
        made.append(dict(zip(names, map(_cell, row), strict=True)))
    if not made:
        raise FileError(file, "holds no row.", REMEDY)
    return made


def joined(rows: Sequence[Row], others: Sequence[Path], patient: str) -> list[Row]:
    """Return rows with the columns of other tables, where those have the same patient.

    Rows without a partner in every table are left out.

    Raises:
        OptionError: A table lacks the patient's column.
    """
    made = list(rows)
    for path in others:
        partners = {row.get(patient, ""): row for row in rows_of(path)}
        if not partners.keys() - {""}:
            raise OptionError(f"{path} has no column '{patient}' to join by.")
        made = [{**partners[r[patient]], **r} for r in made if r.get(patient) in partners]
    return made


def number(text: str) -> float | None:
    """Return the number that a cell holds, 1 and 0 for true and false; None if it is none."""
    try:
        found = float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.lower())
    return found if math.isfinite(found) else None


def highest(cell: str) -> str:
    """Return the largest of the numbers that a cell lists with commas; a cell with a word whole."""
    parts = [part for part in map(_cell, cell.split(",")) if part]
    numbers = {part: number(part) for part in parts}
    if any(value is None for value in numbers.values()):
        return cell
    return max(parts, key=lambda part: numbers[part] or 0.0, default="")


def _cell(text: str) -> str:
    plain = text.strip()
    return "" if plain.lower() in NOTHING else plain


def _csv(text: str, file: Path) -> tuple[list[str], Iterator[list[str]]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise FileError(file, f"cannot be read as CSV ({error}).", REMEDY) from error
    if not lines:
        raise FileError(file, "is empty.", REMEDY)
    names = [name.strip() for name in lines[0]]
    if len(set(names)) < len(names):
        raise FileError(file, "names a column twice.", REMEDY)
    return names, iter(lines[1:])


def _arff(text: str, file: Path) -> tuple[list[str], Iterator[list[str]]]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("%")]
    border = next((i for i, line in enumerate(lines) if line.lower() == "@data"), None)
    if border is None:
        raise FileError(file, "has no line @data.", REMEDY)
    found = [_ATTRIBUTE.fullmatch(line) for line in lines[:border]]
    names = [match[1].strip("'\"") for match in found if match]
    reader = csv.reader(lines[border + 1 :], quotechar="'", skipinitialspace=True)
    return names, iter(reader)
