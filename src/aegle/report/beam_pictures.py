"""What each beam gives, seen from its source: fluence, target and the leaves of each aperture.

Axes are those of the beam limiting device (IEC 61217) on the isocentre plane: x to the right, y up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from aegle.domain.plan import Aperture, Beam, Plan, ProtonBeam
from aegle.domain.plan_check import PlanCheck, Silhouette
from aegle.report.blocks import LegendEntry, Pictures
from aegle.report.charts import COLOURS, INK, chart_picture, encoded, finish
from aegle.report.drawing import DPI, Picture, font
from aegle.report.language import Words, clean
from aegle.report.plan_words import angle_words, is_of_protons, is_shaped
from aegle.report.shades import TARGET_COLOURS

BEAM_PIXELS = (1000, 340)
MAP_PIXELS = (380, 310)
MAP_BOX = (0.07, 0.15, 0.3, 0.72)
"""Where the fluence lies in a picture with apertures: left, bottom, width, height."""
SINGLE_BOX = (0.16, 0.15, 0.62, 0.73)
ENERGY_BOX = (0.57, 0.15, 0.4, 0.74)
RIGHT, LEFT, TOP, BOTTOM = 0.99, 0.46, 0.97, 0.02
"""Borders of the room for apertures."""
TITLE_PIXELS, GAP_PIXELS = 16, 5
MOST_APERTURES = 28
MARGIN_MM = 12.0
LEAF_COLOUR, LEAF_EDGE, JAW_COLOUR = "#9aa6b1", "#5a6774", "#5a6774"
MAP_COLOURS = colormaps["viridis"].resampled(24)
PALETTE = 256
"""Colours of a picture; with fewer, those of the map give way to those of outlines."""
Extent = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class FluenceMap:
    """Fluence of a beam per fraction on the lattice of its beamlets or spots."""

    values: NDArray[np.float64]
    """Shape (row, column): along beam y and x, upwards; NaN where there is no beamlet."""
    extent_mm: Extent
    """Left, right, bottom and top edge."""

    @classmethod
    def of(cls, beam: Beam, fractions: int) -> "FluenceMap":
        """Return the fluence of a beam; spots of all energies are summed."""
        if not len(beam.weights):
            return cls(np.full((1, 1), np.nan), (-1.0, 1.0, -1.0, 1.0))
        low = beam.positions_mm.min(axis=0)
        columns, rows = np.rint((beam.positions_mm - low) / beam.beamlet_mm).astype(int).T
        values = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1))
        np.add.at(values, (rows, columns), beam.weights / fractions)
        is_there = np.zeros(values.shape, dtype=np.bool_)
        is_there[rows, columns] = True
        x, y = (low - beam.beamlet_mm / 2).tolist()
        high, wide = values.shape
        extent_mm = (x, x + wide * beam.beamlet_mm, y, y + high * beam.beamlet_mm)
        return cls(np.where(is_there, values, np.nan), extent_mm)


def beam_pictures(plan: Plan, check: PlanCheck | None, words: Words) -> Pictures | None:
    """Return every beam as its source sees it; none for a plan without beams."""
    if not plan.beams:
        return None
    outlines = [beam.target for beam in check.beams] if check is not None else []
    shown = [
        _beam_picture(plan, number, outlines[number] if number < len(outlines) else None, words)
        for number in range(len(plan.beams))
    ]
    target = clean(words.name(plan.prescription.target))
    legend = (LegendEntry(target, TARGET_COLOURS[0]),) if outlines else ()
    leaves = (
        LegendEntry(words("leaves"), LEAF_COLOUR, is_line=False),
        LegendEntry(words("jaws"), JAW_COLOUR, is_line=False),
    )
    return Pictures(
        title=words("Beam's-eye views: seen from the source, on the isocentre plane"),
        items=tuple(shown),
        legend=(*legend, *(leaves if is_shaped(plan) else ())),
        is_wide=is_shaped(plan) or is_of_protons(plan),
    )


def _beam_picture(plan: Plan, number: int, outline: Silhouette | None, words: Words) -> Picture:
    beam = plan.beams[number]
    fractions = plan.prescription.fractions
    fluence = FluenceMap.of(beam, fractions)
    has_more = bool(beam.apertures) or isinstance(beam, ProtonBeam)
    size = BEAM_PIXELS if has_more else MAP_PIXELS
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
    axes = figure.add_axes(MAP_BOX if has_more else SINGLE_BOX)
    unit = words("10⁶ protons") if isinstance(beam, ProtonBeam) else "MU"
    title = words(
        "Beam {number} · gantry {angle}°", number=number + 1, angle=angle_words(beam.gantry_deg)
    )
    draw_fluence(axes, fluence, outline, words)
    _scale(figure, axes, unit)
    _write_title(axes, title)
    if beam.apertures:
        _draw_apertures(figure, beam, fluence.extent_mm, outline, fractions)
    if isinstance(beam, ProtonBeam):
        draw_energies(figure.add_axes(ENERGY_BOX), beam, fractions, words)
    alt = words(
        "Fluence per fraction of beam {number} at gantry {angle}°, with the outline of the target.",
        number=number + 1,
        angle=angle_words(beam.gantry_deg),
    )
    hidden = len(beam.apertures) - MOST_APERTURES
    caption = words("{count} more apertures are not pictured.", count=hidden) if hidden > 0 else ""
    picture = chart_picture(encoded(figure, PALETTE), alt, size)
    return Picture(
        data=picture.data,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        alt=alt,
        caption=caption,
    )


def draw_fluence(axes: Axes, fluence: FluenceMap, outline: Silhouette | None, words: Words) -> None:
    """Draw a beam's fluence, the outline of the target and the beam's axis."""
    axes.imshow(
        fluence.values,
        extent=fluence.extent_mm,
        origin="lower",
        cmap=MAP_COLOURS,
        vmin=0.0,
        interpolation="nearest",
        aspect="equal",
    )
    _draw_outline(axes, outline, 1.6)
    axes.plot([0], [0], "+", color="white", markersize=11, markeredgewidth=1.4)
    _frame(axes, fluence.extent_mm)
    finish(axes, "x [mm]", "y [mm]", words)
    axes.grid(visible=False)


def _frame(axes: Axes, extent_mm: Extent) -> None:
    left, right, bottom, top = extent_mm
    middle = (left + right) / 2, (bottom + top) / 2
    half = max(right - left, top - bottom) / 2 + MARGIN_MM
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)


def _draw_outline(axes: Axes, outline: Silhouette | None, width: float) -> None:
    if outline is None or not outline.mask.any():
        return
    rows, columns = outline.mask.shape
    x, y = outline.first_mm
    drawn = axes.contour(
        x + outline.step_mm * np.arange(columns),
        y + outline.step_mm * np.arange(rows),
        outline.mask.astype(np.float32),
        levels=[0.5],
        colors=[TARGET_COLOURS[0]],
        linewidths=width,
    )
    drawn.set_path_effects([withStroke(linewidth=width + 1.4, foreground="#00000090")])


def _scale(figure: Figure, axes: Axes, unit: str) -> None:
    bar = figure.colorbar(axes.images[0], ax=axes, fraction=0.045, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, colors=INK, length=2)
    bar.ax.set_title(unit, fontproperties=font(unit, 9), color=INK, pad=5)


def _write_title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontproperties=font(title, 11), color=INK, loc="left", pad=7)


def _draw_apertures(
    figure: Figure, beam: Beam, extent_mm: Extent, outline: Silhouette | None, fractions: int
) -> None:
    shown = beam.apertures[:MOST_APERTURES]
    for number, (axes, aperture) in enumerate(
        zip(_rooms(figure, len(shown)), shown, strict=True), start=1
    ):
        _frame(axes, extent_mm)
        draw_leaves(axes, aperture)
        _draw_outline(axes, outline, 0.9)
        axes.set_xticks([])
        axes.set_yticks([])
        title = f"{number}: {aperture.monitor_units / fractions:.1f} MU"
        axes.set_title(title, fontproperties=font(title, 8), color=INK, pad=2)
        for side in axes.spines.values():
            side.set_color(LEAF_EDGE)
            side.set_linewidth(0.6)


def _rooms(figure: Figure, count: int) -> Iterator[Axes]:
    """Yield square axes in rows, as large as fit, with room for a line above each."""
    whole_width, whole_height = BEAM_PIXELS
    width, height = (RIGHT - LEFT) * whole_width, (TOP - BOTTOM) * whole_height
    columns = max(
        range(1, count + 1), key=lambda n: min(width / n, height / -(-count // n) - TITLE_PIXELS)
    )
    rows = -(-count // columns)
    side = min(width / columns, height / rows - TITLE_PIXELS)
    for number in range(count):
        row, column = divmod(number, columns)
        left = LEFT * whole_width + column * side
        bottom = TOP * whole_height - (row + 1) * (side + TITLE_PIXELS)
        room = side - GAP_PIXELS
        yield figure.add_axes(
            (
                left / whole_width,
                bottom / whole_height,
                room / whole_width,
                room / whole_height,
            )
        )


def draw_leaves(axes: Axes, aperture: Aperture) -> None:
    """Draw both banks of leaves up to the border of the axes, and jaws beyond the leaves."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    lows, highs = aperture.borders_mm[:-1].tolist(), aperture.borders_mm[1:].tolist()
    banks = [
        box
        for first, last, low, high in zip(
            aperture.left_mm.tolist(), aperture.right_mm.tolist(), lows, highs, strict=True
        )
        for box in (_box(left, first, low, high), _box(last, right, low, high))
    ]
    jaws = [_box(left, right, bottom, lows[0]), _box(left, right, highs[-1], top)]
    axes.add_collection(
        PolyCollection(banks, facecolors=LEAF_COLOUR, edgecolors=LEAF_EDGE, linewidths=0.4)
    )
    axes.add_collection(PolyCollection(jaws, facecolors=JAW_COLOUR, linewidths=0))


def _box(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]


def draw_energies(axes: Axes, beam: ProtonBeam, fractions: int, words: Words) -> None:
    """Draw how many protons of each energy a beam gives."""
    energies = np.unique(beam.energies_mev)
    given = [float(beam.weights[beam.energies_mev == e].sum()) / fractions for e in energies]
    gap = float(np.diff(energies).min()) if energies.size > 1 else 1.0
    axes.bar(energies, given, width=0.7 * gap, color=COLOURS[0])
    finish(axes, words("Energy [MeV]"), words("Protons per fraction [10⁶]"), words)
