"""A radiotherapy plan by itself: from a CT, structures and a prescription to files and a page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aegle
from aegle.domain.assessment import AllAssessments, VisitAssessments
from aegle.domain.case import (
    AllFindings,
    AllSuggestions,
    CaseResults,
    Examinations,
    Following,
    ImageStructures,
    Planning,
    Provenance,
    Segmentations,
    VisitStructures,
)
from aegle.domain.codes import StructureType
from aegle.domain.errors import IdentityError, InputError, OptionError
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.worklist import Worklist
from aegle.planning.alternatives import AlternativeOptions
from aegle.planning.density_table import DensityTable, density_table
from aegle.planning.experienced import ExperienceOptions, experienced
from aegle.planning.photon_plan import PhotonPlanOptions, PrescriptionOptions, prescribe
from aegle.planning.protocol import Protocol, fitted, protocol
from aegle.planning.proton_plan import ProtonPlanOptions
from aegle.planning.structure_names import matching_name
from aegle.planning.targets import TargetOptions, make_targets
from aegle.recognition import body as outlining
from aegle.recognition.network_thorax import OrganOptions
from aegle.recognition.scan import AxialScan
from aegle.record.identity import digest
from aegle.report.language import Language
from aegle.workflow import case_folder
from aegle.workflow.breathing_phases import with_phases
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.dose_planning import checked, compare_on, library_digest, plan_on
from aegle.workflow.options import CaseOptions, TargetChoice
from aegle.workflow.pipeline import Announce, Pipeline, code_digest, unannounced
from aegle.workflow.radiotherapy_files import numbers, publish
from aegle.workflow.radiotherapy_inputs import Subject, from_case, from_files
from aegle.workflow.stage import Progress, Stage
from aegle.workflow.stages import treated

FOLDER = "plan"
"""Where the plan of a case goes, in its folder."""
COVERED_PERCENT = 95.0


@dataclass(frozen=True, kw_only=True)
class PlanInputs:
    """What a plan is made of: a case, or a CT with its structures; and what is prescribed."""

    case: str | Path | None = None
    """Folder of a case; planned on its CT and structures."""
    ct: str | Path | None = None
    """DICOM series, NIfTI, NRRD or MetaImage file, or a ``.mat`` or ``.npz`` phantom."""
    structures: str | Path | None = None
    """RTSTRUCT, SEG, label map, folder of masks, or phantom; None: those that come with the CT."""
    prescription: str | Path | None = None
    """File or name of a protocol; None: what the options or the files themselves prescribe."""
    phases: str | Path | None = None
    """TOML file of phases of breathing; see :mod:`aegle.workflow.breathing_phases`."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Name in the prescription to name of the structure that it stands for."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of one plan."""

    inputs: PlanInputs
    out: Path | None = None
    now: datetime
    options: CaseOptions
    language: Language = "en"


@dataclass(frozen=True, kw_only=True)
class MakingOptions:
    """What is prescribed to what, and how the plan is made."""

    choice: TargetChoice
    margins: TargetOptions
    organs: OrganOptions
    prescription: PrescriptionOptions
    experience: ExperienceOptions
    library_sha256: str
    """Of the library of earlier patients; empty: none."""
    photons: PhotonPlanOptions
    protons: ProtonPlanOptions
    alternatives: AlternativeOptions
    densities: DensityTable | None = None
    protocol: Protocol | None = None
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Planned:
    """A plan, and where its files are."""

    results: CaseResults
    folder: Path


def run(request: Request, *, announce: Announce = unannounced) -> Planned:
    """Make a plan and write it as DICOM, JSON, HTML and PDF.

    A plan that was already made of the same files and options is not made again.

    Raises:
        InputError: No plan can be made of the files; the message says why.
        OptionError: The request is contradictory, or an option or the prescription is wrong.
    """
    out = _require_whole(request)
    inputs = request.inputs
    wanted = None if inputs.prescription is None else protocol(inputs.prescription)
    table = density_table(request.options.density)
    reading = Stage(name="images", run=from_files, needs=(), gives=Subject)
    subject = _subject(request, announce(reading, False))
    making = _making(request.options, wanted, table or subject.densities, inputs.names)
    # What cannot be planned leaves no folder behind.
    prescribed(subject, making)
    with _opened(out) as folder:
        _refuse_another_patient(folder, subject)
        pipeline = Pipeline((Subject,), (Stage.of("plan", plan_subject, making),))
        found, records = pipeline.run(
            folder, {Subject: (subject, subject.digest)}, announce=announce
        )
        provenance = Provenance(
            version=aegle.__version__, now=request.now, inputs=subject.contents, stages=records
        )
        results = _results(subject, found[Planning], provenance)
        writing = Stage(name="report", run=publish, needs=(), gives=CaseResults)
        key = digest(code_digest(), request.language, request.now.isoformat(), records[0].key)
        publish(folder, results, key, language=request.language, progress=announce(writing, False))
    return Planned(results=results, folder=out)


def plan_numbers(planned: Planned) -> dict[str, Any]:
    """Return the numbers of a plan as plain data, as in ``plan.json``."""
    return numbers(planned.results)


def plan_subject(subject: Subject, *, options: MakingOptions, progress: Progress) -> Planning:
    """Plan what is prescribed, and alternatives where they are asked for."""
    known, prescription, reason, notices = prescribed(subject, options)
    asked = (subject.image, known, prescription)
    comparison = None
    if options.alternatives.compared and subject.phases:
        raise OptionError("Alternatives are compared on one CT; leave out the phases of breathing.")
    if options.alternatives.compared:
        made, comparison = compare_on(*asked, options=options, progress=progress)
    else:
        made = plan_on(*asked, options=options, progress=progress, phases=subject.phases)
    made = replace(made, notices=(*made.notices, *notices))
    return Planning(
        plan=made,
        visit=0,
        image=subject.image.name,
        reason=reason,
        check=checked(made, options),
        comparison=comparison,
    )


def prescribed(
    subject: Subject, options: MakingOptions
) -> tuple[StructureSet, Prescription, Text, tuple[Text, ...]]:
    """Return structures with targets and outline, the prescription, and what is to be said.

    Raises:
        InputError: The target is not delineated, or cannot be made.
        OptionError: A name refers to nothing.
    """
    structures, notices = _with_outline(subject, options.organs.skin_hu)
    reason = Text("")
    target = _target_name(subject, structures, options)
    if options.choice.target or (target not in structures and subject.findings.lesions):
        structures, reason = _with_targets(subject, structures, options)
        target = matching_name(target, [s.name for s in structures]) or target
    _require_target(subject, structures, target, options)
    prescription = _prescription(subject, structures, target, options)
    prescription, said = experienced(prescription, structures, options=options.experience)
    notices = (*subject.notices, *notices, *said)
    return _typed(structures, prescription), prescription, reason, notices


def _require_whole(request: Request) -> Path:
    """Return where the plan goes; refuse a request for two things or for none."""
    inputs = request.inputs
    if (inputs.case is None) == (inputs.ct is None):
        raise OptionError("Give the folder of a case, or a CT with --ct; one of them.")
    if inputs.case is not None:
        if inputs.structures is not None:
            raise OptionError(
                "A case has its own structures; give --structures only together with --ct."
            )
        return request.out or Path(inputs.case) / FOLDER
    if request.out is None:
        raise OptionError("Give a folder for the plan with --out.")
    return request.out


def _subject(request: Request, progress: Progress) -> Subject:
    inputs = request.inputs
    if inputs.case is not None:
        subject = from_case(Path(inputs.case), request.options.choice)
    else:
        assert inputs.ct is not None
        structures = None if inputs.structures is None else Path(inputs.structures)
        subject = from_files(
            Path(inputs.ct), structures, options=request.options, progress=progress
        )
    if inputs.phases is None:
        return subject
    return with_phases(subject, Path(inputs.phases), options=request.options)


def _making(
    options: CaseOptions,
    wanted: Protocol | None,
    densities: DensityTable | None,
    names: Mapping[str, str],
) -> MakingOptions:
    return MakingOptions(
        choice=options.choice,
        margins=options.margins,
        organs=options.organs,
        prescription=options.prescription,
        experience=options.experience,
        library_sha256=library_digest(options.experience),
        photons=options.photons,
        protons=options.protons,
        alternatives=options.alternatives,
        densities=densities,
        protocol=wanted,
        names=tuple(sorted(names.items())),
    )


def _with_outline(subject: Subject, skin_hu: float) -> tuple[StructureSet, tuple[Text, ...]]:
    """Add the outline of the body where it is not delineated."""
    structures = subject.structures
    if any(not s.is_empty for s in structures.of_type(StructureType.EXTERNAL)):
        return structures, ()
    ct = subject.image.volume
    mask = outlining.body(ct, skin_hu)
    if not mask.any():
        raise InputError(
            "The outline of the body is not delineated, and the CT shows no patient. Check that it "
            "is in HU."
        )
    found = AxialScan.of(ct).structure("body", mask, type=StructureType.EXTERNAL)
    others = tuple(s for s in structures if s.name != found.name)
    said = Text("The outline of the body was not delineated and was found automatically; check it.")
    return StructureSet((*others, found)), (said,)


def _target_name(subject: Subject, structures: StructureSet, options: MakingOptions) -> str:
    """Return the name of the prescribed target, as delineated if it is."""
    wanted = options.prescription.target
    if options.protocol is not None:
        wanted = options.protocol.prescription.target
    elif subject.target and wanted == PrescriptionOptions().target:
        wanted = subject.target
    wanted = dict(options.names).get(wanted, wanted)
    return matching_name(wanted, [s.name for s in structures]) or wanted


def _with_targets(
    subject: Subject, structures: StructureSet, options: MakingOptions
) -> tuple[StructureSet, Text]:
    """Make GTV, CTV and PTV from what is to be treated."""
    gross, reason = treated(structures, subject.findings.lesions, options.choice)
    if gross is None:
        raise InputError(str(reason))
    bodies = (s for s in structures.of_type(StructureType.EXTERNAL) if not s.is_empty)
    targets = make_targets(next(bodies), gross, options=options.margins)
    others = tuple(s for s in structures if s.name not in targets)
    return StructureSet((*targets, *others)), reason


def _require_target(
    subject: Subject, structures: StructureSet, target: str, options: MakingOptions
) -> None:
    if target in structures:
        return
    said = " ".join(str(t) for t in subject.notices if t.values.get("name") == target)
    if said:
        raise InputError(
            f"The target '{target}' lies outside the CT, wholly or in its contours. {said} Check "
            "that structures and CT belong together."
        )
    there = ", ".join(sorted(s.name for s in structures))
    asked = options.protocol.prescription if options.protocol else options.prescription
    raise InputError(
        f"The target '{target}' is not delineated; there: {there}. Say which structure it is with "
        f"--name '{asked.target}=...', or have it made around a tumour with --set choice.target=..."
    )


def _prescription(
    subject: Subject, structures: StructureSet, target: str, options: MakingOptions
) -> Prescription:
    if options.protocol is not None:
        return fitted(options.protocol.prescription, structures, dict(options.names))
    if subject.dose_gy > 0 and target == subject.target:
        coverage = Goal(
            structure=target,
            metric=Metric.DOSE_AT_VOLUME,
            at=COVERED_PERCENT,
            at_least=subject.dose_gy,
            source="95 % of the PTV receives the prescribed dose; D95 as in ICRU Report 83 (2010)",
        )
        return Prescription(
            target=target,
            dose_gy=subject.dose_gy,
            fractions=options.prescription.fractions,
            goals=(coverage, *subject.goals),
        )
    kinds = (StructureType.ORGAN, StructureType.AVOIDANCE)
    organs = tuple(s for s in structures if s.type in kinds and s.name != target)
    asked = replace(options.prescription, target=target)
    return prescribe(structures, StructureSet(organs), options=asked)


def _typed(structures: StructureSet, prescription: Prescription) -> StructureSet:
    """Mark as targets what a dose is asked of."""
    wanted = {goal.structure for goal in prescription.goals if goal.at_least is not None}
    wanted.add(prescription.target)

    def typed(structure: Structure) -> Structure:
        is_organ = structure.type in (StructureType.ORGAN, StructureType.AVOIDANCE)
        if structure.name in wanted and is_organ:
            return replace(structure, type=StructureType.TARGET)
        return structure

    return StructureSet(tuple(map(typed, structures)))


@contextmanager
def _opened(out: Path) -> Iterator[CaseFolder]:
    """Open the folder of a plan; it vanishes again if it was made for a plan that failed."""
    was_there = out.exists()
    try:
        with case_folder.opened(out) as folder:
            yield folder
    except InputError:
        if not was_there:
            case_folder.clear(out)
        raise


def _refuse_another_patient(folder: CaseFolder, subject: Subject) -> None:
    """Never replace one patient's plan with another's."""
    held = folder.record().get("summary", {}).get("patient")
    if held is not None and held != subject.patient.id:
        raise IdentityError(
            f"{folder.root} holds a plan of patient '{held}', the files belong to "
            f"'{subject.patient.id}'. Give another folder with --out."
        )


def _results(subject: Subject, planning: Planning, provenance: Provenance) -> CaseResults:
    """Return the plan as a case of one visit."""
    delineated = ImageStructures(image=subject.image.name, structures=subject.structures)
    return CaseResults(
        examinations=Examinations(subject.patient, (subject.visit,)),
        segmentations=Segmentations((VisitStructures(images=(delineated,)),)),
        findings=AllFindings((subject.findings,)),
        suggestions=AllSuggestions(((),)),
        planning=planning,
        following=Following(follow_up=None),
        worklist=Worklist(items=()),
        provenance=provenance,
        assessments=AllAssessments((VisitAssessments(),)),
    )
