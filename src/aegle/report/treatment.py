"""The chapter on the treatment plan."""

from collections.abc import Iterator

from aegle.domain.case import CaseResults
from aegle.domain.plan import Plan
from aegle.domain.plan_check import PlanCheck
from aegle.report.alternatives import alternative_blocks
from aegle.report.beam_pictures import beam_pictures
from aegle.report.blocks import Block, Facts, Paragraph, Section, Subheading, Tone
from aegle.report.dose_pictures import Planned, dose_pictures
from aegle.report.find import subject_of
from aegle.report.language import Words, clean
from aegle.report.plan_charts import course_pictures, dose_volume_pictures
from aegle.report.plan_tables import (
    beam_table,
    dose_table,
    goal_table,
    machine_table,
    monitor_units,
    quality_table,
    scenario_table,
)
from aegle.report.plan_words import is_of_protons, is_routine, is_shaped, warnings_of, weighted
from aegle.report.shades import Palette

Fact = tuple[str, str]


def section(results: CaseResults, words: Words, palette: Palette) -> Section:
    """Return the chapter."""
    planning = results.planning
    reason = words.text(planning.reason)
    blocks: list[Block] = []
    if planning.plan is None:
        blocks.append(Paragraph(reason or words("No plan was made."), Tone.CALM))
    else:
        planned = planned_of(results, planning.plan)
        planned_on = (words("Planned on"), _planned_on(results, words))
        blocks += plan_blocks(planned, planning.check, words, palette, facts=(planned_on,))
        if planning.comparison is not None:
            blocks += alternative_blocks(planning.comparison, words)
        if reason:
            blocks.insert(0, Paragraph(reason))
    return Section(
        anchor="plan",
        title=words("Plan"),
        lead=words("How the target could be treated with external-beam radiotherapy."),
        blocks=tuple(blocks),
    )


def planned_of(results: CaseResults, plan: Plan) -> Planned:
    """Return a case's plan on the image that it was made on, in that image's window."""
    image = results.examinations.visits[results.planning.visit].image(results.planning.image)
    window = subject_of(results, results.planning.visit, image).window
    return Planned(plan=plan, image=image, window=window)


def _planned_on(results: CaseResults, words: Words) -> str:
    planning = results.planning
    visit = results.examinations.visits[planning.visit]
    label = words("Visit {number}", number=planning.visit + 1)
    return f"{label} · {words.day(visit.time)} · {clean(planning.image)}"


def plan_blocks(
    planned: Planned,
    check: PlanCheck | None,
    words: Words,
    palette: Palette,
    *,
    facts: tuple[Fact, ...] = (),
) -> list[Block]:
    """Return all that a physicist checks of a plan.

    Args:
        planned: The plan on its image.
        check: What the plan rests on; none: those lines are left out.
        words: Of the reader.
        palette: Colours of structures.
        facts: More names and values for the top.
    """
    plan = planned.plan
    return [
        Facts((*_asked(plan, words), *facts, *_highest(plan, words))),
        *(Paragraph(words.text(notice), Tone.WARN) for notice in warnings_of(plan)),
        *(Paragraph(words.text(n), Tone.CALM) for n in plan.notices if is_routine(n)),
        Subheading(words("Goals and dose")),
        goal_table(plan, words),
        *_there(quality_table(plan, check, words)),
        *dose_pictures(planned, words, palette),
        dose_volume_pictures(plan, words, palette),
        dose_table(plan, words),
        *_there(scenario_table(plan, words)),
        Subheading(words("Beams and machine")),
        beam_table(plan, check, words),
        *([machine_table(plan, check, words)] if check is not None else []),
        *_there(beam_pictures(plan, check, words)),
        *_there(course_pictures(plan, words)),
        *_course_words(plan, words),
    ]


def _there(block: Block | None) -> Iterator[Block]:
    if block is not None:
        yield block


def _asked(plan: Plan, words: Words) -> tuple[Fact, ...]:
    prescription = plan.prescription
    per_fraction = prescription.dose_gy / prescription.fractions
    return (
        (words("Target"), clean(words.name(prescription.target))),
        (
            words("Prescription"),
            weighted(
                words(
                    "{dose} Gy in {fractions} fractions of {each} Gy",
                    dose=f"{prescription.dose_gy:g}",
                    fractions=prescription.fractions,
                    each=f"{per_fraction:.3g}",
                ),
                plan,
            ),
        ),
        (words("Technique"), technique_words(plan, words)),
        (words("Machine"), clean(words.name(plan.machine))),
        (words("Beams"), str(len(plan.beams))),
    )


def technique_words(plan: Plan, words: Words) -> str:
    """Return how a plan is given."""
    if is_of_protons(plan):
        return words("scanned protons, intensity modulated")
    if not plan.beams:
        return words("dose from a file")
    if is_shaped(plan):
        return words("photons, intensity modulated, step and shoot")
    return words("photons, intensity modulated, ideal fluence")


def _highest(plan: Plan, words: Words) -> tuple[Fact, ...]:
    highest = (words("Highest dose"), weighted(f"{float(plan.dose.values.max()):.1f} Gy", plan))
    if not is_shaped(plan):
        return (highest,)
    units = sum(monitor_units(beam) for beam in plan.beams) / plan.prescription.fractions
    openings = sum(len(beam.apertures) for beam in plan.beams)
    given = words("{units} MU through {count} apertures", units=f"{units:.0f}", count=openings)
    return highest, (words("Each fraction"), given)


def _course_words(plan: Plan, words: Words) -> Iterator[Block]:
    if len(plan.objective_values) > 1 and is_shaped(plan):
        yield Paragraph(
            words("The objective rises where the fluence is cut into apertures."), Tone.CALM
        )
