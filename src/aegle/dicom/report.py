"""Findings as a structured report: an imaging measurement report with one group per lesion.

Each group carries the tracking identifier that the lesion keeps over time, diameters with their
end points in the patient, volume, voxel statistics and what a published rule says. Organs
follow, one group each. A group refers to its segment where a segmentation is given, otherwise
to the images.

Categories of published rules have no standard codes; they are coded under the private scheme
``99AEGLE`` with their own words as meaning.

Sources: DICOM PS3.16 TID 1500, 1411, 1501, 1419; PS3.3 A.35.13 (Comprehensive 3D SR).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as DicomCode

from aegle import __version__
from aegle.dicom import attributes, report_course, report_suggestions, segmentation
from aegle.dicom.attributes import ObjectIdentity
from aegle.dicom.report_course import (
    LONG_AXIS,
    MILLIMETRE,
    PRIVATE_SCHEME,
    SHORT_AXIS,
    TimePoint,
)
from aegle.domain import codes
from aegle.domain.codes import Code
from aegle.domain.errors import IdentityError
from aegle.domain.finding import (
    Findings,
    Lesion,
    LesionKind,
    OrganMeasure,
    Position,
    Statistics,
    Suggestion,
)
from aegle.domain.study import Image, Patient
from aegle.domain.volume import Quantity
from aegle.record.identity import derive_uid

_VOLUME = DicomCode("118565006", "SCT", "Volume")
_MILLILITRE = DicomCode("ml", "UCUM", "milliliter")
_MEAN = DicomCode("373098007", "SCT", "Mean")
_DEVIATION = DicomCode("386136009", "SCT", "Standard Deviation")
_MINIMUM = DicomCode("255605001", "SCT", "Minimum")
_MAXIMUM = DicomCode("56851009", "SCT", "Maximum")
_ORGAN = Code("113343008", "SCT", "Organ")
_EXAMINATION = Code("363679005", "SCT", "Imaging")
_PROCEDURES = {
    "CT": DicomCode("77477000", "SCT", "Computed Tomography"),
    "MR": DicomCode("113091000", "SCT", "Magnetic Resonance Imaging"),
    "PT": DicomCode("82918005", "SCT", "Positron Emission Tomography"),
}
_KINDS = {
    LesionKind.NODULE: codes.NODULE,
    LesionKind.MASS: codes.MASS,
    LesionKind.LYMPH_NODE: codes.LYMPH_NODE,
    LesionKind.TUMOUR: codes.NEOPLASM,
}
_QUANTITIES = {
    Quantity.RADIODENSITY.value: (
        DicomCode("112031", "DCM", "Attenuation Coefficient"),
        DicomCode("[hnsf'U]", "UCUM", "Hounsfield unit"),
    ),
    Quantity.STANDARDISED_UPTAKE.value: (
        DicomCode("126401", "DCM", "SUVbw"),
        DicomCode("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
    ),
    Quantity.ACTIVITY_CONCENTRATION.value: (
        DicomCode("activity", PRIVATE_SCHEME, "Activity Concentration"),
        DicomCode("Bq/ml", "UCUM", "Becquerels/milliliter"),
    ),
    Quantity.ABSORBED_DOSE.value: (
        DicomCode("128513", "DCM", "Absorbed Dose"),
        DicomCode("Gy", "UCUM", "Gray"),
    ),
}
_SIGNAL = (
    DicomCode("signal", PRIVATE_SCHEME, "Signal Intensity"),
    DicomCode("1", "UCUM", "no units"),
)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a report on an image refers to beside the image."""

    segments: Path | None = None
    """Its segmentation as :func:`segmentation.write` wrote it; groups refer to its segments by
    the names of their structures."""
    time_point: TimePoint | None = None
    """Where the visit stands in the course."""


def write(
    findings: Findings,
    image: Image,
    patient: Patient,
    path: Path,
    *,
    now: datetime,
    suggestions: tuple[Suggestion, ...] = (),
) -> Path:
    """Write what was measured on one image as a Comprehensive 3D SR.

    Arguments are those of :func:`compose`; ``path`` is the file to write.
    """
    report = compose(findings, image, patient, now=now, suggestions=suggestions)
    return attributes.save(report, path)


