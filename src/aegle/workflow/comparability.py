"""What stands in the way of comparing visits: said in words, and never counted as response.

A visit without an image like that of the baseline is not evaluable, and so is a lesion whose place
a later image does not show: it has not vanished. A lesion too small for the slices is no target.
Sources: Eisenhauer EA et al. Eur J Cancer 2009;45:228-247 (RECIST 1.1), sections 3.1.1
(measurable: 10 mm, or twice the slice thickness above 5 mm) and 4.4.2 (what was not assessed is
not evaluable), appendix II (same contrast phase at every visit).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aegle.domain.case import AllFindings, Examinations
from aegle.domain.finding import Findings
from aegle.domain.followed import followed_images, followed_modality, sequence
from aegle.domain.registration import Registration, Verdict
from aegle.domain.study import Examination, Image
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry

THICK_MM = 5.0
"""Thicker slices ask for lesions of twice their thickness."""
OTHER_PHASE_HU = 60.0
"""Blood differs by more than this between phases: about 40 HU without contrast, 120 to 300 HU with
it, so neither noise nor haematocrit explains it."""
BLOOD = ("aorta", "heart")

NO_IMAGE = (
    "Visit {visit} has no {wanted} ({there}), so it cannot be compared with the baseline's one."
)
OTHER_PHASE = (
    "Visit {visit} was taken in another contrast phase than the baseline ({organ} {now} HU, "
    "{before} HU at baseline): lesions may look larger or smaller for that reason alone, and the "
    "response is doubtful."
)
OUT_OF_VIEW = (
    "{track} is not evaluable at visit {visit}: its place lies outside of the image, so it has not "
    "vanished."
)
TOO_THICK = (
    "{track} of {size_mm:.1f} mm is no target lesion: slices of {slice_mm:.1f} mm measure lesions "
    "of {least_mm:.0f} mm and more (RECIST 1.1, 3.1.1)."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Followed:
    """One visit of the follow-up."""

    visit: int
    """Index of the examination."""
    image: Image | None
    """What is compared; None if the visit has nothing like it."""
    findings: Findings
    """On that image alone, or one tumour would count twice."""
    there: str
    """Modalities of the visit, for messages."""
    wanted: str = "CT"
    """What is compared, in words."""


def followed(examinations: Examinations, findings: AllFindings) -> tuple[Followed, ...]:
    """Return the visits from the first that can be compared on; none if fewer than two can."""
    found: list[Followed] = []
    images = followed_images(examinations.visits)
    wanted = _wanted(examinations.visits, images)
    rows = zip(examinations.visits, findings.visits, images, strict=True)
    for index, (visit, measured, image) in enumerate(rows):
        if image is None and not found:
            continue
        name = image.name if image is not None else None
        modalities = [i.series.modality for i in visit.images]
        modalities += [p.series.modality for p in visit.projections]
        found.append(
            Followed(
                visit=index,
                image=image,
                findings=replace(
                    measured, lesions=tuple(o for o in measured.lesions if o.image == name)
                ),
                there=", ".join(dict.fromkeys(modalities)) or "no images",
                wanted=wanted,
            )
        )
    return tuple(found) if sum(f.image is not None for f in found) > 1 else ()


def _wanted(visits: Sequence[Examination], images: Sequence[Image | None]) -> str:
    """Return in words what is compared: the modality, of an MR also the sequence."""
    kind = next((sequence(i) for i in images if i is not None and i.series.modality == "MR"), "")
    return " ".join(word for word in (followed_modality(visits), kind) if word)


def not_compared(one: Followed) -> Registration:
    """Return the alignment of a visit that has nothing to align: failed, with the reason."""
    return Registration(
        matrix=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
        correlation_before=0.0,
        correlation_after=0.0,
        verdict=Verdict.FAILED,
        reason=_no_image(one),
    )


def _no_image(one: Followed) -> Text:
    return Text(NO_IMAGE, {"visit": one.visit + 1, "there": one.there, "wanted": one.wanted})


def corrected(timeline: Timeline, visits: Sequence[Followed]) -> tuple[Timeline, tuple[Text, ...]]:
    """Return a timeline without what cannot be judged, and why.

    Args:
        timeline: As matched, visits in the same order.
        visits: What was compared.
    """
    said = [_no_image(v) for v in visits if not v.image]
    said += _other_phases(visits)
    entries, thick = _without_small_targets(timeline, visits[0])
    said += thick
    kept = []
    for entry in entries:
        if _is_out_of_view(entry, timeline, visits):
            visit = visits[entry.visit].visit + 1
            said.append(Text(OUT_OF_VIEW, {"track": entry.track, "visit": visit}))
        else:
            kept.append(entry)
    said += _left_out(timeline, visits)
    return replace(timeline, entries=tuple(kept)), tuple(said)


def _left_out(timeline: Timeline, visits: Sequence[Followed]) -> list[Text]:
    """Say which lesions the matching left out of a visit whose image does not show their place."""
    said = []
    for number, registration in enumerate(timeline.registrations, start=1):
        if registration.verdict is Verdict.FAILED or visits[number].image is None:
            continue
        there = {e.track for e in timeline.at(number)}
        before = {e.track: e for e in timeline.entries if e.visit < number}
        said += [
            Text(OUT_OF_VIEW, {"track": track, "visit": visits[number].visit + 1})
            for track, entry in before.items()
            if track not in there
            and _is_out_of_view(
                replace(entry, visit=number, status=LesionStatus.GONE), timeline, visits
            )
        ]
    return said


def _other_phases(visits: Sequence[Followed]) -> list[Text]:
    said = []
    before = _blood_hu(visits[0])
    for later in visits[1:]:
        now = _blood_hu(later)
        organ = next((o for o in BLOOD if o in before and o in now), None)
        if organ is None or abs(now[organ] - before[organ]) <= OTHER_PHASE_HU:
            continue
        values = {"now": round(now[organ]), "before": round(before[organ])}
        said.append(Text(OTHER_PHASE, {"visit": later.visit + 1, "organ": organ, **values}))
    return said


def _blood_hu(one: Followed) -> dict[str, float]:
    name = one.image.name if one.image is not None else None
    return {
        o.name: o.statistics.mean
        for o in one.findings.organs
        if o.name in BLOOD and o.statistics.image == name and o.statistics.unit == "HU"
    }


def _without_small_targets(
    timeline: Timeline, baseline: Followed
) -> tuple[list[TimelineEntry], list[Text]]:
    """Take the role of a target from lesions that the baseline's slices cannot measure."""
    entries = list(timeline.entries)
    if baseline.image is None:
        return entries, []
    grid = baseline.image.volume.grid
    slice_mm = max(grid.spacing_mm[0], baseline.image.series.slice_thickness_mm or 0.0)
    if slice_mm <= THICK_MM:
        return entries, []
    small = {
        e.track: e.diameter_mm
        for e in timeline.at(0)
        if e.is_target and e.diameter_mm < 2 * slice_mm
    }
    said = [
        Text(
            TOO_THICK,
            {"track": t, "size_mm": size, "slice_mm": slice_mm, "least_mm": 2 * slice_mm},
        )
        for t, size in small.items()
    ]
    return [replace(e, is_target=False) if e.track in small else e for e in entries], said


def _is_out_of_view(entry: TimelineEntry, timeline: Timeline, visits: Sequence[Followed]) -> bool:
    """Return whether a lesion that is said to be gone lies where the image does not reach."""
    image = visits[entry.visit].image
    if entry.status is not LesionStatus.GONE or image is None:
        return False
    first = min((e for e in timeline.entries if e.track == entry.track), key=lambda e: e.visit)
    lesion = next(
        (o for o in visits[first.visit].findings.lesions if o.id == first.lesion_id), None
    )
    if lesion is None:
        return False
    place = np.asarray(lesion.structure.centroid_mm)
    if first.visit > 0:
        place = timeline.registrations[first.visit - 1].to_fixed(place)
    place = timeline.registrations[entry.visit - 1].to_moving(place)
    grid = image.volume.grid
    index = grid.to_indices(place)
    return not bool(np.all(index >= -0.5) and np.all(index <= np.asarray(grid.shape) - 0.5))
