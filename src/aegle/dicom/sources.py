"""Where the bytes of a file come from: a path, or a member of a zip archive read in place.

Nothing is unpacked to disk, so a member's name can do no harm. What a member may inflate to
is bounded by what the archive declares, and that by the caller.

Source: PKWARE APPNOTE.TXT 6.3.10, section 4.3.7 (local file header).
"""

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aegle.domain.errors import FileError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a zip archive."""

    name: str
    offset: int
    """Of the local header in the archive."""
    packed_size: int
    size: int
    crc32: int
    is_deflated: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be read again at any time."""

    location: str
    """Path of the file, or of the archive."""
    member: Member | None = None

    @property
    def path(self) -> Path:
        """Where the file or the archive is."""
        return Path(self.location)

    @property
    def name(self) -> str:
        """What messages call it: the path, and the member after a colon."""
        return f"{self.location}:{self.member.name}" if self.member else self.location

    @property
    def size(self) -> int:
        """Bytes of the content.

        Raises:
            FileError: The file is gone.
        """
        if self.member:
            return self.member.size
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise self._unreadable(error) from error

    def prefix(self, count: int) -> bytes:
        """Return the first ``count`` bytes, or all if there are fewer.

        Raises:
            FileError: The file cannot be read.
        """
        try:
            if self.member is None:
                return _first_bytes(self.location, count)
            with self.path.open("rb", buffering=0) as file:
                return _inflate(self.member, file, min(count, self.member.size))
        except (OSError, zlib.error, struct.error) as error:
            raise self._unreadable(error) from error

    def read(self) -> bytes:
        """Return the whole content.

        Raises:
            FileError: The file cannot be read, or is not what its archive declares.
        """
        if self.member is None:
            return self.prefix(self.size)
        content = self.prefix(self.member.size)
        if len(content) != self.member.size or zlib.crc32(content) != self.member.crc32:
            raise FileError(
                self.name, "its checksum or size is wrong.", "Get the archive again; it is damaged."
            )
        return content

    def digest(self) -> str:
        """Return the SHA-256 of the content as hexadecimal text."""
        return hashlib.sha256(self.read()).hexdigest()

    def _unreadable(self, error: Exception) -> FileError:
        return FileError(
            self.name,
            f"it cannot be read ({error}).",
            "Check that it exists, is complete and may be read.",
        )


def _first_bytes(location: str, count: int) -> bytes:
    descriptor = os.open(location, os.O_RDONLY)
    try:
        first = os.read(descriptor, count)
        if len(first) == count:
            return first
        parts = [first]
        missing = count - len(first)
        # One read may give less than asked for.
        while missing > 0 and (part := os.read(descriptor, missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _whole_read(file: BinaryIO, count: int) -> bytes:
    """Read ``count`` bytes; a raw read may give fewer at a time."""
    first = file.read(count)
    if len(first) == count or not first:
        return first
    parts = [first]
    missing = count - len(first)
    while missing > 0 and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _inflate(member: Member, file: BinaryIO, count: int) -> bytes:
    file.seek(member.offset)
    _, name_length, extra_length = _LOCAL_HEADER.unpack(_whole_read(file, _LOCAL_HEADER.size))
    file.seek(name_length + extra_length, io.SEEK_CUR)
    if not member.is_deflated:
        return _whole_read(file, min(count, member.packed_size))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = bytearray()
    packed_left = member.packed_size
    while len(content) < count and not inflater.eof:
        packed = inflater.unconsumed_tail
        if not packed:
            packed = _whole_read(file, min(packed_left, _STEP, max(count, 1 << 14)))
            packed_left -= len(packed)
        if not packed:
            break
        content += inflater.decompress(packed, count - len(content))
    return bytes(content)


def members(path: Path) -> Sequence[zipfile.ZipInfo]:
    """Return what an archive declares to hold, in its own order.

    Raises:
        FileError: It is not a zip archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise FileError(
            path, f"the archive cannot be read ({error}).", "Pack it again as a plain zip file."
        ) from error


def source_of(location: str, entry: zipfile.ZipInfo) -> Source:
    """Return the source of a member that is stored or deflated."""
    member = Member(
        name=entry.filename,
        offset=entry.header_offset,
        packed_size=entry.compress_size,
        size=entry.file_size,
        crc32=entry.CRC,
        is_deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
    )
    return Source(location, member)
