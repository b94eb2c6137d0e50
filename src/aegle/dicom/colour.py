"""Colours as red, green and blue from 0 to 255, and tables that map stored values.

Sources: DICOM PS3.3 C.7.6.3.1.2 (photometric interpretation), C.7.6.3.1.5 and C.7.9.2
(palettes and their segments), C.11.1 (modality lookup table).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.dicom import tags
from aegle.dicom.elements import ASK_FOR_WHOLE, Elements
from aegle.dicom.pixels import PixelFacts, Pixels
from aegle.domain.errors import FileError

Values = NDArray[np.float32]

_FROM_YBR = np.array(
    [[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32
)
_LUT_DESCRIPTOR, _LUT_DATA = 0x00283002, 0x00283006
_MAX_ENTRIES = 1 << 16


def to_rgb(pixels: Pixels, facts: PixelFacts, *, is_decoded_rgb: bool) -> Values:
    """Return colours of shape (row, column, 3), each from 0 to 255.

    Args:
        pixels: Stored samples.
        facts: How they are stored.
        is_decoded_rgb: Whether the codec has already made red, green and blue.
    """
    values = pixels.astype(np.float32)
    if facts.stored != 8:
        values *= np.float32(255 / (2**facts.stored - 1))
    if is_decoded_rgb or facts.photometric not in ("YBR_FULL", "YBR_FULL_422"):
        return values
    values[..., 1:] -= 128
    colours: Values = np.clip(np.rint(values @ _FROM_YBR.T), 0, 255)
    return colours


def from_palette(pixels: Pixels, found: Elements) -> Values:
    """Return the colours that a palette gives to stored values.

    Raises:
        FileError: The palette is missing or damaged.
    """
    channels = []
    for channel in range(3):
        descriptor = found.integers(tags.RED_PALETTE_DESCRIPTOR + channel, signed=False)
        plain = found.values.get(tags.RED_PALETTE_DATA + channel, b"")
        segments = found.values.get(tags.RED_PALETTE_SEGMENTS + channel, b"")
        if len(descriptor) != 3 or not (plain or segments):
            raise FileError(found.name, "its colour palette is missing.", ASK_FOR_WHOLE)
        entries, first, bits = descriptor
        table = _words(plain, found) if plain else _expanded(segments, found)
        table = _entries(table, entries or _MAX_ENTRIES, bits)
        channels.append(_look_up(pixels, table, first) * (255 / (2**bits - 1)))
    return np.stack(channels, axis=-1).astype(np.float32)


def modality_table(found: Elements) -> tuple[NDArray[Any], int] | None:
    """Return the table that maps stored values, and the value its first entry is for."""
    item = found.first(tags.MODALITY_LUT_SEQUENCE)
    if item is None:
        return None
    descriptor = item.integers(_LUT_DESCRIPTOR, signed=False)
    if len(descriptor) != 3:
        raise FileError(found.name, "its modality lookup table is damaged.", ASK_FOR_WHOLE)
    entries, first, bits = descriptor
    signed = found.unsigned(tags.PIXEL_REPRESENTATION) == 1
    first = first - (1 << 16) if signed and first >= 1 << 15 else first
    table = _words(item.values.get(_LUT_DATA, b""), item)
    return _entries(table, entries or _MAX_ENTRIES, bits), first


def look_up(pixels: Pixels, table: NDArray[Any], first: int) -> NDArray[Any]:
    """Return the entries for stored values; beyond the table the nearest entry counts."""
    return _look_up(pixels, table, first)


def _look_up(pixels: Pixels, table: NDArray[Any], first: int) -> NDArray[Any]:
    if table.size == 0:
        raise ValueError("empty table")
    index = np.clip(pixels.astype(np.int64) - first, 0, table.size - 1)
    return np.asarray(table[index])


def _words(raw: bytes, found: Elements) -> NDArray[Any]:
    order = "<" if found.encoding.little else ">"
    return np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2")


def _entries(table: NDArray[Any], entries: int, bits: int) -> NDArray[Any]:
    """Return one entry each; tables of 8 bits may hold two in a word."""
    if bits <= 8 and table.size < entries:
        table = table.astype("<u2").view(np.uint8)
    return table[:entries]


def _expanded(raw: bytes, found: Elements) -> NDArray[Any]:
    """Expand a segmented palette: discrete, linear and repeated segments."""
    words = [int(w) for w in _words(raw, found)]
    out: list[int] = []
    position = 0
    while position + 2 <= len(words) and len(out) <= _MAX_ENTRIES:
        kind, count = words[position], words[position + 1]
        if kind == 0:
            out += words[position + 2 : position + 2 + count]
            position += 2 + count
        elif kind == 1 and out and position + 2 < len(words):
            last = words[position + 2]
            steps = np.linspace(out[-1], last, count + 1)[1:]
            out += [round(float(v)) for v in steps]
            position += 3
        else:
            raise FileError(
                found.name,
                f"its palette has segments of kind {kind}.",
                "Store the palette plainly.",
            )
    return np.array(out, np.uint16)
