"""The baseline that always stands beside fusion: boosted trees per modality, fused late.

Each modality has its own boosted trees, which take missing values as they are; logistic
regression weighs their held-out logits. A missing modality adds nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked

from aegle.domain.errors import InputError
from aegle.learning.fusion.table import Outcome, Table, Values
from aegle.learning.fusion.trees import Trees, from_boosting
from aegle.options import option

INNER = 3
"""Parts of the training rows that are held out in turn to weigh the modalities."""
LEAST = 0.05
"""Weight of a modality at least."""


@checked(frozen=True, kw_only=True)
class BoostingOptions:
    """How the baseline is trained."""

    rounds: Annotated[int, option("Trees", ge=1, le=5000)] = 100
    rate: Annotated[float, option("Share of each tree that counts", gt=0, le=1)] = 0.05
    leaves: Annotated[int, option("Leaves of a tree at most", ge=2, le=256)] = 6
    smallest_leaf: Annotated[int, option("Rows in a leaf at least", ge=1)] = 15
    penalty: Annotated[float, option("L2 penalty of what a leaf says", ge=0)] = 1.0
    seed: Annotated[int, option("Start of all randomness", ge=0)] = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class LateFusion:
    """Boosted trees by modality, with weights for each set of modalities that may be there."""

    trees: dict[str, Trees]
    weights: dict[tuple[bool, ...], Values]
    """By which modalities are present: weight of each modality's logit, at least 0, then the
    logit to start from; shape (modality + 1,)."""
    held: Values | None = None
    """Held-out logits of the training rows by modality; not kept in a file."""

    def keeping(self, kept: Sequence[bool], names: Sequence[str]) -> "LateFusion":
        """Return the same without some modalities: what training without them would give.

        Args:
            kept: Whether each modality stays.
            names: Those that stay.
        """
        where = np.flatnonzero(kept)
        return LateFusion(
            trees={name: self.trees[name] for name in names if name in self.trees},
            weights={
                tuple(pattern[i] for i in where): weights[[*where, -1]]
                for pattern, weights in self.weights.items()
                if not any(there and not stays for there, stays in zip(pattern, kept, strict=True))
            },
            held=None if self.held is None else self.held[:, where],
        )

    def held_logits(self, pattern: tuple[bool, ...]) -> Values:
        """Return the held-out logits of the training rows with some modalities alone.

        Raises:
            InputError: The model was read from a file, which does not hold them.
        """
        if self.held is None:
            raise InputError("Held-out logits are not kept in a file; train the model anew.")
        weights = self.weights[pattern]
        logits: Values = (self.held * np.array(pattern)) @ weights[:-1] + weights[-1]
        return logits

    def logits(self, table: Table) -> Values:
        """Return the logit of the positive class, shape (row,)."""
        said = _said(self.trees, table)
        chosen = np.stack([self.weights[tuple(row)] for row in table.present().tolist()])
        logits: Values = (said * chosen[:, :-1]).sum(axis=1) + chosen[:, -1]
        return logits

    def probabilities(self, table: Table) -> Values:
        """Return the probability of the positive class, shape (row,)."""
        found: Values = 1 / (1 + np.exp(-self.logits(table)))
        return found


def boost(table: Table, outcome: Outcome, *, options: BoostingOptions) -> LateFusion:
    """Train the baseline for two classes.

    Args:
        table: Training rows.
        outcome: One per row.
        options: How.

    Raises:
        InputError: Only one class is there, or one with fewer rows than inner parts.
    """
    if min(outcome.event.sum(), (~outcome.event).sum()) < INNER:
        raise InputError(
            f"Boosted trees need at least {INNER} rows of each of two classes; add patients."
        )
    held = np.zeros((len(table.names), len(table.modalities)))
    for training, out in inner_parts(table, outcome, options.seed):
        trees = _trees(table.rows(training), outcome.rows(training), options)
        held[out] = _said(trees, table.rows(out))
    patterns = product((False, True), repeat=len(table.modalities))
    return LateFusion(
        trees=_trees(table, outcome, options),
        weights={pattern: _weights(held, pattern, outcome) for pattern in patterns},
        held=held,
    )


def inner_parts(
    table: Table, outcome: Outcome, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows to learn from and rows held out, patients whole, the same for every model."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(INNER, shuffle=True, random_state=seed)
    yield from splitter.split(np.zeros((len(table.names), 1)), outcome.event, table.groups)


def _weights(held: Values, pattern: tuple[bool, ...], outcome: Outcome) -> Values:
    """Return weights of the held-out logits of some modalities, and where to start."""
    from sklearn.linear_model import LogisticRegression

    made = np.zeros(len(pattern) + 1)
    kept, share = np.array(pattern), float(outcome.event.mean())
    made[-1] = np.log(share / (1 - share))
    if kept.any():
        weigher = LogisticRegression(C=1.0).fit(held[:, kept], outcome.event)
        # A modality that helps nobody on its own still ranks; it never counts against itself.
        made[:-1][kept] = np.maximum(weigher.coef_[0], LEAST)
        made[-1] = float(weigher.intercept_[0])
    return made


def _trees(table: Table, outcome: Outcome, options: BoostingOptions) -> dict[str, Trees]:
    made = {}
    for place, name in enumerate(table.modalities):
        there = np.flatnonzero(table.present()[:, place])
        known = outcome.rows(there)
        if len(np.unique(known.event)) > 1:
            made[name] = fitted_trees(_inputs(table, name)[there], known, options)
    return made


def fitted_trees(values: Values, outcome: Outcome, options: BoostingOptions) -> Trees:
    """Return boosted trees of features, shape (row, feature), NaN where missing."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return from_boosting(
        HistGradientBoostingClassifier(
            max_iter=options.rounds,
            learning_rate=options.rate,
            max_leaf_nodes=options.leaves,
            min_samples_leaf=options.smallest_leaf,
            l2_regularization=options.penalty,
            early_stopping=False,
            random_state=options.seed,
        ).fit(values, outcome.event)
    )


def _said(trees: dict[str, Trees], table: Table) -> Values:
    """Return the logits of each modality, 0 where it is missing, shape (row, modality)."""
    present = table.present()
    said = np.zeros(present.shape)
    for place, name in enumerate(table.modalities):
        there = present[:, place]
        if name in trees and there.any():
            said[there, place] = trees[name](_inputs(table, name)[there])
    return said


def _inputs(table: Table, modality: str) -> Values:
    inputs: Values = table.values[:, table.of(modality)]
    return inputs
