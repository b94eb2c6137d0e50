"""Whether an event that is given 70 % comes in 70 of 100 images, and making it so.

Sources:
    Guo C et al. On calibration of modern neural networks. ICML 2017, arXiv:1706.04599
        (temperature scaling).
    Wilson EB. J Am Stat Assoc 1927;22:209-212 (interval of a share).
"""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import binomtest

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import bin_of, stated_and_true
from aegle.evaluation.weighted import SMALLEST_PROBABILITY, Numbers

TEMPERATURES = (0.05, 20.0)
"""A fitted temperature lies between these."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Images with about the same stated probability."""

    images: int
    stated: float
    """Mean stated probability."""
    came: float
    """Share of the images in which the event came."""
    low: float
    """Wilson interval of ``came``; images count one by one, not by group."""
    high: float


def fit_temperature(logits: Numbers, truth: NDArray[np.int64]) -> float:
    """Return the temperature that makes the true classes likeliest: softmax(logits / temperature).

    Args:
        logits: Shape (image, class); log-probabilities serve as well.
        truth: Index of the true class, shape (image,). Images that the network was not trained on.

    Returns:
        The temperature, within ``TEMPERATURES``; above 1 the network was too sure.

    Raises:
        InputError: There is no image, or a logit is not finite.
    """
    if not truth.size or not np.isfinite(logits).all():
        raise InputError(
            f"A temperature is fitted to finite logits of at least one image; got {truth.size} "
            "images. Look at the network's output."
        )
    of_truth = logits[np.arange(truth.size), truth]

    def loss(log_inverse: Numbers) -> tuple[float, Numbers]:
        inverse = np.exp(log_inverse[0])
        expected = (softmax(inverse * logits, axis=1) * logits).sum(axis=1)
        value = (logsumexp(inverse * logits, axis=1) - inverse * of_truth).mean()
        return float(value), np.array([(expected - of_truth).mean() * inverse])

    borders = tuple(float(-np.log(t)) for t in reversed(TEMPERATURES))
    found = minimize(
        loss,
        np.zeros(1),
        jac=True,
        method="L-BFGS-B",
        bounds=[borders],
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    return float(np.exp(-found.x[0]))


def temperature_of(predictions: Predictions) -> float:
    """Return the temperature that best calibrates probabilities; see ``fit_temperature``."""
    return fit_temperature(_log(predictions.probabilities), predictions.truth)


def with_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """Return predictions whose log-probabilities are divided by a temperature."""
    changed = np.exp(log_softmax(_log(predictions.probabilities) / temperature, axis=1))
    return replace(predictions, probabilities=changed)


def reliability(
    predictions: Predictions, *, options: EvaluationOptions
) -> tuple[ReliabilityBin, ...]:
    """Return how often events came, by stated probability, without empty bins.

    Args:
        predictions: Of two classes: the event is the positive class. Of more: that the likeliest
            class is the true one.
        options: Bins, positive class, confidence.

    Raises:
        OptionError: The positive class is unknown.
    """
    stated, came = stated_and_true(predictions, options)
    bins = bin_of(stated, options)
    return tuple(
        _bin(stated[bins == index], came[bins == index], options.confidence)
        for index in np.unique(bins)
    )


def _bin(stated: Numbers, came: NDArray[np.bool_], confidence: float) -> ReliabilityBin:
    interval = binomtest(int(came.sum()), came.size).proportion_ci(confidence, method="wilson")
    return ReliabilityBin(
        images=int(came.size),
        stated=float(stated.mean()),
        came=float(came.mean()),
        low=float(interval.low),
        high=float(interval.high),
    )


def _log(probabilities: Numbers) -> Numbers:
    return cast(Numbers, np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1)))
