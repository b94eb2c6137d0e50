"""Dose-volume histograms of one plan or two, and how an optimiser came down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aegle.domain.codes import StructureType
from aegle.domain.plan import DoseVolumeCurve, Plan
from aegle.report.blocks import Pictures
from aegle.report.charts import (
    COLOURS,
    FAINT,
    LINE_STYLES,
    chart,
    chart_picture,
    encoded,
    finish,
    legend,
)
from aegle.report.dose_values import band
from aegle.report.language import Words, clean
from aegle.report.plan_words import weighted
from aegle.report.shades import Palette, ink_of

MOST_CURVES = 14
BAND_OPACITY = 0.16
LOG_FROM = 10.0
"""Ratio of the greatest to the least objective from which on the scale is logarithmic."""
COURSE_PIXELS = (1000, 320)
COURSE_BOX = (0.11, 0.2, 0.86, 0.74)


@dataclass(frozen=True)
class Line:
    """How the curve of a structure is drawn."""

    colour: str
    style: str
    width: float


def lines_of(plan: Plan, palette: Palette | None) -> Mapping[str, Line]:
    """Return how each structure's curve is drawn: in the hue of its outline.

    Structures that share a hue, and targets, differ in the style of their line; the prescribed
    target is solid. Without a palette, curves get the colours of any plot in turn.
    """
    structures = {structure.name: structure for structure in plan.structures}
    found: dict[str, Line] = {}
    used: dict[str, int] = {}
    names = dict.fromkeys(curve.structure for curve in plan.curves)
    targets_first = sorted(names, key=lambda name: name != plan.prescription.target)
    for number, name in enumerate(targets_first):
        if palette is None:
            colour = COLOURS[number % len(COLOURS)]
        elif name in structures:
            colour = ink_of(palette.colour(structures[name]))
        else:
            colour = ink_of(palette.by_name(name))
        is_target = name in structures and structures[name].type is StructureType.TARGET
        group = "target" if is_target and palette is not None else colour
        style = LINE_STYLES[used.get(group, 0) % len(LINE_STYLES)]
        used[group] = used.get(group, 0) + 1
        found[name] = Line(colour, style, 2.6 if name == plan.prescription.target else 1.6)
    return found


def plot_dose_volume(
    axes: Axes, plan: Plan, words: Words, palette: Palette | None = None, *, has_names: bool = True
) -> None:
    """Draw cumulative dose-volume histograms with the prescribed dose.

    Around each curve lies the band from the least to the greatest volume over the scenarios.
    """
    lines = lines_of(plan, palette)
    for curve in plan.curves[:MOST_CURVES]:
        line = lines[curve.structure]
        spread = band(plan, curve.structure)
        if spread is not None:
            axes.fill_between(
                spread.dose_gy,
                spread.low_percent,
                spread.high_percent,
                color=line.colour,
                alpha=BAND_OPACITY,
                linewidth=0,
            )
        axes.plot(
            curve.dose_gy,
            curve.volume_percent,
            line.style,
            color=line.colour,
            linewidth=line.width,
            label=clean(words.name(curve.structure)),
        )
    _frame(axes, [plan], words)
    if has_names:
        legend(axes)


def plot_both(axes: Axes, first: Plan, second: Plan, words: Words, palette: Palette) -> None:
    """Draw the histograms of two plans: the first solid, the second dashed."""
    lines = {**lines_of(second, palette), **lines_of(first, palette)}
    for plan, style in ((first, "-"), (second, "--")):
        for curve in plan.curves[:MOST_CURVES]:
            axes.plot(
                curve.dose_gy,
                curve.volume_percent,
                style,
                color=lines[curve.structure].colour,
                linewidth=lines[curve.structure].width,
                label=clean(words.name(curve.structure)) if plan is first else None,
            )
    _frame(axes, [first, second], words)
    legend(axes)


def _frame(axes: Axes, plans: Sequence[Plan], words: Words) -> None:
    for prescribed_gy in {plan.prescription.dose_gy for plan in plans}:
        axes.axvline(prescribed_gy, color=FAINT, linewidth=1, linestyle=":")
    ends = [_highest(curve) for plan in plans for curve in _all_curves(plan)]
    axes.set_xlim(0, max([*(1.15 * plan.prescription.dose_gy for plan in plans), *ends]))
    axes.set_ylim(0, 103)
    finish(axes, weighted(words("Dose [Gy]"), *plans), words("Volume [%]"), words)


def _all_curves(plan: Plan) -> list[DoseVolumeCurve]:
    return [*plan.curves, *(curve for case in plan.scenarios for curve in case.curves)]


def _highest(curve: DoseVolumeCurve) -> float:
    """Return the dose at which a curve has fallen to zero [Gy]."""
    reached = curve.dose_gy[curve.volume_percent > 0]
    return float(reached[-1]) * 1.03 if reached.size else 0.0


def dose_volume_pictures(plan: Plan, words: Words, palette: Palette) -> Pictures:
    """Return the dose-volume histogram of a plan."""
    figure, axes = chart()
    plot_dose_volume(axes, plan, words, palette)
    names = ", ".join(clean(words.name(curve.structure)) for curve in plan.curves)
    alt = words(
        "Dose-volume histogram of {names}; the values stand in the tables below.", names=names
    )
    title = words("Dose-volume histogram")
    if plan.scenarios:
        title = words(
            "Dose-volume histogram; bands from the least to the greatest of {count} scenarios",
            count=len(plan.scenarios),
        )
    return Pictures(title=title, items=(chart_picture(encoded(figure), alt),), is_wide=True)


def plot_course(axes: Axes, values: Sequence[float], words: Words) -> None:
    """Draw the objective at each iteration, on a logarithmic scale where it falls far."""
    axes.plot(np.arange(len(values)), values, color=COLOURS[0], linewidth=1.8)
    if min(values) > 0 and max(values) > LOG_FROM * min(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.05 * max(values))
    axes.set_xlim(0, max(len(values) - 1, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, words("Iteration"), words("Objective"), words)


def course_pictures(plan: Plan, words: Words) -> Pictures | None:
    """Return how the objective came down; none if it was not kept."""
    values = plan.objective_values
    if len(values) < 2:
        return None
    figure, axes = chart(COURSE_PIXELS, COURSE_BOX)
    plot_course(axes, values, words)
    alt = words(
        "The objective over {count} iterations, from {first} to {last}.",
        count=len(values) - 1,
        first=f"{values[0]:.3g}",
        last=f"{values[-1]:.3g}",
    )
    picture = chart_picture(encoded(figure), alt, COURSE_PIXELS)
    return Pictures(title=words("Course of the optimisation"), items=(picture,), is_wide=True)