def compose(
    findings: Findings,
    image: Image,
    patient: Patient,
    *,
    now: datetime,
    suggestions: tuple[Suggestion, ...] = (),
    context: Context | None = None,
) -> Dataset:
    """Return the report on one image, to be written with :func:`attributes.save`.

    Args:
        findings: Of the whole examination; what was measured on other images is left out.
        image: The image reported on.
        patient: Who was examined.
        now: Time of creation.
        suggestions: What rules say about these findings; those that do not apply are left out.
        context: Segmentation of the image and place of the visit in the course, if known.

    Raises:
        IdentityError: The segmentation was made on another image series.
    """
    source = _Source(image, context or Context())
    time_point = source.time_point
    lesions = [lesion for lesion in findings.lesions if lesion.image == image.name]
    organs = [organ for organ in findings.organs if organ.statistics.image == image.name]
    applying = [s for s in suggestions if s.applies]
    groups = [_lesion_group(lesion, applying, source) for lesion in lesions]
    groups += [_organ_group(organ, source) for organ in organs]
    moment = image.series.study_date
    groups += report_course.gone_groups(moment, time_point)
    groups += report_course.response_groups(image.series.study_uid, moment, time_point)
    general = [s for s in applying if s.subject == "examination"]
    if general or not groups:
        groups.append(_examination_group(general, source))
    uid = attributes.object_uid(
        "SR",
        image.series,
        patient,
        now,
        *(part for lesion in lesions for part in _lesion_content(lesion)),
        repr(organs),
        str([(s.subject, s.rule, s.category, s.id) for s in applying]),
        source.segmentation_uid,
        *((time_point.content,) if time_point is not None else ()),
    )
    return _document(uid, groups, source, patient, now)


class _Source:
    """The image reported on and, if there are any, its segmentation and its place in the course."""

    def __init__(self, image: Image, context: Context) -> None:
        self.image = image
        self.time_point = context.time_point
        segments = context.segments
        self.segmentation = attributes.load(segments, "") if segments else None
        self.numbers: dict[str, int] = {}
        if self.segmentation is not None:
            self._require_same_series(self.segmentation)
            described = segmentation.described_segments(self.segmentation)
            self.numbers = {segment.name: number for number, segment in described}

    @property
    def segmentation_uid(self) -> str:
        return "" if self.segmentation is None else str(self.segmentation.SOPInstanceUID)

    def evidence(self, patient: Patient, now: datetime) -> list[Dataset]:
        """Return what identifies every object reported on, as the library wants it."""
        series = self.image.series
        found = []
        for uid in series.sop_instance_uids:
            identity = ObjectIdentity(
                sop_class_uid=series.sop_class_uid,
                uid=uid,
                series_uid=series.series_uid,
                modality=series.modality,
                series_number=1,
            )
            dataset = attributes.begin(identity, series, patient, now=now)
            # The library warns of names of one component; the true one is set afterwards.
            dataset.PatientName = None
            found.append(dataset)
        return found if self.segmentation is None else [*found, self.segmentation]

    def segment(self, name: str) -> sr.ReferencedSegment | None:
        """Return a reference to the segment of a structure, if there is one."""
        number = self.numbers.get(attributes.printable(name))
        if self.segmentation is None or number is None:
            return None
        return sr.ReferencedSegment(
            sop_class_uid=self.segmentation.SOPClassUID,
            sop_instance_uid=self.segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(self.image.series.series_uid),
        )

    def _require_same_series(self, dataset: Dataset) -> None:
        items = dataset.get("ReferencedSeriesSequence") or ()
        if self.image.series.series_uid not in [str(i.SeriesInstanceUID) for i in items]:
            raise IdentityError(
                f"The segmentation was not made on image '{self.image.name}'; give the one "
                "that was."
            )


def _document(
    uid: str, groups: list[Any], source: _Source, patient: Patient, now: datetime
) -> Dataset:
    series = source.image.series
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer()),
        procedure_reported=_PROCEDURES.get(series.modality, _dicom(_EXAMINATION)),
        imaging_measurements=groups,
        title=DicomCode("126000", "DCM", "Imaging Measurement Report"),
    )
    report = sr.Comprehensive3DSR(
        evidence=source.evidence(patient, now),
        content=content,
        series_instance_uid=derive_uid(uid, "series"),
        series_number=905,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=attributes.MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Measurements",
        coding_schemes=[
            CodingSchemeIdentificationItem(
                designator=PRIVATE_SCHEME, name="Aegle", version=__version__
            )
        ],
    )
    attributes.stamp(report, series, patient, now=now)
    day, clock = attributes.day(now), attributes.clock(now)
    for contribution in report.ContributingEquipmentSequence:
        attributes.fill(contribution, {"ContributionDateTime": day + clock})
    return attributes.fill(report, {"ContentDate": day, "ContentTime": clock})


