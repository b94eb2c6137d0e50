"""Labelled images as they lie on disk, before anything is done to their pixels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.learning.annotations import Annotation, PlacedImage

UNLABELLED = -1


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with what is known about it."""

    name: str
    """Unique in its set: the path in the folder or zip, or ``train/00012`` in an archive."""
    label: int = UNLABELLED
    """Index of its class, or ``UNLABELLED``."""
    group: str = ""
    """What belongs together: patient or cluster of near-duplicates; the name if unknown."""
    split: str = ""
    """``train``, ``val``, ``test`` or empty, as the data say."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Everything else that the manifest says, by column."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SampleSet:
    """Images of known classes, and how to get at their pixels."""

    classes: tuple[str, ...]
    """Empty if the images carry no labels."""
    samples: tuple[Sample, ...]
    load: Callable[[Sample], NDArray[np.generic]]
    """Gives the pixels as stored: (row, column), (row, column, 3) or (slice, row, column).

    Raises FileError for an image that cannot be read.
    """
    content: Callable[[Sample], bytes]
    """Gives the bytes as stored, by which exact duplicates are known."""
    source: str = ""
    """Where the images come from, for messages."""
    place: Callable[[Sample], PlacedImage] | None = None
    """Gives the values with where they lie; set where images are outlined or boxed."""
    annotate: Callable[[Sample], Annotation] | None = None
    """Gives what was drawn on an image; None for images without annotations.

    Raises InputError for annotations that do not fit their image.
    """

    def __post_init__(self) -> None:
        names = [sample.name for sample in self.samples]
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{self.source}: '{double}' occurs twice; names must be unique.")

    def subset(self, samples: tuple[Sample, ...]) -> "SampleSet":
        """Return the same set with other samples of it."""
        return SampleSet(
            classes=self.classes,
            samples=samples,
            load=self.load,
            content=self.content,
            source=self.source,
            place=self.place,
            annotate=self.annotate,
        )
