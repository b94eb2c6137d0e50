"""The page of a case's suggestions by themselves, with what persons decided about them."""

from pathlib import Path

import aegle
from aegle.domain.case import CaseResults
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import standing
from aegle.report import document, find, html, reviewed, suggest
from aegle.report.blocks import Document, Paragraph, Section, Tile, Tone
from aegle.report.files import write_whole
from aegle.report.language import Language, Words, clean, shortened, words
from aegle.report.shades import Palette

CLOSING = (
    "A suggestion is made from what is listed below it and from nothing else. What is not stated "
    "is missing or assumed, and named as such.",
    "Published rules are applied as data; how far each row is confirmed stands beside it.",
)


def write(results: CaseResults, path: Path, *, language: Language) -> Path:
    """Write the page as one HTML file.

    Args:
        results: A case with its suggestions and reviews.
        path: File to write; replaced if it is there.
        language: Language of the reader.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, html.render(build(results, language)).encode("utf-8"))


def build(results: CaseResults, language: Language) -> Document:
    """Return the page.

    Raises:
        OptionError: The language is unknown.
    """
    told = words(language)
    patient = results.examinations.patient
    name = told.person(patient)
    return Document(
        language={"en": "en", "zh": "zh-CN"}[told.language],
        title=f"{told('Suggestions')} · {name}",
        patient=name,
        facts=(
            (told("Patient ID"), shortened(clean(patient.id)) or "–"),
            (told("Visits"), ", ".join(told.day(v.time) for v in results.examinations.visits)),
            (told("Report made"), told.moment(results.provenance.now)),
        ),
        research_use=told(aegle.RESEARCH_USE),
        date=told.day(results.provenance.now),
        tiles=_tiles(results, told),
        sections=(
            suggest.section(results, told),
            find.section(results, told, Palette(results)),
            reviewed.section(results, told),
            _limits(told),
        ),
        labels={**document.labels(told), "report": told("Suggestions")},
    )


def _tiles(results: CaseResults, told: Words) -> tuple[Tile, ...]:
    found = suggest.worst(results)
    every = [s for visit in results.suggestions.visits for s in visit if s.applies]
    open_ones = sum(s.category == suggest.REVIEW for s in every)
    stands = standing(results.reviews)
    reviewed = sum(s.id in stands for s in every)
    worst = () if found is None else (_worst_tile(found[1], told),)
    return (
        *worst,
        Tile(
            title=told("For review"),
            value=str(open_ones),
            details=(told("suggestions in all: {count}", count=len(every)),),
            tone=Tone.WARN if open_ones else Tone.PLAIN,
            anchor="suggest",
        ),
        Tile(
            title=told("Reviewed by a person"),
            value=told("{done} of {count}", done=reviewed, count=len(every)),
            anchor="reviews",
        ),
    )


def _worst_tile(said: Suggestion, told: Words) -> Tile:
    return Tile(
        title=told("Most serious category"),
        value=suggest.category_words(said, told),
        details=(clean(told.name(said.rule)),),
        tone=suggest.tone_of(said),
        anchor="suggest",
    )


def _limits(told: Words) -> Section:
    return Section(
        anchor="limits",
        title=told("Limits"),
        blocks=tuple(Paragraph(told(text)) for text in CLOSING),
    )
