"""How good a model is on the images that it keeps, if it passes the least sure ones to a person.

Source: Geifman Y, El-Yaniv R. Selective classification for deep neural networks. NeurIPS 2017,
arXiv:1705.08500 (risk-coverage curve); El-Yaniv R, Wiener Y. J Mach Learn Res 2010;11:1605-1641.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.drawing import Picture, chart, finish, picture_of
from aegle.evaluation.weighted import Numbers


@dataclass(frozen=True, eq=False, kw_only=True)
class DeferralCurve:
    """Errors among the kept images, from one kept image to all."""

    kept: Numbers
    """Share of images that the model answers, ascending, shape (step,)."""
    wrong: Numbers
    """Share of wrong answers among them, shape (step,)."""
    area: float
    """Mean of ``wrong`` over the steps; smaller is better."""
    least_area: float
    """The area if every wrong answer were passed on first."""

    def kept_at(self, wrong: float) -> float:
        """Return the largest share of images that keeps errors at or below a share; 0 if none."""
        fine = np.flatnonzero(self.wrong <= wrong)
        return float(self.kept[fine[-1]]) if fine.size else 0.0


def deferral_curve(predictions: Predictions, doubt: Numbers | None = None) -> DeferralCurve:
    """Return the curve of errors over the share of images kept.

    Args:
        predictions: What the model says.
        doubt: Larger is passed on earlier, shape (image,): the disagreement of an ensemble, an
            outlier score. One minus the highest probability by default. Images of equal doubt
            are kept or passed on together.

    Raises:
        InputError: There is no image, or doubts and images differ in number.
    """
    if doubt is None:
        doubt = 1 - predictions.probabilities.max(axis=1)
    if not doubt.size or doubt.shape != predictions.truth.shape:
        raise InputError(f"{doubt.size} doubts for {len(predictions.names)} images; give one each.")
    is_wrong = predictions.probabilities.argmax(axis=1) != predictions.truth
    kept, wrong = _curve(doubt, is_wrong)
    best = np.cumsum(np.sort(is_wrong)) / np.arange(1, doubt.size + 1)
    return DeferralCurve(
        kept=kept, wrong=wrong, area=float(wrong.mean()), least_area=float(best.mean())
    )


def draw_deferral(curve: DeferralCurve) -> Picture:
    """Return the curve as a picture."""
    figure, axes = chart()
    axes.plot(curve.kept, curve.wrong)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    finish(axes, "share of images that the model answers", "share of wrong answers among them")
    return picture_of(figure, "Wrong answers by the share of images that the model answers")


def _curve(doubt: Numbers, is_wrong: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    order = np.argsort(doubt, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(doubt[order]) > 0, True))
    summed = np.cumsum(is_wrong[order])[ends]
    return (ends + 1) / doubt.size, summed / (ends + 1)
