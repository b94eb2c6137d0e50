"""How well boxes are found: average precision as in COCO.

Boxes are taken in the order of their scores. Each takes, of the true boxes of its class that are
still free, the one that it overlaps most, if the intersection over union (IoU) reaches the
threshold; otherwise it is a false positive. Precision at a recall is the best that is reached at
that recall or a higher one; average precision (AP) is its mean at 101 recalls 0, 0.01, ... 1, or
the area below it. Source of the definition: Lin TY et al. Microsoft COCO. ECCV 2014, and the
evaluation page of cocodataset.org; at most 100 boxes of a class count in one image.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aegle.evaluation.matched_objects import THRESHOLDS
from aegle.evaluation.over_cases import blocks, ratio
from aegle.evaluation.weighted import Numbers

MOST_BOXES = 100
"""Boxes of one class that count in one image, those of the highest score."""
Interpolation = Literal["101", "area"]
_RECALLS = np.linspace(0, 1, 101)
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundBoxes:
    """The boxes of one class that were found in a set of images, by falling score."""

    scores: Numbers
    images: NDArray[np.int64]
    """Index of the image of each box."""
    hits: NDArray[np.int64]
    """Index of the true box in its image that each one takes, -1 for none; shape (threshold,
    box)."""
    truths: Numbers
    """True boxes in each image."""

    @property
    def count(self) -> int:
        """Return the number of true boxes."""
        return int(self.truths.sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageHits:
    """The boxes of one class that were found in one image, by falling score."""

    scores: Numbers
    hits: NDArray[np.int64]
    """As in :class:`FoundBoxes`, shape (threshold, box)."""
    truths: int


def box_iou(first: Numbers, second: Numbers) -> Numbers:
    """Return the intersection over union of boxes (left, top, right, bottom).

    Args:
        first: Shape (box, 4) [pixel].
        second: Shape (other box, 4).

    Returns:
        Shape (box, other box); 0 where both are empty.
    """
    one = np.asarray(first, np.float64).reshape(-1, 1, 4)
    other = np.asarray(second, np.float64).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    sizes = [np.prod(np.maximum(b[..., 2:] - b[..., :2], 0), axis=-1) for b in (one, other)]
    return np.nan_to_num(ratio(shared, sizes[0] + sizes[1] - shared))


def hits_of(
    truth: Numbers,
    found: Numbers,
    scores: Numbers,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> ImageHits:
    """Return which true boxes the found ones take, for one class in one image.

    Args:
        truth: Shape (true box, 4).
        found: Shape (box, 4).
        scores: Of each found box.
        thresholds: Least IoU.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")[:MOST_BOXES]
    iou = box_iou(np.asarray(found)[order], truth)
    hits = np.full((len(thresholds), order.size), -1, np.int64)
    for row, threshold in enumerate(thresholds):
        free = iou.copy()
        for box in np.flatnonzero(iou.max(axis=1, initial=0) >= threshold - _ROUNDING):
            best = int(free[box].argmax())
            if free[box, best] >= threshold - _ROUNDING:
                hits[row, box] = best
                free[:, best] = -1
    return ImageHits(scores=np.asarray(scores, np.float64)[order], hits=hits, truths=len(truth))


def gathered(images: list[ImageHits]) -> FoundBoxes:
    """Return the boxes of all images in one row, by falling score; of equal ones the first."""
    scores = np.concatenate([one.scores for one in images])
    order = np.argsort(-scores, kind="stable")
    places = np.repeat(np.arange(len(images)), [one.scores.size for one in images])
    return FoundBoxes(
        scores=scores[order],
        images=places[order],
        hits=np.concatenate([one.hits for one in images], axis=1)[:, order],
        truths=np.array([one.truths for one in images], np.float64),
    )


def average_precision(
    found: FoundBoxes, weights: Numbers, *, interpolation: Interpolation = "101"
) -> Numbers:
    """Return the average precision at each threshold under sets of weights.

    Args:
        found: Boxes of one class.
        weights: How often each image counts, shape (set, image).
        interpolation: ``101`` recalls, or the ``area`` below all points.

    Returns:
        Shape (threshold, set); NaN where no image with a true box has weight.
    """
    parts = blocks(weights, found.scores.size)
    return np.concatenate([_precisions(found, part, interpolation) for part in parts], axis=1)


def precision_recall(found: FoundBoxes, threshold: int = 0) -> tuple[Numbers, Numbers]:
    """Return recall and precision after each box, all images counting once.

    Args:
        found: Boxes of one class.
        threshold: Index of the threshold.
    """
    right = np.cumsum(found.hits[threshold] >= 0)
    recall = right / max(found.count, 1)
    return recall, right / np.arange(1, right.size + 1)


def _precisions(found: FoundBoxes, weights: Numbers, interpolation: Interpolation) -> Numbers:
    # What comes after the last right box changes neither recall nor the best precision.
    last = int(np.flatnonzero((found.hits >= 0).any(axis=0)).max(initial=-1)) + 1
    own = weights[:, found.images[:last]]
    seen = np.cumsum(own, axis=1)
    total = (weights @ found.truths)[:, None]
    rows = []
    for hits in found.hits:
        taken = np.flatnonzero(hits >= 0)
        right = np.cumsum(own[:, taken], axis=1)
        precision = np.nan_to_num(ratio(right, seen[:, taken]))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = np.nan_to_num(ratio(right, np.broadcast_to(total, right.shape)))
        rows.append((best * _steps(recall, interpolation)).sum(axis=1))
    return np.where(total.T > 0, np.array(rows), np.nan)


def _steps(recall: Numbers, interpolation: Interpolation) -> Numbers:
    """Return for each right box how much recall its precision stands for."""
    if interpolation == "101":
        reached = np.searchsorted(_RECALLS, recall.ravel(), side="right")
        recall = reached.reshape(recall.shape) / _RECALLS.size
    return np.diff(recall, axis=1, prepend=0)
