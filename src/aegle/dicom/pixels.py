"""Stored pixel values of the frames of a file, as integers or floats before any rescaling.

Plain pixels are viewed in place. Compressed frames are decoded in a child process.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), PS3.5 sections 8 and A.4 (encapsulation).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.dicom import tags
from aegle.dicom.decoding import Decoder, FrameFacts, Refused, shared_decoder
from aegle.dicom.elements import (
    ASK_FOR_WHOLE,
    ITEM,
    UNDEFINED,
    CutOff,
    Elements,
    Malformed,
    head,
)
from aegle.dicom.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Parsed
from aegle.domain.errors import FileError

Pixels = NDArray[Any]

_JPEG = "1.2.840.10008.1.2.4."
CODECS = {
    "1.2.840.10008.1.2.5": "rle",
    "1.2.840.10008.1.2.8.1": "deflate",
    **dict.fromkeys([_JPEG + end for end in ("50", "51", "53", "55")], "jpeg"),
    **dict.fromkeys([_JPEG + end for end in ("57", "70")], "lossless jpeg"),
    **dict.fromkeys([_JPEG + end for end in ("80", "81")], "jpeg-ls"),
    **dict.fromkeys(
        [_JPEG + end for end in ("90", "91", "92", "93", "201", "202", "203")], "jpeg 2000"
    ),
    **dict.fromkeys([_JPEG + end for end in ("110", "111", "112")], "jpeg xl"),
}
"""How frames of each compressed transfer syntax are decoded."""
_PLAIN = {IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG}
_FLOATS = {tags.FLOAT_PIXEL_DATA: "f4", tags.DOUBLE_FLOAT_PIXEL_DATA: "f8"}
_MAX_SIDE_PRODUCT = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFacts:
    """How the pixels of a file are stored."""

    name: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    is_planar: bool
    """Whether colours lie in planes, not side by side."""
    allocated: int
    stored: int
    high_bit: int
    is_signed: bool
    float_type: str = ""

    @property
    def is_subsampled(self) -> bool:
        """Whether two pixels share their colour."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        samples = 2 if self.is_subsampled and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.allocated

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pixels of one frame."""
        plane = (self.rows, self.columns)
        return plane if self.samples == 1 else (*plane, self.samples)


def facts_of(parsed: Parsed) -> PixelFacts:
    """Return how pixels are stored.

    Raises:
        FileError: What the file says is missing or impossible.
    """
    found = parsed.elements
    allocated = found.unsigned(tags.BITS_ALLOCATED)
    tag = _pixel_element(parsed)[0]
    float_type = _FLOATS.get(tag, "")
    if float_type:
        allocated = 8 * int(float_type[1])
    if allocated is None:
        raise FileError(found.name, "it does not say how many bits a pixel has.", ASK_FOR_WHOLE)
    stored = found.unsigned(tags.BITS_STORED) or allocated
    high_bit = found.unsigned(tags.HIGH_BIT)
    facts = PixelFacts(
        name=found.name,
        rows=found.unsigned(tags.ROWS) or 0,
        columns=found.unsigned(tags.COLUMNS) or 0,
        frames=max(found.whole(tags.NUMBER_OF_FRAMES) or 1, 1),
        samples=found.unsigned(tags.SAMPLES_PER_PIXEL) or 1,
        photometric=found.text(tags.PHOTOMETRIC_INTERPRETATION),
        is_planar=found.unsigned(tags.PLANAR_CONFIGURATION) == 1,
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        is_signed=found.unsigned(tags.PIXEL_REPRESENTATION) == 1,
        float_type=float_type,
    )
    _check(facts)
    return facts


def _check(facts: PixelFacts) -> None:
    possible = (
        facts.allocated in (1, 8, 16, 32, 64)
        and facts.samples in (1, 3)
        and facts.rows > 0
        and facts.columns > 0
        and 1 <= facts.stored <= facts.allocated
        and facts.stored - 1 <= facts.high_bit < facts.allocated
    )
    if not possible:
        raise FileError(
            facts.name,
            f"{facts.rows}×{facts.columns} pixels of {facts.samples} sample(s) with "
            f"{facts.stored} of {facts.allocated} bits are not supported.",
            "Export it again from the system it came from.",
        )


def _pixel_element(parsed: Parsed) -> tuple[int, int, int]:
    """Return tag, start and length of the pixel data."""
    name = parsed.elements.name
    try:
        tag, start, length = head(parsed.data, parsed.position, parsed.elements.encoding)
    except (CutOff, Malformed) as error:
        raise FileError(name, "it has no pixel data.", ASK_FOR_WHOLE) from error
    if tag not in (tags.PIXEL_DATA, *_FLOATS):
        raise FileError(name, "it has no pixel data.", ASK_FOR_WHOLE)
    return tag, start, length


def frames(
    parsed: Parsed, facts: PixelFacts, wanted: Sequence[int], *, decoder: Decoder | None = None
) -> Iterator[Pixels]:
    """Give the stored values of the frames wanted, one after the other.

    Args:
        parsed: The file.
        facts: How its pixels are stored.
        wanted: Indices of frames.
        decoder: Decodes compressed frames; the process's own by default.

    Yields:
        Arrays of shape (row, column) or (row, column, sample).

    Raises:
        FileError: Pixels are cut off, or cannot be decoded.
    """
    syntax = parsed.elements.transfer_syntax_uid
    if syntax in _PLAIN:
        yield from _plain_frames(parsed, facts, wanted)
        return
    if syntax not in CODECS:
        raise FileError(
            facts.name,
            f"its transfer syntax {syntax} is not supported.",
            "Export it uncompressed, or as JPEG 2000 or RLE.",
        )
    yield from _compressed_frames(parsed, facts, wanted, decoder or shared_decoder())


def _plain_frames(parsed: Parsed, facts: PixelFacts, wanted: Sequence[int]) -> Iterator[Pixels]:
    _, start, length = _pixel_element(parsed)
    there = len(parsed.data) - start if length == UNDEFINED else length
    there = min(there, len(parsed.data) - start)
    needed = (facts.frame_bits * facts.frames + 7) // 8
    if there < needed:
        raise FileError(
            facts.name,
            f"its pixel data are cut off: {there} of {needed} bytes are there.",
            ASK_FOR_WHOLE,
        )
    for index in wanted:
        yield _plain_frame(parsed, facts, start, index)


def _plain_frame(parsed: Parsed, facts: PixelFacts, start: int, index: int) -> Pixels:
    if facts.allocated == 1:
        return _single_bits(parsed.data, facts, start, index)
    kind = facts.float_type or f"{'i' if facts.is_signed else 'u'}{facts.allocated // 8}"
    order = "<" if parsed.elements.encoding.little else ">"
    size = facts.frame_bits // 8
    count = size // (facts.allocated // 8)
    data, first = parsed.data, start + index * size
    if order == ">" and facts.allocated == 8 and _is_in_words(parsed):
        data, first = _unswapped(data, first, size), first % 2
    pixels = np.frombuffer(data, np.dtype(order + kind), count, first)
    if facts.is_subsampled and facts.samples == 3:
        return _spread(pixels, facts)
    if facts.samples == 1:
        return _used_bits(pixels.reshape(facts.shape), facts)
    if facts.is_planar:
        planes = pixels.reshape(facts.samples, facts.rows, facts.columns)
        return _used_bits(np.moveaxis(planes, 0, -1), facts)
    return _used_bits(pixels.reshape(facts.shape), facts)


def _is_in_words(parsed: Parsed) -> bool:
    return parsed.data[parsed.position + 4 : parsed.position + 6] == b"OW"


def _unswapped(data: bytes, first: int, size: int) -> bytes:
    """Return bytes that were written as big-endian words; they start at an even place."""
    start = first - first % 2
    words = np.frombuffer(data, ">u2", (first - start + size + 1) // 2, start)
    return words.astype("<u2").tobytes()


def _single_bits(data: bytes, facts: PixelFacts, start: int, index: int) -> Pixels:
    """Return a frame of single bits; frames follow each other without gaps."""
    first = index * facts.frame_bits
    last = first + facts.frame_bits
    whole = np.frombuffer(data, np.uint8, (last + 7) // 8 - first // 8, start + first // 8)
    bits = np.unpackbits(whole, bitorder="little")[first % 8 : first % 8 + facts.frame_bits]
    return bits.reshape(facts.shape)


def _spread(pixels: Pixels, facts: PixelFacts) -> Pixels:
    """Give each pixel its colour; stored are pairs: two brightnesses, two colour differences."""
    pairs = pixels.reshape(facts.rows, facts.columns // 2, 4)
    out = np.empty(facts.shape, pixels.dtype)
    out[:, 0::2, 0], out[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    out[..., 1] = np.repeat(pairs[..., 2], 2, axis=1)
    out[..., 2] = np.repeat(pairs[..., 3], 2, axis=1)
    return out


def _used_bits(pixels: Pixels, facts: PixelFacts) -> Pixels:
    """Clear the bits that are allocated but not stored (older files keep overlays there)."""
    if facts.float_type or facts.stored == facts.allocated:
        return pixels
    left = facts.allocated - 1 - facts.high_bit
    right = facts.allocated - facts.stored
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=True)
    if left:
        np.left_shift(native, left, out=native)
    if right:
        np.right_shift(native, right, out=native)
    return native


def _compressed_frames(
    parsed: Parsed, facts: PixelFacts, wanted: Sequence[int], decoder: Decoder
) -> Iterator[Pixels]:
    streams = codestreams(parsed, facts)
    codec = CODECS[parsed.elements.transfer_syntax_uid]
    request = FrameFacts(
        codec=codec,
        rows=facts.rows,
        columns=facts.columns,
        samples=facts.samples,
        bits_allocated=facts.allocated,
        photometric=facts.photometric,
    )
    for index in wanted:
        try:
            pixels = decoder.frame(streams[index], request)
        except Refused as refusal:
            raise FileError(
                facts.name,
                f"frame {index + 1} cannot be decoded as {codec} ({refusal}).",
                "Export it uncompressed, or ask for it again.",
            ) from refusal
        yield _decoded(pixels, facts, codec)


def _decoded(pixels: Pixels, facts: PixelFacts, codec: str) -> Pixels:
    """Check a decoded frame and give its values the sign that the file states."""
    if codec in ("rle", "deflate"):
        pixels = _from_bytes(pixels, facts, codec)
    if pixels.shape == (*facts.shape, 1):
        pixels = pixels[..., 0]
    if pixels.shape != facts.shape:
        raise FileError(
            facts.name,
            f"its compressed pixels have shape {pixels.shape}, but the header says {facts.shape}.",
            ASK_FOR_WHOLE,
        )
    if facts.samples == 3 or facts.allocated == 1:
        return pixels
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    spare = 8 * pixels.dtype.itemsize - facts.stored
    if spare < 0 or not facts.is_signed:
        return unsigned
    signed = unsigned.astype(f"i{pixels.dtype.itemsize}")
    return (signed << spare) >> spare if spare else signed


def _from_bytes(pixels: Pixels, facts: PixelFacts, codec: str) -> Pixels:
    if codec == "rle" and facts.allocated > 1:
        return pixels if facts.samples == 3 else pixels[..., 0]
    content = pixels.astype(np.uint8).tobytes()
    if len(content) * 8 < facts.frame_bits:
        raise FileError(facts.name, "its compressed pixels are cut off.", ASK_FOR_WHOLE)
    if facts.allocated == 1:
        return _single_bits(content, facts, 0, 0)
    count = facts.frame_bits // facts.allocated
    whole = np.frombuffer(content, f"<u{facts.allocated // 8}", count)
    return whole.reshape(facts.shape)


def codestreams(parsed: Parsed, facts: PixelFacts) -> list[bytes]:
    """Return the compressed bytes of each frame.

    Raises:
        FileError: The fragments do not give the frames that the header promises.
    """
    fragments, offsets = _fragments(parsed)
    if facts.frames == 1:
        return [b"".join(data for _, data in fragments)]
    if len(fragments) == facts.frames:
        return [data for _, data in fragments]
    starts = set(offsets if len(offsets) == facts.frames else _starts(fragments))
    streams: list[bytearray] = []
    for position, data in fragments:
        if position in starts or not streams:
            streams.append(bytearray())
        streams[-1] += data
    if len(streams) != facts.frames:
        raise FileError(
            facts.name,
            f"its {len(fragments)} compressed fragments do not make {facts.frames} frames.",
            ASK_FOR_WHOLE,
        )
    return [bytes(stream) for stream in streams]


def _starts(fragments: Sequence[tuple[int, bytes]]) -> list[int]:
    """Return which fragments begin a JPEG or JPEG 2000 codestream."""
    return [
        position for position, data in fragments if data[:4] == b"\xff\x4f\xff\x51"
        or data[:2] == b"\xff\xd8"
    ]  # fmt: skip


def _fragments(parsed: Parsed) -> tuple[list[tuple[int, bytes]], tuple[int, ...]]:
    """Return fragments with their offsets, and the offsets of the frames, if there is a table."""
    _, start, length = _pixel_element(parsed)
    data, name = parsed.data, parsed.elements.name
    end = len(data) if length == UNDEFINED else min(start + length, len(data))
    found: list[bytes] = []
    places: list[int] = []
    position = start
    while position + 8 <= end:
        group, element, size = struct.unpack_from("<HHI", data, position)
        if group << 16 | element != ITEM:
            break
        if position + 8 + size > end:
            raise FileError(name, "its compressed pixel data are cut off.", ASK_FOR_WHOLE)
        places.append(position)
        found.append(data[position + 8 : position + 8 + size])
        position += 8 + size
    if len(found) < 2:
        raise FileError(name, "its compressed pixel data are empty.", ASK_FOR_WHOLE)
    first = places[1]
    fragments = [(p - first, f) for p, f in zip(places[1:], found[1:], strict=True)]
    return fragments, _offset_table(parsed.elements, found[0])


def _offset_table(found: Elements, basic: bytes) -> tuple[int, ...]:
    extended = found.values.get(tags.EXTENDED_OFFSET_TABLE, b"")
    if extended:
        return struct.unpack(f"<{len(extended) // 8}Q", extended[: len(extended) // 8 * 8])
    return struct.unpack(f"<{len(basic) // 4}I", basic[: len(basic) // 4 * 4])
