"""The page of two plans beside each other."""

from dataclasses import dataclass
from datetime import datetime

import aegle
from aegle.domain.study import Patient
from aegle.domain.text import Text
from aegle.report import plan_comparison, summary
from aegle.report.blocks import Document, Paragraph, Section, Tile, Tone
from aegle.report.document import labels
from aegle.report.language import Language, Words, clean, shortened, words
from aegle.report.plan_comparison import Pair
from aegle.report.shades import Palette

ANCHOR = "comparison"


@dataclass(frozen=True, kw_only=True)
class Heading:
    """Whose plans a page shows, and when it was made."""

    patient: Patient
    now: datetime
    """Time stamped on the page."""


def build(
    heading: Heading,
    pair: Pair,
    language: Language,
    *,
    reasons: tuple[Text, ...] = (),
    notices: tuple[Text, ...] = (),
) -> Document:
    """Return two plans beside each other as a page, to be rendered as HTML or PDF.

    Args:
        heading: Patient and time.
        pair: The plans, their names, the planning CT and what gamma says.
        language: Language of the reader.
        reasons: Why the second plan is proposed in place of the first.
        notices: What is to be said of both.

    Raises:
        OptionError: The language is unknown.
    """
    told = words(language)
    palette = Palette.of((*pair.first.structures, *pair.second.structures))
    patient = told.person(heading.patient)
    return Document(
        language={"en": "en", "zh": "zh-CN"}[told.language],
        title=f"{told('Comparison of two plans')} · {patient}",
        patient=patient,
        facts=_facts(heading, pair, told),
        research_use=told(aegle.RESEARCH_USE),
        date=told.day(heading.now),
        tiles=_tiles(pair, told),
        sections=(
            *_reasons(reasons, notices, told),
            plan_comparison.section(pair, told, palette),
        ),
        labels={**labels(told), "report": told("Treatment plan")},
    )


def _reasons(
    reasons: tuple[Text, ...], notices: tuple[Text, ...], told: Words
) -> tuple[Section, ...]:
    if not reasons and not notices:
        return ()
    return (
        Section(
            anchor="reasons",
            title=told("Why to plan anew"),
            lead=told(
                "What is to be said of the dose on the day, and why another plan is proposed."
            ),
            blocks=(
                *(Paragraph(told.text(one), Tone.WARN) for one in reasons),
                *(Paragraph(told.text(one), Tone.CALM) for one in notices),
            ),
        ),
    )


def _tiles(pair: Pair, told: Words) -> tuple[Tile, ...]:
    plans = zip((pair.first, pair.second), pair.names, strict=True)
    goals = tuple(
        summary.goal_tile(plan, told, title=clean(name), anchor=ANCHOR) for plan, name in plans
    )
    if pair.gamma is None:
        return goals
    passed = Tile(
        title=told("Gamma index"),
        value=f"{pair.gamma.pass_percent:.1f} %",
        details=(f"{pair.gamma.dose_percent:g} % / {pair.gamma.distance_mm:g} mm",),
        anchor=ANCHOR,
    )
    return (*goals, passed)


def _facts(heading: Heading, pair: Pair, told: Words) -> tuple[tuple[str, str], ...]:
    return (
        (told("Patient ID"), shortened(clean(heading.patient.id)) or "–"),
        (told("Planned on"), clean(pair.image.name)),
        (told("Report made"), told.moment(heading.now)),
    )
