"""Laboratory values from a table with one value per row (CSV)."""

import csv
from collections.abc import Mapping
from datetime import datetime
from io import StringIO
from pathlib import Path

from aegle.diagnosis.laboratory.analytes import Stated, value_of
from aegle.domain.errors import FileError
from aegle.domain.laboratory import LaboratoryTable, LaboratoryValue

COLUMNS = ("patient", "code", "name", "value", "unit", "time")
"""What a file may hold; it must have ``patient``, ``value``, ``unit`` and ``code`` or ``name``."""
LARGEST = 1 << 28
"""Bytes; larger files are refused."""


def read_csv(path: Path) -> tuple[LaboratoryTable, ...]:
    """Read laboratory values, one table per patient in the order of their first row.

    Values whose unit, number or code cannot be used are kept as missing, with the reason.

    Raises:
        FileError: The file cannot be read, lacks a column, or a row has no patient or a time that
            is none.
    """
    rows = _rows(path)
    found: dict[str, list[LaboratoryValue]] = {}
    for line, row in rows:
        patient = row.get("patient", "").strip()
        if not patient:
            raise FileError(path, f"names no patient in line {line}.", "Fill the column 'patient'.")
        found.setdefault(patient, []).append(value_of(_stated(row, path, line)))
    return tuple(LaboratoryTable(patient=p, values=tuple(values)) for p, values in found.items())


def _rows(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    remedy = f"Give a CSV file in UTF-8 with the columns {', '.join(COLUMNS)}."
    try:
        if path.stat().st_size > LARGEST:
            raise FileError(path, "is larger than 256 MiB.", "Give one file per group of patients.")
        reader = csv.DictReader(StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        columns = tuple((name or "").strip().lower() for name in reader.fieldnames or ())
        lacking = [c for c in ("patient", "value", "unit") if c not in columns]
        lacking += [] if {"code", "name"} & set(columns) else ["code or name"]
        if lacking:
            raise FileError(path, f"has no column {', '.join(lacking)}.", remedy)
        reader.fieldnames = columns
        return [(reader.line_num, {k: v or "" for k, v in row.items() if k}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, f"cannot be read as CSV ({error}).", remedy) from error


def _stated(row: Mapping[str, str], path: Path, line: int) -> Stated:
    return Stated(
        number=row["value"],
        unit=row["unit"].strip(),
        name=row.get("name", "").strip(),
        code=row.get("code", "").strip(),
        time=_time(row.get("time", "").strip(), path, line),
    )


def _time(text: str, path: Path, line: int) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError as error:
        raise FileError(
            path, f"has the time '{text}' in line {line}.", "Write 2026-01-31T08:15:00."
        ) from error
