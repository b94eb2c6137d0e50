"""Which files lie in the paths given: folders with all below them, members of zip archives.

Archives that declare more than is allowed are set aside before anything is read from them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from pathlib import Path
from typing import Annotated
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

from pydantic.dataclasses import dataclass

from aegle.dicom.sources import Source, members, source_of
from aegle.domain.errors import FileError
from aegle.domain.text import Text
from aegle.options import option

NOT_A_FILE = "It is not a file."
ENCRYPTED = "It is encrypted; unpack the archive with its password first."
UNKNOWN_PACKING = "It is packed by method {method}, which is not supported; unpack it first."
INFLATES_TOO_MUCH = "It inflates to {ratio} times its size; unpack it first if it is genuine."
ARCHIVE_TOO_LARGE = (
    "The archive declares {files} files of {mib} MiB together, more than allowed; raise the "
    "options max_archive_mib and max_archive_members, or unpack it first."
)
FILE_TOO_LARGE = "It has {mib} MiB, more than the option max_file_mib allows."
DAMAGED = "The file cannot be used: {detail}"

_ENCRYPTED = 1


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """How much a scan may read."""

    max_file_mib: Annotated[
        int, option("Larger members of archives are set aside", unit="MiB", ge=1, le=4095)
    ] = 4000
    max_archive_mib: Annotated[
        int, option("Archives that hold more than this unpacked are set aside", unit="MiB", ge=1)
    ] = 65536
    max_archive_members: Annotated[
        int, option("Archives with more files than this are set aside", ge=1)
    ] = 500_000


@plain_dataclass(frozen=True)
class SetAside:
    """A file that is not used, and why."""

    source_name: str
    reason: Text


@plain_dataclass
class SetAsides:
    """The files set aside so far."""

    files: list[SetAside] = field(default_factory=list)

    def add(self, name: object, template: str, **values: str | int) -> None:
        """Set a file aside for the reason that a template gives."""
        self.files.append(SetAside(str(name), Text(template, values)))


def sources_in(paths: Sequence[Path], aside: SetAsides, options: ScanOptions) -> Iterator[Source]:
    """Give every file once.

    Raises:
        FileError: A path given does not exist.
    """
    seen: set[str] = set()
    for path in paths:
        if not path.exists():
            raise FileError(path, "there is no such file or folder.", "Check the path.")
        for location, is_regular in _files(os.path.abspath(path)):  # noqa: PTH100  (links stay as they are given)
            if location in seen:
                continue
            seen.add(location)
            if not is_regular:
                aside.add(location, NOT_A_FILE)
            elif location.lower().endswith(".zip"):
                yield from members_of(location, aside, options)
            else:
                yield Source(location)


def _files(start: str) -> Iterator[tuple[str, bool]]:
    """Give each file below a path once, and whether it is a regular file."""
    if not os.path.isdir(start):  # noqa: PTH112
        yield start, os.path.isfile(start)  # noqa: PTH113
        return
    folders = [start]
    while folders:
        # The kinds of entries come with their names, which spares a question for each file.
        with os.scandir(folders.pop()) as entries:
            ordered = sorted(entries, key=lambda e: e.name)
        folders += [e.path for e in reversed(ordered) if e.is_dir(follow_symlinks=False)]
        for entry in ordered:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.path, entry.is_file()


def members_of(location: str, aside: SetAsides, options: ScanOptions) -> Iterator[Source]:
    """Give the members of an archive that may be read; the others are set aside."""
    try:
        entries = [e for e in members(Path(location)) if not e.is_dir()]
    except FileError as error:
        aside.add(location, DAMAGED, detail=f"{error.finding} {error.remedy}")
        return
    mib = sum(e.file_size for e in entries) >> 20
    if mib > options.max_archive_mib or len(entries) > options.max_archive_members:
        aside.add(location, ARCHIVE_TOO_LARGE, files=len(entries), mib=mib)
        return
    for entry in sorted(entries, key=lambda e: e.filename):
        name = f"{location}:{entry.filename}"
        if entry.flag_bits & _ENCRYPTED:
            aside.add(name, ENCRYPTED)
        elif entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            aside.add(name, UNKNOWN_PACKING, method=entry.compress_type)
        elif entry.file_size > options.max_file_mib << 20:
            aside.add(name, FILE_TOO_LARGE, mib=entry.file_size >> 20)
        elif _is_bomb(entry):
            aside.add(name, INFLATES_TOO_MUCH, ratio=entry.file_size // entry.compress_size)
        else:
            yield source_of(location, entry)


def _is_bomb(entry: ZipInfo) -> bool:
    """Medical images shrink by 2 to 20, masks by a few hundred; only nothingness by more."""
    return entry.file_size > 1 << 26 and entry.file_size > 500 * max(entry.compress_size, 1)
