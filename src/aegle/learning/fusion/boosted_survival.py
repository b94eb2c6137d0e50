"""Boosted trees for the time to an event: of all features, and by modality with late fusion.

Each patient becomes a row for every interval of time that was entered, and boosted trees foretell
whether the event falls into it (survival stacking, Craig E et al. arXiv:2107.13480); with the
interval itself among the features, hazards may change with time.
"""

import numpy as np
from numpy.typing import NDArray

from aegle.learning.fusion.boosting import BoostingOptions, fitted_trees, inner_parts
from aegle.learning.fusion.survival import cox_regression, cut_times, survival
from aegle.learning.fusion.table import Outcome, Table, Values

INTERVALS = 8
LEAST = 0.05
"""Weight of a modality at least: it never counts against itself."""
PENALTY = 1.0
"""Of the weights, by which held-out risks are fused."""
TINY = 1e-9


def boosted_survival(
    table: Table, outcome: Outcome, asked: Table, options: BoostingOptions
) -> Values:
    """Return the risk of other rows by boosted trees of all features, shape (row,).

    Args:
        table: Training rows.
        outcome: One per row, with times.
        asked: The other rows.
        options: Of the trees.

    Raises:
        InputError: No event was seen.
    """
    return _risk(table.values, outcome, asked.values, options)


def late_survival(table: Table, outcome: Outcome, asked: Table, options: BoostingOptions) -> Values:
    """Return the risk by boosted trees for each modality, fused late; arguments as above.

    The risks of held-out training rows weigh the modalities by Cox regression. Where a modality
    is missing, it adds nothing.
    """
    held = np.zeros((len(table.names), len(table.modalities)))
    for training, out in inner_parts(table, outcome, options.seed):
        part = table.rows(training)
        held[out] = _by_modality(part, outcome.rows(training), table.rows(out), options)
    fitted = cox_regression(held, outcome, penalty=PENALTY)
    said = _by_modality(table, outcome, asked, options)
    risk: Values = said @ np.maximum(fitted.weights, LEAST)
    return risk


def _by_modality(table: Table, outcome: Outcome, asked: Table, options: BoostingOptions) -> Values:
    """Return the risk by each modality less its mean, 0 where it is missing."""
    said = np.zeros((len(asked.names), len(table.modalities)))
    for place, name in enumerate(table.modalities):
        features = table.of(name)
        learned, shown = (np.flatnonzero(t.present()[:, place]) for t in (table, asked))
        known = outcome.rows(learned)
        if not (known.event.any() and len(shown)):
            continue
        own = table.values[np.ix_(learned, features)]
        others = asked.values[np.ix_(shown, features)]
        risk = _risk(own, known, np.concatenate([own, others]), options)
        said[shown, place] = risk[len(own) :] - risk[: len(own)].mean()
    return said


def _risk(values: Values, outcome: Outcome, asked: Values, options: BoostingOptions) -> Values:
    """Return the logarithm of the hazard summed over all intervals."""
    ends = cut_times(outcome, INTERVALS)
    rows, intervals, event = _stacked(outcome, ends)
    stacked = np.column_stack([values[rows], intervals])
    trees = fitted_trees(stacked, Outcome(event=event), options)
    each = [trees(np.column_stack([asked, np.full(len(asked), k)])) for k in range(len(ends))]
    outlived = survival(np.stack(each, axis=1))[:, -1]
    risk: Values = np.log(np.maximum(-np.log(np.maximum(outlived, TINY)), TINY))
    return risk


def _stacked(
    outcome: Outcome, ends: Values
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return row, interval and whether the event fell into it, for every interval entered.

    Who was last seen within an interval without the event does not count in it.
    """
    assert outcome.time is not None
    time, event = outcome.time[:, None], outcome.event[:, None]
    begins = np.concatenate([[-np.inf], ends[:-1]])
    died = event & (time > begins) & (time <= ends)
    outlived = (time > ends) | ((time == ends) & ~event)
    rows, intervals = np.nonzero(died | outlived)
    return rows, intervals, died[rows, intervals]
