"""Decodes one piece of foreign data at a time; run as a process of its own.

Codecs written in C may crash, hang or ask for all memory when the data are hostile. Here they
may: the process is limited in memory and time, holds nothing, and is started anew when it dies.
Requests come on standard input, answers go to standard output; both are a head of three
numbers, a JSON text and a block of bytes. The process ends when its input ends.
"""

import json
import os
import signal
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

HEAD = struct.Struct("<BIQ")
OK, FAILED = 0, 1
MAX_DEPTH = 32

Facts = dict[str, Any]


def main() -> None:
    """Answer requests until the input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Libraries that print must not write into the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import imagecodecs  # noqa: F401
    import numpy  # noqa: F401

    _limit_memory(int(sys.argv[1]))
    _answer(answers, OK, {}, b"")
    while head := requests.read(HEAD.size):
        kind, facts_size, size = HEAD.unpack(head)
        facts = json.loads(requests.read(facts_size))
        data = requests.read(size)
        signal.setitimer(signal.ITIMER_REAL, facts["deadline_s"])
        _answer(answers, *_attempt(_TASKS[kind], facts, data))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_memory(memory_mib: int) -> None:
    try:
        import resource
    except ImportError:
        return
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  (start-up time counts)
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    limit = in_use + (memory_mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _attempt(
    task: Callable[[Facts, bytes], tuple[Facts, bytes]], facts: Facts, data: bytes
) -> tuple[int, Facts, bytes]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (OK, *task(facts, data))
    except MemoryError:
        return FAILED, {"reason": "it needs more memory than allowed"}, b""
    except BaseException as error:  # noqa: BLE001  (some codecs raise what is no Exception)
        return FAILED, {"reason": f"{type(error).__name__}: {error}"[:200]}, b""


def _answer(answers: BinaryIO, status: int, facts: Facts, data: bytes) -> None:
    text = json.dumps(facts).encode()
    answers.write(HEAD.pack(status, len(text), len(data)))
    answers.write(text)
    answers.write(data)
    answers.flush()


def decode_frame(facts: Facts, data: bytes) -> tuple[Facts, bytes]:
    """Decode one frame; the answer tells type and shape of the pixels."""
    import numpy as np

    pixels = np.ascontiguousarray(_CODECS[facts["codec"]](facts, data))
    return {"type": pixels.dtype.str, "shape": pixels.shape}, pixels.tobytes()


def _jpeg(facts: Facts, data: bytes) -> Any:
    import imagecodecs

    if facts["samples"] == 1:
        return imagecodecs.jpeg8_decode(data)
    # An Adobe marker tells the colour space itself; otherwise the header of the file does.
    has_marker = b"\xff\xee\x00\x0eAdobe" in data[:2048]
    is_rgb = facts["photometric"] == "RGB"
    given = None if has_marker else ("RGB" if is_rgb else "YCBCR")
    return imagecodecs.jpeg8_decode(data, colorspace=given, outcolorspace="RGB")


def _lossless_jpeg(_: Facts, data: bytes) -> Any:
    import imagecodecs

    return imagecodecs.jpegsof3_decode(data)


def _jpeg_ls(_: Facts, data: bytes) -> Any:
    import imagecodecs

    return imagecodecs.jpegls_decode(data)


def _jpeg_2000(_: Facts, data: bytes) -> Any:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(data)


def _jpeg_xl(_: Facts, data: bytes) -> Any:
    import imagecodecs

    return imagecodecs.jpegxl_decode(data)


def _run_length(facts: Facts, data: bytes) -> Any:
    """Decode the planes of bytes, most significant first (DICOM PS3.5 annex G)."""
    import imagecodecs
    import numpy as np

    count, *offsets = struct.unpack_from("<16I", data)
    width = max(facts["bits_allocated"] // 8, 1)
    samples, size = facts["samples"], facts["rows"] * facts["columns"]
    if facts["bits_allocated"] == 1:
        size = (size + 7) // 8
    if count != width * samples:
        raise ValueError(f"{count} run-length segments, expected {width * samples}")
    ends = [*offsets[1:count], len(data)]
    planes = np.empty((samples, size, width), np.uint8)
    for segment, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        decoded = np.frombuffer(imagecodecs.packbits_decode(data[start:end]), np.uint8)
        if decoded.size < size:
            raise ValueError(f"a run-length segment holds {decoded.size} of {size} bytes")
        planes[segment // width, :, width - 1 - segment % width] = decoded[:size]
    if facts["bits_allocated"] == 1:
        return planes[0, :, 0]
    pixels = planes.view(f"<u{width}")[..., 0].T
    return pixels.reshape(facts["rows"], facts["columns"], samples)


def _deflated(_: Facts, data: bytes) -> Any:
    import numpy as np

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return np.frombuffer(inflater.decompress(data, 1 << 28), np.uint8)


_CODECS: dict[str, Callable[[Facts, bytes], Any]] = {
    "jpeg": _jpeg,
    "lossless jpeg": _lossless_jpeg,
    "jpeg-ls": _jpeg_ls,
    "jpeg 2000": _jpeg_2000,
    "jpeg xl": _jpeg_xl,
    "rle": _run_length,
    "deflate": _deflated,
}


def read_elements(_: Facts, data: bytes) -> tuple[Facts, bytes]:
    """Let pydicom find the elements, and write them plainly: explicit, defined lengths."""
    import pydicom

    dataset = pydicom.dcmread(BytesIO(data), force=True)
    syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", ""))
    implicit, little = dataset.original_encoding
    if not syntax:
        syntax = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    if len(dataset) == 0:
        raise ValueError("no elements")
    content = _write(dataset, "<" if little else ">", 0)
    return {"syntax": syntax, "little": bool(little)}, content


def _write(dataset: Any, order: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise ValueError("sequences nested too deeply")
    content = bytearray()
    for tag in sorted(dataset.keys()):
        element = dataset.get_item(tag)
        value = _value(element, order, depth)
        content += struct.pack(
            f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, b"UN", 0, len(value)
        ) + bytes(value)
    return bytes(content)


def _value(element: Any, order: str, depth: int) -> bytes:
    value = element.value
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if element.VR == "SQ":
        items = (_write(item, order, depth + 1) for item in value)
        return b"".join(struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(i)) + i for i in items)
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
    return "\\".join(str(part) for part in parts).encode("utf-8", "replace")


_TASKS = {0: decode_frame, 1: read_elements}


if __name__ == "__main__":
    main()
