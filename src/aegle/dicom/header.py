"""The beginning of a DICOM file: enough to know what it is, read with little work.

Only the first kilobytes are read, more if the header is longer. Files that are not laid out
as they say are read once more by pydicom, in a child process that may fail.

Source: DICOM PS3.10 section 7 (file format), PS3.5 annex A (transfer syntaxes).
"""

import zlib
from collections.abc import Collection
from typing import NamedTuple

from aegle.dicom import tags
from aegle.dicom.decoding import Refused, shared_decoder
from aegle.dicom.elements import (
    ASK_FOR_WHOLE,
    LAST_BEFORE_PIXELS,
    VALUE_REPRESENTATIONS,
    CutOff,
    Elements,
    Encoding,
    Malformed,
    Walk,
    walk,
)
from aegle.dicom.sources import Source
from aegle.domain.errors import FileError

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

PREFIX_BYTES = (1 << 14, 1 << 18, 1 << 22, 1 << 26)
"""How much is read at first, and how much more if the header goes on."""
MAX_INFLATED_BYTES = 1 << 28
"""A deflated data set may inflate to this much."""
MAX_ODD_BYTES = 1 << 26
"""Files that only pydicom understands may be this large."""

_PREAMBLE = 128
_LAST_OF_META = 0x0002FFFF
_FIRST_GROUPS = (0x0002, 0x0004, 0x0008)


class NotDicom(Exception):  # noqa: N818  (an internal signal, never shown)
    """The content is something else."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start
        """The first bytes."""


class TooLarge(Exception):  # noqa: N818  (an internal signal, never shown)
    """A deflated data set inflates to more than is allowed."""


class Parsed(NamedTuple):
    """A data set and where its pixels start."""

    elements: Elements
    data: bytes
    """The data set as it was walked (inflated, if it was deflated)."""
    position: int
    """Of the first element not read: pixel data, if there are any."""


def read(source: Source) -> Elements:
    """Return what a scan needs to know of a file.

    Raises:
        NotDicom: The file is something else.
        FileError: The file is DICOM, but damaged.
    """
    for count in PREFIX_BYTES:
        data = source.prefix(count)
        is_whole = len(data) < count
        try:
            return parse(
                data,
                source.name,
                wanted=tags.OF_A_SCAN,
                last=tags.LAST_OF_IMAGE_DESCRIPTION,
                is_whole=is_whole,
            ).elements
        except Malformed:
            return _by_pydicom(source).elements
        except TooLarge as error:
            raise _bomb(source.name) from error
        except CutOff as cut:
            if is_whole or cut.needed > max(PREFIX_BYTES[-1], source.size):
                raise _cut_off(source.name, cut) from cut
    raise FileError(source.name, "its header is longer than 64 MiB.", ASK_FOR_WHOLE)


def open_file(source: Source, *, max_bytes: int) -> Parsed:
    """Return the whole data set of a file.

    Raises:
        FileError: The file is too large, damaged, or not DICOM.
    """
    if source.size > max_bytes:
        raise FileError(
            source.name,
            f"it has {source.size / 2**20:.0f} MiB, more than the {max_bytes / 2**20:.0f} allowed.",
            "Raise the option max_file_mib if it is to be read.",
        )
    try:
        return parse(source.read(), source.name)
    except Malformed:
        return _by_pydicom(source)
    except CutOff as cut:
        raise _cut_off(source.name, cut) from cut
    except NotDicom as error:
        raise FileError(source.name, "it is not a DICOM file.", "Leave it out.") from error
    except TooLarge as error:
        raise _bomb(source.name) from error


def parse(
    data: bytes,
    name: str,
    *,
    wanted: Collection[int] | None = None,
    last: int = LAST_BEFORE_PIXELS,
    is_whole: bool = True,
) -> Parsed:
    """Walk a file's content.

    Raises:
        NotDicom: The content is something else.
        CutOff: It ends early (or is only the beginning, if not ``is_whole``).
        Malformed: It is not laid out as it says.
    """
    start = _start_of_elements(data)
    meta = _meta(data, start, is_whole=is_whole)
    position = meta.position
    syntax = meta.values.get(tags.TRANSFER_SYNTAX_UID, b"").decode("ascii", "replace").strip(" \0")
    if syntax == DEFLATED:
        limit = MAX_INFLATED_BYTES if last == LAST_BEFORE_PIXELS else PREFIX_BYTES[-1]
        if not is_whole:
            limit = 4 * len(data)
        data, is_whole = _inflate(data[position:], limit, is_whole=is_whole)
        position = 0
    encoding = _encoding(data, position, syntax)
    found = walk(data, position, encoding, wanted=wanted, last=last, is_whole=is_whole)
    character_set = found.values.get(tags.SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace")
    values = found.values
    if tags.SOP_CLASS_UID not in values and (held := meta.values.get(_MEDIA_CLASS)):
        values[tags.SOP_CLASS_UID] = held
    elements = Elements(name, syntax or _syntax_of(encoding), encoding, values, character_set)
    return Parsed(elements, data, found.position)


_MEDIA_CLASS = 0x00020002
_META = Encoding(explicit=True, little=True)
_GROUP_LENGTH_HEAD = b"\x02\0\0\0UL\x04\0"
_OF_META = frozenset({tags.TRANSFER_SYNTAX_UID, _MEDIA_CLASS})


def _meta(data: bytes, start: int, *, is_whole: bool) -> Walk:
    """Walk the file meta information; its length counts, since deflated data may follow it."""
    stated = data[start : start + 12]
    if stated[:8] == _GROUP_LENGTH_HEAD:
        size = int.from_bytes(stated[8:], "little") + 12
        if start + size <= len(data) and data[start + size : start + size + 2] != b"\x02\0":
            whole = data[start : start + size]
            return Walk(walk(whole, 0, _META, wanted=_OF_META).values, start + size)
    return walk(data, start, _META, wanted=_OF_META, last=_LAST_OF_META, is_whole=is_whole)


def _start_of_elements(data: bytes) -> int:
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return _PREAMBLE + 4
    # Without a preamble, a file is taken for DICOM if it starts with an early group, a small
    # even length and, if explicit, a known value representation.
    little = int.from_bytes(data[:2], "little")
    group = little if little in _FIRST_GROUPS else int.from_bytes(data[:2], "big")
    if group not in _FIRST_GROUPS or len(data) < 12:
        raise NotDicom(data[:8])
    if data[4:6] in VALUE_REPRESENTATIONS or int.from_bytes(data[4:8], "little") < 128:
        return 0
    raise NotDicom(data[:8])


def _encoding(data: bytes, position: int, syntax: str) -> Encoding:
    """Return how the data set is written: as it looks, where that contradicts the syntax."""
    head = data[position : position + 6]
    if syntax:
        little = syntax != EXPLICIT_BIG
        explicit = syntax != IMPLICIT_LITTLE
    else:
        little = int.from_bytes(head[:2], "little") <= 0x00FF or head[:1] != b"\0"
        explicit = head[4:6] in VALUE_REPRESENTATIONS
    if len(head) == 6 and head[:2] in (b"\x08\0", b"\0\x08"):
        little = head[:2] == b"\x08\0"
        explicit = head[4:6] in VALUE_REPRESENTATIONS
    return Encoding(explicit, little)


def _syntax_of(encoding: Encoding) -> str:
    if not encoding.explicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if encoding.little else EXPLICIT_BIG


def _inflate(packed: bytes, limit: int, *, is_whole: bool) -> tuple[bytes, bool]:
    """Inflate at most ``limit`` bytes; also return whether nothing follows them."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(packed, limit)
    except zlib.error as error:
        raise Malformed("not deflated") from error
    if is_whole and len(content) == limit:
        raise TooLarge
    return content, is_whole


