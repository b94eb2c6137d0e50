"""Network and boosted trees together: how much each counts is chosen on held-out training rows.

For every set of modalities that may be there, the share of the trees is a mean of several, each
weighed by the likelihood of the held-out rows under it: with many rows that is the best share, with
few it stays in the middle (compare pattern submodels, Fletcher Mercaldo S, Blume JD. Biostatistics
2020;21:236-252, and pseudo-BMA weights, Yao Y et al. Bayesian Anal 2018;13:917-1007).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from aegle.learning.fusion.boosting import BoostingOptions, LateFusion, boost, inner_parts
from aegle.learning.fusion.fitting import Fusion, FusionOptions, Head, fit
from aegle.learning.fusion.table import Outcome, Table, Values

INNER_MEMBERS = 4
"""Networks of the ensemble that is trained to choose the shares."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)

SCALE_STRENGTH = 10.0
"""Inverse of the L2 penalty of a scale (``C`` of scikit-learn)."""
LEAST = 0.05
"""Slope of a scale at least: neither part ever counts against itself."""

Pattern = tuple[bool, ...]
Mix = tuple[float, float, float]
"""What the logits of network and trees are multiplied by, and what is added."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Blend:
    """A network and, for classes, boosted trees."""

    fusion: Fusion
    late: LateFusion | None = None
    mixes: Mapping[Pattern, Mix] | None = None
    """By which modalities are present."""

    def risk(self, table: Table) -> Values:
        """Return one number per row, larger where the event is likelier or earlier."""
        own = self.fusion.risk(table)
        if self.late is None or self.mixes is None:
            return own
        mixes = np.array([self.mixes[tuple(row)] for row in table.present().tolist()])
        both: Values = mixes[:, 0] * own + mixes[:, 1] * self.late.logits(table) + mixes[:, 2]
        return both


def blend(
    table: Table,
    outcome: Outcome,
    head: Head,
    *,
    options: FusionOptions,
    boosting: BoostingOptions,
    late: LateFusion | None = None,
) -> Blend:
    """Train a network and, for classes, boosted trees, and choose how much each counts.

    Args:
        table: Training rows.
        outcome: One per row; with times for survival.
        head: What is foretold.
        options: Of the network.
        boosting: Of the trees.
        late: Trees that were trained on these rows already.

    Raises:
        InputError: Too few rows of a class, or no event.
    """
    fusion = fit(table, outcome, head, options=options)
    if head != "classify":
        return Blend(fusion=fusion)
    late = late or boost(table, outcome, options=boosting)
    mixes = _mixes(table, outcome, options, late, boosting.seed)
    return Blend(fusion=fusion, late=late, mixes=mixes)


def _mixes(
    table: Table, outcome: Outcome, options: FusionOptions, late: LateFusion, seed: int
) -> dict[Pattern, Mix]:
    few = replace(options, members=min(options.members, INNER_MEMBERS))
    patterns = list(product((False, True), repeat=len(table.modalities)))
    own = np.zeros((len(patterns), len(table.names)))
    for training, out in inner_parts(table, outcome, seed):
        network = fit(table.rows(training), outcome.rows(training), "classify", options=few)
        for place, pattern in enumerate(patterns):
            own[place, out] = network.risk(_only(table.rows(out), pattern))
    return {
        pattern: _mix(said, late.held_logits(pattern), outcome)
        for pattern, said in zip(patterns, own, strict=True)
    }


def _only(table: Table, pattern: Pattern) -> Table:
    """Return the table with the modalities of a pattern alone."""
    for name, kept in zip(table.modalities, pattern, strict=True):
        table = table if kept else table.without(name)
    return table


def _mix(own: Values, trees: Values, outcome: Outcome) -> Mix:
    """Return what the logits of network and trees are multiplied by, and what is added.

    Each is first brought onto the scale of the held-out rows. Of the shares, the mean counts, each
    weighed by the likelihood of the held-out rows under it.
    """
    scales = [_scale(said, outcome) for said in (own, trees)]
    first, second = (a * said + b for (a, b), said in zip(scales, (own, trees), strict=True))
    sign = np.where(outcome.event, -1.0, 1.0)
    losses = np.array(
        [np.logaddexp(0, sign * ((1 - share) * first + share * second)).sum() for share in SHARES]
    )
    weights = np.exp(losses.min() - losses)
    share = float(weights @ np.array(SHARES) / weights.sum())
    (slope, start), (steepness, offset) = scales
    return (1 - share) * slope, share * steepness, (1 - share) * start + share * offset


def _scale(said: Values, outcome: Outcome) -> tuple[float, float]:
    """Return slope, above 0, and start of the logit of the outcome over what was said."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=SCALE_STRENGTH).fit(said[:, None], outcome.event)
    return max(float(fitted.coef_[0, 0]), LEAST), float(fitted.intercept_[0])
