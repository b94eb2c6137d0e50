"""What a structured report says about the course: which visit, which lesions count, how it went.

A lesion keeps its tracking UID at every visit, also where it is gone: there its diameter is 0. The
parts of one that has split name it, and one that has grown into another names that one.
DICOM has codes for the response of target lesions alone (CID 6143), none for the overall
response; that is coded under the private scheme with its own letters.

Sources: DICOM PS3.16 TID 1502 (time point), TID 1501 (method of measurement), CID 280, 6145,
6146 and 6147.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from highdicom import sr
from pydicom.sr.coding import Code as DicomCode

from aegle.dicom import attributes
from aegle.domain.codes import LESION
from aegle.domain.response import Response
from aegle.record.identity import derive_uid

PRIVATE_SCHEME = "99AEGLE"
LONG_AXIS = DicomCode("103339001", "SCT", "Long axis")
SHORT_AXIS = DicomCode("103340004", "SCT", "Short axis")
MILLIMETRE = DicomCode("mm", "UCUM", "millimeter")

_BASELINE_TYPE = DicomCode("C1442488", "UMLS", "Baseline")
_BASELINE_EVENT = DicomCode("121079", "DCM", "Baseline")
_DAY = DicomCode("d", "UCUM", "day")
_CATEGORY = DicomCode("112016", "DCM", "Baseline Category")
_TARGET = DicomCode("112074", "DCM", "Target Lesion at Baseline")
_NON_TARGET = DicomCode("112075", "DCM", "Non-Target Lesion at Baseline")
_PART_OF = DicomCode("part-of", PRIVATE_SCHEME, "Part of lesion")
_MERGED = DicomCode("merged-into", PRIVATE_SCHEME, "Grown together with lesion")
_RESPONSE = DicomCode("112048", "DCM", "Current Response")
_IMAGING = DicomCode("363679005", "SCT", "Imaging")
_LESION = DicomCode(LESION.value, LESION.scheme, LESION.meaning)
CRITERIA = {"RECIST 1.1": DicomCode("126081", "DCM", "RECIST 1.1")}
"""CID 6147."""
_SUMS = (
    ("sum_mm", DicomCode("sum-now", PRIVATE_SCHEME, "Sum of target lesion diameters")),
    ("baseline_mm", DicomCode("sum-baseline", PRIVATE_SCHEME, "Sum at baseline")),
    ("nadir_mm", DicomCode("sum-nadir", PRIVATE_SCHEME, "Smallest sum before (nadir)")),
)


@dataclass(frozen=True, kw_only=True)
class TrackedLesion:
    """A lesion's part in the course."""

    id: str
    """Name in the report: its id at this visit, or the track's name where it is gone."""
    tracking_uid: str
    is_target: bool
    is_new: bool = False
    """Not there at baseline, so neither target nor non-target."""
    is_lymph_node: bool = False
    part_of: str = ""
    """Name of the lesion over all visits that has fallen into parts, this one among them."""
    merged_into: str = ""
    """Name of the lesion over all visits with which it has grown together."""


@dataclass(frozen=True, kw_only=True)
class TimePoint:
    """Where a visit stands in the course."""

    order: int
    """1 at baseline."""
    baseline: datetime | None = None
    """When the baseline examination took place."""
    lesions: tuple[TrackedLesion, ...] = ()
    """Seen at this visit."""
    gone: tuple[TrackedLesion, ...] = ()
    """Looked for at this visit and not there."""
    merged: tuple[TrackedLesion, ...] = ()
    """Grown together with another lesion, at which the whole counts."""
    responses: tuple[Response, ...] = ()
    """At this visit, one per criterion."""

    @property
    def content(self) -> str:
        """What tells this from another, to derive UIDs from."""
        said = [(r.criterion, r.category.value, str(r.reason), *sums(r)) for r in self.responses]
        return repr((self.order, self.baseline, self.lesions, self.gone, self.merged, said))


