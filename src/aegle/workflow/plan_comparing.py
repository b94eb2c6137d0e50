"""Two plans of one patient beside each other.

Each is a folder that holds a plan of Aegle, or RT Dose with RT Structure Set as any system writes
them.

OUT/comparison.html, comparison.pdf    the page
OUT/comparison.json                    goals, doses and gamma of both
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from aegle.dicom import image_series, radiotherapy
from aegle.dicom.ion_beams import read_ion_beams
from aegle.dicom.plan_beams import read_beams
from aegle.dicom.scan import scan
from aegle.domain.case import Examinations, Planning
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, IdentityError, InputError, OptionError
from aegle.domain.plan import Beam, GoalResult, Plan, Prescription
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.resample import resample
from aegle.planning.dose_volume import CurveOptions, curve, evaluate
from aegle.planning.plan_check import agreement
from aegle.planning.protocol import fitted, protocol
from aegle.report import comparison_page, html, pdf
from aegle.report.comparison_page import Heading
from aegle.report.files import write_whole
from aegle.report.language import Language
from aegle.report.plan_comparison import Pair
from aegle.workflow.case_folder import KEY, CaseFolder
from aegle.workflow.options import CaseOptions
from aegle.workflow.radiotherapy_inputs import from_files, scanned_ct
from aegle.workflow.stage import Progress, silent

RTDOSE, RTSTRUCT, RTPLAN, RTIONPLAN = (
    f"1.2.840.10008.5.1.4.1.1.481.{number}" for number in (2, 3, 5, 8)
)
AIR_HU = -1000.0
PAGE, PAPER, NUMBERS = "comparison.html", "comparison.pdf", "comparison.json"


@dataclass(frozen=True, kw_only=True)
class ComparisonInputs:
    """Which plans are compared, and what with."""

    first: str | Path
    """Folder of ``aegle plan`` or ``aegle run``, or one with RT Dose and RT Structure Set."""
    second: str | Path
    ct: str | Path | None = None
    """CT that the pictures are drawn on, and that an RT Structure Set was delineated on."""
    prescription: str | Path | None = None
    """What RT Doses are judged by; None: what the other plan was made for."""
    names: tuple[str, str] | None = None
    """What the two are called; None: as their folders."""


@dataclass(frozen=True)
class ComparisonRequest:
    """What is asked of one comparison."""

    inputs: ComparisonInputs
    out: Path
    now: datetime
    options: CaseOptions
    language: Language = "en"

    @property
    def places(self) -> tuple[Path, Path]:
        """The two folders."""
        return Path(self.inputs.first), Path(self.inputs.second)


@dataclass(frozen=True, eq=False, kw_only=True)
class Compared:
    """Two plans beside each other, and where their page is."""

    pair: Pair
    folder: Path

    @property
    def numbers(self) -> dict[str, Any]:
        """What the plans reach as plain data, as in ``comparison.json``."""
        return comparison_numbers(self.pair)


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """A plan with the patient it belongs to, and its CT where that is kept."""

    plan: Plan
    patient: str
    image: Image | None


def compare_plans(request: ComparisonRequest, *, progress: Progress = silent) -> Compared:
    """Compare two plans of one patient and write a page.

    Raises:
        InputError: A folder holds no plan, or the plans belong to different patients.
        OptionError: A CT or a prescription is needed and not given.
    """
    progress(0, 3)
    first, second = _sides(request)
    if first.patient != second.patient:
        raise IdentityError(
            f"{request.places[0]} belongs to patient '{first.patient}', {request.places[1]} to "
            f"'{second.patient}'. Only plans of one patient are compared."
        )
    progress(1, 3)
    image = _image(request) or first.image or second.image or _outlined(first.plan)
    pair = Pair(
        image=image,
        first=first.plan,
        second=second.plan,
        names=request.inputs.names or (request.places[0].name, request.places[1].name),
        gamma=agreement(first.plan, second.plan, options=request.options.gamma),
    )
    progress(2, 3)
    heading = Heading(patient=Patient(id=first.patient), now=request.now)
    page = comparison_page.build(heading, pair, request.language)
    request.out.mkdir(parents=True, exist_ok=True)
    write_whole(request.out / PAGE, html.render(page).encode("utf-8"))
    write_whole(request.out / PAPER, pdf.render(page))
    text = json.dumps(comparison_numbers(pair), ensure_ascii=False, indent=1)
    write_whole(request.out / NUMBERS, f"{text}\n".encode())
    progress(3, 3)
    return Compared(pair=pair, folder=request.out)


def comparison_numbers(pair: Pair) -> dict[str, Any]:
    """Return what two plans reach, as plain data."""
    gamma = pair.gamma
    return {
        "plans": [
            {
                "name": name,
                "machine": plan.machine,
                "dose_gy": plan.prescription.dose_gy,
                "fractions": plan.prescription.fractions,
                "goals": [goal_numbers(result) for result in plan.goals],
                "mean_gy": {curve.structure: curve.mean_gy for curve in plan.curves},
            }
            for name, plan in zip(pair.names, (pair.first, pair.second), strict=True)
        ],
        "gamma": None
        if gamma is None
        else {
            "dose_percent": gamma.dose_percent,
            "distance_mm": gamma.distance_mm,
            "is_local": gamma.is_local,
            "cutoff_percent": gamma.cutoff_percent,
            "judged": gamma.judged,
            "pass_percent": gamma.pass_percent,
        },
    }


def goal_numbers(result: GoalResult) -> dict[str, Any]:
    """Return a goal and what was reached as plain data."""
    goal = result.goal
    return {
        "structure": goal.structure,
        "metric": goal.metric.value,
        "at": goal.at,
        "at_least": goal.at_least,
        "at_most": goal.at_most,
        "value": result.value,
        "is_met": result.is_met,
    }


def _image(request: ComparisonRequest) -> Image | None:
    """Return the CT that was given for the pictures."""
    if request.inputs.ct is None:
        return None
    return scanned_ct(Path(request.inputs.ct), request.options).image


def _sides(request: ComparisonRequest) -> tuple[Side, Side]:
    kept = [kept_plan(place) if _is_kept(place) else None for place in request.places]
    asked = next((one.plan.prescription for one in kept if one is not None), None)
    if request.inputs.prescription is not None:
        asked = protocol(request.inputs.prescription).prescription
    pairs = zip(kept, request.places, strict=True)
    first, second = (one or _given(place, request, asked) for one, place in pairs)
    return first, second


def _is_kept(place: Path) -> bool:
    return (place / "stages" / "plan" / KEY).is_file()


def kept_plan(place: Path) -> Side:
    """Return a plan that Aegle made.

    Raises:
        InputError: The folder holds none.
    """
    if not _is_kept(place):
        raise InputError(f"{place}: no plan is kept there; give a folder of `aegle plan` or `run`.")
    folder = CaseFolder(place)
    planning = folder.load("plan", Planning)
    if planning.plan is None:
        raise InputError(f"{place}: the case has no plan. {planning.reason}")
    image = None
    if (folder.stages / "images" / KEY).is_file():
        examinations = folder.load("images", Examinations)
        image = examinations.visits[planning.visit].image(planning.image)
    patient = str(folder.record().get("summary", {}).get("patient", ""))
    return Side(plan=planning.plan, patient=patient, image=image)


def _files(place: Path, request: ComparisonRequest) -> dict[str, Path]:
    """Return the RT objects of a folder by class; one of each.

    Raises:
        InputError: RT Dose or RT Structure Set are missing, or there are several.
    """
    found: dict[str, Path] = {}
    for series in scan((place,), options=request.options.scan).objects:
        for instance in series.instances:
            kind = instance.sop_class_uid
            if kind not in (RTDOSE, RTSTRUCT, RTPLAN, RTIONPLAN):
                continue
            if kind in found:
                raise FileError(
                    place, "holds several RT objects of one kind.", "Give the files of one plan."
                )
            found[kind] = Path(instance.source.name)
    if RTDOSE not in found or RTSTRUCT not in found:
        raise FileError(
            place,
            "holds neither a plan of Aegle nor an RT Dose with an RT Structure Set.",
            "Give a folder that `aegle plan` wrote, or one with both files.",
        )
    return found


def _given(place: Path, request: ComparisonRequest, asked: Prescription | None) -> Side:
    """Return a plan that comes as RT objects."""
    files = _files(place, request)
    if request.inputs.ct is None:
        raise OptionError(f"{place}: give the CT that its structures were delineated on with --ct.")
    if asked is None:
        raise OptionError(
            f"{place}: it is not known what was prescribed; give --prescription, or compare with "
            "a plan of Aegle."
        )
    own = from_files(Path(request.inputs.ct), files[RTSTRUCT], options=request.options)
    wanted = fitted(asked, own.structures, {})
    there = {s.name for s in own.structures if not s.is_empty}
    wanted = replace(wanted, goals=tuple(g for g in wanted.goals if g.structure in there))
    dose = resample(radiotherapy.read_dose(files[RTDOSE]), own.image.volume.grid, outside=0.0)
    dose = replace(dose, values=np.maximum(dose.values, 0))
    shown = tuple(
        s for s in own.structures if not s.is_empty and s.type is not StructureType.EXTERNAL
    )
    beams, is_of_protons = _beams(files)
    plan = Plan(
        prescription=wanted,
        machine="",
        beams=beams,
        dose=dose,
        structures=StructureSet(tuple(s for s in own.structures if not s.is_empty)),
        curves=tuple(curve(dose, structure, options=CurveOptions()) for structure in shown),
        goals=evaluate(wanted.goals, dose, own.structures),
        rbe=1.1 if is_of_protons else 1.0,
    )
    return Side(plan=plan, patient=own.patient.id, image=own.image)


def _beams(files: dict[str, Path]) -> tuple[tuple[Beam, ...], bool]:
    """Return beams where they can be read, and whether they are protons."""
    try:
        if RTIONPLAN in files:
            return read_ion_beams(files[RTIONPLAN]), True
        if RTPLAN in files:
            return read_beams(files[RTPLAN]), False
    except FileError:
        # Dose and structures can be compared without beams that are not understood.
        pass
    return (), RTIONPLAN in files


def _outlined(plan: Plan) -> Image:
    """Return the outline of the body as an image, where no CT is at hand."""
    grid = plan.dose.grid
    values = np.full(grid.shape, AIR_HU, np.float32)
    for body in plan.structures.of_type(StructureType.EXTERNAL):
        values[body.mask] = 0.0
    ct = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    series = image_series.reference(ct, "", modality="CT", study="comparison")
    return Image(name="outline of the body, no CT given", volume=ct, series=series)
