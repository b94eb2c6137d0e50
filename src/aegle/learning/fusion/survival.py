"""Time to an event: partial likelihood, discrete time, and linear Cox regression.

Sources:
    Cox DR. J R Stat Soc B 1972;34:187-220; Efron B. J Am Stat Assoc 1977;72:557-565 (ties).
    Gensheimer MF, Narasimhan B. PeerJ 2019;7:e6257 (discrete time).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.learning.fusion.table import Outcome, Values

STEPS = 50
"""Newton steps at most; a fit takes about 6."""
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class CoxFit:
    """Linear Cox regression."""

    weights: Values
    """Logarithm of the hazard ratio for one unit, shape (feature,)."""
    deviations: Values
    """Standard errors of the weights."""
    log_likelihood: float
    """Partial, at the weights."""


def cox_loss(risk: Tensor, outcome: Outcome) -> Tensor:
    """Return the mean negative log partial likelihood by Breslow's ties, shape (...).

    Args:
        risk: Logarithm of the relative hazard, shape (row, ...).
        outcome: With times.

    Raises:
        InputError: No event was seen, so nothing can be learned.
    """
    time, event = _times(outcome), torch.from_numpy(outcome.event.copy())
    order = torch.from_numpy(np.argsort(-time, kind="stable"))
    risk, event = risk[order], event[order]
    # Rows with the same time are at risk together: each sees the sum up to the last of them.
    _, last = np.unique(-time[order.numpy()], return_inverse=True)
    ends = np.searchsorted(last, np.arange(last.max() + 1), side="right") - 1
    at_risk = torch.logcumsumexp(risk, dim=0)[torch.from_numpy(ends[last])]
    return -((risk - at_risk)[event]).mean(dim=0)


def cut_times(outcome: Outcome, intervals: int) -> Values:
    """Return the ends of intervals that hold about the same number of events, ascending."""
    seen = _times(outcome)[outcome.event]
    found: Values = np.unique(np.quantile(seen, np.linspace(0, 1, intervals + 1)[1:]))
    return found


def discrete_loss(logits: Tensor, outcome: Outcome, ends: Values) -> Tensor:
    """Return the mean negative log likelihood of hazards in intervals, shape (member,).

    A row counts in every interval that it outlived, and in that of its event.

    Args:
        logits: Of the hazard in each interval, shape (row, member, interval).
        outcome: With times.
        ends: Ends of the intervals, ascending.
    """
    time = _times(outcome)
    outlived = (time[:, None] > ends) | ((time[:, None] == ends) & ~outcome.event[:, None])
    begins = np.concatenate([[0.0], ends[:-1]])
    died = outcome.event[:, None] & (time[:, None] > begins) & (time[:, None] <= ends)
    counted = torch.from_numpy((outlived | died).astype(np.float32))[:, None]
    target = torch.from_numpy(died.astype(np.float32))[:, None].expand_as(logits)
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * counted).sum(dim=(0, 2)) / len(time)


def survival(logits: NDArray[np.floating[Any]]) -> Values:
    """Return the probability of outliving each interval, shape (..., interval)."""
    hazard = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return np.asarray(np.cumprod(1 - hazard, axis=-1), np.float64)


def cox_regression(values: Values, outcome: Outcome, *, penalty: float = 0.0) -> CoxFit:
    """Fit linear Cox regression by Newton's method, ties by Efron.

    Args:
        values: Complete, shape (row, feature); of similar scale.
        outcome: With times.
        penalty: Half of it times the squared weights is added to the negative log likelihood.

    Raises:
        InputError: No event was seen, or the features do not tell the rows apart in a way that
            has a best fit (a feature is constant, a sum of others, or separates the events).
    """
    _times(outcome)
    weights = np.zeros(values.shape[1])
    centred = values - values.mean(axis=0)
    before = -np.inf
    for _ in range(STEPS):
        likelihood, slope, curve = _efron(centred, outcome, weights)
        likelihood -= penalty / 2 * float(weights @ weights)
        slope, curve = slope - penalty * weights, curve + penalty * np.eye(len(weights))
        if abs(likelihood - before) < TOLERANCE * max(abs(likelihood), 1):
            break
        before = likelihood
        try:
            weights = weights + np.clip(np.linalg.solve(curve, slope), -5, 5)
        except np.linalg.LinAlgError as error:
            raise InputError(
                "Cox regression has no best fit: a feature is constant or a sum of others. "
                "Leave it out, or give a penalty."
            ) from error
    else:
        raise InputError(
            "Cox regression does not settle: a feature tells events apart without overlap. Leave "
            "it out, or give a penalty."
        )
    spread = np.sqrt(np.diag(np.linalg.inv(curve)))
    return CoxFit(weights=weights, deviations=spread, log_likelihood=float(likelihood))


def _efron(
    values: Values, outcome: Outcome, weights: Values
) -> tuple[float, Values, NDArray[np.float64]]:
    """Return log partial likelihood, its gradient and its negative second derivative."""
    time = _times(outcome)
    hazard = np.exp(values @ weights)
    likelihood, slope = 0.0, np.zeros(len(weights))
    curve = np.zeros((len(weights), len(weights)))
    for moment in np.unique(time[outcome.event]):
        at_risk, died = time >= moment, (time == moment) & outcome.event
        ties = int(died.sum())
        likelihood += float(values[died].sum(axis=0) @ weights)
        slope += values[died].sum(axis=0)
        moments = [_moments(values[part], hazard[part]) for part in (at_risk, died)]
        for tie in range(ties):
            share = tie / ties
            total, first, second = (a - share * d for a, d in zip(*moments, strict=True))
            likelihood -= float(np.log(total))
            slope -= first / total
            curve += second / total - np.outer(first, first) / total**2
    return likelihood, slope, curve


def _moments(values: Values, hazard: Values) -> tuple[float, Values, NDArray[np.float64]]:
    weighed = values * hazard[:, None]
    return float(hazard.sum()), weighed.sum(axis=0), weighed.T @ values


def _times(outcome: Outcome) -> Values:
    if outcome.time is None or not outcome.event.any():
        raise InputError(
            "A survival model needs times and at least one event; none was seen. Name the columns "
            "of time and event, and check how an event is written."
        )
    return outcome.time