def sums(response: Response) -> tuple[float, ...]:
    """Return the three sums of a response [mm]."""
    return response.sum_mm, response.baseline_mm, response.nadir_mm


def context(moment: datetime | None, point: TimePoint | None) -> dict[str, Any]:
    """Return when a group was observed, as an argument of the library's groups (TID 1502)."""
    if moment is None and point is None:
        return {}
    said = f"{moment:%Y-%m-%d}" if moment is not None else ""
    if point is None:
        return {"time_point_context": sr.TimePointContext(time_point=said)}
    return {
        "time_point_context": sr.TimePointContext(
            time_point=said or f"Visit {point.order}",
            time_point_type=_BASELINE_TYPE if point.order == 1 else None,
            time_point_order=point.order,
            subject_time_point_identifier=f"Visit {point.order}",
            temporal_offset_from_event=_offset(moment, point),
        )
    }


def _offset(
    moment: datetime | None, point: TimePoint
) -> sr.LongitudinalTemporalOffsetFromEvent | None:
    if moment is None or point.baseline is None:
        return None
    days = (moment.date() - point.baseline.date()).days
    return sr.LongitudinalTemporalOffsetFromEvent(value=days, unit=_DAY, event_type=_BASELINE_EVENT)


def roles(lesion_id: str, point: TimePoint | None) -> list[sr.QualitativeEvaluation]:
    """Return whether a lesion is a target lesion (CID 6145); nothing for a new one."""
    lesions = point.lesions if point is not None else ()
    return [role for one in lesions if one.id == lesion_id for role in _role(one)]


def _role(lesion: TrackedLesion) -> list[sr.QualitativeEvaluation]:
    said = [
        sr.QualitativeEvaluation(name=name, value=_named(whole))
        for name, whole in ((_PART_OF, lesion.part_of), (_MERGED, lesion.merged_into))
        if whole
    ]
    if lesion.is_new:
        return said
    value = _TARGET if lesion.is_target else _NON_TARGET
    return [sr.QualitativeEvaluation(name=_CATEGORY, value=value), *said]


def _named(track: str) -> DicomCode:
    """Return the name of a lesion over all visits as a code; DICOM has none for it."""
    return DicomCode(track, PRIVATE_SCHEME, f"Lesion {track}")


def gone_groups(moment: datetime | None, point: TimePoint | None) -> Iterator[Any]:
    """Yield a group for each lesion that is gone, with a diameter of 0, or grown into another.

    One that has grown into another has no diameter of its own.
    """
    for lesion in (*point.gone, *point.merged) if point is not None else ():
        axis = SHORT_AXIS if lesion.is_lymph_node else LONG_AXIS
        nothing_left = [sr.Measurement(name=axis, value=0.0, unit=MILLIMETRE)]
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=lesion.tracking_uid, identifier=attributes.printable(lesion.id)
            ),
            finding_type=_LESION,
            measurements=None if lesion.merged_into else nothing_left,
            qualitative_evaluations=_role(lesion),
            **context(moment, point),
        )


def response_groups(
    study_uid: str, moment: datetime | None, point: TimePoint | None
) -> Iterator[Any]:
    """Yield a group for each criterion: sums, category and the criterion as method."""
    for response in point.responses if point is not None else ():
        told = response.category.name.replace("_", " ").capitalize()
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=derive_uid(study_uid, "response", response.criterion),
                identifier=attributes.printable(f"response {response.criterion}"),
            ),
            finding_type=_IMAGING,
            method=CRITERIA.get(response.criterion),
            measurements=[
                sr.Measurement(name=name, value=getattr(response, field), unit=MILLIMETRE)
                for field, name in _SUMS
                if math.isfinite(getattr(response, field))
            ],
            qualitative_evaluations=[
                sr.QualitativeEvaluation(
                    name=_RESPONSE,
                    value=DicomCode(response.category.value, PRIVATE_SCHEME, told),
                )
            ],
            **context(moment, point),
        )
