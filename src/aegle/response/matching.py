"""Which lesion of one visit is which of another.

Positions of a later visit are carried back to baseline through its alignment. What may have
become of the lesions, and how likely that is, says :mod:`aegle.response.hypotheses`; the most
likely story of all lesions together, with the probability of each of its parts, comes from
:mod:`aegle.response.explanation`. What is not probable enough is ``UNSURE`` and comes with a
question; a person answers through ``MatchOptions.answers``.

Where the alignment failed nothing is linked: the lesions of that visit are ``UNSURE``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.errors import InputError
from aegle.domain.finding import Findings, Lesion
from aegle.domain.registration import Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus, Timeline, TimelineEntry
from aegle.options import option
from aegle.response.explanation import Explanation, explain
from aegle.response.hypotheses import Hypothesis, Spot, Spread, hypotheses
from aegle.response.link_answers import Answer, answered, read_answers
from aegle.response.targets import choose_targets, is_node, measured_mm
from aegle.response.tracks import Node, Seen, Track, entries_of, spot_of, updated

CERTAIN = 0.95
"""Links at least so probable tell how far places and sizes differ between two visits."""
NOT_ALIGNED = Text(
    "The alignment of this visit failed: say which earlier lesion this is, or mend the alignment."
)


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """How far a lesion may seem to move and change, and how often one goes or comes."""

    residual_mm: Annotated[
        float,
        option("Standard deviation of position per axis after alignment", unit="mm", gt=0),
    ] = 5.0
    doubtful_mm: Annotated[
        float,
        option("The same for an alignment whose verdict is doubtful", unit="mm", gt=0),
    ] = 10.0
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
    split_probability: Annotated[
        float, option("Probability that a lesion has fallen into parts", gt=0, lt=1)
    ] = 0.05
    merge_probability: Annotated[
        float, option("Probability that two lesions that touch grow together", gt=0, lt=1)
    ] = 0.4
    most_parts: Annotated[
        int, option("Parts that a lesion may fall into or grow from; 1 for none", ge=1, le=4)
    ] = 3
    part_gap_mm: Annotated[
        float,
        option("Parts may lie farther apart than the whole was long by this", unit="mm", ge=0),
    ] = 5.0
    other_kind_probability: Annotated[
        float, option("Probability that a node is taken for another lesion or back", gt=0, lt=1)
    ] = 0.05
    new_lesions: Annotated[float, option("New lesions expected per visit", gt=0)] = 0.5
    body_volume_ml: Annotated[
        float, option("Volume in which new lesions may appear", unit="mL", gt=0)
    ] = 20000.0
    least_probability: Annotated[
        float, option("What is less probable is not decided but asked", ge=0, lt=1)
    ] = 0.8
    answers: Annotated[
        tuple[str, ...],
        option(
            "What a person decided, for example `2: T3 = L5`, `2: T1 + T2 = L4`, "
            "`2: T3 = L5 + L6`, `2: T3 = gone`, `2: new = L7`; the baseline is visit 1"
        ),
    ] = ()


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
        A lesion that fell into parts stays one track with the sum of their diameters; lesions
        that grew together are counted at the larger track. A track has no entry at a visit
        whose alignment failed or whose image does not show its place: it was not assessed
        there. Lesions of a visit with a failed alignment are listed as ``UNSURE`` under names
        of their own; what is not probable enough is ``UNSURE`` with a question.

    Raises:
        InputError: No visit, or not one alignment per later visit.
        OptionError: An answer names a visit or lesion that does not exist.
    """
    if len(registrations) != max(0, len(visits) - 1) or not visits:
        raise InputError(
            f"{len(visits)} visits need {max(0, len(visits) - 1)} alignments to the first, "
            f"got {len(registrations)}."
        )
    answers = read_answers(options.answers, len(visits))
    tracks, nodes, entries = _baseline(visits[0])
    for number, registration in enumerate(registrations, start=1):
        lesions = _in_order(visits[number].lesions)
        if registration.verdict is Verdict.FAILED:
            entries.extend(_unsure(lesions, number))
            continue
        later = [
            spot_of(o, registration.to_fixed(np.array(o.structure.centroid_mm))) for o in lesions
        ]
        known = [node.spot for node in nodes]
        spread = _assumed(registration, options)
        story = _story(known, later, answers.get(number, ()), spread, options)
        spread = spread.learned(_certain(story))
        story = _story(known, later, answers.get(number, ()), spread, options)
        seen = Seen(number, lesions, later, story, registration)
        found, new = entries_of(tracks, nodes, seen, least_probability=options.least_probability)
        entries.extend(found)
        nodes = updated(
            nodes, new, seen, spread.residual_mm, least_probability=options.least_probability
        )
        tracks = [*tracks, *new]
    return Timeline(
        study_uids=tuple(v.study_uid for v in visits),
        entries=tuple(entries),
        registrations=registrations,
    )


