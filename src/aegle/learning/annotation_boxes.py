"""Boxes around what is to be found, as manifests, COCO and Pascal VOC write them.

Inside the package a box is left, top, right, bottom edge, pixel 0 reaching from 0 to 1. COCO gives
left, top, width and height in the same pixels (cocodataset.org, data format). Pascal VOC gives the
first and last pixel, counted from 1 (VOC2012 development kit, section 4).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError

UNNAMED = "object"
"""Class of boxes without one."""


@dataclass(frozen=True, kw_only=True)
class NamedBox:
    """A box with the name of its class."""

    name: str
    left: float
    """[pixel]"""
    top: float
    right: float
    bottom: float


def from_text(image: str, text: str, column: str) -> tuple[NamedBox, ...]:
    """Return the boxes that a cell of a manifest holds as JSON.

    Args:
        image: For messages.
        text: ``[[class, left, top, right, bottom], ...]``; empty for no box.
        column: Its name; one that ends in ``xywh`` gives width and height.

    Raises:
        InputError: The text is no such list.
    """
    try:
        entries = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise InputError(
            f"'{image}': its boxes are no JSON ({error}); write "
            "[[class, left, top, right, bottom], ...]."
        ) from error
    if not isinstance(entries, list):
        raise InputError(f"'{image}': its boxes are no list, but {entries!r}; write a list.")
    return tuple(_entry(image, entry, column.lower().endswith("xywh")) for entry in entries)


def _entry(image: str, entry: Any, has_size: bool) -> NamedBox:
    if isinstance(entry, list) and len(entry) == 4:
        entry = [UNNAMED, *entry]
    if not isinstance(entry, list) or len(entry) != 5 or isinstance(entry[0], list | dict):
        raise InputError(
            f"'{image}': {entry!r} is no box; write [class, left, top, right, bottom]."
        )
    return box(image, str(entry[0]), entry[1:], has_size=has_size)


def box(image: str, name: str, numbers: Sequence[Any], *, has_size: bool = False) -> NamedBox:
    """Return a box of four numbers.

    Args:
        image: For messages.
        name: Of its class.
        numbers: Left, top, right, bottom; or left, top, width, height.
        has_size: Whether the latter.

    Raises:
        InputError: They are no numbers, or the box holds nothing.
    """
    try:
        left, top, right, bottom = (float(number) for number in numbers)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"'{image}': {list(numbers)!r} are no four numbers of a box; correct it."
        ) from error
    if has_size:
        right, bottom = left + right, top + bottom
    if not np.isfinite((left, top, right, bottom)).all() or right <= left or bottom <= top:
        raise InputError(
            f"'{image}': the box {list(numbers)!r} holds nothing; give left, top, "
            f"{'width, height' if has_size else 'right, bottom'}, right of and below the first."
        )
    return NamedBox(name=name, left=left, top=top, right=right, bottom=bottom)


def clipped(image: str, boxes: Sequence[NamedBox], rows: int, columns: int) -> NDArray[np.float32]:
    """Return boxes cut off at the edges of their picture, shape (box, 4).

    Raises:
        InputError: A box lies outside altogether.
    """
    edges = np.array([(b.left, b.top, b.right, b.bottom) for b in boxes], np.float64)
    edges = edges.reshape(-1, 4)
    inside = edges.clip(0, (columns, rows, columns, rows))
    outside = np.flatnonzero((inside[:, 2] <= inside[:, 0]) | (inside[:, 3] <= inside[:, 1]))
    if len(outside):
        worst = edges[outside[0]].tolist()
        raise InputError(
            f"'{image}': {len(outside)} of {len(edges)} box(es) lie outside the picture of "
            f"{columns} x {rows} pixels, such as {worst}; correct them."
        )
    return inside.astype(np.float32)
