"""Images and labels at the spacing and scale that the network sees, in files of their own.

Every image has a folder named by what it was made from: the bytes of the image, its labels and
the part of the configuration that preparation looks at. Sets that share images share the folders,
and a preparation that was broken off goes on where it stopped. Folders may be deleted.
"""

import fcntl
import hashlib
import mmap
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.distances import object_distances
from aegle.learning.dense.scaling import (
    prepared_shape,
    resampled,
    resampled_labels,
    scaled,
    without_fine_detail,
)
from aegle.learning.samples import Sample, SampleSet
from aegle.record.identity import digest

VERSION = "1"
"""Changes whenever an image is prepared differently."""
IMAGE, LABELS, PLACES, DISTANCE = "image.npy", "labels.npy", "places.npy", "distance.npy"
PLACES_PER_LABEL = 2000
"""Voxels of one label that are kept; nothing is gained from more, patches overlap."""
PLACES_PER_IMAGE = 10_000
_SHOWN = 5
"""Images that a message names."""
IGNORED = -1
"""Label of voxels that nothing is learned from."""
_LARGEST = 65504.0
"""IEEE 754 binary16."""
_HIGHEST = int(np.iinfo(np.int16).max)
_PART = ".part"


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseSet:
    """Images ready for a network that outlines, with their samples in the same order."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    configuration: Configuration
    folder: Path
    keys: tuple[str, ...]
    """Name of each image's folder."""
    objects: bool = False
    """Whether labels are numbers of objects rather than classes."""

    @property
    def dimensions(self) -> int:
        """Axes of a batch of images: 4 for pictures, 5 for volumes."""
        return self.configuration.axes + 2

    def image(self, number: int) -> NDArray[np.float16]:
        """Return a prepared image, shape (channel, slice, row, column), read-only from disk."""
        return self._read(number, IMAGE)

    def labels(self, number: int) -> NDArray[np.int16]:
        """Return its labels, shape (slice, row, column), read-only from disk."""
        return self._read(number, LABELS)

    def distance(self, number: int) -> NDArray[np.float16]:
        """Return how far inside its object each voxel lies, 0 to 1, (slice, row, column).

        Only for objects; see ``distances.object_distances``.
        """
        return self._read(number, DISTANCE)

    def places(self, number: int) -> Mapping[int, NDArray[np.int32]]:
        """Return up to some thousand voxels of each label that occurs, (voxel, 3), drawn evenly."""
        return _places_in(self.folder / self.keys[number] / PLACES)

    def shape(self, number: int) -> tuple[int, int, int]:
        """Return slices, rows and columns of a prepared image."""
        (slices, rows, columns), _, _ = _header(self.folder / self.keys[number] / LABELS)
        return slices, rows, columns

    def digest(self) -> str:
        """Return what the set is known by: content of images and labels, and configuration."""
        configuration = self.configuration
        cut = (configuration.patch, configuration.foreground_share, self.objects, self.classes)
        return digest(*self.keys, str(cut))

    def _read(self, number: int, name: str) -> NDArray[Any]:
        """Return an array that lies on disk.

        It is mapped anew each time: maps that are kept would count to the memory of the process.
        """
        path = self.folder / self.keys[number] / name
        shape, kind, offset = _header(path)
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(content, kind, offset=offset).reshape(shape)


@lru_cache(maxsize=4096)
def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and start of an array in a file."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        return shape, kind, file.tell()


@lru_cache(maxsize=256)
def _places_in(path: Path) -> Mapping[int, NDArray[np.int32]]:
    rows = np.load(path, allow_pickle=False)
    labels, starts = np.unique(rows[:, 0], return_index=True)
    parts = np.split(rows[:, 1:], starts[1:])
    return {int(label): part for label, part in zip(labels, parts, strict=False)}


def prepare_dense(
    samples: SampleSet,
    folder: Path,
    *,
    configuration: Configuration,
    progress: Callable[[int, int], None],
    objects: bool = False,
) -> DenseSet:
    """Prepare images and labels once, and read them from a folder from then on.

    Args:
        samples: Images that can be placed, with annotations.
        folder: Where each image gets a folder of its own.
        configuration: Spacing and scaling.
        progress: Told of the images done and the images in all.
        objects: Whether labels number objects rather than classes.

    Raises:
        InputError: An image or annotation cannot be used; the message names the first five.
        FileError: The folder cannot be written to.
    """
    if not samples.samples:
        raise InputError(f"{samples.source}: there are no images to prepare.")
    if samples.place is None or samples.annotate is None:
        raise InputError(
            f"{samples.source}: the images come without outlines; give images with masks."
        )
    preparation = _Preparation(samples, folder, configuration, objects)
    with _locked(folder):
        keys, failed = preparation.run(progress)
    if failed:
        more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        raise InputError(
            f"{samples.source}: {len(failed)} of {len(samples.samples)} images cannot be used. "
            f"{'; '.join(failed[:_SHOWN])}{more}. Correct them or leave them out."
        )
    return DenseSet(
        classes=samples.classes,
        samples=samples.samples,
        configuration=configuration,
        folder=folder,
        keys=tuple(keys),
        objects=objects,
    )


def prepare_image(image: PlacedImage, configuration: Configuration) -> NDArray[np.float32]:
    """Return one image as the network sees it, (channel, slice, row, column).

    Axes keep the order of the file. Volumes are brought to the configuration's spacing, pictures
    to its distance of rows and columns, smoothed before where that is larger. The outer edges of
    the image stay where they are. Not padded: the sliding window does that.

    Raises:
        InputError: The image has other channels than the network takes, or values that are no
            numbers.
    """
    values = scaled(image.values, configuration.scaling)
    shape = prepared_shape(image.grid, configuration)
    if configuration.axes == 2:
        values = without_fine_detail(values, shape)
    return resampled(values, shape, order=configuration.image_order)


