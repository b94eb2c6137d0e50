"""The limit below which a conformal score is kept, and what it promises.

A limit taken as the k-th smallest of n calibration scores, k = ceil((n + 1)(1 - alpha)), covers a
new case of the same kind with probability at least 1 - alpha. For one calibration set the coverage
follows Beta(k, n + 1 - k), and the cases covered of m new ones the Beta-Binomial law. A limit per
group (Mondrian) promises this in each group, not only on average over groups.

Sources:
    Vovk V. Conditional validity of inductive conformal predictors. ACML 2012, arXiv:1209.2673.
    Angelopoulos AN, Bates S. A gentle introduction to conformal prediction. arXiv:2107.07511,
        section 3.2 (Beta law) and appendix C (Beta-Binomial law).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, betabinom

from aegle.domain.errors import InputError
from aegle.domain.text import Text

Numbers = NDArray[np.float64]

POOLED = "all"
"""Name of the one group where groups are not told apart."""

STATEMENT = (
    "Sets like this one hold the truth in {wanted:.0%} of cases of group {group}; with {cases} "
    "calibration cases the true share lies between {low:.1%} and {high:.1%} ({confidence:.0%})."
)
TOO_FEW = (
    "Group {group} has {cases} calibration cases; at least {needed} are needed for {wanted:.0%}, "
    "so nothing is excluded."
)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Largest score that is kept in one group."""

    group: str
    value: float
    """Infinite where the group has too few cases to exclude anything."""
    cases: int
    """Calibration cases n."""
    rank: int
    """k; ``cases + 1`` where nothing can be excluded."""
    alpha: float
    """Share of cases that may be missed."""

    def coverage_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return where the coverage lies, by the exact Beta law; (1, 1) if nothing is excluded."""
        if self.rank > self.cases:
            return 1.0, 1.0
        low, high = beta.interval(confidence, self.rank, self.cases + 1 - self.rank)
        return float(low), float(high)

    def covered_interval(self, cases: int, confidence: float = 0.95) -> tuple[int, int]:
        """Return how many of new cases are covered, by the exact Beta-Binomial law."""
        if self.rank > self.cases:
            return cases, cases
        law = betabinom(cases, self.rank, self.cases + 1 - self.rank)
        low, high = law.interval(confidence)
        return int(low), int(high)

    def statement(self, confidence: float = 0.95) -> Text:
        """Return what the limit promises, in words."""
        values: dict[str, str | int | float | Text] = {
            "group": self.group,
            "cases": self.cases,
            "wanted": 1 - self.alpha,
        }
        if self.rank > self.cases:
            return Text(TOO_FEW, {**values, "needed": fewest_cases(self.alpha)})
        low, high = self.coverage_interval(confidence)
        return Text(STATEMENT, {**values, "low": low, "high": high, "confidence": confidence})


def fewest_cases(alpha: float) -> int:
    """Return the smallest calibration set with which anything can be excluded."""
    return math.ceil(round(1 / alpha - 1, 9))


def limits_of(
    scores: Numbers, groups: Sequence[str], *, alpha: float, by_group: bool = True
) -> Mapping[str, Limit]:
    """Return the limit of each group.

    Args:
        scores: How badly the true answer fits, shape (case,); larger is worse.
        groups: Which group each case belongs to; empty for one group.
        alpha: Share of cases that may be missed.
        by_group: Whether each group gets its own limit.

    Raises:
        InputError: There is no case, a score is not finite, or groups and scores differ in number.
    """
    if not scores.size or not np.isfinite(scores).all():
        raise InputError(
            f"Conformal limits need finite scores of at least one case; got {scores.size} cases. "
            "Give out-of-fold scores."
        )
    names = group_names(groups, len(scores), by_group=by_group)
    return {
        str(group): _limit(str(group), scores[names == group], alpha) for group in np.unique(names)
    }


def group_names(groups: Sequence[str], cases: int, *, by_group: bool) -> NDArray[np.str_]:
    """Return the group of each case; ``POOLED`` for all where groups are not told apart.

    Raises:
        InputError: There are groups, but not one per case.
    """
    if not by_group or not len(groups):
        return np.full(cases, POOLED)
    if len(groups) != cases:
        raise InputError(f"{len(groups)} groups for {cases} cases; give one per case.")
    return np.asarray(groups, dtype=np.str_)


def values_of(limits: Mapping[str, Limit], names: NDArray[np.str_]) -> Numbers:
    """Return the limit of each case by its group.

    Raises:
        InputError: A group was not calibrated.
    """
    unknown = sorted(set(names.tolist()) - set(limits))
    if unknown:
        raise InputError(
            f"No limit was calibrated for group(s) {', '.join(unknown)}; known: "
            f"{', '.join(limits)}. Calibrate with cases of this group, or leave the case to a "
            "person."
        )
    return np.array([limits[str(name)].value for name in names], np.float64)


def _limit(group: str, scores: Numbers, alpha: float) -> Limit:
    cases = scores.size
    # Rounded, since 0.9 * 10 in floating point may lie just above 9.
    rank = min(math.ceil(round((cases + 1) * (1 - alpha), 9)), cases + 1)
    value = float("inf") if rank > cases else float(np.partition(scores, rank - 1)[rank - 1])
    return Limit(group=group, value=value, cases=cases, rank=rank, alpha=alpha)
