"""How a tumour responds to treatment."""

from dataclasses import dataclass
from enum import Enum

from aegle.domain.text import Text
from aegle.domain.timeline import Timeline
from aegle.domain.tissue_change import VisitChange


class ResponseCategory(Enum):
    """Response of the tumour (RECIST 1.1), best first."""

    COMPLETE_RESPONSE = "CR"
    PARTIAL_RESPONSE = "PR"
    NEITHER_COMPLETE_NOR_PROGRESSIVE = "NON-CR/NON-PD"
    """Of patients without measurable lesions whose other lesions remain (table 2)."""
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
    rule: str = ""
    """Name of the rule that fired, in the criterion's file."""
    probabilities: tuple[tuple[str, float], ...] = ()
    """Each category with its probability given measurement error, most probable first."""
    assumed_error: Text | None = None
    """Which measurement error the probabilities assume."""
    doubt: Text | None = None
    """Why another category is as possible; None where all sizes lie clear of the limits."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FollowUp:
    """Timeline and responses of one patient."""

    timeline: Timeline
    responses: tuple[Response, ...]
    """One per visit after baseline; none where no visit shows a lesion."""
    changes: tuple[VisitChange, ...] = ()
    """Changed tissue at later visits, where nobody delineated lesions."""
