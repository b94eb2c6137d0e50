"""The same lesions of a patient over all visits."""

from dataclasses import dataclass
from enum import Enum

from aegle.domain.registration import Registration
from aegle.domain.text import Text


class LesionStatus(Enum):
    """What became of a lesion at a visit."""

    BASELINE = "baseline"
    PRESENT = "present"
    NEW = "new"
    SPLIT = "split"
    """One lesion before, several now; their diameters are summed."""
    MERGED = "merged"
    """Grown together with another lesion; the whole counts once, at the larger of the two."""
    GONE = "gone"
    UNSURE = "unsure"
    """What became of it has to be asked: the alignment failed, or no explanation is likely
    enough."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One lesion at one visit."""

    track: str
    """Name of the lesion over all visits: ``T1``, ``T2``, ..."""
    visit: int
    """0 at baseline."""
    status: LesionStatus
    lesion_id: str | None
    """Id of the lesion in that visit's findings, of the largest part; None if gone."""
    diameter_mm: float
    """RECIST diameter, of all parts together; 0 if gone or counted at another track [mm]."""
    volume_ml: float
    is_target: bool
    is_lymph_node: bool
    match_distance_mm: float | None = None
    """Distance to where the alignment expects it, of the common centre of parts [mm]."""
    parts: tuple[str, ...] = ()
    """Ids of all lesions of this visit that belong to the track, the first-named included."""
    part_names: tuple[str, ...] = ()
    """Names of the parts over all visits: ``T3``, ``T3.2``, ..."""
    merged_into: str | None = None
    """Track at which the lesion is counted since it grew together with that one."""
    probability: float | None = None
    """That this is what became of the lesion; None where nothing had to be decided."""
    evidence: Text | None = None
    """What speaks for it."""
    question: Text | None = None
    """What to ask, for a lesion that is unsure."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """All lesions of a patient over all visits, oldest visit first."""

    study_uids: tuple[str, ...]
    entries: tuple[TimelineEntry, ...]
    registrations: tuple[Registration, ...] = ()
    """Alignment of each later visit to baseline."""

    def at(self, visit: int) -> tuple[TimelineEntry, ...]:
        """Return the entries of one visit."""
        return tuple(e for e in self.entries if e.visit == visit)
