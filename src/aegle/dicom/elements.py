"""Data elements of a DICOM data set, found without interpreting what is not asked for.

The walk is bounded: lengths must lie inside the data, sequences may nest ``MAX_DEPTH`` deep,
and a data set holds at most ``MAX_ELEMENTS`` elements, so that a hostile file costs no more
than an honest one of its size. Values stay raw bytes until asked for. Data must be shorter than
4 GiB, so that an undefined length (FFFFFFFF) always points beyond them.

Source: DICOM PS3.5, sections 7.1 (elements), 7.5 (sequences) and A (transfer syntaxes).
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from aegle.dicom import tags
from aegle.dicom.charset import decode
from aegle.domain.errors import FileError

MAX_DEPTH = 64
MAX_ELEMENTS = 2_000_000
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LAST_BEFORE_PIXELS = tags.FLOAT_PIXEL_DATA - 1

_SHORT = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
_IS_SHORT = frozenset(_SHORT)
_IS_LONG = frozenset(_LONG)
_VALUE_STARTS = dict.fromkeys(_SHORT, 8) | dict.fromkeys(_LONG, 12)
VALUE_REPRESENTATIONS = frozenset(_VALUE_STARTS)

ASK_FOR_WHOLE = "Ask for the file again; this one is damaged."


class Malformed(Exception):  # noqa: N818  (an internal signal, never shown)
    """The data are not laid out as their transfer syntax says."""


class CutOff(Exception):  # noqa: N818  (an internal signal, never shown)
    """The data end before a value does."""

    def __init__(self, tag: int, needed: int) -> None:
        super().__init__(tag, needed)
        self.tag = tag
        self.needed = needed
        """Bytes that the data must have for the walk to go on."""


class Encoding(NamedTuple):
    """How elements are written."""

    explicit: bool
    little: bool


class Walk(NamedTuple):
    """What a walk over elements found."""

    values: dict[int, bytes]
    position: int
    """Of the first element that was not read."""


def walk(
    data: bytes,
    position: int,
    encoding: Encoding,
    *,
    wanted: Collection[int] | None = None,
    last: int = LAST_BEFORE_PIXELS,
    is_whole: bool = True,
) -> Walk:
    """Read elements from ``position`` up to tag ``last``.

    Args:
        data: The data set, or its beginning.
        position: Where the first element starts.
        encoding: How the elements are written.
        wanted: Tags to keep; None keeps all.
        last: Elements with higher tags are left.
        is_whole: Whether nothing follows ``data``.

    Raises:
        CutOff: The data end inside an element.
        Malformed: The data are not what ``encoding`` says.
    """
    values: dict[int, bytes] = {}
    follow = _follow_explicit if encoding.explicit else _follow_implicit
    position, is_past = follow(data, position, encoding, wanted, last, values)
    if not is_past and not is_whole:
        raise CutOff(0, len(data) + 1)
    return Walk(values, position)


def _follow_explicit(
    data: bytes,
    position: int,
    encoding: Encoding,
    wanted: Collection[int] | None,
    last: int,
    values: dict[int, bytes],
) -> tuple[int, bool]:
    """Collect values; return the end, and whether a tag after ``last`` was met.

    Written without calls for each element, since a scan spends most of its time here.
    """
    unpack, unpack_length = _HEADS[encoding.little], _LENGTHS[encoding.little]
    is_short, size = _IS_SHORT, len(data)
    for _ in range(MAX_ELEMENTS):
        start = position + 8
        if start > size:
            return position, False
        group, element, representation, length = unpack(data, position)
        tag = group << 16 | element
        if tag > last:
            return position, True
        if representation not in is_short:
            start += 4
            if start > size or representation not in _IS_LONG:
                _, start, length = _explicit(data, position, encoding.little)
            else:
                (length,) = unpack_length(data, position + 8)
        stop = start + length
        if stop > size:
            stop = _end_of_undefined(data, position, encoding, length)
        if wanted is None or tag in wanted:
            values[tag] = data[start:stop]
        position = stop
    raise Malformed(f"more than {MAX_ELEMENTS} elements")


def _end_of_undefined(data: bytes, position: int, encoding: Encoding, length: int) -> int:
    """Return where an element ends whose length says that it goes beyond the data."""
    if length != UNDEFINED:
        tag, start, _ = head(data, position, encoding)
        raise CutOff(tag, start + length)
    return _end_of_sequence(data, position, encoding)


def _follow_implicit(
    data: bytes,
    position: int,
    encoding: Encoding,
    wanted: Collection[int] | None,
    last: int,
    values: dict[int, bytes],
) -> tuple[int, bool]:
    """Collect values; return the end, and whether a tag after ``last`` was met."""
    size = len(data)
    for _ in range(MAX_ELEMENTS):
        if position + 8 > size:
            return position, False
        tag, start, length = _implicit(data, position, encoding.little)
        if tag > last:
            return position, True
        stop = start + length
        if stop > size:
            stop = _end_of_undefined(data, position, encoding, length)
        if wanted is None or tag in wanted:
            values[tag] = data[start:stop]
        position = stop
    raise Malformed(f"more than {MAX_ELEMENTS} elements")


def head(data: bytes, position: int, encoding: Encoding) -> tuple[int, int, int]:
    """Return tag, start of value and length of the element at ``position``.

    Raises:
        CutOff: The data end inside the head.
        Malformed: It is not written as ``encoding`` says.
    """
    if position + 8 > len(data):
        raise CutOff(0, position + 8)
    read = _explicit if encoding.explicit else _implicit
    return read(data, position, encoding.little)


def _explicit(data: bytes, position: int, little: bool) -> tuple[int, int, int]:
    group, element, representation, length = _HEADS[little](data, position)
    start = _VALUE_STARTS.get(representation)
    if start == 8:
        return group << 16 | element, position + 8, length
    if group == 0xFFFE:
        (length,) = _LENGTHS[little](data, position + 4)
        return group << 16 | element, position + 8, length
    if start is None:
        raise Malformed(f"value representation {representation!r}")
    if position + 12 > len(data):
        raise CutOff(group << 16 | element, position + 12)
    (length,) = _LENGTHS[little](data, position + 8)
    return group << 16 | element, position + 12, length


def _implicit(data: bytes, position: int, little: bool) -> tuple[int, int, int]:
    group, element, length = _IMPLICIT_HEADS[little](data, position)
    return group << 16 | element, position + 8, length


_HEADS = {
    True: struct.Struct("<HH2sH").unpack_from,
    False: struct.Struct(">HH2sH").unpack_from,
}
_IMPLICIT_HEADS = {
    True: struct.Struct("<HHI").unpack_from,
    False: struct.Struct(">HHI").unpack_from,
}
_LENGTHS = {True: struct.Struct("<I").unpack_from, False: struct.Struct(">I").unpack_from}


def _end_of_sequence(data: bytes, position: int, encoding: Encoding) -> int:
    """Return where an element of undefined length ends, its delimiter included."""
    inner, start = _enter(data, position, encoding)
    depth = [inner]
    position = start
    for _ in range(MAX_ELEMENTS):
        if position + 8 > len(data):
            raise CutOff(0, position + 8)
        level = depth[-1]
        read = _explicit if level.explicit else _implicit
        tag, start, length = read(data, position, level.little)
        if tag in (ITEM_END, SEQUENCE_END):
            depth.pop()
            position += 8
        elif length == UNDEFINED:
            inner, position = (level, start) if tag == ITEM else _enter(data, position, level)
            depth.append(inner)
        else:
            position = start + length
        if not depth:
            return position
        if len(depth) > MAX_DEPTH:
            raise Malformed(f"sequences nested deeper than {MAX_DEPTH} levels")
    raise Malformed(f"more than {MAX_ELEMENTS} elements")


def _enter(data: bytes, position: int, encoding: Encoding) -> tuple[Encoding, int]:
    """Return how the content of an element of undefined length is written, and its start."""
    if not encoding.explicit:
        return encoding, position + 8
    # Content of an unknown representation is always implicit little endian (PS3.5 6.2.2).
    unknown = data[position + 4 : position + 6] == b"UN"
    return (Encoding(False, True) if unknown else encoding), position + 12


@dataclass(frozen=True, slots=True)
class Elements:
    """Raw values of a data set by tag, and how to read them."""

    name: str
    """What messages call the file."""
    transfer_syntax_uid: str
    encoding: Encoding
    values: Mapping[int, bytes]
    character_set: str = ""

    def text(self, tag: int) -> str:
        """Return a value as text without padding; empty if there is none."""
        raw = self.values.get(tag)
        if not raw:
            return ""
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii").strip(" \0")
        return decode(raw, self.character_set, is_name=tag == tags.PATIENT_NAME).strip(" \0")

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the values of a multi-valued text."""
        whole = self.text(tag)
        return tuple(part.strip(" \0") for part in whole.split("\\")) if whole else ()

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return decimal numbers written as text (DS, IS).

        Raises:
            FileError: The text is not a number.
        """
        try:
            found = tuple(float(part) for part in self.texts(tag) if part)
            if all(map(isfinite, found)):
                return found
        except ValueError:
            pass
        raise self._damaged(tag, f"'{self.text(tag)[:40]}' is not a number.")

    def number(self, tag: int) -> float | None:
        """Return the first number of a decimal text, or None."""
        found = self.numbers(tag)
        return found[0] if found else None

    def whole(self, tag: int) -> int | None:
        """Return a whole number written as text, or None where there is none that is valid."""
        try:
            return int(float(self.text(tag).split("\\")[0]))
        except (ValueError, OverflowError):
            return None

    def unsigned(self, tag: int) -> int | None:
        """Return a binary whole number of 2 or 4 bytes, or None."""
        found = self.integers(tag, signed=False)
        return found[0] if found else None

    def integers(self, tag: int, *, signed: bool) -> tuple[int, ...]:
        """Return binary whole numbers of 2 bytes each; a value of 4 bytes is one number."""
        raw = self.values.get(tag, b"")
        order = "<" if self.encoding.little else ">"
        letter = "h" if signed else "H"
        if len(raw) == 4 and tag in _SINGLE_VALUED:
            return struct.unpack(order + ("i" if signed else "I"), raw)
        return struct.unpack(f"{order}{len(raw) // 2}{letter}", raw[: len(raw) // 2 * 2])

    def doubles(self, tag: int) -> tuple[float, ...]:
        """Return binary numbers of 8 bytes."""
        raw = self.values.get(tag, b"")
        order = "<" if self.encoding.little else ">"
        return struct.unpack(f"{order}{len(raw) // 8}d", raw[: len(raw) // 8 * 8])

    def items(self, tag: int) -> tuple["Elements", ...]:
        """Return the items of a sequence; none if it is missing.

        Raises:
            FileError: The sequence is damaged.
        """
        raw = self.values.get(tag, b"")
        try:
            return tuple(self._item(raw, *span) for span in _spans(raw, self.encoding))
        except (CutOff, Malformed) as error:
            raise self._damaged(tag, "its sequence cannot be read.") from error

    def first(self, tag: int) -> "Elements | None":
        """Return the first item of a sequence, or None."""
        found = self.items(tag)
        return found[0] if found else None

    def _item(self, raw: bytes, start: int, end: int) -> "Elements":
        content = raw[start:end]
        encoding = _encoding_of_item(content, self.encoding)
        found = walk(content, 0, encoding, last=ITEM - 1).values
        own = found.get(tags.SPECIFIC_CHARACTER_SET)
        character_set = own.decode("ascii", "replace").strip() if own else self.character_set
        return Elements(self.name, self.transfer_syntax_uid, encoding, found, character_set)

    def _damaged(self, tag: int, finding: str) -> FileError:
        where = f"in element ({tag >> 16:04X},{tag & 0xFFFF:04X}) {finding}"
        return FileError(self.name, where, ASK_FOR_WHOLE)


_SINGLE_VALUED = frozenset(
    {tags.ROWS, tags.COLUMNS, tags.BITS_ALLOCATED, tags.BITS_STORED, tags.PIXEL_PADDING_VALUE}
)


def _spans(raw: bytes, encoding: Encoding) -> list[tuple[int, int]]:
    """Return where the content of each item of a sequence starts and ends."""
    spans: list[tuple[int, int]] = []
    position = 0
    while position + 8 <= len(raw):
        tag, start, length = _implicit(raw, position, encoding.little)
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise Malformed(f"no item at {position}")
        if length == UNDEFINED:
            end = _end_of_item(raw, start, encoding)
            spans.append((start, end - 8))
        else:
            end = start + length
            spans.append((start, end))
        if end > len(raw):
            raise CutOff(tag, end)
        if len(spans) > MAX_ELEMENTS // 8:
            raise Malformed("too many items")
        position = end
    return spans


def _end_of_item(raw: bytes, start: int, encoding: Encoding) -> int:
    inner = _encoding_of_item(raw[start : start + 8], encoding)
    position = start
    while position + 8 <= len(raw):
        read = _explicit if inner.explicit else _implicit
        tag, value, length = read(raw, position, inner.little)
        if tag == ITEM_END:
            return value
        is_nested = length == UNDEFINED
        position = _end_of_sequence(raw, position, inner) if is_nested else value + length
    raise CutOff(ITEM, position + 8)


def _encoding_of_item(content: bytes, outer: Encoding) -> Encoding:
    """Return how an item is written; unknown representations hide implicit items."""
    is_explicit = content[4:6] in VALUE_REPRESENTATIONS
    return outer if is_explicit == outer.explicit else Encoding(is_explicit, outer.little)
