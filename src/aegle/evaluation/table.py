"""Numbers and tables as they are shown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from aegle.domain.text import Text


def figure(value: float) -> str:
    """Return a score with three decimals; a dash where it is undefined."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def interval(low: float, high: float) -> str:
    """Return an interval; a dash where it is undefined."""
    return f"{figure(low)} to {figure(high)}" if math.isfinite(low + high) else "–"


def with_interval(value: float, low: float, high: float) -> str:
    """Return a score with its interval."""
    return f"{figure(value)} ({interval(low, high)})"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; bars inside of cells are escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def plain(value: Any) -> Any:
    """Return plain data for JSON.

    Dataclasses and mappings become dictionaries, sentences text, enumerations their values, and
    undefined numbers null.
    """
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return value


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
