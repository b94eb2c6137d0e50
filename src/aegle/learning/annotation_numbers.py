"""Which numbers the masks of a set hold, where nothing says what they mean."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aegle.domain.errors import InputError
from aegle.learning.annotation_files import Drawn
from aegle.learning.annotation_images import mask_numbers
from aegle.learning.annotation_labels import FEWEST_OBJECTS, MOST_CLASSES
from aegle.learning.image_sources import Files


@dataclass(frozen=True, kw_only=True)
class NumbersFound:
    """What the masks of a set hold besides 0."""

    numbers: tuple[int, ...]
    """In order."""
    by_mask: tuple[tuple[int, ...], ...]


def numbers_of(path: Path, files: Files, drawn: Mapping[str, Drawn]) -> NumbersFound:
    """Read every mask and return the numbers in it.

    Raises:
        FileError: A mask cannot be read.
        InputError: All masks are empty, or hold numbers that no label map does.
    """
    names = [name for one in drawn.values() if not one.problem for name in one.masks]
    by_mask = tuple(_numbers(name, files.read(name)) for name in names)
    counted = Counter(number for numbers in by_mask for number in numbers)
    if not counted:
        raise InputError(
            f"{path}: all {len(names)} masks are empty; give at least one that is not."
        )
    return NumbersFound(numbers=tuple(sorted(counted)), by_mask=by_mask)


def _numbers(name: str, content: bytes) -> tuple[int, ...]:
    numbers, _ = mask_numbers(name, content)
    if numbers.min() < 0 or numbers.max() > MOST_CLASSES:
        raise InputError(
            f"'{name}' holds numbers from {numbers.min()} to {numbers.max()}; labels go from 0 to "
            f"{MOST_CLASSES}. Correct the mask."
        )
    return tuple(
        number for number in np.flatnonzero(np.bincount(numbers.ravel())).tolist() if number
    )


def looks_like_objects(found: NumbersFound) -> bool:
    """Return whether masks number objects: each counts through from 1, to ends of its own."""
    counts = {len(numbers) for numbers in found.by_mask if numbers}
    are_counted = all(numbers == tuple(range(1, len(numbers) + 1)) for numbers in found.by_mask)
    return are_counted and len(counts) > 1 and max(counts) > FEWEST_OBJECTS
