"""A plan in tables: goals, doses, quality, scenarios and beams."""

import math

import numpy as np

from aegle.domain.codes import StructureType
from aegle.domain.plan import Beam, DoseVolumeCurve, GoalResult, Plan, ProtonBeam
from aegle.domain.plan_check import PlanCheck
from aegle.report.blocks import Block, Cell, Paragraph, Table, Tone, plain
from aegle.report.dose_values import (
    dose_at_volume,
    in_scenarios,
    nominal_dose_gy,
    volume_at_dose,
)
from aegle.report.language import Words, clean
from aegle.report.plan_words import (
    angle_words,
    is_of_protons,
    is_shaped,
    limit_words,
    metric_words,
    priority_words,
    scenario_words,
    unit_of,
    weighted,
)

VOLUMES_PERCENT = (98.0, 95.0, 50.0, 2.0)
"""Near-minimum, coverage, median and near-maximum dose.

Source: ICRU Report 83, section 3.7 (dose-volume reporting).
"""
COVERAGE_PERCENT = 95.0
"""Of the prescribed dose; ICRU Report 50 asks that it reach all of the target."""


def goal_table(plan: Plan, words: Words) -> Block:
    """Return every goal with its verdict, the most important first."""
    if not plan.goals:
        return Paragraph(words("The plan was judged against no goal."), Tone.CALM)
    heads = ("Structure", "Quantity", "Priority", "Goal", "Plan value", "Verdict", "Source")
    ordered = sorted(plan.goals, key=lambda r: (not r.goal.is_constraint, r.goal.priority))
    return Table(
        caption=words("Goals"),
        heads=tuple(map(words, heads)),
        rows=tuple(_goal_row(result, plan, words) for result in ordered),
        numeric=frozenset({3, 4}),
        widths=(1.3, 1.3, 0.9, 1, 1, 1.1, 2.4),
    )


def _goal_row(result: GoalResult, plan: Plan, words: Words) -> tuple[Cell, ...]:
    goal = result.goal
    return (
        *plain(
            clean(words.name(goal.structure)),
            metric_words(goal, words),
            priority_words(goal, words),
            weighted(limit_words(goal), plan),
            weighted(f"{result.value:.1f} {unit_of(goal)}", plan),
        ),
        verdict(result, words),
        *plain(clean(words.name(goal.source))),
    )


def verdict(result: GoalResult, words: Words) -> Cell:
    """Return whether a goal is met, marked by more than colour."""
    if result.is_met:
        return Cell(text=f"✓ {words('met')}", tone=Tone.GOOD)
    return Cell(text=f"✗ {words('not met')}", tone=Tone.BAD)


def dose_table(plan: Plan, words: Words) -> Table:
    """Return volume, mean and reporting doses of every structure."""
    volumes = [weighted(f"D{percent:g}% [Gy]", plan) for percent in VOLUMES_PERCENT]
    return Table(
        caption=words("Dose to structures; below, least and greatest over the scenarios")
        if plan.scenarios
        else words("Dose to structures"),
        heads=(
            *map(words, ("Structure", "Volume [mL]")),
            weighted(words("Mean dose [Gy]"), plan),
            *volumes,
        ),
        rows=tuple(_dose_row(curve, plan, words) for curve in plan.curves),
        numeric=frozenset(range(1, 3 + len(volumes))),
        widths=(1.8, 1.1, 1.2, *(1.0 for _ in volumes)),
    )


def _dose_row(curve: DoseVolumeCurve, plan: Plan, words: Words) -> tuple[Cell, ...]:
    cases = in_scenarios(plan, curve.structure)
    doses = [
        _with_range(
            nominal_dose_gy(plan, curve, percent),
            [dose_at_volume(case, percent) for case in cases],
        )
        for percent in VOLUMES_PERCENT
    ]
    mean = _with_range(curve.mean_gy, [case.mean_gy for case in cases], digits=2)
    return plain(clean(words.name(curve.structure)), f"{curve.volume_ml:.1f}", mean, *doses)


def _with_range(nominal: float, cases: list[float], *, digits: int = 1) -> str:
    """Return a dose, below it its least and greatest value over scenarios."""
    told = f"{nominal:.{digits}f}" if math.isfinite(nominal) else "–"
    finite = [case for case in cases if math.isfinite(case)]
    if not finite:
        return told
    return f"{told}\n{min(finite):.1f}–{max(finite):.1f}"


def quality_table(plan: Plan, check: PlanCheck | None, words: Words) -> Table | None:
    """Return how well the dose fits the target, each number with its meaning."""
    target = next((c for c in plan.curves if c.structure == plan.prescription.target), None)
    rows = []
    if target is not None:
        for percent in (100.0, COVERAGE_PERCENT):
            covered = volume_at_dose(target, plan.prescription.dose_gy * percent / 100)
            rows.append(
                plain(
                    words(
                        "Target covered by {percent} % of the prescribed dose",
                        percent=f"{percent:g}",
                    ),
                    f"{covered:.1f} %",
                    words("part of the target that receives at least this dose"),
                )
            )
    rows += [plain(*row) for row in _quality_rows(check, words)] if check is not None else []
    if not rows:
        return None
    return Table(
        caption=words("How the dose fits the target"),
        heads=tuple(map(words, ("Measure", "Plan value", "Meaning"))),
        rows=tuple(rows),
        numeric=frozenset({1}),
        widths=(1.6, 0.8, 2.6),
    )


