"""The same lesions of a patient over all visits."""

from dataclasses import dataclass
from enum import Enum

from aegle.domain.registration import Registration


class LesionStatus(Enum):
    """What became of a lesion at a visit."""

    BASELINE = "baseline"
    PRESENT = "present"
    NEW = "new"
    GONE = "gone"
    UNSURE = "unsure"
    """Seen, but not linked to any other visit, because the alignment failed."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One lesion at one visit."""

    track: str
    """Name of the lesion over all visits: ``T1``, ``T2``, ..."""
    visit: int
    """0 at baseline."""
    status: LesionStatus
    lesion_id: str | None
    """Id of the lesion in that visit's findings; None if gone."""
    diameter_mm: float
    """RECIST diameter; 0 if gone [mm]."""
    volume_ml: float
    is_target: bool
    is_lymph_node: bool
    match_distance_mm: float | None = None
    """Distance to where the alignment expects it [mm]."""


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
