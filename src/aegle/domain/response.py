"""The same patient over time: alignment, lesions followed, and how the tumour responds."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from aegle.domain.grid import Points
from aegle.domain.text import Text


class Verdict(Enum):
    """Whether an alignment can be relied on."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A rigid alignment of a later (moving) to an earlier (fixed) image."""

    matrix: tuple[tuple[float, float, float, float], ...]
    """4×4, maps LPS positions of the fixed image to the moving image [mm]."""
    correlation_before: float
    correlation_after: float
    verdict: Verdict
    reason: Text

    def to_moving(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the fixed image to the moving image [mm]."""
        matrix = np.asarray(self.matrix)
        return np.asarray(points_mm @ matrix[:3, :3].T + matrix[:3, 3])

    def to_fixed(self, points_mm: Points) -> Points:
        """Map ``[..., 3]`` LPS positions of the moving image to the fixed image [mm]."""
        matrix = np.asarray(self.matrix)
        return np.asarray((points_mm - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T)


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


class ResponseCategory(Enum):
    """Response of the tumour (RECIST 1.1), best first."""

    COMPLETE_RESPONSE = "CR"
    PARTIAL_RESPONSE = "PR"
    STABLE_DISEASE = "SD"
    PROGRESSIVE_DISEASE = "PD"
    NOT_EVALUABLE = "NE"


@dataclass(frozen=True, kw_only=True)
class Response:
    """A judged response at one visit, with the numbers that decided it."""

    visit: int
    category: ResponseCategory
    criterion: str
    sum_mm: float
    baseline_mm: float
    nadir_mm: float
    reason: Text
    citation: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class FollowUp:
    """Timeline and responses of one patient."""

    timeline: Timeline
    responses: tuple[Response, ...]
    """One per visit after baseline."""
