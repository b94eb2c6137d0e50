"""The chapter on the treatment plan."""

import math

import numpy as np

from aegle.domain.case import CaseResults
from aegle.domain.codes import StructureType
from aegle.domain.plan import Beam, DoseVolumeCurve, Goal, GoalResult, Metric, Plan
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.report.blocks import (
    Block,
    Cell,
    Facts,
    LegendEntry,
    Paragraph,
    Pictures,
    Section,
    Table,
    Tone,
    plain,
)
from aegle.report.charts import CHART_PIXELS, chart, encoded, plot_dose_volume
from aegle.report.drawing import Isolines, Picture, Scene, Segment
from aegle.report.find import legend_of, picture_of, subject_of
from aegle.report.language import Words, clean
from aegle.report.planes import Plane, View, resampled
from aegle.report.shades import ISODOSE_COLOURS, ISODOSE_PERCENT, Palette, wash
from aegle.report.slices import Shown, Subject, slice_of

ROUTINE = ("The dose is that of ideal fluence",)
"""How notices start that hold for every plan and warn of nothing in this one."""
TARGET_VOLUMES_PERCENT = (98.0, 95.0, 2.0)
"""Near-minimum, coverage and near-maximum dose of a target.

Source: ICRU Report 83, section 3.7 (dose-volume reporting).
"""
LOWEST_WASH = 0.1
"""Dose below this part of the prescription is not coloured."""


def section(results: CaseResults, words: Words, palette: Palette) -> Section:
    """Return the chapter."""
    planning = results.planning
    reason = words.text(planning.reason)
    blocks: list[Block] = []
    if planning.plan is None:
        blocks.append(Paragraph(reason or words("No plan was made."), Tone.CALM))
    else:
        blocks += _plan(results, planning.plan, words, palette)
        if reason:
            blocks.insert(0, Paragraph(reason))
    return Section(
        anchor="plan",
        title=words("Plan"),
        lead=words("How the target could be treated with external-beam radiotherapy."),
        blocks=tuple(blocks),
    )


def _plan(results: CaseResults, plan: Plan, words: Words, palette: Palette) -> list[Block]:
    return [
        _facts(results, plan, words),
        *(Paragraph(words.text(notice), Tone.WARN) for notice in warnings_of(plan)),
        *(Paragraph(words.text(n), Tone.CALM) for n in plan.notices if _is_routine(n)),
        _dose_pictures(results, plan, words, palette),
        _dose_volume(plan, words),
        _goal_table(plan, words),
        _curve_table(plan, words),
        _beam_table(plan, words),
    ]


def warnings_of(plan: Plan) -> tuple[Text, ...]:
    """Return the notices of a plan that a reader must weigh."""
    return tuple(notice for notice in plan.notices if not _is_routine(notice))


def _is_routine(notice: Text) -> bool:
    return notice.template.startswith(ROUTINE)


def _facts(results: CaseResults, plan: Plan, words: Words) -> Facts:
    prescription, planning = plan.prescription, results.planning
    visit = results.examinations.visits[planning.visit]
    per_fraction = prescription.dose_gy / prescription.fractions
    return Facts(
        (
            (words("Target"), clean(words.name(prescription.target))),
            (
                words("Prescription"),
                words(
                    "{dose} Gy in {fractions} fractions of {each} Gy",
                    dose=f"{prescription.dose_gy:g}",
                    fractions=prescription.fractions,
                    each=f"{per_fraction:.3g}",
                ),
            ),
            (words("Machine"), clean(words.name(plan.machine))),
            (words("Beams"), str(len(plan.beams))),
            (
                words("Planned on"),
                f"{words('Visit {number}', number=planning.visit + 1)} · "
                f"{words.day(visit.time)} · {clean(planning.image)}",
            ),
            (words("Highest dose"), f"{float(plan.dose.values.max()):.1f} Gy"),
        )
    )


def _dose_pictures(results: CaseResults, plan: Plan, words: Words, palette: Palette) -> Pictures:
    shown = [(plane, dose_slice(results, plan, plane, palette)) for plane in Plane]
    target = clean(words.name(plan.prescription.target))
    items = tuple(
        picture_of(
            item,
            caption=words.name(plane.name.lower()),
            alt=words(
                "Dose in colour on the {plane} slice through the isocentre, with isodose lines "
                "and the outline of the target {target}.",
                plane=words.name(plane.name.lower()),
                target=target,
            ),
        )
        for plane, item in shown
    )
    seen = {id(structure): structure for _, item in shown for structure in item.structures}
    isodoses = tuple(
        LegendEntry(f"{percent:g} % = {_level_gy(plan, percent):.1f} Gy", colour)
        for percent, colour in zip(ISODOSE_PERCENT, ISODOSE_COLOURS, strict=True)
    )
    return Pictures(
        title=words("Dose through the isocentre"),
        items=items,
        legend=(*isodoses, *legend_of(seen.values(), palette, words)),
    )


