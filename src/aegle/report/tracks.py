"""What a lesion is called: its name at one visit and its name over all visits."""

from collections.abc import Mapping

from aegle.domain.case import CaseResults
from aegle.report.language import clean


def titles(results: CaseResults, visit: int) -> Mapping[str, str]:
    """Return how each followed lesion of a visit is shown: ``L2`` becomes ``L2 · T4``.

    Lesions are numbered anew by size at each visit; the second name is that of the same
    lesion over all visits.
    """
    follow_up = results.following.follow_up
    entries = follow_up.timeline.at(visit) if follow_up else ()
    return {
        entry.lesion_id: f"{clean(entry.lesion_id)} · {clean(entry.track)}"
        for entry in entries
        if entry.lesion_id
    }


def title(results: CaseResults, visit: int, lesion: str) -> str:
    """Return how one lesion of a visit is shown; by its own name if it is not followed."""
    return titles(results, visit).get(lesion, clean(lesion))
