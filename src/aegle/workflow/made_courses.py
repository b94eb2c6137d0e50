"""Made patients through the follow-up, beside what is true of them.

The images of a treated made patient take the way of a user's: lesions delineated (given as label
maps, or found by the program), measured, the visits aligned, the lesions matched, the response
judged. Beside it stands the response by the true diameters of the same targets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aegle.dicom import image_series
from aegle.domain.case import (
    AllFindings,
    Examinations,
    Following,
    ImageStructures,
    Segmentations,
    VisitStructures,
)
from aegle.domain.codes import LUNGS
from aegle.domain.finding import Lesion, LesionKind
from aegle.domain.response import FollowUp
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry
from aegle.phantoms.lesions import MadeLesion
from aegle.phantoms.thorax import VISITS, MadeVisit, ThoraxOptions, make_visit
from aegle.response.recist_1_1 import assess
from aegle.workflow.following import FollowOptions, follow
from aegle.workflow.options import CaseOptions
from aegle.workflow.stage import silent
from aegle.workflow.stages import SegmentOptions, find_structures, measure

SHAPE = (60, 128, 128)
CLEAR_MM, CLEAR_SHARE = 3.0, 0.05
"""A true sum that lies so far from a limit, or so large a share of it, must be judged right."""


@dataclass(frozen=True, kw_only=True)
class MadeResponse:
    """One later visit of a made patient: what was said, and what is true."""

    seed: int
    visit: int
    found: str
    expected: str
    sum_mm: float
    true_sum_mm: float
    clearance: float
    """Distance of the true sums from the nearest limit, in multiples of the one from which the
    category must be right; infinite where no size decides."""
    is_called_uncertain: bool

    @property
    def is_clear(self) -> bool:
        """Whether the category must be right."""
        return self.clearance >= 1


def followed_course(
    seed: int, *, are_given: bool = True, options: CaseOptions | None = None
) -> tuple[MadeResponse, ...]:
    """Follow one made patient over three visits.

    Args:
        seed: Of the patient.
        are_given: Whether the true masks come with the images, or lesions are looked for.
        options: Of every stage; what users get by default.

    Returns:
        One row for each later visit; none if the patient has no lesion at the first.
    """
    patient = ThoraxOptions(seed=seed, shape=SHAPE, varied=True, treated=True)
    made = [make_visit(number, options=patient) for number in range(VISITS)]
    findings, following = _followed(made, are_given, options or CaseOptions())
    if following.follow_up is None:
        return ()
    return _beside_truth(seed, made, findings, following.follow_up)


def _followed(
    made: Sequence[MadeVisit], are_given: bool, options: CaseOptions
) -> tuple[AllFindings, Following]:
    examinations = Examinations(
        made[0].patient, tuple(_examination(one, n) for n, one in enumerate(made))
    )
    if are_given:
        segmentations = Segmentations(
            tuple(
                VisitStructures(images=(ImageStructures(image="CT", structures=_drawn(one)),))
                for one in made
            )
        )
    else:
        segmenting = SegmentOptions(organs=options.organs, lesions=options.lesions)
        segmentations = find_structures(examinations, options=segmenting, progress=silent)
    findings = measure(examinations, segmentations, options=options.measure)
    following = follow(
        examinations,
        findings,
        options=FollowOptions.of(options),
        progress=silent,
    )
    return findings, following


def _examination(made: MadeVisit, number: int) -> Examination:
    series = image_series.reference(
        made.ct, made.patient.id, modality="CT", study=f"visit {number}", time=made.acquired
    )
    return Examination(
        patient=made.patient,
        study_uid=series.study_uid,
        time=made.acquired,
        images=(Image(name="CT", volume=made.ct, series=series),),
    )


def _drawn(made: MadeVisit) -> StructureSet:
    """Return lungs and lesions as they would come in a label map."""
    names = {*LUNGS, *(lesion.name for lesion in made.lesions)}
    return StructureSet(
        tuple(replace(s, origin="labelmap") for s in made.structures if s.name in names)
    )


def _beside_truth(
    seed: int, made: Sequence[MadeVisit], findings: AllFindings, follow_up: FollowUp
) -> tuple[MadeResponse, ...]:
    timeline = follow_up.timeline
    lesions = {o.id: o for o in findings.visits[0].lesions}
    targets = {
        name
        for entry in timeline.at(0)
        if entry.is_target and (name := _name_of(lesions[str(entry.lesion_id)], made[0].lesions))
    }
    truth = _true_timeline(timeline.study_uids, made, targets)
    expected = assess(truth, options=CaseOptions().recist)
    return tuple(
        MadeResponse(
            seed=seed,
            visit=said.visit,
            found=said.category.value,
            expected=true.category.value,
            sum_mm=said.sum_mm,
            true_sum_mm=true.sum_mm,
            clearance=_clearance(truth, said.visit),
            is_called_uncertain=said.doubt is not None,
        )
        for said, true in zip(follow_up.responses, expected, strict=True)
    )


def _name_of(lesion: Lesion, made: Sequence[MadeLesion]) -> str | None:
    """Return the made lesion in whose radius a lesion's centre lies."""
    apart = {
        one.name: math.dist(lesion.structure.centroid_mm, one.centre_mm)
        for one in made
        if math.dist(lesion.structure.centroid_mm, one.centre_mm) <= one.longest_mm / 2
    }
    return min(apart, key=lambda name: apart[name], default=None)


