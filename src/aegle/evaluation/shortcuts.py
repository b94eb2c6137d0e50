"""Whether a model looks at the anatomy or at marks beside it.

Images are changed (see ``probes``), judged again, and compared with the unchanged ones by paired
resampling of groups. Shortcuts of this kind: Zech JR et al. PLoS Med 2018;15:e1002683; DeGrave AJ
et al. Nat Mach Intell 2021;3:610-619.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.domain.text import Text
from aegle.evaluation.bootstrap import Difference, Estimate, compare, measure
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.probes import PROBES, Images, Kind

Predict = Callable[[Images], NDArray[np.float64]]
"""Gives class probabilities (image, class) of prepared images (image, channel, row, column)."""

NOTABLE_AUC = 0.6
"""An AUC without the anatomy whose interval lies above 0.5 and that reaches this is a shortcut."""
NOTABLE_CHANGE = 0.02
"""A fall of the AUC whose interval excludes 0 and that reaches this is worth a sentence."""
_BATCH = 256
"""Images that are changed at once."""
AUDITED = ("auc", "balanced_accuracy")


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """How good a model is on changed images."""

    probe: str
    """Name in ``PROBES``."""
    kind: Kind
    estimates: tuple[Estimate, ...]
    """AUC and balanced accuracy on the changed images."""
    changes: tuple[Difference, ...]
    """Changed minus unchanged."""
    is_suspicious: bool
    verdict: Text


def audit(
    predict: Predict,
    values: Images,
    truth: NDArray[np.int64],
    groups: Sequence[str],
    classes: Sequence[str],
    *,
    options: EvaluationOptions,
) -> tuple[AuditRow, ...]:
    """Judge a model on images with marks, anatomy or the look of the source taken away.

    Args:
        predict: The model.
        values: Prepared images that it was not trained on, 0 to 255, shape (image, channel, ...,
            row, column).
        truth: Index of the true class, shape (image,).
        groups: What belongs together, one per image.
        classes: Names of the classes.
        options: Resamples, confidence, seed, positive class.

    Raises:
        InputError: Numbers of images differ, or fewer than two classes occur.
    """
    unchanged = Predictions(
        classes=tuple(classes),
        names=tuple(str(place) for place in range(len(values))),
        truth=truth,
        probabilities=_predicted(predict, values),
        groups=tuple(groups),
    )
    rows = []
    for name, probe in PROBES.items():
        changed = replace(unchanged, probabilities=_predicted(predict, values, probe.change))
        rows.append(judge(name, unchanged, changed, options=options))
    return tuple(rows)


def judge(
    probe: str, unchanged: Predictions, changed: Predictions, *, options: EvaluationOptions
) -> AuditRow:
    """Return one row from predictions that are there already, such as those of all folds.

    Args:
        probe: Name in ``PROBES``.
        unchanged: Predictions of the images as they are.
        changed: Predictions of the changed images, with the same names.
        options: Resamples, confidence, seed, positive class.

    Raises:
        OptionError: There is no such probe.
        InputError: Images differ, or fewer than two classes occur.
    """
    if probe not in PROBES:
        raise OptionError(f"No probe '{probe}'; known: {', '.join(PROBES)}.")
    after = measure(changed, options=options, names=AUDITED)
    change = compare(changed, unchanged, options=options, names=AUDITED)
    is_suspicious = _is_suspicious(PROBES[probe].kind, after["auc"], change["auc"])
    return AuditRow(
        probe=probe,
        kind=PROBES[probe].kind,
        estimates=after.estimates,
        changes=change.differences,
        is_suspicious=is_suspicious,
        verdict=_verdict(probe, after["auc"], change["auc"], is_suspicious),
    )


def _predicted(
    predict: Predict, values: Images, change: Callable[[Images], Images] | None = None
) -> NDArray[np.float64]:
    """Return probabilities of images, changed a few at a time to spare memory."""
    parts = [values[start : start + _BATCH] for start in range(0, len(values), _BATCH)]
    if not parts:
        raise InputError("A shortcut audit needs images; there is none.")
    return np.concatenate([predict(change(part) if change else part) for part in parts])


def _is_suspicious(kind: Kind, auc: Estimate, change: Difference) -> bool:
    if kind is Kind.ANATOMY:
        return auc.low > 0.5 and auc.value >= NOTABLE_AUC
    return change.high < 0 and change.value <= -NOTABLE_CHANGE


_VERDICTS = {
    (Kind.ANATOMY, True): (
        "With {change} the AUC is still {auc:.2f} ({low:.2f} to {high:.2f}): "
        "the model can use what lies there, such as marks outside the anatomy."
    ),
    (Kind.ANATOMY, False): (
        "With {change} the AUC is {auc:.2f} ({low:.2f} to {high:.2f}): "
        "no sign that what is left there decides."
    ),
    (Kind.MARKS, True): (
        "With {change} the AUC falls by {fall:.3f} ({least:.3f} to {most:.3f}): "
        "the model uses what was there."
    ),
    (Kind.MARKS, False): (
        "With {change} the AUC changes by {rise:+.3f} ({lowest:+.3f} to {highest:+.3f}): "
        "no sign that the model needs what was there."
    ),
    (Kind.LOOK, True): (
        "With {change} the AUC falls by {fall:.3f} ({least:.3f} to {most:.3f}): "
        "the model depends on the look of its source."
    ),
    (Kind.LOOK, False): (
        "With {change} the AUC changes by {rise:+.3f} ({lowest:+.3f} to {highest:+.3f}): "
        "no sign that the model depends on this look."
    ),
}


def _verdict(probe: str, auc: Estimate, change: Difference, is_suspicious: bool) -> Text:
    return Text(
        _VERDICTS[PROBES[probe].kind, is_suspicious],
        {
            "change": Text(PROBES[probe].name),
            "auc": auc.value,
            "low": auc.low,
            "high": auc.high,
            "fall": -change.value,
            "least": -change.high,
            "most": -change.low,
            "rise": change.value,
            "lowest": change.low,
            "highest": change.high,
        },
    )
