"""A whole report in one language, before it becomes HTML or PDF."""

from weakref import WeakKeyDictionary

import aegle
from aegle.domain.case import CaseResults
from aegle.report import closing, find, follow, reviewed, suggest, summary, treatment
from aegle.report.blocks import Document
from aegle.report.language import Language, Words, clean, shortened, words
from aegle.report.shades import Palette

_made: WeakKeyDictionary[CaseResults, dict[Language, Document]] = WeakKeyDictionary()


def build(results: CaseResults, language: Language) -> Document:
    """Return the report of a case; HTML and PDF of the same results share its pictures.

    Raises:
        OptionError: The language is unknown.
    """
    told = words(language)
    made = _made.setdefault(results, {})
    if language not in made:
        made[language] = _build(results, told)
    return made[language]


def _build(results: CaseResults, told: Words) -> Document:
    palette = Palette(results)
    patient = told.person(results.examinations.patient)
    return Document(
        language={"en": "en", "zh": "zh-CN"}[told.language],
        title=f"{told('Imaging report')} · {patient}",
        patient=patient,
        facts=_facts(results, told),
        research_use=told(aegle.RESEARCH_USE),
        date=told.day(results.provenance.now),
        tiles=summary.tiles(results, told),
        sections=(
            find.section(results, told, palette),
            suggest.section(results, told),
            *((reviewed.section(results, told),) if results.reviews else ()),
            treatment.section(results, told, palette),
            follow.section(results, told, palette),
            closing.worklist(results, told),
            closing.limits(results, told),
        ),
        labels=labels(told),
    )


def labels(told: Words) -> dict[str, str]:
    """Return the words of a page's frame."""
    return {
        "report": told("Imaging report"),
        "contents": told("Contents"),
        "summary": told("Summary"),
        "skip": told("Skip to the report"),
        "legend": told("Legend"),
        "page": told("Page {number} of {count}"),
    }


def _facts(results: CaseResults, told: Words) -> tuple[tuple[str, str], ...]:
    patient = results.examinations.patient
    visits = results.examinations.visits
    facts = [(told("Patient ID"), shortened(clean(patient.id)) or "–")]
    if patient.birth_date:
        facts.append((told("Born"), f"{patient.birth_date:%Y-%m-%d}"))
    if patient.sex:
        facts.append((told("Sex"), told.name(patient.sex)))
    facts.append((told("Visits"), ", ".join(told.day(v.time) for v in visits) or "–"))
    facts.append((told("Report made"), told.moment(results.provenance.now)))
    return tuple(facts)
