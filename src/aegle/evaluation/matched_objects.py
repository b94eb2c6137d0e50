"""Objects that were outlined one by one, matched with the true ones.

A pair matches at a threshold if its intersection over union (IoU) reaches it; every object has
one partner at most. Above 0.5 the pairs cannot contend; where they can, the assignment with most
pairs, and among those with the largest overlap, is taken.

    F1                twice the pairs by all objects, true and outlined
    accuracy          pairs by pairs, false and missed objects (the "average precision" of cell
                      counting; Caicedo JC et al. Nat Methods 2019;16:1247-1253)
    panoptic quality  mean IoU of the pairs times F1, at 0.5 (Kirillov A et al. CVPR 2019)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from aegle.evaluation.overlap import Labels, require_same_shape
from aegle.evaluation.surface_distance import Mask
from aegle.evaluation.weighted import Numbers

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""0.5, 0.55, ... 0.95."""
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class MatchedObjects:
    """The objects of one image, matched at each threshold."""

    truth: int
    """True objects."""
    predicted: int
    pairs: NDArray[np.int64]
    """Matched pairs at each threshold."""
    overlap: Numbers
    """Sum of the IoU of those pairs."""
    missed: tuple[int, ...] = ()
    """Numbers of the true objects without a partner at the first threshold."""
    false: tuple[int, ...] = ()
    """Numbers of the outlined objects without a partner there."""

    @cached_property
    def f1(self) -> Numbers:
        """F1 at each threshold; 1 where there is nothing and nothing was outlined."""
        both = self.truth + self.predicted
        return 2 * self.pairs / both if both else np.ones(self.pairs.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Overlaps:
    """Pairs of objects that share voxels."""

    truth: NDArray[np.int64]
    """Numbers of the true objects of an image."""
    predicted: NDArray[np.int64]
    pairs: NDArray[np.int64]
    """Index of the true, of the outlined object, shape (pair, 2)."""
    iou: Numbers
    """Of each pair."""


def match_objects(
    truth: Labels,
    predicted: Labels,
    *,
    region: Mask | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> MatchedObjects:
    """Return how many objects of one image find a partner.

    Args:
        truth: Number of the object of each voxel, 0 for none, shape (slice, row, column).
        predicted: The same as outlined; numbers need not agree.
        region: Where the image is judged; objects are cut off at its edge. None: everywhere.
        thresholds: Least IoU of a pair.

    Raises:
        GeometryError: The shapes differ.
    """
    found = overlaps(truth, predicted, region=region)
    matched = [_assigned(found, threshold) for threshold in thresholds]
    first = found.pairs[matched[0]]
    return MatchedObjects(
        truth=found.truth.size,
        predicted=found.predicted.size,
        pairs=np.array([chosen.size for chosen in matched]),
        overlap=np.array([float(found.iou[chosen].sum()) for chosen in matched]),
        missed=tuple(np.delete(found.truth, first[:, 0]).tolist()),
        false=tuple(np.delete(found.predicted, first[:, 1]).tolist()),
    )


def overlaps(truth: Labels, predicted: Labels, *, region: Mask | None = None) -> Overlaps:
    """Return the objects of an image and the IoU of those that share voxels.

    Raises:
        GeometryError: The shapes differ.
    """
    require_same_shape(truth, predicted, region)
    inside = (truth != 0) | (predicted != 0)
    if region is not None:
        inside &= region
    numbers, sizes, places = [], [], []
    for labels in (truth[inside], predicted[inside]):
        own, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        numbers.append(own)
        sizes.append(count)
        places.append(place.ravel())
    joint, shared = np.unique(places[0] * numbers[1].size + places[1], return_counts=True)
    pairs = np.stack(np.divmod(joint, max(numbers[1].size, 1)), 1)
    is_pair = (numbers[0][pairs[:, 0]] != 0) & (numbers[1][pairs[:, 1]] != 0)
    pairs, shared = pairs[is_pair], shared[is_pair]
    union = sizes[0][pairs[:, 0]] + sizes[1][pairs[:, 1]] - shared
    for side in (0, 1):
        pairs[:, side] -= int(0 in numbers[side])
    return Overlaps(
        truth=numbers[0][numbers[0] != 0].astype(np.int64),
        predicted=numbers[1][numbers[1] != 0].astype(np.int64),
        pairs=pairs,
        iou=shared / union,
    )


def _assigned(found: Overlaps, threshold: float) -> NDArray[np.int64]:
    """Return the pairs that are matched at a threshold."""
    able = np.flatnonzero(found.iou >= threshold - _ROUNDING)
    rows, columns = found.pairs[able].T
    if np.unique(rows).size == able.size == np.unique(columns).size:
        return able
    # Each pair is worth more than all overlap together, so the number of pairs comes first.
    worth = np.zeros((found.truth.size, found.predicted.size))
    worth[rows, columns] = able.size + found.iou[able]
    chosen = np.zeros(worth.shape, bool)
    chosen[linear_sum_assignment(worth, maximize=True)] = True
    return np.asarray(able[chosen[rows, columns]], np.int64)
