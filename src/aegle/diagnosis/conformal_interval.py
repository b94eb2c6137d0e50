"""Intervals of a measured quantity that hold the true value as often as promised.

For a volume of a segmentation, a dose or a time: the residuals of out-of-fold predictions give the
half-width. Normalised residuals (divided by a spread that the model states, such as the
disagreement of an ensemble, or by the size itself) give wider intervals to harder cases. Conformal
quantile regression corrects stated quantiles.

Sources:
    Lei J et al. Distribution-free predictive inference for regression. J Am Stat Assoc
        2018;113:1094-1111 (absolute and normalised residuals).
    Romano Y, Patterson E, Candès E. Conformalized quantile regression. NeurIPS 2019,
        arXiv:1905.03222.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aegle.diagnosis.conformal_limit import Limit, Numbers, group_names, limits_of, values_of
from aegle.domain.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ConformalIntervals:
    """Half-widths by group; in units of the spread where one is given."""

    limits: Mapping[str, Limit]

    def interval(
        self,
        low: Numbers,
        high: Numbers,
        groups: Sequence[str] = (),
        *,
        spread: Numbers | float = 1.0,
    ) -> tuple[Numbers, Numbers]:
        """Return intervals around stated ones, shape (case,) each.

        Args:
            low: Stated lower quantile, or the prediction.
            high: Stated upper quantile, or the prediction again.
            groups: One per case, where limits are per group.
            spread: What the model states as its spread, positive; as in ``calibrate_intervals``.

        Raises:
            InputError: A group was not calibrated.
        """
        names = group_names(groups, len(low), by_group=len(groups) > 0)
        width = values_of(self.limits, names) * _positive(spread)
        return low - width, high + width


def calibrate_intervals(
    bounds: tuple[Numbers, Numbers],
    truth: Numbers,
    groups: Sequence[str] = (),
    *,
    alpha: float = 0.1,
    spread: Numbers | float = 1.0,
) -> ConformalIntervals:
    """Return half-widths from cases that the model was not trained on.

    Args:
        bounds: Stated lower and upper quantile, or the prediction twice; shape (case,) each.
        truth: Measured values in the same unit, shape (case,).
        groups: What coverage is promised for, one per case; empty for one group.
        alpha: Share of cases whose interval may miss the truth.
        spread: Stated spread by which residuals are divided, positive.

    Raises:
        InputError: There is no case, a value is not finite, or a spread is not positive.
    """
    low, high = bounds
    residuals = np.maximum(low - truth, truth - high) / _positive(spread)
    return ConformalIntervals(limits=limits_of(residuals, groups, alpha=alpha))


def _positive(spread: Numbers | float) -> Numbers:
    values = np.asarray(spread, np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError("A spread is not positive; give one above 0 for every case.")
    return values
