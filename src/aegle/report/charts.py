"""Plots in the style of the report, and that of lesions over time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aegle.domain.response import FollowUp
from aegle.domain.timeline import LesionStatus, TimelineEntry
from aegle.report.drawing import DPI, Picture, font, pixels_of, png
from aegle.report.language import Words, clean

CHART_PIXELS = (1000, 520)
INK, FAINT, RULE = "#25313c", "#6b7785", "#dfe4e8"
LINE_STYLES = ("-", "--", "-.", ":")
COLOURS = (
    "#0f6b78",
    "#b4492d",
    "#5a4fa3",
    "#3c7a3b",
    "#a3702a",
    "#8c2f6b",
    "#33648c",
    "#6f6f2b",
    "#4d4d4d",
    "#1d8a8a",
)
MARKERS = "osD^v<>ph*"
READERS_ONE = (-0.22, 0.25)
"""95 % limits of agreement of two readers for one longest diameter, and for a sum of them.

Source: Yoon SH et al. Observer variability in RECIST-based tumour burden measurements: a
meta-analysis. Eur J Cancer 2016;53:5-15.
"""
READERS_SUM = (-0.19, 0.20)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Visit:
    """Where a visit stands on the time axis."""

    place: float
    label: str


def chart(
    size: tuple[int, int] = CHART_PIXELS, box: Box = (0.08, 0.13, 0.64, 0.81)
) -> tuple[Figure, Axes]:
    """Return an empty chart in the report's style.

    Args:
        size: Width and height [pixel].
        box: Left, bottom, width and height of the axes as parts of the whole; the default leaves
            room for names at the right.
    """
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    return figure, figure.add_axes(box)


def encoded(figure: Figure, colours: int = 128) -> bytes:
    """Return a chart as PNG bytes with a small palette."""
    return png(pixels_of(figure), colours)


def chart_picture(data: bytes, alt: str, size: tuple[int, int] = CHART_PIXELS) -> Picture:
    """Return a plot as a picture."""
    width, height = size
    return Picture(data=data, media_type="image/png", width=width, height=height, alt=alt)


def plot_trend(
    axes: Axes,
    follow_up: FollowUp,
    visits: Sequence[Visit],
    words: Words,
    *,
    has_names: bool = True,
) -> None:
    """Draw the diameter of each lesion over time, the sum, and where the category changes.

    Source of the thresholds: RECIST 1.1, section 4.3.1 (-30 % from baseline; +20 % and at
    least 5 mm from the smallest sum).
    """
    entries = follow_up.timeline.entries
    for i, track in enumerate(dict.fromkeys(e.track for e in entries)):
        own = [e for e in entries if e.track == track]
        axes.plot(
            [visits[e.visit].place for e in own],
            [e.diameter_mm for e in own],
            "-" if own[0].is_target else "--",
            marker=MARKERS[i % len(MARKERS)],
            color=COLOURS[(i + 1) % len(COLOURS)],
            linewidth=1.5,
            markersize=6,
            label=clean(track),
        )
        _intervals(axes, visits, own, COLOURS[(i + 1) % len(COLOURS)])
        for entry in own:
            _status(axes, visits[entry.visit].place, entry.diameter_mm, entry.status, words)
    _plot_sum(axes, follow_up, visits, words)
    axes.set_xticks([v.place for v in visits], [v.label for v in visits])
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08, y=0.12)
    axes.set_ylim(0, axes.get_ylim()[1])
    finish(axes, "", words("Diameter [mm]"), words)
    if has_names:
        legend(axes)


def interval_mm(value_mm: float, limits: tuple[float, float]) -> tuple[float, float]:
    """Return where 95 % of other readers' values lie for a measured size [mm].

    Args:
        value_mm: What was measured.
        limits: 95 % limits of agreement of two readers, as relative differences. The logarithm of
            one reader's value varies by 1/√2 of theirs.
    """
    low, high = limits
    half = math.log((1 + high) / (1 + low)) / (2 * math.sqrt(2))
    return value_mm * math.exp(-half), value_mm * math.exp(half)


def _intervals(
    axes: Axes, visits: Sequence[Visit], own: Sequence[TimelineEntry], colour: str
) -> None:
    seen = [e for e in own if e.diameter_mm > 0]
    bounds = [interval_mm(e.diameter_mm, READERS_ONE) for e in seen]
    axes.vlines(
        [visits[e.visit].place for e in seen],
        [low for low, _ in bounds],
        [high for _, high in bounds],
        color=colour,
        linewidth=1.1,
        alpha=0.7,
    )


def _status(axes: Axes, x: float, y: float, status: LesionStatus, words: Words) -> None:
    if status not in (LesionStatus.NEW, LesionStatus.GONE):
        return
    label = words.name(status)
    axes.annotate(
        label,
        (x, y),
        xytext=(7, 7),
        textcoords="offset points",
        color=INK,
        fontproperties=font(label, 10),
    )


def _plot_sum(axes: Axes, follow_up: FollowUp, visits: Sequence[Visit], words: Words) -> None:
    responses = [r for r in follow_up.responses if np.isfinite(r.sum_mm)]
    if not responses:
        return
    baseline_mm, last = responses[0].baseline_mm, responses[-1]
    axes.plot(
        [visits[0].place, *(visits[r.visit].place for r in responses)],
        [baseline_mm, *(r.sum_mm for r in responses)],
        color=COLOURS[0],
        linewidth=6,
        alpha=0.4,
        zorder=1.5,
        label=words("sum of target lesions"),
    )
    sums = [baseline_mm, *(r.sum_mm for r in responses)]
    bounds = [interval_mm(value, READERS_SUM) for value in sums]
    axes.fill_between(
        [visits[0].place, *(visits[r.visit].place for r in responses)],
        [low for low, _ in bounds],
        [high for _, high in bounds],
        color=COLOURS[0],
        alpha=0.12,
        linewidth=0,
        label=words("95 % by reader"),
    )
    progression_mm = max(1.2 * last.nadir_mm, last.nadir_mm + 5)
    for level_mm, style, label in (
        (0.7 * baseline_mm, (0, (6, 3)), words("−30 % of baseline")),
        (progression_mm, (0, (2, 2)), words("+20 % and ≥ 5 mm from nadir")),
    ):
        axes.axhline(level_mm, color=FAINT, linewidth=1.2, linestyle=style, label=label)


def finish(axes: Axes, across: str, up: str, words: Words) -> None:
    """Give axes their names, ticks and grid in the style of the report."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.grid(visible=True, axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(across, fontproperties=font(across, 11), color=INK)
    axes.set_ylabel(up, fontproperties=font(up, 11), color=INK)
    axes.tick_params(colors=INK, labelsize=10, length=3)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(font(label.get_text() or words.language, 10))


def legend(axes: Axes) -> None:
    """Write the names of all lines beside the axes."""
    box = axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, borderaxespad=0.2
    )
    for text in box.get_texts():
        text.set_fontproperties(font(text.get_text(), 10))
        text.set_parse_math(False)
        text.set_color(INK)
