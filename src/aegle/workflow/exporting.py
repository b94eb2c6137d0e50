"""What leaves a case: DICOM objects, FHIR, the report, and a summary for machines."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegle.dicom import (
    attributes,
    image_series,
    radiotherapy,
    report,
    segmentation,
    structure_set,
)
from aegle.domain.assessment import HeatMap
from aegle.domain.case import CaseResults
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image
from aegle.report import fhir, heat_maps, html, pdf, pictures, timeline_page
from aegle.report.language import Language
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.follow_objects import time_point, write_alignments
from aegle.workflow.stage import Progress, silent
from aegle.workflow.summary import summary

REPORT = "report.html"
TIMELINE = "timeline.html"


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file or folder that a case gives."""

    name: str
    write: Callable[[Path], Any]


def publish(
    folder: CaseFolder,
    results: CaseResults,
    key: str,
    *,
    language: Language,
    progress: Progress = silent,
) -> None:
    """Write everything that leaves the case, unless it was already written under ``key``."""
    record = folder.record()
    outputs = _outputs(results, language)
    whole = all((folder.root / o.name).exists() for o in outputs)
    if record.get("key") == key and whole:
        return
    # Not complete from here on, but still this patient's.
    folder.write_record({"summary": {"patient": results.examinations.patient.id}})
    for done, output in enumerate(outputs):
        progress(done, len(outputs))
        with folder.replacing(folder.root / output.name) as part:
            output.write(part)
    folder.write_record({"key": key, "summary": summary(results)})


def _outputs(results: CaseResults, language: Language) -> tuple[Output, ...]:
    course = (
        ()
        if results.following.follow_up is None
        else (
            Output(
                name=TIMELINE,
                write=lambda path: timeline_page.write(results, path, language=language),
            ),
        )
    )
    maps = tuple(
        Output(name=found.file, write=lambda path, found=found: _write_map(found, path))  # type: ignore[misc]
        for visit in results.assessments.visits
        for said in visit.classifications
        if (found := said.heat_map) is not None
    )
    return (
        *maps,
        Output(name="dicom", write=lambda path: write_dicom(results, path)),
        Output(name="fhir.json", write=lambda path: fhir.write(results, path)),
        Output(name="results.json", write=lambda path: _write_summary(results, path)),
        Output(
            name="overview.png",
            write=lambda path: pictures.overview(results, path, language=language),
        ),
        Output(name=REPORT, write=lambda path: html.write(results, path, language=language)),
        *course,
        Output(name="report.pdf", write=lambda path: pdf.write(results, path, language=language)),
    )


def _write_map(found: HeatMap, path: Path) -> None:
    path.write_bytes(heat_maps.encoded(found))


def _write_summary(results: CaseResults, path: Path) -> None:
    path.write_text(json.dumps(summary(results), ensure_ascii=False, indent=1) + "\n", "utf-8")


def write_dicom(results: CaseResults, folder: Path) -> None:
    """Write SEG, RTSTRUCT and SR of every visit, the plan with its dose, and the alignments."""
    folder.mkdir()
    for index, visit in enumerate(results.examinations.visits):
        for image in visit.images:
            _write_image_objects(results, index, image, folder / f"visit-{index + 1}")
    _write_plan(results, folder / "plan")
    write_alignments(results, folder / "alignments")


def _write_image_objects(results: CaseResults, index: int, image: Image, place: Path) -> None:
    """Write what was delineated and measured on one image; nothing if there is nothing."""
    patient, now = results.examinations.patient, results.provenance.now
    findings, said = results.findings.visits[index], results.suggestions.visits[index]
    structures = results.segmentations.visits[index].of(image.name)
    shown = StructureSet(tuple(s for s in structures if not s.is_empty))
    point = time_point(results, index, image.name)
    if not len(shown) and (point is None or not (point.gone or point.responses)):
        return
    place.mkdir(exist_ok=True)
    stem = str(place / image.name.lower().replace(" ", "-"))
    if not image.series.is_from_dicom:
        image_series.write(image, patient, Path(f"{stem}-series"), now=now)
    tracking = {o.structure.name: o.tracking_uid for o in findings.lesions if o.image == image.name}
    if len(shown):
        seg, rtstruct = Path(f"{stem}-seg.dcm"), Path(f"{stem}-rtstruct.dcm")
        segmentation.write(shown, image, patient, seg, now=now, tracking=tracking)
        structure_set.write(shown, image, patient, rtstruct, now=now)
    reported = report.compose(
        findings,
        image,
        patient,
        now=now,
        suggestions=said,
        context=report.Context(time_point=point),
    )
    attributes.save(reported, Path(f"{stem}-sr.dcm"))


def _write_plan(results: CaseResults, place: Path) -> None:
    planning = results.planning
    if planning.plan is None:
        return
    patient, now = results.examinations.patient, results.provenance.now
    image = results.examinations.visits[planning.visit].image(planning.image)
    place.mkdir()
    structure_set.write(planning.plan.structures, image, patient, place / "rtstruct.dcm", now=now)
    radiotherapy.write_plan(planning.plan, image, patient, place / "rtplan.dcm", now=now)
    radiotherapy.write_dose(planning.plan, image, patient, place / "rtdose.dcm", now=now)
