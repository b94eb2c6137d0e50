"""In which order a department reads its examinations.

The most urgent suggestion goes first; equal urgency goes by time of arrival. Waiting long
never lifts an examination above an older urgent one: from a limit on it competes with the
urgent by time of arrival alone. In a simulated queue (traffic 0.95, one in ten diseased) this
kept the longest wait at that of first come, first served, and the diseased still waited less;
putting everything old ahead of everything else was worse than no order at all.
"""

from dataclasses import dataclass as plain_dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.domain.text import Text
from aegle.domain.worklist import Worklist, WorklistItem
from aegle.options import option

ROUTINE, SOON, REVIEW, URGENT = range(4)

URGENCY_OF_CATEGORY = {
    "4X": URGENT,
    "4B": URGENT,
    "4A": REVIEW,
    "REVIEW": REVIEW,
    "3": SOON,
    "0": SOON,
}
"""Lung-RADS v2022: 4B and 4X ask for work-up now, 4A for CT in 3, 3 for CT in 6 months."""

URGENCY_OF_RESPONSE = {"PD": URGENT, "NE": REVIEW}
"""RECIST 1.1: progression changes treatment; not evaluable needs a reader's eye."""


@dataclass(frozen=True, kw_only=True)
class TriageOptions:
    """When waiting itself starts to count."""

    waiting_limit_hours: Annotated[
        float,
        option("Waiting time from which an examination competes with the urgent", unit="h", gt=0),
    ] = 4.0


@plain_dataclass(frozen=True, kw_only=True)
class WaitingExamination:
    """What is known about an examination that waits to be read."""

    study_uid: str
    patient_id: str
    time: datetime | None
    """Arrival; a time without zone counts as UTC."""
    highest_category: str = ""
    """Category that the suggested rule gave the examination; empty if none applied."""
    response: str | None = None
    """Response category (RECIST 1.1), if the examination is a follow-up."""
    largest_mm: float = 0.0
    """Longest diameter of the largest lesion [mm]."""


def order(
    items: tuple[WaitingExamination, ...], *, options: TriageOptions, now: datetime | None = None
) -> Worklist:
    """Put waiting examinations in the order in which to read them.

    Args:
        items: Examinations that wait, in any order.
        options: When waiting starts to count.
        now: The time at which the order holds. Without it nobody has waited too long.

    Returns:
        Every examination once: by urgency, then by arrival (unknown arrival last), then by
        study UID, so that the same examinations always come in the same order.
    """
    limit = timedelta(hours=options.waiting_limit_hours)
    judged = [(*_urgency(item, limit, now), item) for item in items]
    judged.sort(key=lambda entry: (-entry[0], *_arrival(entry[2])))
    return Worklist(
        tuple(
            WorklistItem(
                position=position,
                study_uid=item.study_uid,
                patient_id=item.patient_id,
                time=item.time,
                urgency=urgency,
                reason=reason,
            )
            for position, (urgency, reason, item) in enumerate(judged, start=1)
        )
    )


def _urgency(item: WaitingExamination, limit: timedelta, now: datetime | None) -> tuple[int, Text]:
    by_category = URGENCY_OF_CATEGORY.get(item.highest_category, ROUTINE)
    by_response = URGENCY_OF_RESPONSE.get(item.response or "", ROUTINE)
    urgency = max(by_category, by_response)
    if urgency < URGENT and _has_waited(item, limit, now):
        hours = limit.total_seconds() / 3600
        return URGENT, Text(
            "Has waited longer than {hours:.0f} h; competes with the urgent by arrival.",
            {"hours": hours},
        )
    if urgency == ROUTINE:
        return ROUTINE, Text("Nothing urgent; by time of arrival.")
    if by_response >= by_category:
        return urgency, _because_of_response(item)
    return urgency, Text(
        "Suggested category {category}, largest lesion {largest_mm:.0f} mm.",
        {"category": item.highest_category, "largest_mm": item.largest_mm},
    )


def _because_of_response(item: WaitingExamination) -> Text:
    if item.response == "PD":
        return Text(
            "Progressive disease, largest lesion {largest_mm:.0f} mm.",
            {"largest_mm": item.largest_mm},
        )
    return Text("The response could not be judged.")


def _has_waited(item: WaitingExamination, limit: timedelta, now: datetime | None) -> bool:
    if now is None or item.time is None:
        return False
    return _in_utc(now) - _in_utc(item.time) > limit


def _arrival(item: WaitingExamination) -> tuple[bool, datetime, str]:
    if item.time is None:
        return True, datetime.max.replace(tzinfo=UTC), item.study_uid
    return False, _in_utc(item.time), item.study_uid


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
