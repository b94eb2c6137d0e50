"""Free-response operating characteristic: what is found at how many false alarms per image.

A lesion is found by the first mark that hits it. Marks are taken by falling score; at each
number of false positives per image the sensitivity of the lowest threshold counts that does not
exceed it. The mean over 1/8, 1/4, 1/2, 1, 2, 4, 8 sums the curve up (Setio AAA et al. Med Image
Anal 2017;42:1-13; there the curve is interpolated between the points, here only points that a
threshold reaches count).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from aegle.domain.errors import InputError
from aegle.evaluation.boxes import FoundBoxes
from aegle.evaluation.over_cases import blocks, ratio
from aegle.evaluation.overlap import Labels
from aegle.evaluation.weighted import Numbers

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per image."""
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class Marks:
    """What was marked in a set of images, by falling score."""

    scores: Numbers
    images: NDArray[np.int64]
    """Index of the image of each mark."""
    is_hit: NDArray[np.bool_]
    """Whether it is the first on its lesion."""
    is_false: NDArray[np.bool_]
    lesions: Numbers
    """Lesions in each image."""


def marks_of(
    scores: Numbers, images: NDArray[np.int64], hits: NDArray[np.int64], lesions: Numbers
) -> Marks:
    """Return marks by falling score.

    Args:
        scores: Of each mark.
        images: Index of its image.
        hits: Index of the lesion of that image that it hits, -1 for none.
        lesions: Lesions in each image; images without one count too.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    scores, images, hits = np.asarray(scores)[order], images[order], hits[order]
    named = np.stack([images, hits], 1)
    first = np.zeros(scores.size, bool)
    first[np.unique(named, axis=0, return_index=True)[1]] = True
    return Marks(
        scores=scores.astype(np.float64),
        images=images,
        is_hit=first & (hits >= 0),
        is_false=hits == -1,
        lesions=np.asarray(lesions, np.float64),
    )


def marks_of_boxes(classes: list[FoundBoxes], threshold: int = 0) -> Marks:
    """Return the boxes of all classes as marks; a second box on one object is a false alarm.

    Args:
        classes: Boxes of each class over the same images.
        threshold: Index of the IoU threshold.
    """
    return _joined(
        [marks_of(one.scores, one.images, one.hits[threshold], one.truths) for one in classes]
    )


def froc(marks: Marks, weights: Numbers, rates: tuple[float, ...] = RATES) -> Numbers:
    """Return the sensitivity at each rate of false positives under sets of weights.

    Args:
        marks: Of all images.
        weights: How often each image counts, shape (set, image).
        rates: False positives per image.

    Returns:
        Shape (rate, set); NaN where no lesion has weight.
    """
    parts = blocks(weights, marks.scores.size)
    return np.concatenate([_sensitivities(marks, part, rates) for part in parts], axis=1)


def froc_curve(marks: Marks) -> tuple[Numbers, Numbers]:
    """Return false positives per image and sensitivity at each threshold, all images once."""
    last = np.append(np.diff(marks.scores) != 0, True)[: marks.scores.size]
    false = np.cumsum(marks.is_false)[last] / max(marks.lesions.size, 1)
    return false, np.cumsum(marks.is_hit)[last] / max(float(marks.lesions.sum()), 1)


def hit_by_points(lesions: Labels, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the lesion that each point lies in.

    Args:
        lesions: Number of the lesion of each voxel, 0 for none, numbered 1, 2, ...
        points: Voxel of each mark, shape (mark, 3): slice, row, column.

    Returns:
        Number of the lesion less 1, -1 for none or outside of the image.
    """
    inside = ((points >= 0) & (points < lesions.shape)).all(axis=1)
    found = np.full(len(points), -1, np.int64)
    found[inside] = lesions[tuple(points[inside].T)].astype(np.int64) - 1
    return found


def hit_by_overlap(lesions: Labels, marked: Labels, *, least: float = 0.0) -> NDArray[np.int64]:
    """Return the lesion that each outlined mark overlaps most.

    Args:
        lesions: Number of the lesion of each voxel, 0 for none, numbered 1, 2, ...
        marked: Number of the mark of each voxel, numbered 1, 2, ...
        least: Least intersection over union; 0: one shared voxel is enough.

    Returns:
        For mark 1, 2, ...: number of the lesion less 1, -1 for none.

    Raises:
        InputError: ``least`` is not in [0, 1].
    """
    if not 0 <= least <= 1:
        raise InputError(f"An overlap of {least} cannot be asked for; it lies in 0 to 1.")
    sizes = np.bincount(lesions.ravel())
    found = []
    for number, box in enumerate(find_objects(marked.astype(np.int32, copy=False)), start=1):
        place = box or (slice(0, 0),) * marked.ndim
        own = marked[place] == number
        shared = np.bincount(lesions[place][own], minlength=sizes.size)
        iou = ratio(shared.astype(float), (sizes + own.sum() - shared).astype(float))
        iou[0] = 0
        best = int(np.nan_to_num(iou).argmax())
        found.append(best - 1 if iou[best] > 0 and iou[best] >= least else -1)
    return np.array(found, np.int64)


def _sensitivities(marks: Marks, weights: Numbers, rates: tuple[float, ...]) -> Numbers:
    own = weights[:, marks.images]
    last = np.append(np.diff(marks.scores) != 0, True)[: marks.scores.size]
    images, lesions = weights.sum(axis=1), weights @ marks.lesions
    false = np.cumsum(own * marks.is_false, axis=1)[:, last] / images[:, None]
    right = np.cumsum(own * marks.is_hit, axis=1)[:, last]
    right = np.pad(right, ((0, 0), (1, 0)))
    rows = []
    for rate in rates:
        place = (false <= rate + _ROUNDING).sum(axis=1)
        rows.append(ratio(right[np.arange(len(right)), place], lesions))
    return np.array(rows)


def _joined(parts: list[Marks]) -> Marks:
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    return Marks(
        scores=scores[order],
        images=np.concatenate([part.images for part in parts])[order],
        is_hit=np.concatenate([part.is_hit for part in parts])[order],
        is_false=np.concatenate([part.is_false for part in parts])[order],
        lesions=np.sum([part.lesions for part in parts], axis=0),
    )