def dose_slice(results: CaseResults, plan: Plan, plane: Plane, palette: Palette) -> Shown:
    """Return the planning image through the isocentre with dose, isodoses and contours."""
    visit = results.examinations.visits[results.planning.visit]
    image = visit.image(results.planning.image)
    same_grid = tuple(
        s for s in plan.structures if s.grid.is_same_as(image.volume.grid) and _is_shown(s, plan)
    )
    focus_mm = _focus_mm(plan, same_grid)
    window = subject_of(results, results.planning.visit, image).window
    shown = slice_of(Subject(image=image, structures=same_grid), plane, palette, focus_mm, window)
    view = View(image.volume.grid, plane)
    dose = np.nan_to_num(resampled(view, view.index_at(focus_mm), plan.dose))
    share = (dose / (1.05 * plan.prescription.dose_gy)).astype(np.float32)
    levels = tuple(_level_gy(plan, percent) for percent in ISODOSE_PERCENT)
    scene = Scene(
        base=wash(shown.scene.base, share, lowest=LOWEST_WASH, strength=0.38),
        pixel_mm=shown.scene.pixel_mm,
        letters=shown.scene.letters,
        frame=shown.scene.frame,
        outlines=shown.scene.outlines,
        isolines=(Isolines(dose, levels, ISODOSE_COLOURS),),
        segments=_beam_lines(plan.beams, view) if plane is Plane.AXIAL else (),
    )
    return Shown(scene=scene, window=shown.window, structures=shown.structures)


def _is_shown(structure: Structure, plan: Plan) -> bool:
    """Whether a structure is drawn on the dose: targets, the outline and organs with goals."""
    kinds = (StructureType.TARGET, StructureType.LESION, StructureType.EXTERNAL)
    judged = {goal.structure for goal in plan.prescription.goals}
    return structure.type in kinds or structure.name in judged


def _focus_mm(plan: Plan, structures: tuple[Structure, ...]) -> tuple[float, float, float]:
    if plan.beams:
        return plan.beams[0].isocentre_mm
    target = next((s for s in structures if s.name == plan.prescription.target), None)
    if target is not None and not target.is_empty:
        return target.centroid_mm
    x, y, z = plan.dose.grid.centre_mm
    return float(x), float(y), float(z)


def _level_gy(plan: Plan, percent: float) -> float:
    return plan.prescription.dose_gy * percent / 100


def _beam_lines(beams: tuple[Beam, ...], view: View) -> tuple[Segment, ...]:
    """Draw the axis of each beam from its entrance side to the isocentre.

    Source of the direction: IEC 61217, gantry 0° comes from the front of a supine patient
    and turns towards the patient's left.
    """
    lines = []
    for beam in beams:
        if beam.couch_deg % 360:
            continue
        angle = math.radians(beam.gantry_deg)
        towards_source = np.array([math.sin(angle), -math.cos(angle), 0.0])
        centre = np.asarray(beam.isocentre_mm)
        ends_mm = np.array([centre + 95 * towards_source, centre + 25 * towards_source])
        label = f"{beam.gantry_deg:.0f}°"
        lines.append(
            Segment(view.to_picture(ends_mm), label, "#ffffff", is_dashed=True, is_labelled=True)
        )
    return tuple(lines)


def _dose_volume(plan: Plan, words: Words) -> Pictures:
    figure, axes = chart()
    plot_dose_volume(axes, plan, words)
    names = ", ".join(clean(words.name(curve.structure)) for curve in plan.curves)
    alt = words(
        "Dose-volume histogram of {names}; the values stand in the tables below.", names=names
    )
    return Pictures(
        title=words("Dose-volume histogram"),
        items=(chart_picture(encoded(figure), alt),),
        is_wide=True,
    )


def chart_picture(data: bytes, alt: str) -> Picture:
    """Return a plot as a picture."""
    width, height = CHART_PIXELS
    return Picture(data=data, media_type="image/png", width=width, height=height, alt=alt)


def metric_words(goal: Goal, words: Words) -> str:
    """Return a dose-volume quantity as physicists write it."""
    if goal.metric is Metric.MEAN_DOSE:
        return words("mean dose")
    if goal.metric is Metric.MAXIMUM_DOSE:
        return words("D 0.03 cm³ (maximum)")
    if goal.metric is Metric.DOSE_AT_VOLUME:
        return f"D{goal.at:g}%"
    return f"V{goal.at:g}Gy"


def limit_words(goal: Goal) -> str:
    """Return the limit of a goal with its unit."""
    unit = "%" if goal.metric is Metric.VOLUME_AT_DOSE else "Gy"
    if goal.at_least is not None:
        return f"≥ {goal.at_least:g} {unit}"
    return f"≤ {goal.at_most:g} {unit}"


