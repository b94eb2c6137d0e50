"""How well lesions are followed whose course is known, because it was made."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from aegle.domain.registration import Registration
from aegle.domain.timeline import LesionStatus, TimelineEntry
from aegle.phantoms.lesion_course import Course, CourseKind, lesion_course
from aegle.response.matching import MatchOptions, match


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of one or several courses; what is unsure is counted by its best guess."""

    right: int
    linked: int
    true: int
    decided_right: int
    decided: int
    new_found: int
    new_claimed: int
    new: int
    gone_found: int
    gone: int
    split_found: int
    split: int
    merged_found: int
    merged: int
    misjudged: int
    """Lesions of the last three kinds that are wrong although they were not asked about."""
    unsure: int
    entries: int

    @property
    def f1(self) -> float:
        """Of links, best guesses of the unsure ones included."""
        return 2 * self.right / (self.linked + self.true)

    @property
    def decided_precision(self) -> float:
        """Share of links right among those that are not asked."""
        return self.decided_right / self.decided

    @property
    def new_recall(self) -> float:
        """Share of new lesions that are called new."""
        return self.new_found / self.new

    @property
    def gone_right(self) -> float:
        """Share of vanished lesions that have no heir."""
        return self.gone_found / self.gone

    @property
    def split_right(self) -> float:
        """Share of lesions that fell into parts whose parts are exactly right."""
        return self.split_found / self.split

    @property
    def merged_right(self) -> float:
        """Share of lesions that grew together that are linked to the whole, all of them."""
        return self.merged_found / self.merged

    @property
    def asked(self) -> float:
        """Share of entries that are unsure."""
        return self.unsure / self.entries


def tally(seed: int, kind: CourseKind, registration: Registration) -> Tally:
    """Match one made course and count what is right."""
    course = lesion_course(seed, kind)
    timeline = match((course.baseline, course.later), (registration,), options=MatchOptions())
    named = {e.track: str(e.lesion_id) for e in timeline.at(0)}
    after = {e.track: e for e in timeline.at(1)}
    links = {pair for track in named for pair in _links(named[track], after[track], after)}
    decided = {
        pair
        for track in named
        if after[track].status is not LesionStatus.UNSURE
        for pair in _links(named[track], after[track], after)
    }
    new = {e.lesion_id for track, e in after.items() if track not in named}
    return Tally(
        right=len(links & course.links),
        linked=len(links),
        true=len(course.links),
        decided_right=len(decided & course.links),
        decided=len(decided),
        new_found=len(new & course.new),
        new_claimed=len(new),
        new=len(course.new),
        gone_found=sum(not _heirs(links, name) for name in course.gone),
        gone=len(course.gone),
        split_found=_as_true(links, course, course.split),
        split=len(course.split),
        merged_found=_as_true(links, course, course.merged),
        merged=len(course.merged),
        misjudged=sum(
            _heirs(links, name) != _heirs(course.links, name)
            for track, name in named.items()
            if name in course.gone | course.split | course.merged
            and after[track].status is not LesionStatus.UNSURE
        ),
        unsure=sum(e.status is LesionStatus.UNSURE for e in after.values()),
        entries=len(after),
    )


def pooled(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of several counts."""
    return Tally(**{f.name: sum(getattr(t, f.name) for t in tallies) for f in fields(Tally)})


def _links(
    name: str, entry: TimelineEntry, after: dict[str, TimelineEntry]
) -> set[tuple[str, str]]:
    whole = after[entry.merged_into] if entry.merged_into else entry
    return {(name, part) for part in whole.parts}


def _heirs(links: set[tuple[str, str]], name: str) -> set[str]:
    return {later for before, later in links if before == name}


def _as_true(links: set[tuple[str, str]], course: Course, names: set[str]) -> int:
    return sum(_heirs(links, name) == _heirs(course.links, name) for name in names)
