"""Charts of predictions against the truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from aegle.domain.prediction import Predictions
from aegle.evaluation.agreement import Limits
from aegle.evaluation.calibration import reliability
from aegle.evaluation.drawing import (
    COLOURS,
    FAINT,
    INK,
    RULE,
    STYLES,
    Picture,
    chart,
    finish,
    legend,
    picture_of,
)
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import confusion_table, positive_class, scores, stated_and_true
from aegle.evaluation.selection import against_rest, class_counts
from aegle.evaluation.weighted import Numbers

MOST_CLASSES = 12
"""Curves in one chart at most: the classes with most images."""


def draw_roc(predictions: Predictions, *, options: EvaluationOptions) -> Picture:
    """Draw sensitivity against the share of false alarms."""
    figure, axes = chart()
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=":")
    for place, name in enumerate(_looked_for(predictions, options)):
        own = against_rest(predictions, name)
        false_alarms, sensitivity, _ = roc_curve(own.truth, own.probabilities[:, 1])
        area = scores(own, options=EvaluationOptions(), names=("auc",))["auc"]
        axes.step(
            false_alarms,
            sensitivity,
            where="post",
            label=f"{name}: AUC {area:.3f}",
            **_style(place),
        )
    finish(axes, "False alarms (1 - specificity)", "Sensitivity")
    _unit(axes)
    legend(axes, "lower right")
    return picture_of(figure, "ROC curve", "ROC: how many are found at how many false alarms.")


def draw_precision_recall(predictions: Predictions, *, options: EvaluationOptions) -> Picture:
    """Draw precision against sensitivity; the dotted line is the share of the class."""
    figure, axes = chart()
    for place, name in enumerate(_looked_for(predictions, options)):
        own = against_rest(predictions, name)
        precision, recall, _ = precision_recall_curve(own.truth, own.probabilities[:, 1])
        found = scores(own, options=EvaluationOptions(), names=("average_precision",))
        axes.step(
            recall,
            precision,
            where="post",
            label=f"{name}: average precision {found['average_precision']:.3f}",
            **_style(place),
        )
        axes.axhline(
            own.truth.mean(), color=COLOURS[place % len(COLOURS)], linewidth=1, linestyle=":"
        )
    finish(axes, "Sensitivity (recall)", "Precision")
    _unit(axes)
    legend(axes, "lower left")
    caption = "Precision and recall; dotted: the share of the class, which chance reaches."
    return picture_of(figure, "Precision-recall curve", caption)


def draw_reliability(predictions: Predictions, *, options: EvaluationOptions) -> Picture:
    """Draw how often the event came against how probable it was said to be."""
    bins = reliability(predictions, options=options)
    figure, axes = chart()
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=":")
    stated, came = np.array([b.stated for b in bins]), np.array([b.came for b in bins])
    reach = np.abs(np.array([[b.low for b in bins], [b.high for b in bins]]) - came)
    axes.errorbar(
        stated, came, yerr=reach, fmt="o", color=COLOURS[0], markersize=5, capsize=3, linewidth=1.4
    )
    for one in bins:
        axes.annotate(
            str(one.images),
            (one.stated, one.came),
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=7.5,
            color=FAINT,
        )
    if len(predictions.classes) == 2:
        event = f"of '{predictions.classes[positive_class(predictions, options)]}'"
    else:
        event = "of the likeliest class"
    finish(axes, f"Stated probability {event}", "Share that was true")
    _unit(axes)
    caption = "Reliability: on the diagonal, 70 % means 70 of 100. Numbers are images in the bin."
    return picture_of(figure, "Reliability diagram", caption)


def draw_confusion(predictions: Predictions) -> Picture:
    """Draw how many images of each true class were given each class."""
    names = predictions.classes
    table = confusion_table(predictions)
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares = table / totals
    side = 2.4 + 0.75 * len(names)
    figure, axes = chart(side + 0.6, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for (row, column), count in np.ndenumerate(table):
        axes.text(
            column,
            row,
            f"{count}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if shares[row, column] > 0.55 else INK,
        )
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel("Likeliest class", color=INK)
    axes.set_ylabel("True class", color=INK)
    return picture_of(figure, "Confusion matrix", "Images by true and likeliest class.")


def draw_histogram(predictions: Predictions, *, options: EvaluationOptions) -> Picture:
    """Draw how the stated probability is spread, apart for event and no event."""
    stated, came = stated_and_true(predictions, options)
    figure, axes = chart()
    if len(predictions.classes) == 2:
        positive = positive_class(predictions, options)
        names = (f"is not '{predictions.classes[positive]}'", "is")
        label = f"Stated probability of '{predictions.classes[positive]}'"
    else:
        names, label = ("wrong", "right"), "Probability of the likeliest class"
    borders = [float(border) for border in np.linspace(0, 1, 21)]
    for name, own, colour in (
        (names[0], stated[~came], COLOURS[1]),
        (names[1], stated[came], COLOURS[0]),
    ):
        axes.hist(
            own,
            bins=borders,
            histtype="stepfilled",
            facecolor=f"{colour}40",
            edgecolor=colour,
            linewidth=1.6,
            linestyle="--" if colour == COLOURS[1] else "-",
            label=f"{name} ({own.size})",
        )
    finish(axes, label, "Images")
    axes.set_xlim(0, 1)
    legend(axes, "best")
    return picture_of(figure, "Histogram of stated probabilities", "Spread of what is stated.")


def draw_intervals(
    rows: Sequence[tuple[str, float, float, float]], label: str, reference: float, caption: str
) -> Picture:
    """Draw values with intervals below each other, beside a reference.

    Args:
        rows: Name, value, low, high.
        label: Of the axis.
        reference: Value of a dotted line.
        caption: What stands below.
    """
    figure, axes = chart(6.4, 1.2 + 0.33 * len(rows))
    axes.axvline(reference, color=FAINT, linewidth=1.2, linestyle=":")
    places = np.arange(len(rows))
    values, low, high = (np.array([row[i] for row in rows], np.float64) for i in (1, 2, 3))
    axes.errorbar(
        values,
        places,
        xerr=np.nan_to_num(np.abs(np.array([values - low, high - values]))),
        fmt="o",
        color=COLOURS[0],
        markersize=5,
        capsize=3,
        linewidth=1.4,
    )
    axes.set_yticks(places, [row[0] for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if not np.ptp(np.nan_to_num([*values, *low, *high, reference])):
        axes.set_xlim(-0.05, 1.05)
    finish(axes, label, "")
    return picture_of(figure, caption, caption)


def draw_limits_of_agreement(
    first: Numbers, second: Numbers, limits: Limits, *, quantity: str
) -> Picture:
    """Draw differences against means of two measurements (Bland and Altman 1986).

    Args:
        first: One value per subject.
        second: The other measurement of the same subjects.
        limits: As measured from them.
        quantity: What was measured, with its unit.
    """
    figure, axes = chart(6.0, 4.2)
    axes.scatter((first + second) / 2, first - second, s=22, color=COLOURS[0], zorder=3)
    for line, name in (
        (limits.upper, "upper limit"),
        (limits.bias, "bias"),
        (limits.lower, "lower limit"),
    ):
        axes.axhspan(line.low, line.high, color=RULE, alpha=0.7, zorder=0)
        axes.axhline(
            line.value, color=COLOURS[1], linewidth=1.4, linestyle="-" if name == "bias" else "--"
        )
        axes.annotate(
            f"{name} {line.value:.1f}",
            (1, line.value),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=INK,
        )
    finish(axes, f"Mean of both: {quantity}", "First minus second")
    caption = "Differences against means; bands are the intervals of bias and limits."
    return picture_of(figure, "Bland-Altman plot", caption)


def _looked_for(predictions: Predictions, options: EvaluationOptions) -> tuple[str, ...]:
    """Return the classes that get a curve of their own."""
    if len(predictions.classes) == 2:
        return (predictions.classes[positive_class(predictions, options)],)
    counts = dict(class_counts(predictions))
    most = sorted(counts, key=lambda name: -counts[name])[:MOST_CLASSES]
    return tuple(name for name in predictions.classes if name in most and counts[name])


def _style(place: int) -> dict[str, Any]:
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": STYLES[place % len(STYLES)],
        "linewidth": 1.8,
    }


def _unit(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