def _observer() -> sr.ObserverContext:
    return sr.ObserverContext(
        observer_type=sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derive_uid(attributes.MANUFACTURER, __version__),
            name=attributes.MANUFACTURER,
            manufacturer_name=attributes.MANUFACTURER,
            model_name=attributes.MANUFACTURER,
            serial_number=__version__,
        ),
    )


def _lesion_group(lesion: Lesion, suggestions: Iterable[Suggestion], source: _Source) -> Any:
    size = lesion.diameters
    # A group that refers to a segment must not hold coordinates too (TID 1411).
    has_segment = source.segment(lesion.structure.name) is not None
    frame = None if has_segment else source.image.series.frame_of_reference_uid
    measurements = [
        _length(LONG_AXIS, size.longest_mm, size.longest_ends_mm, frame),
        _length(SHORT_AXIS, size.perpendicular_mm, size.perpendicular_ends_mm, frame),
        sr.Measurement(name=_VOLUME, value=lesion.volume_ml, unit=_MILLILITRE),
    ]
    for statistics in lesion.statistics:
        measurements.extend(_statistics(statistics))
    return _group(
        source,
        structure=lesion.structure.name,
        tracking_identifier=sr.TrackingIdentifier(
            uid=lesion.tracking_uid, identifier=attributes.printable(lesion.id)
        ),
        finding_type=_dicom(_KINDS[lesion.kind]),
        finding_sites=_sites(lesion.site),
        measurements=measurements,
        **report_suggestions.suggested(
            [s for s in suggestions if s.subject == lesion.id],
            report_course.roles(lesion.id, source.time_point),
        ),
    )


def _organ_group(organ: OrganMeasure, source: _Source) -> Any:
    return _group(
        source,
        structure=organ.name,
        tracking_identifier=sr.TrackingIdentifier(
            uid=derive_uid(source.image.series.series_uid, "organ", organ.name),
            identifier=attributes.printable(organ.name),
        ),
        finding_type=_dicom(codes.BODY_PARTS.get(organ.name, _ORGAN)),
        measurements=[
            sr.Measurement(name=_VOLUME, value=organ.volume_ml, unit=_MILLILITRE),
            *_statistics(organ.statistics),
        ],
    )


def _examination_group(suggestions: Iterable[Suggestion], source: _Source) -> Any:
    return _group(
        source,
        structure="",
        tracking_identifier=sr.TrackingIdentifier(
            uid=derive_uid(source.image.series.study_uid, "examination"),
            identifier="examination",
        ),
        finding_type=_dicom(_EXAMINATION),
        **report_suggestions.suggested(suggestions),
    )


def _group(source: _Source, *, structure: str, **content: Any) -> Any:
    """Return a measurement group that refers to its segment, or else to the images."""
    content |= report_course.context(source.image.series.study_date, source.time_point)
    segment = source.segment(structure)
    if segment is not None:
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment, **content
        )
    return sr.MeasurementsAndQualitativeEvaluations(**content)


def _length(
    name: DicomCode, value_mm: float, ends_mm: tuple[Position, Position], frame: str | None
) -> sr.Measurement:
    """Return a diameter, and its end points in a frame of reference if one is given."""
    if frame is None:
        return sr.Measurement(name=name, value=value_mm, unit=MILLIMETRE)
    line = sr.CoordinatesForMeasurement3D(
        graphic_type=sr.GraphicTypeValues3D.POLYLINE,
        graphic_data=np.array(ends_mm, dtype=np.float64),
        frame_of_reference_uid=frame,
    )
    return sr.Measurement(name=name, value=value_mm, unit=MILLIMETRE, referenced_coordinates=[line])


def _statistics(statistics: Statistics) -> Iterator[sr.Measurement]:
    name, unit = _QUANTITIES.get(statistics.unit, _SIGNAL)
    for derivation, value in (
        (_MEAN, statistics.mean),
        (_DEVIATION, statistics.deviation),
        (_MINIMUM, statistics.minimum),
        (_MAXIMUM, statistics.maximum),
    ):
        yield sr.Measurement(name=name, value=value, unit=unit, derivation=derivation)


def _sites(name: str) -> list[sr.FindingSite] | None:
    site = codes.BODY_PARTS.get(name)
    return None if site is None else [sr.FindingSite(anatomic_location=_dicom(site))]


def _dicom(code: Code) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning)


def _lesion_content(lesion: Lesion) -> tuple[str | bytes, ...]:
    facts = (lesion.id, lesion.tracking_uid, lesion.kind, lesion.site, lesion.diameters)
    numbers = (lesion.volume_ml, lesion.statistics)
    return (repr(facts), repr(numbers), *attributes.structure_content([lesion.structure]))
