"""What leaves a case about the course: time points of the reports, and the alignments."""

from pathlib import Path

from aegle.dicom import spatial_registration
from aegle.dicom.report_course import TimePoint, TrackedLesion
from aegle.domain.case import CaseResults
from aegle.domain.followed import followed_images
from aegle.domain.registration import Verdict
from aegle.domain.response import FollowUp
from aegle.domain.timeline import LesionStatus, TimelineEntry


def time_point(results: CaseResults, visit: int, image: str) -> TimePoint | None:
    """Return where a visit stands in the course, for the report on one of its images.

    Args:
        results: The case.
        visit: Index of the examination.
        image: Name of the image reported on; only the one that was followed has a course.

    Returns:
        None for what is not part of the follow-up.
    """
    follow_up = results.following.follow_up
    examination = results.examinations.visits[visit]
    if follow_up is None or examination.study_uid not in follow_up.timeline.study_uids:
        return None
    followed = followed_images(results.examinations.visits)[visit]
    if followed is None or followed.name != image:
        return None
    timeline = follow_up.timeline
    number = timeline.study_uids.index(examination.study_uid)
    uids = _tracking_uids(results, follow_up)
    first = {e.track: e.visit for e in reversed(timeline.entries)}
    entries = timeline.at(number)
    seen = [e for e in entries if e.lesion_id is not None and e.status is not LesionStatus.UNSURE]
    gone = [e for e in entries if e.status is LesionStatus.GONE and e.track in uids]
    merged = [
        e
        for e in entries
        if e.status is LesionStatus.MERGED and e.merged_into is not None and e.track in uids
    ]
    baseline = results.examinations.visits[results.examinations.index_of(timeline.study_uids[0])]
    return TimePoint(
        order=number + 1,
        baseline=baseline.time,
        lesions=tuple(
            _tracked(e, part, uids, first)
            for e in seen
            for part in (e.parts or (str(e.lesion_id),))
        ),
        gone=tuple(_tracked(e, e.track, uids, first) for e in gone),
        merged=tuple(_tracked(e, e.track, uids, first) for e in merged),
        responses=tuple(r for r in follow_up.responses if r.visit == number),
    )


def _tracked(
    entry: TimelineEntry, name: str, uids: dict[str, str], first: dict[str, int]
) -> TrackedLesion:
    return TrackedLesion(
        id=name,
        tracking_uid=uids.get(entry.track, ""),
        is_target=entry.is_target,
        is_new=first[entry.track] > 0,
        is_lymph_node=entry.is_lymph_node,
        part_of=entry.track if len(entry.parts) > 1 else "",
        merged_into=entry.merged_into or "",
    )


def _tracking_uids(results: CaseResults, follow_up: FollowUp) -> dict[str, str]:
    """Return the tracking UID of each track, that of the first visit that shows it."""
    uids: dict[str, str] = {}
    for entry in follow_up.timeline.entries:
        study = follow_up.timeline.study_uids[entry.visit]
        findings = results.findings.visits[results.examinations.index_of(study)]
        for lesion in findings.lesions:
            if lesion.id == entry.lesion_id:
                uids.setdefault(entry.track, lesion.tracking_uid)
    return uids


def write_alignments(results: CaseResults, place: Path) -> None:
    """Write each alignment that did not fail as a (deformable) spatial registration."""
    follow_up = results.following.follow_up
    if follow_up is None:
        return
    examinations, timeline = results.examinations, follow_up.timeline
    compared = followed_images(examinations.visits)
    images = [compared[examinations.index_of(uid)] for uid in timeline.study_uids]
    fixed = images[0]
    pairs = zip(images[1:], timeline.registrations, strict=True)
    for number, (moving, registration) in enumerate(pairs, start=2):
        if fixed is None or moving is None or registration.verdict is Verdict.FAILED:
            continue
        place.mkdir(exist_ok=True)
        spatial_registration.write(
            registration,
            fixed,
            moving,
            examinations.patient,
            place / f"visit-{number}.dcm",
            now=results.provenance.now,
        )