def _quality_rows(check: PlanCheck, words: Words) -> tuple[tuple[str, str, str], ...]:
    quality = check.quality
    return (
        (
            words("Conformity (Paddick 2000)"),
            _measure(quality.conformity, 3),
            words("1 where the prescribed isodose is the target"),
        ),
        (
            words("Homogeneity (ICRU Report 83)"),
            _measure(quality.homogeneity, 3),
            words("(D2% − D98%) / D50% of the target, 0 where its dose is even"),
        ),
        (
            words("Gradient (Paddick 2006)"),
            _measure(quality.gradient, 2),
            words("volume of half the prescribed dose over that of the whole"),
        ),
    )


def _measure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def scenario_table(plan: Plan, words: Words) -> Table | None:
    """Return the target's dose in every scenario; none if the plan bears no errors."""
    target = plan.prescription.target
    cases = [
        (case.name, curve)
        for case in plan.scenarios
        for curve in case.curves
        if curve.structure == target
    ]
    if not cases:
        return None
    volumes = [weighted(f"D{percent:g}% [Gy]", plan) for percent in VOLUMES_PERCENT]
    return Table(
        caption=words(
            "Dose to {target} where patient or range differ from the plan",
            target=clean(words.name(target)),
        ),
        heads=(words("Scenario"), weighted(words("Mean dose [Gy]"), plan), *volumes),
        rows=tuple(
            plain(
                scenario_words(name, words),
                f"{curve.mean_gy:.2f}",
                *(f"{dose_at_volume(curve, percent):.1f}" for percent in VOLUMES_PERCENT),
            )
            for name, curve in cases
        ),
        numeric=frozenset(range(1, 2 + len(volumes))),
        widths=(2.4, 1.2, *(1.0 for _ in volumes)),
    )


def target_names(plan: Plan) -> set[str]:
    """Return the names of targets and lesions."""
    kinds = (StructureType.TARGET, StructureType.LESION)
    return {plan.prescription.target, *(s.name for s in plan.structures if s.type in kinds)}


def beam_table(plan: Plan, check: PlanCheck | None, words: Words) -> Table:
    """Return where beams come from and what they give."""
    heads = (
        *("Beam", "Gantry [°]", "Couch [°]", "Collimator [°]", "Isocentre x, y, z [mm]"),
        "SSD [mm]",
        *_given_heads(plan),
    )
    skins = [beam.ssd_mm for beam in check.beams] if check is not None else []
    skins += [None] * (len(plan.beams) - len(skins))
    rows = tuple(
        plain(
            str(number),
            angle_words(beam.gantry_deg),
            angle_words(beam.couch_deg),
            angle_words(beam.collimator_deg),
            ", ".join(f"{x:.1f}" for x in beam.isocentre_mm).replace("-", "−"),
            "–" if ssd_mm is None else f"{ssd_mm:.0f}",
            *_given(beam, plan),
        )
        for number, (beam, ssd_mm) in enumerate(zip(plan.beams, skins, strict=True), start=1)
    )
    return Table(
        caption=words("Beams"),
        heads=tuple(map(words, heads)),
        rows=rows,
        numeric=frozenset(range(1, len(heads))),
        widths=(0.7, 0.9, 0.9, 1.1, 2.1, 0.9, *(1.1 for _ in _given_heads(plan))),
    )


def _given_heads(plan: Plan) -> tuple[str, ...]:
    if is_of_protons(plan):
        return "Spots", "Energies [MeV]", "Protons per fraction [10⁶]"
    if is_shaped(plan):
        return "Beamlets", "Apertures", "MU per fraction"
    return "Beamlets", "Mean fluence per fraction [MU]"


def _given(beam: Beam, plan: Plan) -> tuple[str, ...]:
    fractions = plan.prescription.fractions
    if isinstance(beam, ProtonBeam):
        used = beam.energies_mev[beam.weights > 0]
        energies = f"{used.min():.0f}–{used.max():.0f}" if used.size else "–"
        return str(len(beam.weights)), energies, f"{beam.weights.sum() / fractions:.0f}"
    if is_shaped(plan):
        return (
            str(len(beam.weights)),
            str(len(beam.apertures)),
            f"{monitor_units(beam) / fractions:.1f}",
        )
    mean = float(np.mean(beam.weights)) if len(beam.weights) else 0.0
    return str(len(beam.weights)), f"{mean / fractions:.2f}"


def monitor_units(beam: Beam) -> float:
    """Return what a beam's apertures give together, over all fractions [MU]."""
    return sum(aperture.monitor_units for aperture in beam.apertures)


def machine_table(plan: Plan, check: PlanCheck, words: Words) -> Table:
    """Return what the dose was calculated with, and what that leaves out."""
    dose_mm, image_mm = (
        " × ".join(f"{s:.2f}" for s in spacing)
        for spacing in (check.dose_grid_mm, plan.dose.grid.spacing_mm)
    )
    facts = (
        (words("Machine"), clean(words.name(plan.machine))),
        (words("Calibration"), words.text(check.calibration)),
        (words("Beam data"), clean(check.data_source)),
        (words("Source to axis"), f"{check.sad_mm:g} mm"),
        (words("Algorithm"), words.text(check.algorithm)),
        (
            words("Dose grid"),
            words(
                "{spacing} mm (slice, row, column); shown on the image's {image} mm",
                spacing=dose_mm,
                image=image_mm,
            ),
        ),
        (words("Left out"), "\n".join(words.text(limit) for limit in check.limits)),
    )
    return Table(
        caption=words("Machine and calculation"),
        heads=(words("What"), words("Value")),
        rows=tuple(plain(*fact) for fact in facts),
        widths=(1, 4),
    )
