"""A made patient through the whole journey, with the truth beside what was measured."""

import json
import math
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.dicom import image_series
from aegle.domain.case import CaseResults
from aegle.domain.errors import OptionError
from aegle.domain.finding import Findings, Lesion, LesionKind
from aegle.domain.study import Image
from aegle.phantoms.thorax import MadeVisit, ThoraxOptions, make_visit
from aegle.record.identity import digest
from aegle.report.language import Language
from aegle.workflow import journey
from aegle.workflow.case_folder import PART, CaseFolder
from aegle.workflow.options import CaseOptions, TargetChoice
from aegle.workflow.pipeline import Announce, code_digest, unannounced
from aegle.workflow.stage import Progress, Stage

VISITS = 3
TRUTH = "truth.json"
EXPECTED_RESPONSES = {1: "PR", 2: "PD"}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A number of the report beside the known truth."""

    visit: int
    """1 for the first."""
    what: str
    measured: float | str
    truth: float | str
    unit: str
    tolerance: str
    agrees: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Demo:
    """What the demo gives."""

    results: CaseResults
    agreement: tuple[Agreement, ...]
    case: Path


def run(
    out: Path,
    *,
    now: datetime,
    language: Language = "en",
    options: ThoraxOptions | None = None,
    announce: Announce = unannounced,
) -> Demo:
    """Make a patient, write the images as DICOM, and take them through every stage.

    Args:
        out: Folder; the images go to ``out/images``, the case to ``out/case``.
        now: Time stamp on everything written.
        language: Language of the report.
        options: Seed and size of the patient.
        announce: Told of each stage before it starts.
    """
    options = options or ThoraxOptions()
    images = out / "images"
    key = digest(code_digest(), repr(options))
    truth = _kept_truth(out)
    is_made = truth.get("key") == key
    progress = announce(Stage(name="patient", run=make_images, needs=(), gives=Path), is_made)
    if not is_made:
        truth = make_images(out, key, options, progress)
    request = journey.Request(
        paths=(images,),
        out=out / "case",
        now=now,
        options=replace(CaseOptions(), choice=TargetChoice(visit="first")),
        language=language,
    )
    results = journey.run(request, announce=announce)
    return Demo(results=results, agreement=compare(results, truth), case=out / "case")


def make_images(out: Path, key: str, options: ThoraxOptions, progress: Progress) -> dict[str, Any]:
    """Write the made patient as DICOM series under ``out/images``; return the truth.

    The truth is kept beside them as ``truth.json``, written last.
    """
    if out.is_dir() and any(not _is_ours(p.name) for p in out.iterdir()):
        raise OptionError(f"{out} holds other files; give a new or empty folder with --out.")
    visits = []
    with CaseFolder(out).replacing(out / "images") as part:
        for index in range(VISITS):
            progress(index, VISITS)
            made = make_visit(index, options=options)
            _write_visit(made, index, part / f"visit-{index + 1}")
            visits.append(_truth_of(made))
    truth = {"key": key, "visits": visits}
    with CaseFolder(out).replacing(out / TRUTH) as part:
        part.write_text(json.dumps(truth, indent=1) + "\n")
    return truth


def _write_visit(made: MadeVisit, index: int, folder: Path) -> None:
    """Write CT and PET of a visit; both lie in one frame of reference."""
    series = [("CT", made.ct)] + ([("PT", made.pet)] if made.pet is not None else [])
    for modality, volume in series:
        reference = image_series.reference(
            volume,
            made.patient.id,
            modality=modality,
            study=f"visit {index + 1}",
            time=made.acquired,
            description=made.description,
        )
        image = Image(name=modality, volume=volume, series=reference)
        image_series.write(
            image, made.patient, folder / modality, now=made.acquired, body_part="CHEST"
        )


def _truth_of(made: MadeVisit) -> dict[str, Any]:
    return {
        "lungs_ml": {n: made.structures[n].volume_ml for n in ("lung_right", "lung_left")},
        "voxel_mm": made.ct.grid.spacing_mm[2],
        "lesions": [
            {
                "name": lesion.name,
                "kind": lesion.kind.value,
                "centre_mm": list(lesion.centre_mm),
                "longest_mm": lesion.longest_mm,
                "perpendicular_mm": lesion.perpendicular_mm,
            }
            for lesion in made.lesions
        ],
    }


def _kept_truth(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((out / TRUTH).read_text()))
    except (OSError, ValueError):
        return {}


def compare(results: CaseResults, truth: dict[str, Any]) -> tuple[Agreement, ...]:
    """Return every number that is known exactly beside the one that was measured."""
    rows: list[Agreement] = []
    for index, known in enumerate(truth["visits"]):
        rows += _lungs(results.findings.visits[index], index, known)
        rows += _lesions(results.findings.visits[index], index, known)
    rows.append(_lung_rads(results))
    return (*rows, *_responses(results))


def _lungs(findings: Findings, index: int, known: dict[str, Any]) -> list[Agreement]:
    measured = {o.name: o.volume_ml for o in findings.organs}
    return [
        Agreement(
            visit=index + 1,
            what=name,
            measured=measured.get(name, 0.0),
            truth=volume_ml,
            unit="mL",
            tolerance="3 %",
            agrees=abs(measured.get(name, 0.0) - volume_ml) <= 0.03 * volume_ml,
        )
        for name, volume_ml in known["lungs_ml"].items()
    ]


def _lesions(findings: Findings, index: int, known: dict[str, Any]) -> list[Agreement]:
    rows = []
    for lesion in known["lesions"]:
        # Lymph nodes lie in the mediastinum, where the classical finder does not look.
        if lesion["kind"] == LesionKind.LYMPH_NODE.value:
            continue
        found = _nearest(findings, lesion["centre_mm"], lesion["longest_mm"])
        measured = 0.0 if found is None else found.diameters.longest_mm
        rows.append(
            Agreement(
                visit=index + 1,
                what=lesion["name"],
                measured=measured,
                truth=lesion["longest_mm"],
                unit="mm",
                tolerance=f"{known['voxel_mm']:.1f} mm",
                agrees=abs(measured - lesion["longest_mm"]) <= known["voxel_mm"],
            )
        )
    return rows


def _nearest(findings: Findings, centre_mm: list[float], size_mm: float) -> Lesion | None:
    """Return the lesion whose centre lies within the true one's radius."""
    near = [
        (math.dist(lesion.structure.centroid_mm, centre_mm), lesion) for lesion in findings.lesions
    ]
    distance_mm, lesion = min(near, key=lambda pair: pair[0], default=(math.inf, None))
    return lesion if distance_mm <= size_mm / 2 else None


def _lung_rads(results: CaseResults) -> Agreement:
    said = [s for s in results.suggestions.visits[0] if s.subject == "examination"]
    category = said[0].category if said else ""
    return Agreement(
        visit=1,
        what="Lung-RADS",
        measured=category,
        truth="4B",
        unit="",
        tolerance="4B or 4X",
        agrees=category in ("4B", "4X"),
    )


def _responses(results: CaseResults) -> list[Agreement]:
    follow_up = results.following.follow_up
    given = {} if follow_up is None else {r.visit: r.category.value for r in follow_up.responses}
    return [
        Agreement(
            visit=visit + 1,
            what="RECIST 1.1",
            measured=given.get(visit, ""),
            truth=expected,
            unit="",
            tolerance="same",
            agrees=given.get(visit) == expected,
        )
        for visit, expected in EXPECTED_RESPONSES.items()
    ]


def _is_ours(name: str) -> bool:
    return name in ("images", "case", TRUTH) or name.startswith(PART)
