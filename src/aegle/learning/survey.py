"""What can be said of each image by itself: whether it can be read, its size, values and codes."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.learning.image_decoding import VOLUME_ENDINGS, ending, volume_grid
from aegle.learning.near_duplicates import Codes, difference_code
from aegle.learning.samples import Sample, SampleSet

SPACING_COLUMNS = ("spacing_mm", "pixel_spacing_mm", "pixel_spacing", "PixelSpacing")
"""Columns of a manifest that are taken for the spacing [mm]."""
COLOURS = 3
_MOST_VALUES = 1 << 16
"""So many pixels of an image, evenly spaced, are enough for its percentiles."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was found on one image. Where it has a problem, nothing else is known."""

    name: str
    problem: str = ""
    """Why it cannot be used; empty if it can."""
    digest: str = ""
    """SHA-256 of shape, number format and pixels."""
    code: tuple[int, ...] = (0, 0, 0, 0)
    """What is seen, see near_duplicates."""
    shape: tuple[int, ...] = ()
    """(row, column) or (slice, row, column)."""
    is_colour: bool = False
    number_format: str = ""
    """As NumPy calls it: ``uint8``."""
    lowest: float = 0.0
    highest: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    percentiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The 1st, 50th and 99th."""
    spacing_mm: tuple[float, ...] = ()
    """In the order of ``shape``; empty if nothing tells it."""

    @property
    def is_usable(self) -> bool:
        """Whether the pixels could be read and are numbers."""
        return not self.problem

    @property
    def is_constant(self) -> bool:
        """Whether all pixels are equal."""
        return self.is_usable and self.lowest == self.highest


def survey(samples: SampleSet, *, progress: Callable[[int, int], None]) -> tuple[Facts, ...]:
    """Read every image once; return what was found, in the order of the samples.

    Args:
        samples: The images.
        progress: Told of the images done and the images in all.
    """
    total = len(samples.samples)
    found = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for facts in threads.map(lambda sample: _facts(samples, sample), samples.samples):
            found.append(facts)
            progress(len(found), total)
    return tuple(found)


def codes(found: tuple[Facts, ...]) -> Codes:
    """Return the codes of images, shape (image, 4)."""
    return np.array([facts.code for facts in found], np.uint64).reshape(-1, 4)


def _facts(samples: SampleSet, sample: Sample) -> Facts:
    try:
        pixels = samples.load(sample)
        spacing_mm = _spacing_mm(samples, sample)
    except InputError as error:
        return Facts(name=sample.name, problem=str(error))
    if pixels.size == 0 or not np.isfinite(pixels).all():
        bad = pixels.size - int(np.isfinite(pixels).sum())
        finding = f"{bad} of {pixels.size} pixels are infinite or not a number"
        return Facts(name=sample.name, problem=f"{finding}.")
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == COLOURS
    values = pixels.reshape(-1)[:: max(1, pixels.size // _MOST_VALUES)].astype(np.float64)
    low, middle, high = (float(value) for value in np.percentile(values, (1, 50, 99)))
    return Facts(
        name=sample.name,
        digest=_digest(pixels),
        code=tuple(int(word) for word in difference_code(pixels)),
        shape=pixels.shape[:2] if is_colour else pixels.shape,
        is_colour=is_colour,
        number_format=pixels.dtype.name,
        lowest=float(pixels.min()),
        highest=float(pixels.max()),
        mean=float(values.mean()),
        deviation=float(values.std()),
        percentiles=(low, middle, high),
        spacing_mm=spacing_mm,
    )


def _digest(pixels: NDArray[np.generic]) -> str:
    """Return what two images share if, and only if, their pixels are the same.

    The bytes of their files are not asked: the same pixels may be packed in two ways.
    """
    content = hashlib.sha256(f"{pixels.dtype.str}{pixels.shape}".encode())
    content.update(np.ascontiguousarray(pixels).data)
    return content.hexdigest()


def _spacing_mm(samples: SampleSet, sample: Sample) -> tuple[float, ...]:
    told = _told_spacing_mm(sample.columns)
    if told or ending(sample.name) not in VOLUME_ENDINGS:
        return told
    return volume_grid(sample.name, samples.content(sample)).spacing_mm


def _told_spacing_mm(columns: Mapping[str, str]) -> tuple[float, ...]:
    text = next((columns[name] for name in SPACING_COLUMNS if columns.get(name)), "")
    return tuple(float(number) for number in _NUMBER.findall(text))