def _by_pydicom(source: Source) -> Parsed:
    """Let pydicom read a file that is not laid out as it says."""
    if source.size > MAX_ODD_BYTES:
        raise FileError(source.name, "it is not laid out as its transfer syntax says.", _SAVE_AGAIN)
    try:
        syntax, little, content = shared_decoder().elements(source.read())
        encoding = Encoding(True, little)
        found = walk(content, 0, encoding)
    except (Refused, CutOff, Malformed) as error:
        raise FileError(
            source.name, "it is not laid out as its transfer syntax says.", _SAVE_AGAIN
        ) from error
    character_set = found.values.get(tags.SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace")
    elements = Elements(source.name, syntax, encoding, found.values, character_set)
    return Parsed(elements, content, found.position)


_SAVE_AGAIN = "Export it again from the system it came from."


def _cut_off(name: str, cut: CutOff) -> FileError:
    where = f" in element ({cut.tag >> 16:04X},{cut.tag & 0xFFFF:04X})" if cut.tag else ""
    return FileError(name, f"the file ends inside its header{where}.", ASK_FOR_WHOLE)


def _bomb(name: str) -> FileError:
    return FileError(
        name,
        f"it inflates to more than {MAX_INFLATED_BYTES >> 20} MiB, or its header to more than "
        f"{PREFIX_BYTES[-1] >> 20} MiB.",
        "Store it uncompressed if it is genuine.",
    )
