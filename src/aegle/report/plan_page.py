"""The page of a plan by itself: prescription, dose, goals, beams, and what it rests on."""

from pathlib import Path

import aegle
from aegle.domain.case import CaseResults
from aegle.report import closing, html, pdf, treatment
from aegle.report.blocks import Document, Tile
from aegle.report.document import labels
from aegle.report.dose_values import nominal_dose_gy
from aegle.report.files import write_whole
from aegle.report.language import Language, Words, clean, shortened, words
from aegle.report.plan_words import weighted
from aegle.report.shades import Palette
from aegle.report.summary import plan_tile
from aegle.report.treatment import technique_words


def write_html(results: CaseResults, path: Path, language: Language) -> Path:
    """Write the page as one HTML file.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, html.render(build(results, language)).encode("utf-8"))


def write_pdf(results: CaseResults, path: Path, language: Language) -> Path:
    """Write the page as PDF, A4 upright.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, pdf.render(build(results, language)))


def build(results: CaseResults, language: Language) -> Document:
    """Return the page of a plan.

    Args:
        results: A case with one visit, of which only the plan is shown.
        language: Language of the reader.

    Raises:
        OptionError: The language is unknown.
    """
    told = words(language)
    palette = Palette(results)
    patient = told.person(results.examinations.patient)
    return Document(
        language={"en": "en", "zh": "zh-CN"}[told.language],
        title=f"{told('Treatment plan')} · {patient}",
        patient=patient,
        facts=_facts(results, told),
        research_use=told(aegle.RESEARCH_USE),
        date=told.day(results.provenance.now),
        tiles=(plan_tile(results, told), *_more_tiles(results, told)),
        sections=(
            treatment.section(results, told, palette),
            closing.limits(results, told, (closing.STRUCTURES, closing.DOSE)),
        ),
        labels={**labels(told), "report": told("Treatment plan")},
    )


def _more_tiles(results: CaseResults, told: Words) -> tuple[Tile, ...]:
    """Return what the target receives, and how."""
    plan = results.planning.plan
    if plan is None:
        return ()
    tiles = []
    target = next((c for c in plan.curves if c.structure == plan.prescription.target), None)
    if target is not None:
        first, *others = (
            weighted(f"D{percent:g}% {nominal_dose_gy(plan, target, percent):.1f} Gy", plan)
            for percent in (95.0, 98.0, 2.0)
        )
        tiles.append(
            Tile(
                title=told("Dose to the target"), value=first, details=tuple(others), anchor="plan"
            )
        )
    technique = Tile(
        title=told("Technique"),
        value=told("{count} beams", count=len(plan.beams)),
        details=(technique_words(plan, told), clean(told.name(plan.machine))),
        anchor="plan",
    )
    return (*tiles, technique)


def _facts(results: CaseResults, told: Words) -> tuple[tuple[str, str], ...]:
    patient = results.examinations.patient
    visit = results.examinations.visits[0]
    grid = visit.images[0].volume.grid
    shape = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{side:g}" for side in grid.spacing_mm)
    facts = [
        (told("Patient ID"), shortened(clean(patient.id)) or "–"),
        (told("Planning CT"), f"{shape} · {spacing} mm · {told.day(visit.time)}"),
        (told("Report made"), told.moment(results.provenance.now)),
    ]
    scanner = visit.images[0].series.scanner
    if scanner:
        facts.insert(2, (told("Scanner"), shortened(clean(scanner))))
    return tuple(facts)
