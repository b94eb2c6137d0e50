"""Plain models for every set of modalities that may be there, each trained on that set alone.

Where a modality is missing, a model that was trained without it answers (pattern submodels,
Fletcher Mercaldo S, Blume JD. Biostatistics 2020;21:236-252): logistic regression of the encoded
features and boosted trees of all features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from aegle.learning.fusion.boosting import BoostingOptions, fitted_trees
from aegle.learning.fusion.encoding import Encoder, encoder_of
from aegle.learning.fusion.plain_models import COMPONENTS, fitted_logistic
from aegle.learning.fusion.table import Outcome, Table, Values
from aegle.learning.fusion.trees import Trees

Pattern = tuple[bool, ...]
"""Which modalities are there."""
PARTS = 2
"""Logits that are said of a row: of logistic regression and of the trees."""
ALL_SETS = 5
"""With more modalities, not every set has its models: see ``patterns_of``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SubsetModels:
    """Logistic regression and boosted trees by which modalities are there."""

    encoder: Encoder
    weights: Mapping[Pattern, Values]
    """Of every encoded input, 0 for what is not there, then the logit to start from."""
    trees: Mapping[Pattern, Trees]

    def logits(self, table: Table) -> Values:
        """Return what both say, shape (row, 2); 0 for a set of modalities without models."""
        present = table.present()
        said = np.zeros((len(table.names), PARTS))
        for pattern in {tuple(row) for row in present.tolist()}:
            rows = np.flatnonzero((present == pattern).all(axis=1))
            said[rows] = self.logits_of(table.rows(rows), pattern)
        return said

    def logits_of(self, table: Table, pattern: Pattern) -> Values:
        """Return what the models of one set of modalities say, whatever is there."""
        said = np.zeros((len(table.names), PARTS))
        if pattern in self.weights:
            weights = self.weights[pattern]
            inputs = np.concatenate(list(self.encoder(table)[0].values()), axis=1)
            said[:, 0] = inputs @ weights[:-1] + weights[-1]
            said[:, 1] = self.trees[pattern](table.values[:, _columns(table, pattern)])
        return said

    def keeping(self, kept: Sequence[bool], table: Table) -> "SubsetModels":
        """Return the same without some modalities: what training without them would give.

        Args:
            kept: Whether each modality stays.
            table: Any with the features of those that stay.
        """
        places = [i for i, stays in enumerate(kept) if stays]
        where = {
            pattern: tuple(pattern[i] for i in places)
            for pattern in self.weights
            if not any(there and not stays for there, stays in zip(pattern, kept, strict=True))
        }
        encoder, inputs = _restricted(self.encoder, table)
        return replace(
            self,
            encoder=encoder,
            weights={new: self.weights[old][[*inputs, -1]] for old, new in where.items()},
            trees={new: self.trees[old] for old, new in where.items()},
        )


def fit_subsets(
    table: Table, outcome: Outcome, patterns: Sequence[Pattern], *, options: BoostingOptions
) -> SubsetModels:
    """Train logistic regression and boosted trees for sets of modalities.

    Args:
        table: Training rows.
        outcome: One per row, of two classes.
        patterns: Sets of modalities.
        options: Of the trees.
    """
    encoder = encoder_of(table, components=COMPONENTS)
    inputs = encoder(table)[0]
    of_input = np.repeat(np.arange(len(inputs)), [values.shape[1] for values in inputs.values()])
    whole = np.concatenate(list(inputs.values()), axis=1)
    weights, trees = {}, {}
    for pattern in patterns:
        if not any(pattern):
            continue
        used = np.array(pattern)[of_input]
        fitted = fitted_logistic(whole[:, used], outcome)
        weights[pattern] = np.zeros(len(of_input) + 1)
        weights[pattern][:-1][used] = fitted.coef_[0]
        weights[pattern][-1] = fitted.intercept_[0]
        trees[pattern] = fitted_trees(table.values[:, _columns(table, pattern)], outcome, options)
    return SubsetModels(encoder=encoder, weights=weights, trees=trees)


def patterns_of(table: Table) -> tuple[Pattern, ...]:
    """Return the sets of modalities for which models are trained.

    All sets of up to ``ALL_SETS`` modalities; of more, those that occur, and those without one of
    all.
    """
    count = len(table.modalities)
    if count <= ALL_SETS:
        return tuple(product((False, True), repeat=count))
    without_one = {tuple(i != out for i in range(count)) for out in range(count + 1)}
    return tuple(sorted(without_one | {tuple(row) for row in table.present().tolist()}))


def _columns(table: Table, pattern: Pattern) -> list[int]:
    """Return the places of the features of a set of modalities, in the order of the table."""
    kept = {name for name, there in zip(table.modalities, pattern, strict=True) if there}
    return [i for i, feature in enumerate(table.features) if feature.modality in kept]


def _restricted(encoder: Encoder, table: Table) -> tuple[Encoder, list[int]]:
    """Return the encoder of the features of a table, and the places of its inputs in the old."""
    names = {feature.name for feature in table.features}
    kept = [i for i, feature in enumerate(encoder.features) if feature.name in names]
    arrays = {n: getattr(encoder, n)[kept] for n in ("shift", "mean", "deviation", "flagged")}
    modalities = list(dict.fromkeys(feature.modality for feature in encoder.features))
    sizes = {name: encoder.size(name) for name in modalities}
    starts = dict(zip(modalities, np.cumsum([0, *sizes.values()]), strict=False))
    places = [int(starts[m]) + i for m in table.modalities for i in range(sizes[m])]
    turned = {name: axes for name, axes in encoder.turned.items() if name in table.modalities}
    return replace(encoder, features=table.features, turned=turned, **arrays), places
