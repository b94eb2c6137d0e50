"""Pictures with boxes at the size that a detector sees, in one array on disk."""

import fcntl
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pixels

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotations import PlacedImage
from aegle.learning.detection.boxes import Boxes
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.samples import Sample, SampleSet
from aegle.record.identity import digest

VERSION = "1"
PADDING = 114
"""Brightness around a picture that is not square."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a picture was brought to a square: scaled, then shifted."""

    scale: float
    left: int
    top: int

    @classmethod
    def of(cls, rows: int, columns: int, size: int) -> "Fit":
        """Return how a picture of so many rows and columns fits a square in its middle."""
        scale = size / max(rows, columns)
        return cls(
            scale=scale,
            left=(size - max(1, round(columns * scale))) // 2,
            top=(size - max(1, round(rows * scale))) // 2,
        )

    def apply(self, boxes: Boxes) -> Boxes:
        """Return boxes of the picture as they lie in the square."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return (boxes * np.float32(self.scale) + shift).astype(np.float32)

    def undo(self, boxes: Boxes) -> Boxes:
        """Return boxes of the square as they lie in the picture."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        return ((boxes - shift) / np.float32(self.scale)).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoxSet:
    """Pictures ready for a detector, with their boxes."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    configuration: BoxConfiguration
    values: NDArray[np.uint8]
    """Shape (picture, channel, row, column)."""
    boxes: tuple[Boxes, ...]
    """In the pixels of ``values``."""
    box_classes: tuple[NDArray[np.int64], ...]
    key: str

    @property
    def dimensions(self) -> int:
        """Axes of a batch of pictures."""
        return 4

    def digest(self) -> str:
        """Return what the set is known by: pictures, boxes and size."""
        return self.key


def squared(image: PlacedImage, configuration: BoxConfiguration) -> tuple[NDArray[np.uint8], Fit]:
    """Return a picture scaled and padded to a square, 0 to 255, and how it was fitted.

    Args:
        image: A picture; brightness beyond 0 to 255 is scaled by its own range.
        configuration: Size and channels.
    """
    channels, size = len(configuration.mean), configuration.size
    rows, columns = image.grid.shape[1:]
    fit = Fit.of(rows, columns, size)
    result = np.full((channels, size, size), PADDING, np.uint8)
    wide, high = max(1, round(columns * fit.scale)), max(1, round(rows * fit.scale))
    for channel in range(channels):
        plane = _bright(image.values[min(channel, len(image.values) - 1), 0])
        kind = Pixels.Resampling.BOX if fit.scale < 1 else Pixels.Resampling.BILINEAR
        small = Pixels.fromarray(plane).resize((wide, high), kind)
        result[channel, fit.top : fit.top + high, fit.left : fit.left + wide] = np.asarray(small)
    return result, fit


def _bright(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = float(plane.min()), float(plane.max())
    if low < 0 or high > 255:
        plane = (plane - low) / max(high - low, 1e-6) * 255
    return np.round(plane).astype(np.uint8)


def prepare_boxes(
    samples: SampleSet,
    folder: Path,
    *,
    configuration: BoxConfiguration,
    progress: Callable[[int, int], None],
) -> BoxSet:
    """Prepare pictures once, and read them from a folder from then on.

    Raises:
        InputError: A picture or its boxes cannot be used.
        FileError: The folder cannot be written to.
    """
    assert samples.place is not None
    assert samples.annotate is not None
    drawn = [samples.annotate(sample) for sample in samples.samples]
    size, channels = configuration.size, len(configuration.mean)
    contents = (hashlib.sha256(samples.content(s)).digest() for s in samples.samples)
    key = digest(VERSION, str(size), str(channels), *contents)[:32]
    place = folder / f"boxes-{key}.npy"
    fits_place = place.with_suffix(".json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place.exists() and fits_place.exists()):
                _write(samples, configuration, place, progress)
    except OSError as error:
        raise FileError(
            folder,
            f"prepared pictures cannot be written there ({error.strerror or error}).",
            "Make room, or give another folder.",
        ) from error
    progress(len(samples.samples), len(samples.samples))
    fits = [Fit(**fit) for fit in json.loads(fits_place.read_text())]
    boxes, classes = [], []
    for sample, annotation, fit in zip(samples.samples, drawn, fits, strict=True):
        if annotation.boxes is None or annotation.box_classes is None:
            raise InputError(f"'{sample.name}' has outlines, but no boxes; give boxes.")
        boxes.append(fit.apply(annotation.boxes))
        classes.append(annotation.box_classes)
    return BoxSet(
        classes=samples.classes,
        samples=samples.samples,
        configuration=configuration,
        values=np.load(place, mmap_mode="r", allow_pickle=False),
        boxes=tuple(boxes),
        box_classes=tuple(classes),
        key=digest(key, *(b.tobytes() for b in boxes), *(c.tobytes() for c in classes)),
    )


def _write(
    samples: SampleSet,
    configuration: BoxConfiguration,
    place: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Write the pictures one after the other; whole or not at all."""
    assert samples.place is not None
    count, size = len(samples.samples), configuration.size
    part = place.with_name(place.name + ".part")
    fits = []
    try:
        with part.open("wb") as file:
            shape = (count, len(configuration.mean), size, size)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for done, sample in enumerate(samples.samples, 1):
                pixels, fit = squared(samples.place(sample), configuration)
                file.write(pixels.tobytes())
                fits.append({"scale": fit.scale, "left": fit.left, "top": fit.top})
                progress(done, count)
        place.with_suffix(".json").write_text(json.dumps(fits))
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