@dataclass(frozen=True, eq=False)
class _Preparation:
    """Makes the folders of the images that have none yet."""

    samples: SampleSet
    folder: Path
    configuration: Configuration
    objects: bool

    def run(self, progress: Callable[[int, int], None]) -> tuple[list[str], list[str]]:
        """Return the keys of all images, and what is wrong with those that cannot be used.

        Volumes are prepared one by one, since each may take a good part of the memory.
        """
        keys: list[str] = []
        failed: list[str] = []
        total = len(self.samples.samples)
        workers = 1 if self.configuration.axes == 3 else min(4, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as threads:
            for number, (key, said) in enumerate(threads.map(self.one, self.samples.samples), 1):
                keys.append(key)
                failed += [said] if said else []
                progress(number, total)
        return keys, failed

    def one(self, sample: Sample) -> tuple[str, str]:
        """Prepare an image unless it is; return its key, or what is wrong with it."""
        try:
            labels = self._labels(sample)
            key = self._key(sample, labels)
            place = self.folder / key
            arrays = None if place.is_dir() else self._arrays(sample, labels)
        except InputError as error:
            said = str(error).rstrip(".")
            return "", said if sample.name in said else f"{sample.name}: {said}"
        if arrays is not None:
            _write(place, arrays)
        return key, ""

    def _labels(self, sample: Sample) -> NDArray[np.int32]:
        assert self.samples.annotate is not None
        labels = self.samples.annotate(sample).labels
        if labels is None:
            raise InputError("it has boxes but no outlines; give a mask")
        highest = _HIGHEST if self.objects else len(self.samples.classes)
        least, greatest = int(labels.min()), int(labels.max())
        if least < IGNORED or greatest > highest:
            found = least if least < IGNORED else greatest
            raise InputError(f"its mask holds {found}; labels go from 0 to {highest}")
        return labels

    def _key(self, sample: Sample, labels: NDArray[np.int32]) -> str:
        """Return what an image is made from; what preparation does not look at is left out."""
        looked_at = self.configuration
        scaling = [
            (one.scheme, *map(float, (one.low, one.high, one.mean, one.deviation)))
            for one in looked_at.scaling
        ]
        spacing_mm = [float(one) for one in looked_at.spacing_mm]
        settings = (looked_at.axes, spacing_mm, scaling, looked_at.image_order)
        image = hashlib.sha256(self.samples.content(sample)).digest()
        drawn = hashlib.sha256(np.ascontiguousarray(labels).data).digest()
        parts = (VERSION, str(settings), str(self.objects), image, str(labels.shape), drawn)
        return digest(*parts)[:32]

    def _arrays(self, sample: Sample, labels: NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
        assert self.samples.place is not None
        image = self.samples.place(sample)
        if labels.shape != image.grid.shape:
            raise InputError(
                f"its mask has shape {labels.shape}, the image {image.grid.shape}; bring the mask "
                "to the image's grid"
            )
        values = prepare_image(image, self.configuration)
        shape = values.shape[1:]
        outlined = resampled_labels(labels, (shape[0], shape[1], shape[2]), smooth=not self.objects)
        arrays: dict[str, NDArray[np.generic]] = {
            IMAGE: np.clip(values, -_LARGEST, _LARGEST).astype(np.float16),
            LABELS: outlined,
            PLACES: _places(outlined),
        }
        if self.objects:
            distances = object_distances(outlined, flat=self.configuration.axes == 2)
            arrays[DISTANCE] = distances.astype(np.float16)
        return arrays


def _places(labels: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return label, slice, row and column of voxels, drawn evenly per label, by label."""
    inside = np.flatnonzero(labels > 0)
    kinds = labels.ravel()[inside]
    order = np.argsort(kinds, kind="stable")
    inside, kinds = inside[order], kinds[order]
    numbers, starts = np.unique(kinds, return_index=True)
    kept = min(PLACES_PER_LABEL, max(1, PLACES_PER_IMAGE // max(1, len(numbers))))
    draw = np.random.default_rng(0)
    parts = [
        part if len(part) <= kept else np.sort(draw.choice(part, kept, replace=False))
        for part in np.split(inside, starts[1:])
    ]
    chosen = np.concatenate(parts)
    voxels = np.stack(np.unravel_index(chosen, labels.shape), axis=1)
    return np.column_stack([labels.ravel()[chosen], voxels]).astype(np.int32)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time prepare; the others wait and find it done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise _unwritable(folder, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in folder.glob(f"*{_PART}"):
            shutil.rmtree(old, ignore_errors=True)
        yield


def _write(place: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write a folder whole or not at all."""
    part = place.with_name(f"{place.name}.{threading.get_ident()}{_PART}")
    try:
        part.mkdir()
        for name, array in arrays.items():
            with (part / name).open("wb") as file:
                np.lib.format.write_array(
                    file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False
                )
        part.rename(place)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        # Two images with the same content are one folder, which the other may have made.
        if isinstance(error, OSError) and not place.is_dir():
            raise _unwritable(place.parent, error) from error
        if not isinstance(error, OSError):
            raise


def _unwritable(folder: Path, error: OSError) -> FileError:
    return FileError(
        folder,
        f"prepared images cannot be written there ({error.strerror or error}).",
        "Make room, or give another folder.",
    )