def _assumed(registration: Registration, options: MatchOptions) -> Spread:
    is_doubtful = registration.verdict is Verdict.DOUBTFUL
    residual_mm = (
        max(options.residual_mm, options.doubtful_mm) if is_doubtful else options.residual_mm
    )
    return Spread(residual_mm=residual_mm, size_spread=options.size_spread)


def _story(
    known: Sequence[Spot],
    later: Sequence[Spot],
    answers: Sequence[Answer],
    spread: Spread,
    options: MatchOptions,
) -> tuple[Explanation, ...]:
    possible = hypotheses(known, later, options, spread)
    return explain(known, later, answered(possible, answers, known, later))


def _certain(story: Sequence[Explanation]) -> list[Hypothesis]:
    """Return the lesions that went on as one, beyond doubt."""
    return [
        told.hypothesis
        for told in story
        if len(told.hypothesis.earlier) == len(told.hypothesis.later) == 1
        and told.probability >= CERTAIN
    ]


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
    uid_of_part: dict[str, str] = {}
    result = []
    for visit, found in enumerate(findings):
        part_of = {
            lesion: part
            for e in timeline.at(visit)
            if e.status is not LesionStatus.UNSURE or e.visit == _first_visit(timeline, e.track)
            for lesion, part in zip(e.parts, e.part_names, strict=True)
        }
        lesions = []
        for lesion in found.lesions:
            part = part_of.get(lesion.id)
            uid = lesion.tracking_uid
            if part is not None:
                uid = uid_of_part.setdefault(part, uid)
            lesions.append(replace(lesion, tracking_uid=uid))
        result.append(replace(found, lesions=tuple(lesions)))
    return tuple(result)


def _first_visit(timeline: Timeline, track: str) -> int:
    return min(e.visit for e in timeline.entries if e.track == track)


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


def _baseline(findings: Findings) -> tuple[list[Track], list[Node], list[TimelineEntry]]:
    lesions = _in_order(findings.lesions)
    tracks, nodes, entries = [], [], []
    targets = choose_targets(lesions)
    for number, (lesion, is_target) in enumerate(zip(lesions, targets, strict=True), start=1):
        track = Track(name=f"T{number}", is_target=is_target, is_lymph_node=is_node(lesion))
        spot = spot_of(lesion, np.array(lesion.structure.centroid_mm), track.name)
        tracks.append(track)
        nodes.append(Node(spot, (track.name,)))
        entries.append(
            TimelineEntry(
                track=track.name,
                visit=0,
                status=LesionStatus.BASELINE,
                lesion_id=lesion.id,
                diameter_mm=measured_mm(lesion, as_node=track.is_lymph_node),
                volume_ml=lesion.volume_ml,
                is_target=is_target,
                is_lymph_node=track.is_lymph_node,
                parts=(lesion.id,),
                part_names=(track.name,),
            )
        )
    return tracks, nodes, entries


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
            parts=(lesion.id,),
            part_names=(f"U{visit}.{number}",),
            question=NOT_ALIGNED,
        )
        for number, lesion in enumerate(lesions, start=1)
    ]