def _true_timeline(
    study_uids: tuple[str, ...], made: Sequence[MadeVisit], targets: set[str]
) -> Timeline:
    """Return the course by the true diameters."""
    sizes = [{o.name: o.recist_diameter_mm for o in one.lesions} for one in made]
    kinds = {o.name: o.kind for one in made for o in one.lesions}
    first = {name: next(n for n, own in enumerate(sizes) if name in own) for name in kinds}
    entries = [
        TimelineEntry(
            track=name,
            visit=number,
            status=_status(number, first[name], name in own),
            lesion_id=name if name in own else None,
            diameter_mm=round(own.get(name, 0.0), 1),
            volume_ml=0.0,
            is_target=name in targets,
            is_lymph_node=kinds[name] is LesionKind.LYMPH_NODE,
        )
        for number, own in enumerate(sizes)
        for name in sorted(kinds)
        if number >= first[name]
    ]
    return Timeline(study_uids=study_uids, entries=tuple(entries))


def _status(visit: int, first: int, is_there: bool) -> LesionStatus:
    if visit == 0:
        return LesionStatus.BASELINE
    if not is_there:
        return LesionStatus.GONE
    return LesionStatus.NEW if visit == first else LesionStatus.PRESENT


def _clearance(truth: Timeline, visit: int) -> float:
    """Return how far a visit's true sums lie from the limits of RECIST 1.1, in multiples."""
    at_baseline = {e.track for e in truth.at(0)}
    here = truth.at(visit)
    if any(e.track not in at_baseline and e.diameter_mm > 0 for e in here):
        return math.inf
    nodes = [e.diameter_mm for e in here if e.is_lymph_node]
    away = []
    if not any(e.diameter_mm > 0 for e in here if not e.is_lymph_node):
        # Whether what is left is a normal node decides between complete and partial response.
        away += [abs(mm - 10.0) / CLEAR_MM for mm in nodes]
    sums = [
        sum(e.diameter_mm for e in truth.at(n) if e.is_target and e.track in at_baseline)
        for n in range(visit + 1)
    ]
    if sums[0] > 0:
        nadir = min(sums[:-1])
        away += [
            abs(value - limit) / max(CLEAR_MM, CLEAR_SHARE * limit)
            for value, limit in (
                (min(sums), 0.7 * sums[0]),
                (sums[-1], max(1.2 * nadir, nadir + 5.0)),
            )
        ]
    return min(away, default=math.inf)