def _goal_table(plan: Plan, words: Words) -> Block:
    if not plan.goals:
        return Paragraph(words("The plan was judged against no goal."), Tone.CALM)
    return Table(
        caption=words("Goals"),
        heads=tuple(
            map(words, ("Structure", "Quantity", "Goal", "Plan value", "Verdict", "Source"))
        ),
        rows=tuple(_goal_row(result, words) for result in plan.goals),
        numeric=frozenset({2, 3}),
        widths=(1.4, 1.4, 1, 1, 1, 2.4),
    )


def _goal_row(result: GoalResult, words: Words) -> tuple[Cell, ...]:
    goal = result.goal
    unit = "%" if goal.metric is Metric.VOLUME_AT_DOSE else "Gy"
    verdict = (
        Cell(text=f"✓ {words('met')}", tone=Tone.GOOD)
        if result.is_met
        else Cell(text=f"✗ {words('not met')}", tone=Tone.BAD)
    )
    return (
        *plain(
            clean(words.name(goal.structure)),
            metric_words(goal, words),
            limit_words(goal),
            f"{result.value:.1f} {unit}",
        ),
        verdict,
        *plain(clean(words.name(goal.source))),
    )


def dose_at_volume(curve: DoseVolumeCurve, percent: float) -> float:
    """Return the highest dose that at least a part of a structure receives [Gy].

    The curve is taken as straight between its doses.

    Args:
        curve: Cumulative curve, falling with dose.
        percent: The part [%].
    """
    enough = np.flatnonzero(curve.volume_percent >= percent)
    if enough.size == 0:
        return math.nan
    last = int(enough[-1])
    if last + 1 == curve.dose_gy.size:
        return float(curve.dose_gy[last])
    over, under = curve.volume_percent[last : last + 2]
    low_gy, high_gy = curve.dose_gy[last : last + 2]
    return float(low_gy + (high_gy - low_gy) * (over - percent) / (over - under))


def _curve_table(plan: Plan, words: Words) -> Table:
    volumes = [f"D{percent:g}% [Gy]" for percent in TARGET_VOLUMES_PERCENT]
    return Table(
        caption=words("Dose to structures"),
        heads=(*map(words, ("Structure", "Volume [mL]", "Mean dose [Gy]")), *volumes),
        rows=tuple(_curve_row(curve, plan, words) for curve in plan.curves),
        numeric=frozenset({1, 2, 3, 4, 5}),
        widths=(1.8, 1, 1.2, 1, 1, 1),
    )


def _curve_row(curve: DoseVolumeCurve, plan: Plan, words: Words) -> tuple[Cell, ...]:
    kinds = (StructureType.TARGET, StructureType.LESION)
    targets = {s.name for s in plan.structures if s.type in kinds}
    is_target = curve.structure in {plan.prescription.target, *targets}
    doses_gy = [_dose_gy(plan, curve, percent) for percent in TARGET_VOLUMES_PERCENT]
    return plain(
        clean(words.name(curve.structure)),
        f"{curve.volume_ml:.1f}",
        f"{curve.mean_gy:.2f}",
        *(f"{dose:.1f}" if is_target and math.isfinite(dose) else "–" for dose in doses_gy),
    )


def _dose_gy(plan: Plan, curve: DoseVolumeCurve, percent: float) -> float:
    """Return D_v from all voxels if a goal asked for it, else from the curve [Gy]."""
    exact = (
        result.value
        for result in plan.goals
        if result.goal.structure == curve.structure
        and result.goal.metric is Metric.DOSE_AT_VOLUME
        and result.goal.at == percent
    )
    return next(exact, dose_at_volume(curve, percent))


def angle_words(degrees: float) -> str:
    """Return an angle with at most one decimal."""
    return f"{degrees:.1f}".removesuffix(".0").replace("-", "−")


def _beam_table(plan: Plan, words: Words) -> Table:
    heads = (
        "Beam",
        "Gantry [°]",
        "Couch [°]",
        "Isocentre x, y, z [mm]",
        "Beamlets",
        "Mean fluence per fraction [MU]",
    )
    return Table(
        caption=words("Beams"),
        heads=tuple(map(words, heads)),
        rows=tuple(
            plain(
                str(number),
                angle_words(beam.gantry_deg),
                angle_words(beam.couch_deg),
                ", ".join(f"{x:.1f}" for x in beam.isocentre_mm).replace("-", "−"),
                str(len(beam.weights)),
                f"{float(beam.weights.mean()) / plan.prescription.fractions:.2f}",
            )
            for number, beam in enumerate(plan.beams, start=1)
        ),
        numeric=frozenset({1, 2, 3, 4, 5}),
        widths=(0.7, 1, 1, 2, 1, 1.2),
    )
