"""Who goes first."""

from dataclasses import dataclass
from datetime import datetime

from aegle.domain.text import Text


@dataclass(frozen=True, kw_only=True)
class WorklistItem:
    """One examination waiting to be read."""

    position: int
    """1 is read first."""
    study_uid: str
    patient_id: str
    time: datetime | None
    urgency: int
    """Higher is read earlier; equal urgency goes by time of arrival."""
    reason: Text


@dataclass(frozen=True)
class Worklist:
    """Examinations in the order in which to read them."""

    items: tuple[WorklistItem, ...]
