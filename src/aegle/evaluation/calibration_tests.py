"""Whether stated probabilities could be true, held against a model that is perfectly calibrated.

An expected calibration error is above zero by chance alone. What chance gives is found by drawing
the events anew from the stated probabilities: the 95th percentile of these errors is what a
perfectly calibrated model with the same confidences would stay under.

Sources:
    Spiegelhalter DJ. Stat Med 1986;5:421-433 (z test of the Brier score).
    Bröcker J, Smith LA. Weather Forecast 2007;22:651-661 (consistency resampling).
    Nixon J et al. Measuring calibration in deep learning. CVPR workshops 2019, arXiv:1904.01685
        (bins of equal mass).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import measure
from aegle.evaluation.calibration import temperature_of, with_temperature
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import bin_of, positive_class, stated_and_true
from aegle.evaluation.weighted import Numbers

_DRAWS = 4000
"""Simulated cohorts; the 95th percentile is then known to about 1 % of itself."""


@dataclass(frozen=True, kw_only=True)
class CalibrationTest:
    """How far stated probabilities are from what came, and from what chance allows."""

    images: int
    error: float
    """Expected calibration error, bins as in the options."""
    low: float
    """Bootstrap interval of the error, by group."""
    high: float
    allowed: float
    """95th percentile of the error of a perfectly calibrated model with the same confidences."""
    chance: float
    """Share of perfectly calibrated models with at least this error."""
    brier: float
    z: float
    """Spiegelhalter's; standard normal if the probabilities are true."""
    p: float
    """Two-sided."""

    @property
    def passes(self) -> bool:
        """Whether the error is not above that of a perfectly calibrated model."""
        return self.error <= self.allowed


def calibration_test(predictions: Predictions, *, options: EvaluationOptions) -> CalibrationTest:
    """Return the tests of stated probabilities.

    Args:
        predictions: Of two classes the probability of the positive one is judged; of more that of
            the likeliest.
        options: Bins, positive class, resamples, confidence and seed.

    Raises:
        InputError: There is no image.
        OptionError: The positive class is unknown.
    """
    stated, came = stated_and_true(predictions, options)
    if not stated.size:
        raise InputError("Calibration is judged on at least one image; there is none.")
    bins = bin_of(stated, options)
    error = float(_error(bins, stated, came[None, :])[0])
    draws = np.random.default_rng(options.seed).random((_DRAWS, stated.size)) < stated
    by_chance = _error(bins, stated, draws)
    z = spiegelhalter_z(stated, came)
    found = measure(predictions, options=options, names=("calibration_error",))["calibration_error"]
    return CalibrationTest(
        images=stated.size,
        error=error,
        low=found.low,
        high=found.high,
        allowed=float(np.quantile(by_chance, 0.95)),
        chance=float((by_chance >= error).mean()),
        brier=float(((stated - came) ** 2).mean()),
        z=z,
        p=float(2 * norm.sf(abs(z))) if np.isfinite(z) else float("nan"),
    )


def spiegelhalter_z(stated: Numbers, came: NDArray[np.bool_]) -> float:
    """Return Spiegelhalter's z; NaN if every probability is 0, 0.5 or 1.

    Args:
        stated: Probabilities of the event, shape (image,).
        came: Whether it came, shape (image,).
    """
    apart = ((came - stated) * (1 - 2 * stated)).sum()
    variance = ((1 - 2 * stated) ** 2 * stated * (1 - stated)).sum()
    return float(apart / np.sqrt(variance)) if variance > 0 else float("nan")


def cross_fitted(
    predictions: Predictions, folds: Sequence[int] | NDArray[np.int64], method: str
) -> Predictions:
    """Return recalibrated predictions; each fold by a fit to the others.

    Args:
        predictions: Out-of-fold.
        folds: The fold of each image, shape (image,); groups are not split.
        method: ``temperature``, ``isotonic`` (two classes) or ``none``.

    Raises:
        InputError: The method is unknown, there are fewer than two folds, or isotonic regression
            is asked for more than two classes.
    """
    numbers = np.asarray(folds)
    if method not in {"none", "temperature", "isotonic"}:
        raise InputError(f"No calibration '{method}'; known: none, temperature, isotonic.")
    if method == "isotonic" and len(predictions.classes) != 2:
        raise InputError("Isotonic regression calibrates two classes; take temperature for more.")
    if np.unique(numbers).size < 2:
        raise InputError("Cross-fitting needs at least two folds.")
    if method == "none":
        return predictions
    changed = np.array(predictions.probabilities)
    for fold in np.unique(numbers):
        is_held = numbers == fold
        rest, held = (_part(predictions, where) for where in (~is_held, is_held))
        if method == "temperature":
            changed[is_held] = with_temperature(held, temperature_of(rest)).probabilities
        else:
            changed[is_held] = _isotonic(rest, held)
    return replace(predictions, probabilities=changed)


def folds_by_group(groups: Sequence[str], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Return a fold for each image such that groups stay whole and sizes are near."""
    names, where, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    of_group, filled = np.zeros(len(names), np.int64), np.zeros(folds)
    for place in order:
        of_group[place] = filled.argmin()
        filled[of_group[place]] += counts[place]
    return of_group[where]


def _part(predictions: Predictions, where: NDArray[np.bool_]) -> Predictions:
    kept = np.flatnonzero(where)
    return Predictions(
        classes=predictions.classes,
        names=tuple(predictions.names[i] for i in kept),
        truth=predictions.truth[kept],
        probabilities=predictions.probabilities[kept],
        groups=tuple(predictions.groups[i] for i in kept),
    )


def _isotonic(rest: Predictions, held: Predictions) -> Numbers:
    positive = positive_class(rest, EvaluationOptions())
    # Laplace's rule keeps the ends off 0 and 1, which no finite set of images supports.
    fitted = IsotonicRegression(out_of_bounds="clip").fit(
        rest.probabilities[:, positive], rest.truth == positive
    )
    count = len(rest.names)
    raised = (fitted.predict(held.probabilities[:, positive]) * count + 1) / (count + 2)
    return np.stack([1 - raised, raised], axis=1)


def _error(bins: NDArray[np.int64], stated: Numbers, came: NDArray[np.bool_]) -> Numbers:
    """Return the expected calibration error of cohorts (draw, image), shape (draw,)."""
    members = np.eye(int(bins.max()) + 1)[bins]
    gaps = (stated @ members)[None, :] - came.astype(np.float64) @ members
    return np.asarray(np.abs(gaps).sum(axis=1) / stated.size)
