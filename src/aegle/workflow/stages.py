"""What each stage of a case does, in terms of the rooms that know how.

Each function is one stage (see :mod:`aegle.workflow.stage`). What a stage cannot do with the
data at hand it says in its result; only data that cannot be used at all raise an error.
"""

from dataclasses import dataclass, replace

from aegle.diagnosis.case_suggestions import suggest_all
from aegle.diagnosis.patient_facts import of_visit, read_facts
from aegle.diagnosis.suggest import NOTHING_STATED, SuggestOptions
from aegle.domain.assessment import AllAssessments, VisitAssessments
from aegle.domain.case import (
    AllFindings,
    AllSuggestions,
    Examinations,
    Following,
    ImageStructures,
    Planning,
    Segmentations,
    VisitStructures,
)
from aegle.domain.codes import StructureType, body_part
from aegle.domain.errors import InputError
from aegle.domain.finding import Lesion, Suggestion
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image
from aegle.domain.text import Text
from aegle.domain.volume import Quantity
from aegle.domain.worklist import Worklist
from aegle.operations.triage import TriageOptions, WaitingExamination, order
from aegle.planning.density_table import DensityTable
from aegle.planning.experienced import ExperienceOptions, experienced
from aegle.planning.photon_plan import PhotonPlanOptions, PrescriptionOptions, prescribe
from aegle.planning.proton_plan import ProtonPlanOptions
from aegle.planning.targets import TargetOptions, make_targets
from aegle.recognition.characterise import CharacteriseOptions, characterise
from aegle.recognition.classify import ClassifyOptions, classify, model_of
from aegle.recognition.lesions import smallest_found_mm
from aegle.recognition.network_thorax import Delineated, OrganOptions, delineate
from aegle.recognition.quality import QualityOptions, assess_quality
from aegle.recognition.thorax_ct import notices as about_organs
from aegle.recognition.tumours import LesionOptions, find_lesions
from aegle.workflow.dose_planning import checked, plan_on
from aegle.workflow.evidencing import with_evidence
from aegle.workflow.options import TargetChoice
from aegle.workflow.stage import Progress

LARGEST_VOXEL_MM = 10.0
"""On coarser grids vessels and lesions look the same."""
SEARCHED = (
    "{image}: solid lesions in the lungs from {size_mm:.1f} mm on were looked for; smaller ones "
    "cannot be told from vessels on this grid."
)
NOT_SEARCHED = "{image}: lesions were not looked for: {why}."


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """How organs and lesions are found."""

    organs: OrganOptions
    lesions: LesionOptions


@dataclass(frozen=True, kw_only=True)
class AssessOptions:
    """How images as a whole are judged."""

    quality: QualityOptions
    classify: ClassifyOptions


@dataclass(frozen=True, kw_only=True)
class SuggestingOptions:
    """How rules are asked, and what is stated beside the images."""

    rules: SuggestOptions
    facts: str = ""
    """JSON text in the form of ``diagnosis.patient_facts``; empty: nothing is stated."""


@dataclass(frozen=True, kw_only=True)
class TreatmentOptions:
    """What is treated and how."""

    choice: TargetChoice
    margins: TargetOptions
    prescription: PrescriptionOptions
    experience: ExperienceOptions
    library_sha256: str
    """Of the library of earlier patients; empty: none."""
    photons: PhotonPlanOptions
    protons: ProtonPlanOptions
    densities: DensityTable | None = None
    """Of the CT's scanner; None: a generic one."""


def assess_images(
    examinations: Examinations, *, options: AssessOptions, progress: Progress
) -> AllAssessments:
    """Say how good every image is, what class a model gives to each radiograph, and why."""
    visits = []
    for done, visit in enumerate(examinations.visits):
        progress(done, len(examinations.visits))
        classified = classify(visit, options=options.classify)
        visits.append(
            VisitAssessments(
                qualities=assess_quality(visit, options=options.quality),
                classifications=tuple(
                    with_evidence(said, visit, done + 1, model_of(options.classify))
                    for said in classified.classifications
                ),
                notices=classified.notices,
            )
        )
    return AllAssessments(tuple(visits))


