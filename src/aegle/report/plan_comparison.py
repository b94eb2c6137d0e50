"""Two plans of one patient beside each other: dose, difference, histograms, goals and gamma."""

import math
from dataclasses import dataclass, replace

import numpy as np

from aegle.domain.plan import DoseVolumeCurve, GoalResult, Plan
from aegle.domain.plan_check import GammaMap
from aegle.domain.study import Image
from aegle.domain.volume import Quantity, Volume
from aegle.report.blocks import (
    Block,
    Cell,
    Facts,
    LegendEntry,
    Paragraph,
    Pictures,
    Section,
    Subheading,
    Table,
    Tone,
    plain,
)
from aegle.report.charts import chart, chart_picture, encoded
from aegle.report.dose_pictures import (
    Planned,
    dose_slice,
    isodose_legend,
    plain_slice,
    through_focus,
)
from aegle.report.dose_values import nominal_dose_gy
from aegle.report.find import legend_of, picture_of
from aegle.report.language import Words, clean
from aegle.report.plan_charts import plot_both
from aegle.report.plan_tables import VOLUMES_PERCENT, verdict
from aegle.report.plan_words import limit_words, metric_words, unit_of, weighted
from aegle.report.planes import Plane, View, resampled
from aegle.report.shades import ABOVE_RGB, BELOW_RGB, Palette, diverging
from aegle.report.slices import Shown
from aegle.report.treatment import technique_words

