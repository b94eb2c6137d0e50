"""Lesions with their names over all visits: how each visit's findings continue them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aegle.domain.finding import Lesion
from aegle.domain.registration import Registration
from aegle.domain.text import Text
from aegle.domain.timeline import LesionStatus, TimelineEntry
from aegle.response.explanation import Explanation
from aegle.response.hypotheses import Hypothesis, Place, Spot
from aegle.response.targets import is_node, measured_mm


@dataclass(frozen=True, kw_only=True)
class Track:
    """One lesion over all visits."""

    name: str
    is_target: bool
    is_lymph_node: bool


@dataclass(frozen=True, eq=False)
class Node:
    """A lesion as it was last seen: all of a track, a part of one, or several grown together."""

    spot: Spot
    tracks: tuple[str, ...]
    """The track at which it is counted first, then those that grew into it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One later visit, explained."""

    visit: int
    lesions: Sequence[Lesion]
    spots: Sequence[Spot]
    story: Sequence[Explanation]
    registration: Registration


def spot_of(lesion: Lesion, place_mm: Place, name: str | None = None) -> Spot:
    """Return a lesion as the matching sees it, at a place in the baseline image [mm]."""
    return Spot(
        name=name or lesion.id,
        place_mm=np.asarray(place_mm),
        size_mm=lesion.diameters.longest_mm,
        volume_ml=lesion.volume_ml,
        is_lymph_node=is_node(lesion),
    )


def entries_of(
    tracks: Sequence[Track], nodes: Sequence[Node], seen: Seen, *, least_probability: float
) -> tuple[list[TimelineEntry], list[Track]]:
    """Return the entries of one visit and the tracks that begin there."""
    writer = _Writer(tracks, nodes, seen, least_probability)
    entries = [entry for track in tracks if (entry := writer.entry(track)) is not None]
    new: list[Track] = []
    for told in seen.story:
        if not told.hypothesis.earlier:
            lesion = seen.lesions[told.hypothesis.later[0]]
            name = f"T{len(tracks) + len(new) + 1}"
            track = Track(name=name, is_target=False, is_lymph_node=is_node(lesion))
            new.append(track)
            entries.append(writer.first(track, lesion, told))
    return entries, new


def updated(
    nodes: Sequence[Node],
    new: Sequence[Track],
    seen: Seen,
    residual_mm: float,
    *,
    least_probability: float,
) -> list[Node]:
    """Return the lesions as they are known after a visit; what is unsure stays as it was."""
    after = list(nodes)
    names = {node.spot.name for node in nodes}
    begun = iter(new)
    for told in seen.story:
        before, later = told.hypothesis.earlier, told.hypothesis.later
        if not before:
            name = next(begun).name
            spot = replace(seen.spots[later[0]], name=name, variance_mm2=residual_mm**2)
            after.append(Node(spot, (name,)))
        elif later and told.probability >= least_probability:
            main = _main([nodes[i] for i in before])
            others = [t for i in before for t in nodes[i].tracks if t not in main.tracks]
            whole = Node(main.spot, (*main.tracks, *dict.fromkeys(others)))
            for i in before:
                after.remove(nodes[i])
            for number, j in enumerate(_largest_first(later, seen)):
                name = main.spot.name if number == 0 else _part_name(whole.tracks[0], names)
                names.add(name)
                belongs = whole.tracks if number == 0 else whole.tracks[:1]
                after.append(Node(_moved(whole.spot, seen.spots[j], name, told), belongs))
    return after


def _moved(known: Spot, spot: Spot, name: str, told: Explanation) -> Spot:
    """Return where a lesion is expected from now on.

    A place seen at baseline is the best there is, unless the lesion itself has changed shape;
    one seen later is improved by each visit that shows it.
    """
    is_same = len(told.hypothesis.earlier) == len(told.hypothesis.later) == 1
    if not is_same:
        return replace(spot, name=name, variance_mm2=known.variance_mm2)
    place_mm, variance = known.place_mm, known.variance_mm2
    if variance > 0:
        place_mm, variance = (place_mm + spot.place_mm) / 2, variance / 2
    return replace(spot, name=name, place_mm=place_mm, variance_mm2=variance)


def _part_name(track: str, names: set[str]) -> str:
    return next(name for n in range(2, 10_000) if (name := f"{track}.{n}") not in names)


def _main(nodes: Sequence[Node]) -> Node:
    """Return the node at which lesions that grew together are counted: the largest."""
    return max(nodes, key=lambda node: node.spot.volume_ml)


def _largest_first(later: Sequence[int], seen: Seen) -> list[int]:
    return sorted(later, key=lambda j: (-seen.spots[j].volume_ml, j))


class _Writer:
    """Writes what became of each track at one visit."""

    def __init__(
        self, tracks: Sequence[Track], nodes: Sequence[Node], seen: Seen, least_probability: float
    ) -> None:
        self.nodes, self.seen, self.least = nodes, seen, least_probability
        self.targets = {track.name for track in tracks if track.is_target}
        self.told = {i: t for t in seen.story for i in t.hypothesis.earlier}
        self.names = {node.spot.name for node in nodes}

    def entry(self, track: Track) -> TimelineEntry | None:
        """Return the entry of a known track; None if it was not assessed."""
        own = [i for i, node in enumerate(self.nodes) if node.tracks[0] == track.name]
        within = own or [i for i, node in enumerate(self.nodes) if track.name in node.tracks]
        stories = list(dict.fromkeys(self.told[i] for i in within))
        counted = [t for t in stories if own and self._counts_here(t, track)]
        parts = [(j, t) for t in counted for j in _largest_first(t.hypothesis.later, self.seen)]
        status, merged_into = self._status(stories, counted)
        if status is LesionStatus.GONE and not any(
            self._is_shown(self.nodes[i].spot.place_mm) for i in within
        ):
            return None
        least = min(stories, key=lambda t: t.probability)
        links = [t for t in counted if t.hypothesis.later]
        return self._written(
            track,
            status,
            [j for j, _ in parts],
            part_names=self._part_names(track, counted),
            merged_into=merged_into,
            match_distance_mm=max((t.hypothesis.distance_mm for t in links), default=None),
            probability=least.probability,
            evidence=_evidence(least),
            question=self._question(least) if status is LesionStatus.UNSURE else None,
        )

    def first(self, track: Track, lesion: Lesion, told: Explanation) -> TimelineEntry:
        """Return the first entry of a track that begins at this visit."""
        is_sure = told.probability >= self.least
        return self._written(
            track,
            LesionStatus.NEW if is_sure else LesionStatus.UNSURE,
            [self.seen.lesions.index(lesion)],
            part_names=(track.name,),
            probability=told.probability,
            evidence=_evidence(told),
            question=None if is_sure else self._question(told),
        )

    def _counts_here(self, told: Explanation, track: Track) -> bool:
        return _main([self.nodes[i] for i in told.hypothesis.earlier]).tracks[0] == track.name

    def _status(
        self, stories: Sequence[Explanation], counted: Sequence[Explanation]
    ) -> tuple[LesionStatus, str | None]:
        elsewhere = [t for t in stories if t not in counted and t.hypothesis.later]
        into = None
        if elsewhere and not any(t.hypothesis.later for t in counted):
            into = _main([self.nodes[i] for i in elsewhere[0].hypothesis.earlier]).tracks[0]
        if any(t.probability < self.least for t in stories):
            return LesionStatus.UNSURE, into
        if into is not None:
            return LesionStatus.MERGED, into
        present = [t.hypothesis for t in counted if t.hypothesis.later]
        if not present:
            return LesionStatus.GONE, None
        if any(len(h.earlier) > 1 for h in present):
            return LesionStatus.MERGED, None
        is_split = any(len(h.later) > 1 for h in present)
        return (LesionStatus.SPLIT if is_split else LesionStatus.PRESENT), None

    def _part_names(self, track: Track, counted: Sequence[Explanation]) -> tuple[str, ...]:
        names, taken = [], set(self.names)
        for told in counted:
            main = _main([self.nodes[i] for i in told.hypothesis.earlier])
            for number in range(len(told.hypothesis.later)):
                name = main.spot.name if number == 0 else _part_name(track.name, taken)
                taken.add(name)
                names.append(name)
        return tuple(names)

    def _is_shown(self, place_mm: Place) -> bool:
        """Return whether the image of the visit covers a place, as far as its lesions tell."""
        if not self.seen.lesions:
            return True
        grid = self.seen.lesions[0].structure.grid
        index = grid.to_indices(self.seen.registration.to_moving(place_mm))
        return bool(np.all(index >= -0.5) and np.all(index <= np.array(grid.shape) - 0.5))

    def _written(
        self, track: Track, status: LesionStatus, parts: Sequence[int], **facts: object
    ) -> TimelineEntry:
        lesions = [self.seen.lesions[j] for j in parts]
        return TimelineEntry(
            track=track.name,
            visit=self.seen.visit,
            status=status,
            lesion_id=lesions[0].id if lesions else None,
            diameter_mm=round(
                sum((measured_mm(o, as_node=track.is_lymph_node) for o in lesions), 0.0), 1
            ),
            volume_ml=sum((o.volume_ml for o in lesions), 0.0),
            is_target=track.is_target,
            is_lymph_node=track.is_lymph_node,
            parts=tuple(o.id for o in lesions),
            **facts,  # type: ignore[arg-type]
        )

    def _question(self, told: Explanation) -> Text:
        facts: dict[str, str | float] = {
            "first": self._story(told.hypothesis),
            "first_percent": 100 * told.probability,
            "visit": self.seen.visit + 1,
        }
        if not told.alternatives:
            return Text(
                "Many lesions lie close together. Is it right that {first}? Answer with "
                "matching.answers, for example '{visit}: {first}'.",
                facts,
            )
        rival, probability = told.alternatives[0]
        return Text(
            "Which is right: {first} ({first_percent:.0f} %) or {second} ({second_percent:.0f} %)? "
            "Answer with matching.answers, for example '{visit}: {first}'.",
            {**facts, "second": self._story(rival), "second_percent": 100 * probability},
        )

    def _story(self, hypothesis: Hypothesis) -> str:
        """Write a hypothesis as an answer is written."""
        before = " + ".join(self.nodes[i].spot.name for i in hypothesis.earlier) or "new"
        after = " + ".join(self.seen.lesions[j].id for j in hypothesis.later) or "gone"
        return f"{before} = {after}"


def _evidence(told: Explanation) -> Text:
    hypothesis = told.hypothesis
    percent = 100 * told.probability
    if not hypothesis.earlier:
        return Text(
            "No earlier lesion is expected near it; probability {percent:.0f} %.",
            {"percent": percent},
        )
    if not hypothesis.later:
        return Text(
            "No lesion that fits lies near the expected place; probability {percent:.0f} %.",
            {"percent": percent},
        )
    return Text(
        "{distance_mm:.1f} mm from where the alignment expects it, {ratio:.2f} times as large; "
        "probability {percent:.0f} %.",
        {
            "distance_mm": hypothesis.distance_mm,
            "ratio": hypothesis.size_ratio,
            "percent": percent,
        },
    )
