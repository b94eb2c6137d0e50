"""Images with the files in which others drew on them, read when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.learning.annotation_boxes import NamedBox, clipped
from aegle.learning.annotation_images import (
    Numbers,
    grid_of,
    mask_numbers,
    placed,
    require_on,
)
from aegle.learning.annotation_labels import Meaning
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.image_decoding import decode
from aegle.learning.image_sources import Decoders, Files
from aegle.learning.samples import Sample


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The files of one image, and of what was drawn on it."""

    images: tuple[str, ...]
    """One per channel."""
    masks: tuple[str, ...] = ()
    """Laid over each other."""
    observer: str = ""
    region: str = ""
    boxes: tuple[NamedBox, ...] | None = None
    problem: str = ""
    """Why it cannot be used; empty if it can."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AnnotatedFiles:
    """Images and annotations that are files."""

    files: Files
    drawn: Mapping[str, Drawn]
    """By the name of the sample."""
    meaning: Meaning
    decoders: Decoders = field(default_factory=dict)
    channels_per_file: int = 1
    """Volumes along the fourth axis of an image file."""
    _grids: dict[str, Grid] = field(default_factory=dict)

    def content(self, sample: Sample) -> bytes:
        """Return the bytes as stored, of all channels."""
        return b"".join(self.files.read(name) for name in self.drawn[sample.name].images)

    def load(self, sample: Sample) -> NDArray[np.generic]:
        """Return the first channel, or the colours: (row, column), (row, column, 3) or volume."""
        if self.channels_per_file > 1:
            first: NDArray[np.generic] = self.place(sample).values[0]
            return first
        name = self.drawn[sample.name].images[0]
        return decode(name, self.files.read(name), self.decoders)

    def place(self, sample: Sample) -> PlacedImage:
        """Return the values with where they lie."""
        image = placed(
            self.drawn[sample.name].images,
            self.files.read,
            self.decoders,
            channels_per_file=self.channels_per_file,
        )
        self._grids[sample.name] = image.grid
        return image

    def annotate(self, sample: Sample) -> Annotation:
        """Return what was drawn on an image.

        Raises:
            InputError: It does not fit the image.
        """
        drawn = self.drawn[sample.name]
        if drawn.problem:
            raise InputError(drawn.problem)
        grid = self._grids.get(sample.name) or self._grid(drawn.images[0])
        if drawn.boxes is not None and not drawn.masks:
            return self._boxed(sample.name, drawn.boxes, grid)
        return Annotation(
            labels=self._labels(drawn.masks, grid),
            is_objects=self.meaning.is_objects,
            region=self._mask(drawn.region, grid) != 0 if drawn.region else None,
            observer=self._labels((drawn.observer,), grid) if drawn.observer else None,
        )

    def _grid(self, name: str) -> Grid:
        content = self.files.read(name)
        return grid_of(name, content, self.decoders, channels_per_file=self.channels_per_file)

    def _labels(self, names: tuple[str, ...], grid: Grid) -> NDArray[np.int32]:
        """Return the labels of masks that are laid over each other; the higher label wins."""
        labels = [self.meaning.apply(name, self._mask(name, grid)) for name in names]
        if self.meaning.is_objects:
            return _numbered(labels)
        result: NDArray[np.int32] = np.maximum.reduce(labels)
        return result

    def _mask(self, name: str, grid: Grid) -> Numbers:
        numbers, own = mask_numbers(name, self.files.read(name))
        require_on(name, own, grid)
        return numbers

    def _boxed(self, name: str, boxes: tuple[NamedBox, ...], grid: Grid) -> Annotation:
        unknown = sorted({box.name for box in boxes} - set(self.meaning.classes))
        if unknown:
            raise InputError(
                f"'{name}' has boxes of '{unknown[0]}'; known are "
                f"{', '.join(self.meaning.classes)}. Name it in data.classes, or merge it by "
                "data.merge."
            )
        numbers = [self.meaning.classes.index(box.name) for box in boxes]
        return Annotation(
            boxes=clipped(name, boxes, *grid.shape[1:]),
            box_classes=np.array(numbers, np.int64),
        )


def _numbered(masks: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return objects numbered through; parts of a mask that holds only 1 are objects each."""
    if len(masks) == 1:
        numbers = masks[0]
        if numbers.max(initial=0) == 1:
            numbers, _ = ndimage.label(numbers, structure=np.ones((3,) * numbers.ndim))
        return np.asarray(numbers, np.int32)
    result = np.zeros(masks[0].shape, np.int32)
    for mask in masks:
        inside = mask > 0
        result[inside] = mask[inside] + result.max()
    return result
