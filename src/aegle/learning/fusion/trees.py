"""Boosted trees as plain arrays: kept in a safetensors file, asked without scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.learning.fusion.table import Values

PARTS = ("feature", "threshold", "to_left", "left", "right", "value")


@dataclass(frozen=True, eq=False, kw_only=True)
class Trees:
    """The sum of trees; a leaf is its own left and right."""

    start: float
    roots: NDArray[np.int64]
    """Place of the root of each tree."""
    feature: NDArray[np.int64]
    threshold: Values
    """Values up to it, itself too, go to the left."""
    to_left: NDArray[np.int64]
    """1 where missing values go to the left."""
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Values
    """Of leaves."""
    depth: int
    """Steps from a root to the deepest leaf."""

    def __call__(self, values: Values) -> Values:
        """Return the sum for each row, shape (row,).

        Args:
            values: Shape (row, feature); NaN where missing.
        """
        rows = np.arange(len(values))[:, None]
        at = np.broadcast_to(self.roots, (len(values), len(self.roots)))
        for _ in range(self.depth):
            given = values[rows, self.feature[at]]
            goes_left = np.where(
                np.isnan(given), self.to_left[at] == 1, given <= self.threshold[at]
            )
            at = np.where(goes_left, self.left[at], self.right[at])
        total: Values = self.value[at].sum(axis=1) + self.start
        return total

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that is to be kept."""
        kept = {name: getattr(self, name) for name in (*PARTS, "roots")}
        return {**kept, "facts": np.array([self.start, self.depth])}


def trees_of(arrays: Mapping[str, NDArray[Any]]) -> Trees:
    """Return trees from what was kept."""
    start, depth = arrays["facts"].tolist()
    return Trees(
        start=start, depth=int(depth), **{name: arrays[name] for name in (*PARTS, "roots")}
    )


def from_boosting(fitted: Any) -> Trees:
    """Return the trees of a fitted HistGradientBoostingClassifier of two classes."""
    each = [predictor.nodes for (predictor,) in fitted._predictors]
    roots = np.cumsum([0, *(len(nodes) for nodes in each)])[:-1]
    nodes = np.concatenate(each)
    offset = np.repeat(roots, [len(one) for one in each])
    own, is_leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    return Trees(
        start=float(np.ravel(fitted._baseline_prediction)[0]),
        roots=roots.astype(np.int64),
        feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        to_left=nodes["missing_go_to_left"].astype(np.int64),
        left=np.where(is_leaf, own, nodes["left"] + offset).astype(np.int64),
        right=np.where(is_leaf, own, nodes["right"] + offset).astype(np.int64),
        value=np.where(is_leaf, nodes["value"], 0.0).astype(np.float64),
        depth=int(nodes["depth"].max()),
    )