def find_structures(
    examinations: Examinations, *, options: SegmentOptions, progress: Progress
) -> Segmentations:
    """Delineate every CT, and take over what came with the images."""
    visits = []
    for done, visit in enumerate(examinations.visits):
        progress(done, len(examinations.visits))
        found = [_structures_of(image, options) for image in visit.images]
        visits.append(
            VisitStructures(
                images=tuple(item for item, _ in found),
                notices=tuple(notice for _, notices in found for notice in notices),
            )
        )
    return Segmentations(tuple(visits))


def _structures_of(image: Image, options: SegmentOptions) -> tuple[ImageStructures, list[Text]]:
    """Return what came with an image and what is found in it, and what was not looked for."""
    given = image.structures
    # What a person delineated stands in for what would be found.
    named = {body_part(s.name) for s in given} | {s.name for s in given}
    found = Delineated(organs=StructureSet(()))
    notices: list[Text] = []
    if _is_ct_volume(image):
        found = delineate(image.volume, options=options.organs)
        # How the cord is to be read is said of our own contour only, where it is the canal.
        canal = ("spinal_cord",) if found.is_canal and "spinal_cord" not in named else ()
        ours = [s for s in found.organs if s.name != "spinal_cord" or s.name in canal]
        notices += [*about_organs(StructureSet(tuple(ours))), *found.notices]
    organs = found.organs
    why_not = _why_no_search(image, organs)
    if why_not is None:
        lesions = find_lesions(image.volume, organs, found.tumours, options=options.lesions)
        size_mm = smallest_found_mm(image.volume.grid, options.lesions)
        notices.append(Text(SEARCHED, {"image": image.name, "size_mm": size_mm}))
    else:
        lesions = ()
        notices.append(Text(NOT_SEARCHED, {"image": image.name, "why": why_not}))
    automatic = tuple(s for s in (*organs, *lesions) if s.name not in named)
    structures = StructureSet((*given, *automatic))
    return ImageStructures(image=image.name, structures=structures), notices


def _is_ct_volume(image: Image) -> bool:
    return image.volume.quantity is Quantity.RADIODENSITY and min(image.volume.grid.shape) > 1


def _why_no_search(image: Image, organs: StructureSet) -> Text | None:
    """Return why lesions are not looked for on an image; None if they are."""
    if image.structures.of_type(StructureType.LESION):
        return Text("they came with it")
    if image.volume.quantity is not Quantity.RADIODENSITY:
        return Text("it is not a CT")
    if min(image.volume.grid.shape) == 1:
        return Text("it is a single slice")
    if "lung_right" not in organs and "lung_left" not in organs:
        return Text("no lungs are in the field of view")
    if max(image.volume.grid.spacing_mm) > LARGEST_VOXEL_MM:
        return Text("its voxels are too large")
    return None


def measure(
    examinations: Examinations, segmentations: Segmentations, *, options: CharacteriseOptions
) -> AllFindings:
    """Measure organs and lesions of every visit."""
    pairs = zip(examinations.visits, segmentations.visits, strict=True)
    return AllFindings(
        tuple(characterise(visit, structures, options=options) for visit, structures in pairs)
    )


def suggest_categories(
    examinations: Examinations,
    findings: AllFindings,
    assessments: AllAssessments,
    *,
    options: SuggestingOptions,
) -> AllSuggestions:
    """Ask the published rules about every visit, and take over what models said."""
    stated = read_facts(options.facts, "facts") if options.facts else NOTHING_STATED
    visits = tuple(zip(examinations.visits, findings.visits, assessments.visits, strict=True))
    return AllSuggestions(
        tuple(
            suggest_all(
                visit,
                found,
                options=options.rules,
                assessed=assessed,
                stated=of_visit(stated, number, len(visits)),
            )
            for number, (visit, found, assessed) in enumerate(visits, 1)
        )
    )


