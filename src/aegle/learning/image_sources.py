"""Where the bytes of images lie: a folder, a zip that is read in place, or a MedMNIST archive.

Sources may be used from several threads, and be sent to other processes, at the same time.
"""

import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError
from aegle.learning.image_decoding import decode
from aegle.learning.samples import Sample

MAX_FILE_BYTES = 1 << 32
"""Larger members of a zip are refused before they are unpacked."""
IMAGES = "images.zip"
"""The zip that is taken where several lie beside a manifest."""
CHECK_COMPLETE = "Check that it is complete, or fetch it again."

Decoders = Mapping[str, Callable[[bytes], NDArray[np.generic]]]
"""By the ending of a file's name, for example ``.dcm``: what turns its bytes into pixels."""


class Files(Protocol):
    """Files by name; ``/`` parts folders."""

    def names(self) -> tuple[str, ...]:
        """Return all names in order, hidden files left out."""

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileError: It cannot be read.
        """


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder and the folders in it."""

    root: Path

    def names(self) -> tuple[str, ...]:
        """Return all names in order, hidden files left out."""
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        paths = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return tuple(sorted(path.as_posix() for path in paths if not _is_hidden(path.parts)))

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        return (self.root / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        path = self.root / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise FileError(
                path, f"it cannot be read ({error.strerror or error}).", CHECK_COMPLETE
            ) from error


class ZipFiles:
    """Files in a zip, read without unpacking it to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[int, zipfile.ZipFile] = {}
        self._lock = threading.Lock()
        self._names = tuple(
            sorted(
                entry.filename
                for entry in self._zip().infolist()
                if not entry.is_dir() and not _is_hidden(Path(entry.filename).parts)
            )
        )
        self._known = frozenset(self._names)

    def __reduce__(self) -> tuple[type["ZipFiles"], tuple[Path]]:
        """Open anew in another process."""
        return (ZipFiles, (self.path,))

    def names(self) -> tuple[str, ...]:
        """Return all names in order, hidden files left out."""
        return self._names

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        return name in self._known

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        archive = self._zip()
        place = f"{self.path}/{name}"
        try:
            entry = archive.getinfo(name)
            if entry.file_size > MAX_FILE_BYTES:
                raise FileError(
                    place, f"it declares {entry.file_size} bytes.", "Give smaller files."
                )
            return archive.read(entry)
        except KeyError as error:
            raise FileError(self.path, f"it holds no '{name}'.", "Check the manifest.") from error
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise FileError(place, f"it is damaged ({error}).", CHECK_COMPLETE) from error
        except (RuntimeError, NotImplementedError) as error:
            raise FileError(
                place, f"it cannot be unpacked ({error}).", "Pack it anew without a password."
            ) from error

    def _zip(self) -> zipfile.ZipFile:
        """Return the zip as opened by this process: a fork would share the place in the file."""
        with self._lock:
            process = os.getpid()
            if process not in self._open:
                try:
                    self._open[process] = zipfile.ZipFile(self.path)
                except (OSError, zipfile.BadZipFile) as error:
                    raise FileError(
                        self.path, f"it is not a whole zip ({error}).", CHECK_COMPLETE
                    ) from error
            return self._open[process]


def files_at(path: Path) -> Files:
    """Return the files of a folder or zip.

    Raises:
        FileError: It is neither.
    """
    if path.is_file() and path.suffix.lower() != ".zip":
        raise FileError(
            path, "it is no data set.", "Give a folder, manifest (.csv), .zip or MedMNIST .npz."
        )
    return FolderFiles(path) if path.is_dir() else ZipFiles(path)


def beside(files: Files, name: str) -> Files:
    """Return what holds a file that a manifest names: the same place, or the one zip in it."""
    if not isinstance(files, FolderFiles) or files.has(name):
        return files
    zips = sorted(files.root.glob("*.zip"))
    named = [path for path in zips if path.name == IMAGES] or (zips if len(zips) == 1 else [])
    return ZipFiles(named[0]) if named else files


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images that are files; the name of a sample is the name of its file."""

    files: Files
    decoders: Decoders = field(default_factory=dict)

    def content(self, sample: Sample) -> bytes:
        """Return the bytes as stored."""
        return self.files.read(sample.name)

    def load(self, sample: Sample) -> NDArray[np.generic]:
        """Return the pixels as stored."""
        return decode(sample.name, self.files.read(sample.name), self.decoders)


class ArchiveImages:
    """Images in arrays of a NumPy archive, ``train_images`` and the like.

    Sources: MedMNIST v2 (Yang 2023, doi 10.1038/s41597-022-01721-8).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays: dict[str, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["ArchiveImages"], tuple[Path]]:
        """Read anew in another process."""
        return (ArchiveImages, (self.path,))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return all arrays by name; read once.

        Raises:
            FileError: The archive is damaged.
        """
        with self._lock:
            if not self._arrays:
                self._arrays = _read_archive(self.path)
            return self._arrays

    def content(self, sample: Sample) -> bytes:
        """Return the bytes of the pixels."""
        return np.ascontiguousarray(self.load(sample)).tobytes()

    def load(self, sample: Sample) -> NDArray[np.generic]:
        """Return the pixels as stored."""
        split, _, index = sample.name.partition("/")
        image: NDArray[np.generic] = self.arrays()[f"{split}_images"][int(index)]
        return image


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # NumPy leaves a file that is no archive open, unless it was opened for it.
        with path.open("rb") as file, zipfile.ZipFile(file):
            stored = np.load(file, allow_pickle=False)
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(path, f"it cannot be read ({error}).", CHECK_COMPLETE) from error
