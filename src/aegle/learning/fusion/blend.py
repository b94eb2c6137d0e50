"""Network, boosted trees and logistic regression together, for each set of modalities there is.

For every set of modalities the logits of the parts are brought onto the scale of held-out training
rows, where a part that foretells little is near a constant. Then three kinds of model count: the
network; trees, the mean of those fused late and of those of all features; and logistic regression.
Their shares are a mean of several, each weighed by the tempered likelihood of the held-out rows
under it (pseudo-BMA, Yao Y et al. Bayesian Anal 2018;13:917-1007): they stay close to equal until
many rows speak. Of a set of modalities the plain models were trained on that set alone
(``subsets``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from aegle.learning.fusion.boosting import BoostingOptions, LateFusion, boost, inner_parts
from aegle.learning.fusion.fitting import Fusion, FusionOptions, Head, fit
from aegle.learning.fusion.subsets import (
    PARTS,
    Pattern,
    SubsetModels,
    fit_subsets,
    patterns_of,
)
from aegle.learning.fusion.table import Outcome, Table, Values

INNER_MEMBERS = 4
"""Networks of the ensemble that is trained to find the scales."""
SCALE_STRENGTH = 10.0
"""Inverse of the L2 penalty of a scale (``C`` of scikit-learn)."""
LEAST = 0.05
"""Slope of a scale at least: no part ever counts against itself."""
KINDS = np.array([[1, 0, 0, 0], [0, 0.5, 0, 0.5], [0, 0, 1, 0]])
"""How much each part counts in each kind of model; parts are network, late fusion, logistic
regression, boosted trees of all features."""
STEPS = 4
"""Shares are multiples of one over this."""
TEMPER = 4.0
"""By which the logarithm of the likelihood of a share is divided."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Baselines:
    """Late fusion and the plain models by set of modalities, with what they say held out."""

    late: LateFusion
    subsets: SubsetModels
    held: Mapping[Pattern, Values]
    """What the plain models say of held-out training rows, shape (row, 2); not kept in a file."""

    def logits(self, table: Table) -> Values:
        """Return what all of them say, shape (row, 3)."""
        return np.column_stack([self.late.logits(table), self.subsets.logits(table)])

    def held_logits(self, pattern: Pattern) -> Values:
        """Return what all of them say of held-out training rows with some modalities alone.

        Raises:
            InputError: The models were read from a file, which does not hold it.
        """
        late = self.late.held_logits(pattern)
        plain = self.held.get(pattern, np.zeros((len(late), PARTS)))
        return np.column_stack([late, plain])

    def keeping(self, table: Table, modality: str) -> "Baselines":
        """Return the same without a modality: what training without it would give.

        Args:
            table: Any with the features of all modalities.
            modality: What goes.
        """
        names = [name for name in table.modalities if name != modality]
        kept = [name != modality for name in table.modalities]
        held = {
            tuple(there for there, stays in zip(pattern, kept, strict=True) if stays): said
            for pattern, said in self.held.items()
            if not any(there and not stays for there, stays in zip(pattern, kept, strict=True))
        }
        return Baselines(
            late=self.late.keeping(kept, names),
            subsets=self.subsets.keeping(kept, table.keeping(names)),
            held=held,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Blend:
    """A network and, for classes, baselines."""

    fusion: Fusion
    baselines: Baselines | None = None
    mixes: Mapping[Pattern, Values] | None = None
    """By which modalities are present: what the logit of each part is multiplied by, and what is
    added; shape (part + 1,)."""

    def risk(self, table: Table) -> Values:
        """Return one number per row, larger where the event is likelier or earlier."""
        own = self.fusion.risk(table)
        if self.baselines is None or self.mixes is None:
            return own
        said = np.column_stack([own, self.baselines.logits(table)])
        present = table.present()
        risk = np.zeros(len(own))
        for pattern in {tuple(row) for row in present.tolist()}:
            rows = (present == pattern).all(axis=1)
            mix = self.mixes.get(pattern)
            # A set of many modalities that never occurred: the parts that know every set.
            risk[rows] = said[rows, :2].mean(axis=1) if mix is None else said[rows] @ mix[:-1]
            risk[rows] += 0.0 if mix is None else mix[-1]
        return risk


def blend(
    table: Table,
    outcome: Outcome,
    head: Head,
    *,
    options: FusionOptions,
    boosting: BoostingOptions,
    baselines: Baselines | None = None,
) -> Blend:
    """Train a network and, for classes, baselines, and bring them onto one scale.

    Args:
        table: Training rows.
        outcome: One per row; with times for survival.
        head: What is foretold.
        options: Of the network.
        boosting: Of the trees.
        baselines: Trained on these rows already.

    Raises:
        InputError: Too few rows of a class, or no event.
    """
    fusion = fit(table, outcome, head, options=options)
    if head != "classify":
        return Blend(fusion=fusion)
    baselines = baselines or _baselines(table, outcome, boosting)
    mixes = _mixes(table, outcome, options, baselines, boosting.seed)
    return Blend(fusion=fusion, baselines=baselines, mixes=mixes)


def _baselines(table: Table, outcome: Outcome, options: BoostingOptions) -> Baselines:
    late = boost(table, outcome, options=options)
    patterns = patterns_of(table)
    held = {pattern: np.zeros((len(table.names), PARTS)) for pattern in patterns}
    for training, out in inner_parts(table, outcome, options.seed):
        known = outcome.rows(training)
        models = fit_subsets(table.rows(training), known, patterns, options=options)
        for pattern in patterns:
            held[pattern][out] = models.logits_of(table.rows(out), pattern)
    subsets = fit_subsets(table, outcome, patterns, options=options)
    return Baselines(late=late, subsets=subsets, held=held)


def _mixes(
    table: Table, outcome: Outcome, options: FusionOptions, baselines: Baselines, seed: int
) -> dict[Pattern, Values]:
    few = replace(options, members=min(options.members, INNER_MEMBERS))
    patterns = tuple(baselines.held)
    own = np.zeros((len(patterns), len(table.names)))
    for training, out in inner_parts(table, outcome, seed):
        network = fit(table.rows(training), outcome.rows(training), "classify", options=few)
        for place, pattern in enumerate(patterns):
            own[place, out] = network.risk(_only(table.rows(out), pattern))
    return {
        pattern: _mix(np.column_stack([said, baselines.held_logits(pattern)]), outcome)
        for pattern, said in zip(patterns, own, strict=True)
    }


def _only(table: Table, pattern: Pattern) -> Table:
    """Return the table with the modalities of a pattern alone."""
    for name, kept in zip(table.modalities, pattern, strict=True):
        table = table if kept else table.without(name)
    return table


def _mix(said: Values, outcome: Outcome) -> Values:
    """Return what the logits of the parts are multiplied by, and what is added.

    Args:
        said: Of held-out rows, shape (row, part).
        outcome: One per row.
    """
    scales = np.array([_scale(part, outcome) for part in said.T])
    kinds = KINDS @ (scales[:, :1] * said.T + scales[:, 1:])
    parts = _shares(kinds, outcome) @ KINDS
    mix: Values = np.append(parts * scales[:, 0], parts @ scales[:, 1])
    return mix


def _shares(kinds: Values, outcome: Outcome) -> Values:
    """Return how much each kind of model counts, by held-out logits of shape (kind, row)."""
    steps = np.array([p for p in product(range(STEPS + 1), repeat=len(kinds)) if sum(p) == STEPS])
    tried = steps / STEPS
    sign = np.where(outcome.event, -1.0, 1.0)
    losses = np.logaddexp(0, sign * (tried @ kinds)).sum(axis=1)
    weights = np.exp((losses.min() - losses) / TEMPER)
    shares: Values = weights @ tried / weights.sum()
    return shares


def _scale(said: Values, outcome: Outcome) -> tuple[float, float]:
    """Return slope, above 0, and start of the logit of the outcome over what was said."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=SCALE_STRENGTH).fit(said[:, None], outcome.event)
    return max(float(fitted.coef_[0, 0]), LEAST), float(fitted.intercept_[0])
