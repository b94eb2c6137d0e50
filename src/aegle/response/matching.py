"""Which lesion of one visit is which of another.

Positions of a later visit are carried back to baseline through its alignment. A lesion and a
track are the same with a likelihood of their distance (normal, wider for large lesions, since
these shrink unevenly) and of the ratio of their sizes (log-normal). Being gone and being new
have likelihoods too: a place anywhere in the body. The most likely assignment of all lesions
together decides (Jonker and Volgenant 1987, as in SciPy).

Where the alignment failed nothing is linked: the lesions of that visit are ``UNSURE``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy.optimize import linear_sum_assignment

from aegle.domain.errors import InputError
from aegle.domain.finding import Findings, Lesion
from aegle.domain.registration import Registration, Verdict
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry
from aegle.options import option
from aegle.response.targets import choose_targets, is_node, measured_mm

UNLIKELY = 1e9
"""Cost of what is ruled out; finite, because the solver refuses infinity."""


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """How far a lesion may seem to move and change, and how often one goes or comes."""

    residual_mm: Annotated[
        float,
        option("Standard deviation of position per axis after alignment", unit="mm", gt=0),
    ] = 5.0
    residual_share: Annotated[
        float, option("Further deviation as a share of the lesion's diameter", ge=0, le=1)
    ] = 0.15
    gate_mm: Annotated[
        float, option("Distance beyond which lesions are never the same", unit="mm", gt=0)
    ] = 30.0
    size_spread: Annotated[
        float, option("Standard deviation of the logarithm of the diameter ratio", gt=0)
    ] = 0.5
    gone_probability: Annotated[
        float, option("Probability that a lesion is gone at the next visit", gt=0, lt=1)
    ] = 0.1
    other_kind_probability: Annotated[
        float, option("Probability that a node is taken for another lesion or back", gt=0, lt=1)
    ] = 0.05
    new_lesions: Annotated[float, option("New lesions expected per visit", gt=0)] = 0.5
    body_volume_ml: Annotated[
        float, option("Volume in which new lesions may appear", unit="mL", gt=0)
    ] = 20000.0


@plain_dataclass(frozen=True, kw_only=True, eq=False)
class _Track:
    """One lesion as it was last seen, at its place in the baseline image."""

    name: str
    place_mm: NDArray[np.float64]
    size_mm: float
    is_target: bool
    is_lymph_node: bool


def match(
    visits: tuple[Findings, ...],
    registrations: tuple[Registration, ...],
    *,
    options: MatchOptions,
) -> Timeline:
    """Follow every lesion through all visits.

    Args:
        visits: Findings of each visit, oldest first, each on one image.
        registrations: Alignment of each later visit to the first.
        options: Spread of positions and sizes, frequency of change.

    Returns:
        One entry per track and visit from the track's first visit on; a lesion that is not
        found any more has 0 mm. Tracks are named by size at baseline, then by appearance.
        A track has no entry at a visit whose alignment failed or whose image does not show
        its place: it was not assessed there. Lesions of a visit with a failed alignment are
        listed as ``UNSURE`` under names of their own.

    Raises:
        InputError: No visit, or not one alignment per later visit.
    """
    if len(registrations) != max(0, len(visits) - 1) or not visits:
        raise InputError(
            f"{len(visits)} visits need {max(0, len(visits) - 1)} alignments to the first, "
            f"got {len(registrations)}."
        )
    tracks, entries = _baseline(visits[0])
    for number, registration in enumerate(registrations, start=1):
        lesions = _in_order(visits[number].lesions)
        if registration.verdict is Verdict.FAILED:
            entries.extend(_unsure(lesions, number))
            continue
        tracks, found = _follow(tracks, lesions, number, registration, options)
        entries.extend(found)
    return Timeline(
        study_uids=tuple(v.study_uid for v in visits),
        entries=tuple(entries),
        registrations=registrations,
    )


def tracked(findings: tuple[Findings, ...], timeline: Timeline) -> tuple[Findings, ...]:
    """Return the findings with one tracking UID per track, that of its first visit.

    Args:
        findings: Findings of each visit, as they were matched.
        timeline: The tracks.

    Raises:
        InputError: The timeline belongs to other examinations.
    """
    if tuple(f.study_uid for f in findings) != timeline.study_uids:
        raise InputError("Findings and timeline are of different examinations; match them anew.")
    uid_of_track: dict[str, str] = {}
    result = []
    for visit, found in enumerate(findings):
        track_of = {e.lesion_id: e.track for e in timeline.at(visit) if e.lesion_id is not None}
        lesions = []
        for lesion in found.lesions:
            track = track_of.get(lesion.id)
            uid = lesion.tracking_uid
            if track is not None:
                uid = uid_of_track.setdefault(track, uid)
            lesions.append(replace(lesion, tracking_uid=uid))
        result.append(replace(found, lesions=tuple(lesions)))
    return tuple(result)


def _in_order(lesions: Sequence[Lesion]) -> list[Lesion]:
    """Largest first; ties by volume, place and name, never by the order they came in."""
    return sorted(
        lesions,
        key=lambda o: (
            -measured_mm(o, as_node=is_node(o)),
            -o.volume_ml,
            o.structure.centroid_mm,
            o.id,
        ),
    )


def _baseline(findings: Findings) -> tuple[list[_Track], list[TimelineEntry]]:
    lesions = _in_order(findings.lesions)
    tracks, entries = [], []
    targets = choose_targets(lesions)
    for number, (lesion, is_target) in enumerate(zip(lesions, targets, strict=True), start=1):
        track = _Track(
            name=f"T{number}",
            place_mm=np.array(lesion.structure.centroid_mm),
            size_mm=lesion.diameters.longest_mm,
            is_target=is_target,
            is_lymph_node=is_node(lesion),
        )
        tracks.append(track)
        entries.append(_seen(track, lesion, 0, LesionStatus.BASELINE))
    return tracks, entries


def _follow(
    tracks: list[_Track],
    lesions: list[Lesion],
    visit: int,
    registration: Registration,
    options: MatchOptions,
) -> tuple[list[_Track], list[TimelineEntry]]:
    """Return the tracks after one visit, and their entries at it."""
    places = [registration.to_fixed(np.array(o.structure.centroid_mm)) for o in lesions]
    lesion_of = _assign(tracks, lesions, places, options)
    after, entries = [], []
    for index, track in enumerate(tracks):
        if index in lesion_of:
            lesion, place = lesions[lesion_of[index]], places[lesion_of[index]]
            distance = float(np.linalg.norm(place - track.place_mm))
            entries.append(_seen(track, lesion, visit, LesionStatus.PRESENT, distance))
            after.append(replace(track, size_mm=lesion.diameters.longest_mm))
            continue
        after.append(track)
        if _is_shown(registration.to_moving(track.place_mm), lesions):
            entries.append(_gone(track, visit))
    for index in sorted(set(range(len(lesions))) - set(lesion_of.values())):
        lesion = lesions[index]
        track = _Track(
            name=f"T{len(after) + 1}",
            place_mm=places[index],
            size_mm=lesion.diameters.longest_mm,
            is_target=False,
            is_lymph_node=is_node(lesion),
        )
        after.append(track)
        entries.append(_seen(track, lesion, visit, LesionStatus.NEW))
    return after, entries


def _assign(
    tracks: Sequence[_Track],
    lesions: Sequence[Lesion],
    places: Sequence[NDArray[np.float64]],
    options: MatchOptions,
) -> dict[int, int]:
    """Return the lesion index of each track index that has one, jointly most likely."""
    if not tracks or not lesions:
        return {}
    paired = np.array(
        [[_cost(t, o, p, options) for o, p in zip(lesions, places, strict=True)] for t in tracks]
    )
    # Each track may also go to a null of its own, and each lesion may come from one.
    count = len(tracks) + len(lesions)
    costs = np.zeros((count, count))
    costs[: len(tracks), : len(lesions)] = paired
    costs[: len(tracks), len(lesions) :] = -math.log(options.gone_probability)
    appears = options.new_lesions / (1000.0 * options.body_volume_ml)
    costs[len(tracks) :, : len(lesions)] = -math.log(appears)
    rows, columns = linear_sum_assignment(costs)
    return {
        int(r): int(c)
        for r, c in zip(rows, columns, strict=True)
        if r < len(tracks) and c < len(lesions) and paired[r, c] < UNLIKELY
    }


def _cost(
    track: _Track, lesion: Lesion, place_mm: NDArray[np.float64], options: MatchOptions
) -> float:
    """Return minus the logarithm of the likelihood that a lesion continues a track."""
    distance = float(np.linalg.norm(place_mm - track.place_mm))
    if distance > options.gate_mm:
        return UNLIKELY
    same_kind = track.is_lymph_node == is_node(lesion)
    kind = 1 - options.other_kind_probability if same_kind else options.other_kind_probability
    deviation = math.hypot(options.residual_mm, options.residual_share * track.size_mm)
    ratio = math.log(max(lesion.diameters.longest_mm, 0.1) / max(track.size_mm, 0.1))
    return (
        -math.log((1 - options.gone_probability) * kind)
        + 1.5 * math.log(2 * math.pi * deviation**2)
        + 0.5 * (distance / deviation) ** 2
        + 0.5 * (ratio / options.size_spread) ** 2
    )


def _is_shown(place_mm: NDArray[np.float64], lesions: Sequence[Lesion]) -> bool:
    """Return whether the image of a visit covers a place, as far as its lesions tell."""
    if not lesions:
        return True
    grid = lesions[0].structure.grid
    index = grid.to_indices(place_mm)
    return bool(np.all(index >= -0.5) and np.all(index <= np.array(grid.shape) - 0.5))


def _seen(
    track: _Track,
    lesion: Lesion,
    visit: int,
    status: LesionStatus,
    distance_mm: float | None = None,
) -> TimelineEntry:
    return TimelineEntry(
        track=track.name,
        visit=visit,
        status=status,
        lesion_id=lesion.id,
        diameter_mm=measured_mm(lesion, as_node=track.is_lymph_node),
        volume_ml=lesion.volume_ml,
        is_target=track.is_target,
        is_lymph_node=track.is_lymph_node,
        match_distance_mm=distance_mm,
    )


def _gone(track: _Track, visit: int) -> TimelineEntry:
    return TimelineEntry(
        track=track.name,
        visit=visit,
        status=LesionStatus.GONE,
        lesion_id=None,
        diameter_mm=0.0,
        volume_ml=0.0,
        is_target=track.is_target,
        is_lymph_node=track.is_lymph_node,
    )


def _unsure(lesions: Sequence[Lesion], visit: int) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            track=f"U{visit}.{number}",
            visit=visit,
            status=LesionStatus.UNSURE,
            lesion_id=lesion.id,
            diameter_mm=measured_mm(lesion, as_node=is_node(lesion)),
            volume_ml=lesion.volume_ml,
            is_target=False,
            is_lymph_node=is_node(lesion),
        )
        for number, lesion in enumerate(lesions, start=1)
    ]