LEAST_SHOWN = 0.05
"""Of the scale: smaller differences are not coloured."""
STRENGTH = 0.75
LOW_DOSE = 0.1
"""Below this part of the prescription a difference does not set the scale."""
SCALE_PERCENTILE = 99.0
ROUND_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two plans of one patient, each with the name that it goes by."""

    image: Image
    """Planning CT of the first."""
    first: Plan
    second: Plan
    names: tuple[str, str]
    gamma: GammaMap | None = None
    """Of the second dose at the voxels of the first; none: not asked for."""


def section(pair: Pair, words: Words, palette: Palette) -> Section:
    """Return a chapter that compares two plans."""
    return Section(
        anchor="comparison",
        title=words("Comparison of two plans"),
        lead=words("{first} against {second}.", first=_first(pair), second=_second(pair)),
        blocks=tuple(comparison_blocks(pair, words, palette)),
    )


def comparison_blocks(pair: Pair, words: Words, palette: Palette) -> list[Block]:
    """Return two plans beside each other, as blocks of any page."""
    return [
        Facts((_told(_first(pair), pair.first, words), _told(_second(pair), pair.second, words))),
        _goals(pair, words),
        _histograms(pair, words, palette),
        _doses(pair, words),
        Subheading(words("Dose beside dose")),
        *_slices(pair, words, palette),
        *_agreement(pair, words, palette),
    ]


def _first(pair: Pair) -> str:
    return clean(pair.names[0])


def _second(pair: Pair) -> str:
    return clean(pair.names[1])


def _told(name: str, plan: Plan, words: Words) -> tuple[str, str]:
    asked = plan.prescription
    dose = words(
        "{dose} Gy in {fractions} fractions to {target}",
        dose=f"{asked.dose_gy:g}",
        fractions=asked.fractions,
        target=clean(words.name(asked.target)),
    )
    beams = words("{count} beams", count=len(plan.beams))
    return name, " · ".join((technique_words(plan, words), beams, weighted(dose, plan)))


def _goals(pair: Pair, words: Words) -> Block:
    """Return the goals of both plans, each with both verdicts."""
    both = {r.goal: r for r in (*pair.second.goals, *pair.first.goals)}
    order = dict.fromkeys(r.goal for r in (*pair.first.goals, *pair.second.goals))
    if not both:
        return Paragraph(words("The plans were judged against no goal."), Tone.CALM)
    first, second = ({r.goal: r for r in p.goals} for p in (pair.first, pair.second))
    heads = (words("Structure"), words("Quantity"), words("Goal"))
    rows = tuple(
        (
            *plain(clean(words.name(goal.structure)), metric_words(goal, words), limit_words(goal)),
            *_judged(first.get(goal), pair.first, words),
            *_judged(second.get(goal), pair.second, words),
        )
        for goal in order
    )
    return Table(
        caption=words("Goals"),
        heads=(*heads, _first(pair), words("Verdict"), _second(pair), words("Verdict")),
        rows=rows,
        numeric=frozenset({2, 3, 5}),
        widths=(1.4, 1.3, 1, 1.1, 1.1, 1.1, 1.1),
    )


def _judged(result: GoalResult | None, plan: Plan, words: Words) -> tuple[Cell, Cell]:
    if result is None:
        return Cell(text="–"), Cell(text="–")
    told = weighted(f"{result.value:.1f} {unit_of(result.goal)}", plan)
    return Cell(text=told), verdict(result, words)


def _histograms(pair: Pair, words: Words, palette: Palette) -> Pictures:
    figure, axes = chart()
    plot_both(axes, pair.first, pair.second, words, palette)
    alt = words("Dose-volume histograms of both plans; the values stand in the tables beside them.")
    return Pictures(
        title=words(
            "Dose-volume histograms: {first} solid, {second} dashed",
            first=_first(pair),
            second=_second(pair),
        ),
        items=(chart_picture(encoded(figure), alt),),
        is_wide=True,
    )


def _doses(pair: Pair, words: Words) -> Table:
    """Return the doses of structures in both plans: the first, the second and their difference."""
    seconds = {curve.structure: curve for curve in pair.second.curves}
    both = (pair.first, pair.second)
    volumes = [weighted(f"D{percent:g}% [Gy]", *both) for percent in VOLUMES_PERCENT]
    return Table(
        caption=words(
            "Dose to structures: {first} → {second}", first=_first(pair), second=_second(pair)
        ),
        heads=(words("Structure"), weighted(words("Mean dose [Gy]"), *both), *volumes),
        rows=tuple(
            plain(
                clean(words.name(curve.structure)),
                *_changes(pair, curve, seconds.get(curve.structure)),
            )
            for curve in pair.first.curves
        ),
        numeric=frozenset(range(1, 2 + len(volumes))),
        widths=(1.6, *(1.3 for _ in range(1 + len(volumes)))),
    )


def _changes(pair: Pair, first: DoseVolumeCurve, second: DoseVolumeCurve | None) -> list[str]:
    if second is None:
        return ["–"] * (1 + len(VOLUMES_PERCENT))
    pairs = [(first.mean_gy, second.mean_gy)]
    pairs += [
        (nominal_dose_gy(pair.first, first, p), nominal_dose_gy(pair.second, second, p))
        for p in VOLUMES_PERCENT
    ]
    return [_change(a, b) for a, b in pairs]


def _change(before: float, after: float) -> str:
    if not (math.isfinite(before) and math.isfinite(after)):
        return "–"
    # Adding zero turns a rounded -0.0 into 0.0.
    apart = round(after - before, 1) + 0.0
    signed = f"{apart:+.1f}".replace("-", "−") if apart else "0.0"
    return f"{before:.1f} → {after:.1f}\n{signed}"


def _slices(pair: Pair, words: Words, palette: Palette) -> list[Block]:
    """Return each plane as first dose, second dose and their difference."""
    shown, other = in_one_place(pair)
    scale_gy = difference_scale_gy(pair.first, pair.second, shown)
    blocks: list[Block] = []
    for plane in Plane:
        name = words.name(plane.name.lower())
        first, second = dose_slice(shown, plane, palette), dose_slice(other, plane, palette)
        difference = difference_slice(shown, pair.second, plane, palette, scale_gy)
        blocks.append(
            Pictures(
                title=name,
                items=(
                    picture_of(
                        first, caption=_first(pair), alt=_dose_alt(_first(pair), name, words)
                    ),
                    picture_of(
                        second, caption=_second(pair), alt=_dose_alt(_second(pair), name, words)
                    ),
                    picture_of(
                        difference,
                        caption=words(
                            "{second} less {first}", first=_first(pair), second=_second(pair)
                        ),
                        alt=words(
                            "Difference of the doses on the {plane} slice: blue less, red more.",
                            plane=name,
                        ),
                    ),
                ),
                legend=(
                    *isodose_legend(pair.first),
                    *_difference_legend(scale_gy, pair),
                    *legend_of(first.structures, palette, words),
                )
                if plane is list(Plane)[-1]
                else (),
            )
        )
    return blocks


def in_one_place(pair: Pair) -> tuple[Planned, Planned]:
    """Return both plans as they are shown: the second is cut where the first is."""
    shown = Planned.of(pair.first, pair.image)
    return shown, replace(shown, plan=pair.second, place_mm=shown.focus_mm)


def _dose_alt(name: str, plane: str, words: Words) -> str:
    return words("Dose of {name} on the {plane} slice with isodose lines.", name=name, plane=plane)


def difference_scale_gy(first: Plan, second: Plan, shown: Planned) -> float:
    """Return the difference at which the colour is strongest: a round number [Gy].

    It covers 99 % of the differences on the three slices where either dose is more than a tenth
    of the prescription.
    """
    least_gy = LOW_DOSE * first.prescription.dose_gy
    found = []
    for plane in Plane:
        one, two = (through_focus(shown, plane, plan.dose) for plan in (first, second))
        found.append(np.abs(two - one)[np.maximum(one, two) > least_gy])
    apart = np.concatenate(found)
    most = float(np.percentile(apart, SCALE_PERCENTILE)) if apart.size else 0.0
    return rounded_up(max(most, 0.01 * first.prescription.dose_gy))


def rounded_up(value: float) -> float:
    """Return the next number with one of few leading digits that is not below a positive value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in ROUND_STEPS if step * decade >= value * (1 - 1e-9))


