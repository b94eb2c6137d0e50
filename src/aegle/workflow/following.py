"""The stage that compares visits: alignment, the same lesions, response, changed tissue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aegle.domain.case import AllFindings, Examinations, Following
from aegle.domain.codes import body_part
from aegle.domain.errors import InputError
from aegle.domain.followed import MODALITIES, followed_images
from aegle.domain.registration import Registration, Verdict
from aegle.domain.response import FollowUp
from aegle.domain.structure import Structure
from aegle.domain.study import Image
from aegle.domain.text import Text
from aegle.domain.tissue_change import VisitChange
from aegle.domain.volume import Quantity
from aegle.imaging.brain import brain_of
from aegle.imaging.registration import RegistrationOptions, register
from aegle.imaging.rigid_ct import RigidOptions, register_rigid
from aegle.imaging.tissue_change import ChangeOptions, tissue_change
from aegle.response.matching import MatchOptions, match
from aegle.response.recist_1_1 import Recist11Options, assess
from aegle.workflow.comparability import Followed, corrected, followed, not_compared
from aegle.workflow.options import CaseOptions
from aegle.workflow.stage import Progress

TOO_FEW = (
    "Follow-up compares {modalities} images of at least two visits, of one kind; there are {count} "
    "visits with any."
)
NO_LESION = "No lesion was found at the first visit, so there is no response to judge."
CHANGE_INSTEAD = (
    "No lesions are delineated, so what changed in the brain is shown instead of a response."
)
BRAIN_ROUGH = (
    "The brain was outlined roughly; for a better comparison give a label map of it, called brain."
)


@dataclass(frozen=True, kw_only=True)
class FollowOptions:
    """How visits are aligned, matched and judged."""

    registration: RigidOptions
    """Of two CTs."""
    alignment: RegistrationOptions
    """Of images of another kind; what moves is rigid."""
    matching: MatchOptions
    recist: Recist11Options
    change: ChangeOptions

    @classmethod
    def of(cls, options: CaseOptions) -> "FollowOptions":
        """Take from the options of a case what following needs."""
        return cls(
            registration=options.registration,
            alignment=options.alignment,
            matching=options.matching,
            recist=options.recist,
            change=options.change,
        )


def follow(
    examinations: Examinations,
    findings: AllFindings,
    *,
    options: FollowOptions,
    progress: Progress,
) -> Following:
    """Align all visits to the first, match the lesions and judge the response.

    CTs are compared, or else MR or PET images of one kind. Where nobody delineated lesions on
    the brain MR of any visit, the tissue that changed is found instead.
    """
    visits = followed(examinations, findings)
    if not visits:
        count = sum(image is not None for image in followed_images(examinations.visits))
        reason = Text(TOO_FEW, {"modalities": ", ".join(MODALITIES), "count": count})
        return Following(follow_up=None, reason=reason)
    first = visits[0].image
    assert first is not None
    registrations = []
    for done, later in enumerate(visits[1:]):
        progress(done, len(visits) - 1)
        registrations.append(
            not_compared(later) if later.image is None else _aligned(first, later.image, options)
        )
    timeline = match(
        tuple(one.findings for one in visits), tuple(registrations), options=options.matching
    )
    changes, told = _changes(visits, registrations, options.change)
    if not timeline.entries and not changes:
        return Following(follow_up=None, reason=Text(NO_LESION), cautions=told)
    timeline, cautions = corrected(timeline, visits)
    pixel_mm = max(max(v.image.volume.grid.spacing_mm[1:]) for v in visits if v.image is not None)
    responses = (
        assess(timeline, options=options.recist, pixel_mm=pixel_mm) if timeline.entries else ()
    )
    return Following(
        follow_up=FollowUp(timeline=timeline, responses=responses, changes=changes),
        reason=Text(CHANGE_INSTEAD) if changes else Text(""),
        cautions=(*cautions, *told),
    )


def _aligned(first: Image, later: Image, options: FollowOptions) -> Registration:
    fixed, moving = first.volume, later.volume
    if fixed.quantity is moving.quantity is Quantity.RADIODENSITY:
        return register_rigid(fixed, moving, options=options.registration)
    # A deformation would follow a lesion's growth, and brains do not deform between visits.
    return register(fixed, moving, options=replace(options.alignment, motion="rigid"))


def _changes(
    visits: Sequence[Followed], registrations: Sequence[Registration], options: ChangeOptions
) -> tuple[tuple[VisitChange, ...], tuple[Text, ...]]:
    """Return what changed from the first visit to each later one, and what to know of it."""
    first = visits[0].image
    if first is None or first.series.modality != "MR" or any(v.findings.lesions for v in visits):
        return (), ()
    given = next((s for s in first.structures if body_part(s.name) == "brain"), None)
    brain = given if given is not None else brain_of(first.volume)
    told = () if given is not None or brain is None else (Text(BRAIN_ROUGH),)
    if brain is None:
        return (), ()
    found: list[VisitChange] = []
    for number, (later, registration) in enumerate(
        zip(visits[1:], registrations, strict=True), start=1
    ):
        if later.image is None or registration.verdict is Verdict.FAILED:
            continue
        try:
            found.append(_change(first, later.image, registration, brain, number, options))
        except InputError as error:
            told = (*told, Text("{error}", {"error": str(error)}))
    return tuple(found), told


def _change(
    first: Image,
    later: Image,
    registration: Registration,
    brain: Structure,
    number: int,
    options: ChangeOptions,
) -> VisitChange:
    change = tissue_change(first.volume, later.volume, registration, brain, options=options)
    return VisitChange(visit=number, change=change)
