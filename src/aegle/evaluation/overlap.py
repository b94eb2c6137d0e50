"""How well an outline covers what it should, class by class.

    Dice        twice the overlap by the sum of both (Dice LR. Ecology 1945;26:297-302)
    Jaccard     the overlap by the union
    precision   share of the outline that is right; recall: share of the truth that is outlined

Where neither holds a class, Dice and Jaccard are 1 and what divides by nothing is not defined
(NaN). Where one of them is empty, Dice is 0 and the Hausdorff distance infinite.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from aegle.domain.errors import GeometryError, InputError
from aegle.evaluation.surface_distance import Mask, surface_distances

Labels = NDArray[np.integer]
"""Shape (slice, row, column): 0 is background, k the k-th class."""


@dataclass(frozen=True, kw_only=True)
class OutlineScores:
    """How one class is outlined in one image; sizes in mL, or pixels of a picture."""

    class_name: str
    truth_size: float
    predicted_size: float
    dice: float
    jaccard: float
    precision: float
    recall: float
    surface: float
    """Normalised surface distance: share of both surfaces within the tolerance."""
    hausdorff: float
    """95 % Hausdorff distance [mm, or pixel]."""

    @property
    def size_error(self) -> float:
        """Size that is outlined too much; negative: too little."""
        return self.predicted_size - self.truth_size

    @property
    def relative_size_error(self) -> float:
        """The same as a share of the true size; NaN where there is nothing to outline."""
        return self.size_error / self.truth_size if self.truth_size else float("nan")


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """By what an image is measured."""

    spacing_mm: tuple[float, float, float]
    """Of the voxels [mm], slice, row, column; pixels where a picture has no size."""
    tolerance: float
    """Distance of surfaces that counts as agreement, in the same unit."""
    unit: str = "mm"
    """``mm``, or ``pixel`` where pictures have no size."""

    @property
    def voxel_size(self) -> float:
        """Return what a voxel holds [mL], or the pixels that it stands for."""
        slices, rows, columns = self.spacing_mm
        return rows * columns * (1 if self.unit == "pixel" else slices / 1000)


def score_outlines(
    truth: Labels,
    predicted: Labels,
    *,
    classes: Sequence[str],
    ruler: Ruler,
    region: Mask | None = None,
) -> tuple[OutlineScores, ...]:
    """Return how well each class is outlined in one image.

    Args:
        truth: Shape (slice, row, column); 0 is background, k the k-th class.
        predicted: Of the same shape.
        classes: Names of the classes 1, 2, ...
        ruler: Spacing and tolerance.
        region: Where the image is judged, of the same shape; outlines end at its edge. None: all.

    Raises:
        GeometryError: The shapes differ.
        InputError: A label is no class.
    """
    require_same_shape(truth, predicted, region)
    box = _box_of_all(truth, predicted)
    truth, predicted = truth[box], predicted[box]
    if region is not None:
        truth, predicted = (np.where(region[box], one, 0) for one in (truth, predicted))
    boxes = [_boxes(one, classes) for one in (truth, predicted)]
    return tuple(
        _scores(name, place + 1, (truth, predicted), _union(*(own[place] for own in boxes)), ruler)
        for place, name in enumerate(classes)
    )


def failed_scores(
    truth: Labels, *, classes: Sequence[str], ruler: Ruler, region: Mask | None = None
) -> tuple[OutlineScores, ...]:
    """Return the scores of an image for which there is no outline: 0, whatever is in it."""
    inside = truth if region is None else np.where(region, truth, 0)
    counts = np.bincount(inside.ravel(), minlength=len(classes) + 1)
    return tuple(
        OutlineScores(
            class_name=name,
            truth_size=float(counts[place + 1]) * ruler.voxel_size,
            predicted_size=0.0,
            dice=0.0,
            jaccard=0.0,
            precision=float("nan"),
            recall=0.0,
            surface=0.0,
            hausdorff=float("inf"),
        )
        for place, name in enumerate(classes)
    )


def dice(first: Mask, second: Mask) -> float:
    """Return the Dice of two masks of one shape; 1 if both are empty."""
    both = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / both if both else 1.0


def require_same_shape(truth: Labels, *others: NDArray[np.generic] | None) -> None:
    """Raise GeometryError where an array is not as large as the truth."""
    for other in others:
        if other is not None and other.shape != truth.shape:
            raise GeometryError(
                f"The truth has shape {truth.shape}, what it is compared with {other.shape}; "
                "bring both to the grid of the image first."
            )


def _box_of_all(truth: Labels, predicted: Labels) -> tuple[slice, ...]:
    """Return the slices and rows that hold anything; columns are left whole."""
    held: Mask = np.any(truth, axis=2) | np.any(predicted, axis=2)
    sides = [np.flatnonzero(np.any(held, axis=axis)) for axis in (1, 0)]
    return tuple(slice(s[0], s[-1] + 1) if s.size else slice(0, 0) for s in sides)


def _boxes(labels: Labels, classes: Sequence[str]) -> list[tuple[slice, ...] | None]:
    if labels.size and (labels.min() < 0 or labels.max() > len(classes)):
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise InputError(
            f"A voxel has the label {wrong}, but there are {len(classes)} classes "
            f"({', '.join(classes)}); labels run from 0, background, to {len(classes)}."
        )
    if not labels.size:
        return [None] * len(classes)
    return list(find_objects(labels.astype(np.int32, copy=False), max_label=len(classes)))


def _union(
    one: tuple[slice, ...] | None, other: tuple[slice, ...] | None
) -> tuple[slice, ...] | None:
    if one is None or other is None:
        return one or other
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )


def _scores(
    name: str,
    value: int,
    labels: tuple[Labels, Labels],
    box: tuple[slice, ...] | None,
    ruler: Ruler,
) -> OutlineScores:
    place = box or (slice(0, 0),) * 3
    truth, predicted = (one[place] == value for one in labels)
    distances = surface_distances(truth, predicted, ruler.spacing_mm)
    real, said = int(truth.sum()), int(predicted.sum())
    both = int(np.count_nonzero(truth & predicted))
    return OutlineScores(
        class_name=name,
        truth_size=real * ruler.voxel_size,
        predicted_size=said * ruler.voxel_size,
        dice=2 * both / (real + said) if real + said else 1.0,
        jaccard=both / (real + said - both) if real + said else 1.0,
        precision=both / said if said else float("nan"),
        recall=both / real if real else float("nan"),
        surface=distances.within(ruler.tolerance),
        hausdorff=distances.percentile(),
    )