def difference_slice(
    shown: Planned, second: Plan, plane: Plane, palette: Palette, scale_gy: float
) -> Shown:
    """Return the second dose less the first on the slice through the isocentre."""
    drawn = plain_slice(shown, plane, palette)
    apart = through_focus(shown, plane, second.dose) - through_focus(shown, plane, shown.plan.dose)
    share = (apart / scale_gy).astype(np.float32)
    base = diverging(drawn.scene.base, share, lowest=LEAST_SHOWN, strength=STRENGTH)
    return replace(drawn, scene=replace(drawn.scene, base=base))


def _difference_legend(scale_gy: float, pair: Pair) -> tuple[LegendEntry, ...]:
    entries = []
    for rgb, sign in ((BELOW_RGB, "−"), (ABOVE_RGB, "+")):
        colour = "#" + "".join(f"{part:02x}" for part in rgb)
        told = weighted(f"{sign}{scale_gy:g} Gy", pair.first, pair.second)
        entries.append(LegendEntry(told, colour, is_line=False))
    return tuple(entries)


def _agreement(pair: Pair, words: Words, palette: Palette) -> list[Block]:
    """Return the gamma index in numbers and in three planes."""
    found = pair.gamma
    if found is None:
        return []
    shown = Planned.of(pair.first, pair.image)
    tolerance = words(
        "{dose} % / {distance} mm, {kind}, voxels above {cutoff} % of the highest dose",
        dose=f"{found.dose_percent:g}",
        distance=f"{found.distance_mm:g}",
        kind=words("local") if found.is_local else words("global"),
        cutoff=f"{found.cutoff_percent:g}",
    )
    title = words("Gamma index of {second} at the voxels of {first}", **_names_of(pair))
    return [
        Subheading(words("Gamma index")),
        Facts(
            (
                (words("Pass rate"), f"{found.pass_percent:.1f} %"),
                (words("Mean gamma"), f"{found.mean:.2f}"),
                (words("Judged voxels"), f"{found.judged}"),
                (words("Tolerance"), tolerance),
            )
        ),
        Paragraph(
            words(
                "Gamma tells whether two doses agree, as of two calculations of one plan. Plans "
                "made for different goals differ, and a low pass rate is no fault of either."
            ),
            Tone.CALM,
        ),
        Pictures(
            title=title,
            items=tuple(
                picture_of(
                    gamma_slice(shown, found, plane, palette),
                    caption=words.name(plane.name.lower()),
                    alt=words(
                        "Gamma on the {plane} slice: blue below 1, red above.",
                        plane=words.name(plane.name.lower()),
                    ),
                )
                for plane in Plane
            ),
            legend=(
                LegendEntry(words("gamma 0 (agrees)"), _hex(BELOW_RGB), is_line=False),
                LegendEntry(words("gamma 2 or more (fails)"), _hex(ABOVE_RGB), is_line=False),
            ),
        ),
    ]


def _names_of(pair: Pair) -> dict[str, str]:
    return {"first": _first(pair), "second": _second(pair)}


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in rgb)


def gamma_slice(shown: Planned, found: GammaMap, plane: Plane, palette: Palette) -> Shown:
    """Return the gamma index on the slice through the isocentre: blue below 1, red above."""
    drawn = plain_slice(shown, plane, palette)
    view = View(shown.image.volume.grid, plane)
    values = Volume(values=found.values, grid=found.grid, quantity=Quantity.SIGNAL)
    gamma = resampled(view, view.index_at(shown.focus_mm), values)
    base = diverging(drawn.scene.base, gamma - 1, lowest=0.0, strength=STRENGTH)
    return replace(drawn, scene=replace(drawn.scene, base=base))
