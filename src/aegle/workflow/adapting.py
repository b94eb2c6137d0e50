"""A plan that is being given, judged on a later CT: files in, a page and a proposal out.

OUT/adaptation.json                     reasons, goals and doses, of the day and in all
OUT/adaptation.html, adaptation.pdf     both plans on the CT of the day, if there is a new one
OUT/dicom                               RTSTRUCT, RTPLAN and RTDOSE of the proposal
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.dicom import radiotherapy, structure_set
from aegle.domain.adaptation import Adaptation
from aegle.domain.codes import StructureType
from aegle.domain.errors import IdentityError, OptionError
from aegle.domain.plan import Plan, ProtonBeam
from aegle.domain.registration import Motion
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Volume
from aegle.imaging.registration import register
from aegle.planning.density_table import calibrated, density_table
from aegle.planning.photon_plan import photons
from aegle.planning.plan_check import agreement
from aegle.planning.proton_plan import protons
from aegle.planning.radiation import Radiation
from aegle.planning.targets import GTV, make_targets
from aegle.report import comparison_page, html, pdf
from aegle.report.comparison_page import Heading
from aegle.report.files import write_whole
from aegle.report.language import Language, words
from aegle.report.plan_comparison import Pair
from aegle.workflow.adaptation import Today, adapt
from aegle.workflow.options import CaseOptions
from aegle.workflow.plan_comparing import goal_numbers, kept_plan
from aegle.workflow.radiotherapy_inputs import Subject, from_files, scanned_ct
from aegle.workflow.stage import Progress, silent

PAGE, PAPER, NUMBERS, DICOM = "adaptation.html", "adaptation.pdf", "adaptation.json", "dicom"
NAMES = ("plan as given", "adapted plan")


@dataclass(frozen=True, kw_only=True)
class AdaptationInputs:
    """What is judged."""

    plan: str | Path
    """Folder of ``aegle plan`` or ``aegle run``."""
    ct: str | Path
    """CT of the day."""
    structures: str | Path | None = None
    """Drawn on it: RTSTRUCT, SEG, label map or folder of masks; what is missing is carried over."""
    planning_ct: str | Path | None = None
    """CT that was planned on; None: the folder of the plan holds it."""


@dataclass(frozen=True, kw_only=True)
class AdaptationRequest:
    """What is asked of one adaptation."""

    inputs: AdaptationInputs
    out: Path
    now: datetime
    options: CaseOptions
    language: Language = "en"


@dataclass(frozen=True, eq=False, kw_only=True)
class Adapted:
    """What was found, and where it is written."""

    found: Adaptation
    folder: Path

    @property
    def numbers(self) -> dict[str, Any]:
        """What was found as plain data, as in ``adaptation.json``."""
        return adaptation_numbers(self.found)


def adapt_plan(request: AdaptationRequest, *, progress: Progress = silent) -> Adapted:
    """Judge a plan on a later CT, and write a proposal if there is a reason.

    Raises:
        InputError: A file cannot be used, or the CTs cannot be aligned.
        IdentityError: The CTs belong to different patients.
        OptionError: The planning CT is needed and not given.
    """
    inputs, options = request.inputs, request.options
    kept = kept_plan(Path(inputs.plan))
    subject = _of_the_day(inputs, options)
    if kept.patient and subject.patient.id and kept.patient != subject.patient.id:
        raise IdentityError(
            f"{inputs.plan} belongs to patient '{kept.patient}', {inputs.ct} to "
            f"'{subject.patient.id}'. Only later CTs of the same patient are judged."
        )
    before = _planning_ct(inputs, kept.image, options)
    ct, today_ct = (_with_densities(image.volume, options) for image in (before, subject.image))
    alignment = register(ct, today_ct, options=options.alignment)
    setup = register(ct, today_ct, options=replace(options.alignment, motion=Motion.RIGID.value))
    found = adapt(
        kept.plan,
        ct,
        Today(ct=today_ct, alignment=alignment, setup=setup, drawn=_drawn(subject, options)),
        radiation=_radiation(kept.plan, options),
        options=options.adaptation,
        progress=progress,
    )
    request.out.mkdir(parents=True, exist_ok=True)
    if found.adapted is not None:
        _write_proposal(found.adapted, found, subject, request)
    text = json.dumps(adaptation_numbers(found), ensure_ascii=False, indent=1)
    write_whole(request.out / NUMBERS, f"{text}\n".encode())
    return Adapted(found=found, folder=request.out)


def adaptation_numbers(found: Adaptation) -> dict[str, Any]:
    """Return what was found as plain data."""
    accumulated = found.accumulated
    return {
        "fractions_given": found.fractions_given,
        "reasons": [
            {"id": one.id, "value": one.value, "reason": str(one.reason), "source": one.source}
            for one in found.fired
        ],
        "planned": [goal_numbers(result) for result in found.plan.goals],
        "day": [goal_numbers(result) for result in found.day.goals],
        "accumulated": {
            "goals": [goal_numbers(result) for result in found.accumulated_goals],
            "conserves_energy": accumulated.conserves_energy,
            "given_j": accumulated.given_j,
            "arrived_j": accumulated.arrived_j,
        },
        "adapted": None
        if found.adapted is None
        else [goal_numbers(result) for result in found.adapted.goals],
        "notices": [str(notice) for notice in found.notices],
    }


def _of_the_day(inputs: AdaptationInputs, options: CaseOptions) -> Subject:
    if inputs.structures is None:
        return scanned_ct(Path(inputs.ct), options)
    return from_files(Path(inputs.ct), Path(inputs.structures), options=options)


def _planning_ct(inputs: AdaptationInputs, kept: Image | None, options: CaseOptions) -> Image:
    if inputs.planning_ct is not None:
        return scanned_ct(Path(inputs.planning_ct), options).image
    if kept is None:
        raise OptionError(
            f"{inputs.plan} does not hold the CT that was planned on; give it with --planning-ct."
        )
    return kept


def _with_densities(ct: Volume, options: CaseOptions) -> Volume:
    table = density_table(options.density)
    return ct if table is None else calibrated(ct, table)


def _drawn(subject: Subject, options: CaseOptions) -> StructureSet:
    """Return what is drawn on the CT of the day, with targets made around a tumour without any."""
    drawn = subject.structures
    gross = drawn[GTV] if GTV in drawn else next(iter(drawn.of_type(StructureType.LESION)), None)
    if gross is None or drawn.of_type(StructureType.TARGET):
        return drawn
    body: Structure | None = next(iter(drawn.of_type(StructureType.EXTERNAL)), None)
    targets = make_targets(body, gross, options=options.margins)
    others = tuple(one for one in drawn if one.name not in targets and one is not gross)
    return StructureSet((*targets, *others))


def _radiation(plan: Plan, options: CaseOptions) -> Radiation:
    if isinstance(plan.beams[0], ProtonBeam):
        return protons(options.protons)
    return photons(options.photons)


def _write_proposal(
    adapted: Plan, found: Adaptation, subject: Subject, request: AdaptationRequest
) -> None:
    image, patient = subject.image, subject.patient
    given = replace(
        found.plan,
        dose=found.day.dose,
        structures=found.day.structures,
        curves=found.day.curves,
        goals=found.day.goals,
        scenarios=(),
        notices=(),
    )
    told = words(request.language)
    pair = Pair(
        image=image,
        first=given,
        second=adapted,
        names=(told(NAMES[0]), told(NAMES[1])),
        gamma=agreement(given, adapted, options=request.options.gamma),
    )
    heading = Heading(patient=Patient(id=patient.id), now=request.now)
    page = comparison_page.build(
        heading,
        pair,
        request.language,
        reasons=tuple(one.reason for one in found.fired),
        notices=found.notices,
    )
    write_whole(request.out / PAGE, html.render(page).encode("utf-8"))
    write_whole(request.out / PAPER, pdf.render(page))
    folder = request.out / DICOM
    folder.mkdir(exist_ok=True)
    now = request.now
    structure_set.write(adapted.structures, image, patient, folder / "rtstruct.dcm", now=now)
    radiotherapy.write_plan(adapted, image, patient, folder / "rtplan.dcm", now=now)
    radiotherapy.write_dose(adapted, image, patient, folder / "rtdose.dcm", now=now)
