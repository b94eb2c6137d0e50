"""Charts of outlines, objects and boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from aegle.evaluation.boxes import FoundBoxes, precision_recall
from aegle.evaluation.drawing import (
    COLOURS,
    FAINT,
    INK,
    STYLES,
    Picture,
    chart,
    finish,
    legend,
    picture_of,
)
from aegle.evaluation.froc import RATES, Marks, froc_curve
from aegle.evaluation.object_report import ThresholdScores

MOST_CLASSES = 10
"""Curves in one chart at most: the classes with most objects."""
_HALF_STRIP = 0.32
_RATE_RANGE = (0.05, 16.0)


def draw_strips(strips: Sequence[tuple[str, Sequence[float]]], label: str, caption: str) -> Picture:
    """Draw each image as a point on the strip of its class, with the median.

    Args:
        strips: Name of the class, value of each image in [0, 1].
        label: Of the axis.
        caption: What stands below.
    """
    figure, axes = chart(6.4, 1.1 + 0.55 * len(strips))
    for place, (_, values) in enumerate(strips):
        colour = COLOURS[place % len(COLOURS)]
        axes.scatter(values, place + _beside(values), s=13, color=colour, alpha=0.6, linewidths=0)
        axes.plot(
            [np.median(values)] * 2, [place - _HALF_STRIP, place + _HALF_STRIP], color=INK, lw=2
        )
    axes.set_yticks(range(len(strips)), [name for name, _ in strips], parse_math=False)
    axes.set_ylim(len(strips) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    finish(axes, label, "")
    return picture_of(figure, caption, caption)


def draw_thresholds(rows: Sequence[ThresholdScores]) -> Picture:
    """Draw F1 with its interval against the overlap that a pair needs."""
    figure, axes = chart()
    places = [row.threshold for row in rows]
    axes.fill_between(
        places,
        [row.f1.low for row in rows],
        [row.f1.high for row in rows],
        color=COLOURS[0],
        alpha=0.2,
        linewidth=0,
    )
    axes.plot(places, [row.f1.value for row in rows], color=COLOURS[0], marker="o", linewidth=1.8)
    finish(axes, "Least IoU of a pair", "F1")
    axes.set_ylim(-0.01, 1.02)
    return picture_of(figure, "F1 against IoU", "F1 of all objects; the band is the interval.")


def draw_box_curves(classes: Sequence[tuple[str, FoundBoxes]]) -> Picture:
    """Draw precision against recall at an IoU of 0.5."""
    figure, axes = chart()
    most = sorted(classes, key=lambda one: -one[1].count)[:MOST_CLASSES]
    shown = [one for one in classes if one in most and one[1].count]
    for place, (name, found) in enumerate(shown):
        recall, precision = precision_recall(found)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        axes.step(
            np.append(0, recall),
            np.append(best[:1] if best.size else 0, best),
            where="pre",
            label=name,
            **_style(place),
        )
    finish(axes, "Recall", "Precision")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    legend(axes, "lower left")
    most_said = f", the {MOST_CLASSES} commonest classes" if len(classes) > MOST_CLASSES else ""
    caption = f"Precision at each recall or a higher one, at an IoU of 0.5{most_said}."
    return picture_of(figure, "Precision-recall curves", caption)


def draw_froc(marks: Marks) -> Picture:
    """Draw sensitivity against false positives per image."""
    figure, axes = chart()
    false, right = froc_curve(marks)
    axes.step(
        np.append(np.maximum(false, _RATE_RANGE[0] / 2), _RATE_RANGE[1]),
        np.append(right, right[-1] if right.size else 0),
        where="post",
        color=COLOURS[0],
        linewidth=1.8,
    )
    _rates(axes)
    finish(axes, "False positives per image", "Sensitivity")
    axes.set_ylim(-0.01, 1.02)
    caption = "What is found at how many false alarms per image (FROC)."
    return picture_of(figure, "FROC curve", caption)


def _beside(values: Sequence[float]) -> Any:
    """Return by how much points step aside, the same at every run."""
    return np.random.default_rng(0).uniform(-_HALF_STRIP, _HALF_STRIP, len(values)) * 0.8


def _rates(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*_RATE_RANGE)
    axes.xaxis.set_major_locator(FixedLocator(RATES))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"], color=FAINT)


def _style(place: int) -> dict[str, Any]:
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": STYLES[place % len(STYLES)],
        "linewidth": 1.6,
    }
