"""Plain models of all features at once, against which fusion is held."""

from typing import TYPE_CHECKING

import numpy as np

from aegle.learning.fusion.boosting import BoostingOptions, fitted_trees
from aegle.learning.fusion.encoding import encoder_of
from aegle.learning.fusion.survival import cox_regression
from aegle.learning.fusion.table import Outcome, Table, Values

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

COMPONENTS = 64
STRENGTH = 0.1
"""Inverse of the L2 penalty on standardised inputs (``C`` of scikit-learn)."""


def logistic(table: Table, outcome: Outcome, asked: Table) -> Values:
    """Return what logistic regression on encoded features says of other rows."""
    inputs, questions = _both(table, asked)
    said: Values = fitted_logistic(inputs, outcome).decision_function(questions)
    return said


def fitted_logistic(inputs: Values, outcome: Outcome) -> "LogisticRegression":
    """Return logistic regression of encoded features, shape (row, input)."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, max_iter=2000).fit(inputs, outcome.event)


def boosted(table: Table, outcome: Outcome, asked: Table, options: BoostingOptions) -> Values:
    """Return what boosted trees on all features at once say of other rows."""
    return fitted_trees(table.values, outcome, options)(asked.values)


def linear_cox(table: Table, outcome: Outcome, asked: Table) -> Values:
    """Return the risk by linear Cox regression, ties by Efron, of other rows.

    Numbers are standardised as they are (no logarithm), means stand for what is missing, and one
    input of each category is left out, so that no input is a sum of others.
    """
    inputs, questions = _design(table, table), _design(asked, table)
    moving = inputs.std(axis=0) > 0
    fitted = cox_regression(inputs[:, moving], outcome, penalty=1e-6)
    risk: Values = questions[:, moving] @ fitted.weights
    return risk


def _design(table: Table, training: Table) -> Values:
    columns = []
    for feature, values, known in zip(
        table.features, table.values.T, training.values.T, strict=True
    ):
        if feature.categories:
            columns += [(values == code) * 1.0 for code in range(1, len(feature.categories))]
            continue
        mean, spread = np.nanmean(known), np.nanstd(known)
        columns.append(np.nan_to_num((values - mean) / (spread or 1.0)))
    return np.stack(columns, axis=1)


def _both(table: Table, asked: Table) -> tuple[Values, Values]:
    encoder = encoder_of(table, components=COMPONENTS)
    inputs, questions = (
        np.concatenate(list(encoder(one)[0].values()), axis=1) for one in (table, asked)
    )
    return inputs, questions
