"""What is drawn on an image: a class for each voxel, numbered objects, or boxes with classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedImage:
    """Values of one image with where they lie; pictures are one slice thick."""

    values: NDArray[np.float32]
    """As stored, shape (channel, slice, row, column)."""
    grid: Grid
    """Of the voxels [mm]; pictures without a known size count in pixels."""
    is_picture: bool
    """Whether it has no third axis, and no size in mm unless its file says so."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotation:
    """What a person drew on one image."""

    labels: NDArray[np.int32] | None = None
    """Shape (slice, row, column): 0 is background, k the k-th class, or for objects their own
    number; None if only boxes were drawn."""
    boxes: NDArray[np.float32] | None = None
    """Shape (box, 4): left, top, right, bottom edge [pixel], pixel 0 reaching from 0 to 1."""
    box_classes: NDArray[np.int64] | None = None
    """Index of the class of each box."""
    is_objects: bool = False
    """Whether labels number objects rather than classes."""
    region: NDArray[np.bool_] | None = None
    """Shape (slice, row, column): where something was looked for, such as the field of view;
    None for everywhere. Outside, nothing is judged."""
    observer: NDArray[np.int32] | None = None
    """What a second person drew, as ``labels``; None if nobody did."""

    def __post_init__(self) -> None:
        if self.labels is None and self.boxes is None:
            raise InputError("An annotation holds neither labels nor boxes; give one of them.")
        if (self.boxes is None) != (self.box_classes is None):
            raise InputError("Boxes need a class each; give both or neither.")
        for name, other in (("region", self.region), ("second observer", self.observer)):
            if other is not None and (self.labels is None or other.shape != self.labels.shape):
                raise InputError(
                    f"The {name} has shape {other.shape}, the labels "
                    f"{None if self.labels is None else self.labels.shape}; bring both to one grid."
                )