def plan_treatment(
    examinations: Examinations,
    segmentations: Segmentations,
    findings: AllFindings,
    *,
    options: TreatmentOptions,
    progress: Progress,
) -> Planning:
    """Plan external-beam radiotherapy of one lesion, if there is one on a CT."""
    if options.choice.visit == "none":
        return Planning(plan=None, reason=Text("No plan was asked for."))
    index = planning_visit(examinations, findings, options.choice)
    if index is None:
        return Planning(plan=None, reason=_why_no_plan(examinations))
    image = examinations.visits[index].ct
    assert image is not None
    structures = segmentations.visits[index].of(image.name)
    lesions = tuple(o for o in findings.visits[index].lesions if o.image == image.name)
    gross, reason = treated(structures, lesions, options.choice)
    if gross is None:
        return Planning(plan=None, reason=reason)
    body = next(iter(structures.of_type(StructureType.EXTERNAL)), None)
    if body is None:
        return Planning(
            plan=None,
            reason=Text("{image}: the body outline was not found.", {"image": image.name}),
        )
    organs = StructureSet(
        tuple(s for s in structures if s.type in (StructureType.ORGAN, StructureType.EXTERNAL))
    )
    try:
        targets = make_targets(body, gross, options=options.margins)
        prescription = prescribe(targets, organs, options=options.prescription)
        known = StructureSet((*targets, *organs))
        prescription, said = experienced(prescription, known, options=options.experience)
        made = plan_on(image, known, prescription, options=options, progress=progress)
        made = replace(made, notices=(*made.notices, *said))
    except InputError as error:
        return Planning(plan=None, reason=Text("No plan was made: {error}", {"error": str(error)}))
    found = checked(made, options)
    return Planning(plan=made, visit=index, image=image.name, reason=reason, check=found)


def planning_visit(
    examinations: Examinations, findings: AllFindings, choice: TargetChoice
) -> int | None:
    """Return the visit to plan on: the first or last with a CT and a lesion on it."""
    fit = [
        index
        for index, visit in enumerate(examinations.visits)
        if visit.ct is not None
        and (choice.target or any(o.image == visit.ct.name for o in findings.visits[index].lesions))
    ]
    if not fit:
        return None
    return fit[0] if choice.visit == "first" else fit[-1]


def _why_no_plan(examinations: Examinations) -> Text:
    if any(visit.ct is not None for visit in examinations.visits):
        return Text("No lesion was found or given on a CT, so there is nothing to plan.")
    return Text("Dose is calculated on CT, and there is none.")


def treated(
    structures: StructureSet, lesions: tuple[Lesion, ...], choice: TargetChoice
) -> tuple[Structure | None, Text]:
    """Return what is treated and why, or nothing and why not."""
    if not choice.target:
        largest = max(lesions, key=lambda lesion: lesion.volume_ml)
        return largest.structure, Text(
            "{lesion} is the largest lesion on the CT ({volume_ml:.1f} mL).",
            {"lesion": _title(largest), "volume_ml": largest.volume_ml},
        )
    for lesion in lesions:
        if choice.target in (lesion.id, lesion.structure.name):
            return lesion.structure, Text("{lesion} was chosen.", {"lesion": _title(lesion)})
    if choice.target in structures:
        return structures[choice.target], Text("{lesion} was chosen.", {"lesion": choice.target})
    there = ", ".join([*map(_title, lesions), *(s.name for s in structures)])
    return None, Text(
        "The chosen target '{target}' is not delineated on the CT; there: {there}.",
        {"target": choice.target, "there": there},
    )


def _title(lesion: Lesion) -> str:
    """Return a lesion's id, with the name that a person gave it."""
    if lesion.structure.origin == "automatic":
        return lesion.id
    return f"{lesion.id} ({lesion.structure.name})"


def order_worklist(
    examinations: Examinations,
    findings: AllFindings,
    suggestions: AllSuggestions,
    following: Following,
    *,
    options: TriageOptions,
) -> Worklist:
    """Say which examination is read first."""
    responses = _responses_by_study(following)
    waiting = tuple(
        WaitingExamination(
            study_uid=visit.study_uid,
            patient_id=visit.patient.id,
            time=visit.time,
            highest_category=_category(said),
            response=responses.get(visit.study_uid),
            largest_mm=max((o.diameters.longest_mm for o in found.lesions), default=0.0),
        )
        for visit, found, said in zip(
            examinations.visits, findings.visits, suggestions.visits, strict=True
        )
    )
    return order(waiting, options=options)


def _category(suggestions: tuple[Suggestion, ...]) -> str:
    """Return the category of the examination as a whole; empty if no rule applies."""
    fitting = (s.category for s in suggestions if s.applies and s.subject == "examination")
    return next(fitting, "")


def _responses_by_study(following: Following) -> dict[str, str]:
    if following.follow_up is None:
        return {}
    uids = following.follow_up.timeline.study_uids
    return {uids[r.visit]: r.category.value for r in following.follow_up.responses}
