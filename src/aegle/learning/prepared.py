"""Prepared images in one array on disk, so that training reads them at the speed of memory."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from aegle.domain.errors import FileError, InputError
from aegle.learning.preparation import VERSION, PreparationOptions, prepare
from aegle.learning.samples import Sample, SampleSet
from aegle.record.identity import digest

VALUES = "values.npy"
INDEX = "index.json"
_PART = ".part"
_BLOCK = 256
"""Images that are prepared before they are written together."""
_SHOWN = 5
"""Unreadable images that a message names."""
_LOOKED_AT = 32
"""Images, evenly spread, whose pixels a digest is made of; names and labels are of all."""


class UnusableImagesError(InputError):
    """Some images cannot be read or prepared; the message names the first."""

    def __init__(self, message: str, reasons: Mapping[str, str]) -> None:
        super().__init__(message)
        self.reasons = dict(reasons)
        """Why, by the name of the image."""

    def __reduce__(self) -> tuple[type["UnusableImagesError"], tuple[str, dict[str, str]]]:
        """Rebuild from message and reasons (errors cross process borders)."""
        return (type(self), (str(self), self.reasons))


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedSet:
    """Images ready for a network, with their samples in the same order."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    values: NDArray[np.uint8]
    """Shape (image, channel, row, column) or (image, channel, slice, row, column); 0 to 255."""
    preparation: PreparationOptions

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of the class of each image; -1 where it has none."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def groups(self) -> tuple[str, ...]:
        """What belongs together, one per image."""
        return tuple(sample.group or sample.name for sample in self.samples)

    @property
    def dimensions(self) -> int:
        """Axes of a batch of images: 4 for pictures, 5 for volumes."""
        return self.values.ndim

    def digest(self) -> str:
        """Return what the images are known by when a training is gone on with."""
        looked_at = self.values[:: max(1, len(self.values) // _LOOKED_AT)]
        return digest(str(self.values.shape), looked_at.tobytes())


def prepare_all(
    samples: SampleSet,
    folder: Path,
    *,
    options: PreparationOptions,
    progress: Callable[[int, int], None],
) -> PreparedSet:
    """Prepare images once, and read them from a folder from then on.

    Args:
        samples: Images of one kind: all pictures or all volumes.
        folder: Each set is kept here in a folder of its own, named by what it was made from:
            the names and contents of the images and the options. Folders may be deleted.
        options: Size, crop and scaling.
        progress: Told of the images done and the images in all.

    Returns:
        The images as a read-only view of the file, with the samples as given.

    Raises:
        UnusableImagesError: Images cannot be read or prepared.
        InputError: There is no image, or pictures and volumes are mixed.
        FileError: The folder cannot be written to.
    """
    if not samples.samples:
        raise InputError(f"{samples.source}: there are no images to prepare.")
    key = _key(samples, options)
    place = folder / key
    with _locked(folder, key):
        if not _is_whole(place):
            _make(samples, place, options, progress)
    progress(len(samples.samples), len(samples.samples))
    return PreparedSet(
        classes=samples.classes,
        samples=samples.samples,
        values=np.load(place / VALUES, mmap_mode="r", allow_pickle=False),
        preparation=options,
    )


def _key(samples: SampleSet, options: PreparationOptions) -> str:
    settings = TypeAdapter(PreparationOptions).dump_json(options)
    parts: list[str | bytes] = [VERSION, settings]
    for sample in samples.samples:
        parts += [sample.name, hashlib.sha256(samples.content(sample)).digest()]
    return digest(*parts)[:32]


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    """Let one process at a time make a set; the others wait and find it made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{key}.lock").open("w")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unwritable(folder: Path, error: OSError) -> FileError:
    return FileError(
        folder,
        f"prepared images cannot be written there ({error.strerror or error}).",
        "Make room, or give another folder.",
    )


def _is_whole(place: Path) -> bool:
    """Return whether a set is there as it was written."""
    try:
        shape = json.loads((place / INDEX).read_text("utf-8"))["shape"]
        values = np.load(place / VALUES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(list(values.shape) == shape and values.dtype == np.uint8)


def _make(
    samples: SampleSet,
    place: Path,
    options: PreparationOptions,
    progress: Callable[[int, int], None],
) -> None:
    part = place.with_name(place.name + _PART)
    try:
        for old in (part, place):
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir()
        shape = _write_values(samples, part / VALUES, options, progress)
        index = {
            "source": samples.source,
            "version": VERSION,
            "preparation": TypeAdapter(PreparationOptions).dump_python(options),
            "shape": shape,
            "names": [sample.name for sample in samples.samples],
        }
        (part / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", "utf-8")
        part.rename(place)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise _unwritable(place.parent, error) from error
        raise


def _write_values(
    samples: SampleSet,
    path: Path,
    options: PreparationOptions,
    progress: Callable[[int, int], None],
) -> list[int]:
    """Write the images one after the other; return the shape of all.

    A plain file is written rather than a memory map, on which a full disk kills the process.
    """
    total = len(samples.samples)
    failed: dict[str, str] = {}
    shape: tuple[int, ...] | None = None
    with path.open("wb") as file, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for start in range(0, total, _BLOCK):
            block = samples.samples[start : start + _BLOCK]
            images, errors = _prepared(samples, block, options, threads)
            failed |= errors
            progress(start + len(block), total)
            if failed:
                continue
            if shape is None:
                shape = images[0].shape
                _write_header(file, (total, *shape))
            _require_one_shape(block, images, shape)
            file.write(np.stack(images).tobytes())
    if failed or shape is None:
        more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        raise UnusableImagesError(
            f"{samples.source}: {len(failed)} of {total} images cannot be used. "
            f"{'; '.join(list(failed.values())[:_SHOWN])}{more}. Correct them or leave them out.",
            failed,
        )
    return [total, *shape]


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _prepared(
    samples: SampleSet,
    block: tuple[Sample, ...],
    options: PreparationOptions,
    threads: ThreadPoolExecutor,
) -> tuple[list[NDArray[np.uint8]], dict[str, str]]:
    """Return the prepared images, and what is wrong with those that cannot be, by name."""

    def one(sample: Sample) -> NDArray[np.uint8] | str:
        try:
            return prepare(samples.load(sample), options=options)
        except InputError as error:
            said = str(error).rstrip(".")
            return said if sample.name in said else f"{sample.name}: {said}"

    results = list(threads.map(one, block))
    errors = {
        sample.name: result
        for sample, result in zip(block, results, strict=True)
        if isinstance(result, str)
    }
    return [result for result in results if not isinstance(result, str)], errors


def _require_one_shape(
    block: tuple[Sample, ...], images: list[NDArray[np.uint8]], shape: tuple[int, ...]
) -> None:
    for sample, image in zip(block, images, strict=True):
        if image.shape != shape:
            raise InputError(
                f"'{sample.name}' becomes an image of shape {image.shape}, the first one "
                f"{shape}: pictures and volumes are mixed. Leave one kind out."
            )
