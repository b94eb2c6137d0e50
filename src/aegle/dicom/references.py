"""What derived objects must repeat of the series that an image was read from."""

from collections.abc import Sequence

from aegle.dicom import tags
from aegle.dicom.attributes import MANUFACTURER
from aegle.dicom.elements import Elements
from aegle.dicom.moments import moment
from aegle.dicom.scan import ScannedSeries
from aegle.domain.study import SeriesReference
from aegle.record.identity import derive_uid


def reference_of(series: ScannedSeries, order: Sequence[int]) -> SeriesReference:
    """Return the reference of an image made of some instances of a series.

    Args:
        series: As the scan found it.
        order: Index of the instance of each slice in grid order; repeated indices count once.
    """
    instances = [series.instances[i] for i in dict.fromkeys(order)]
    found = instances[0].header
    frame = found.text(tags.FRAME_OF_REFERENCE_UID)
    return SeriesReference(
        study_uid=series.study_uid,
        series_uid=series.uid,
        frame_of_reference_uid=frame or derive_uid("frame of reference", series.uid),
        modality=series.modality,
        sop_class_uid=instances[0].sop_class_uid,
        sop_instance_uids=tuple(i.sop_instance_uid for i in instances),
        description=series.description,
        study_date=moment(found.text(tags.STUDY_DATE), found.text(tags.STUDY_TIME)),
        study_id=found.text(tags.STUDY_ID),
        study_description=found.text(tags.STUDY_DESCRIPTION),
        accession_number=found.text(tags.ACCESSION_NUMBER),
        slice_thickness_mm=found.number(tags.SLICE_THICKNESS),
        body_part=found.text(tags.BODY_PART_EXAMINED).upper(),
        view=found.text(tags.VIEW_POSITION).upper(),
        scanner=_scanner(found),
    )


def _scanner(found: Elements) -> str:
    """Return maker, model and tube voltage; empty for what Aegle itself wrote."""
    maker = found.text(tags.MANUFACTURER)
    if not maker or maker == MANUFACTURER:
        return ""
    model = found.text(tags.MANUFACTURER_MODEL_NAME)
    voltage_kv = found.number(tags.KVP)
    # Some makers begin the model's name with their own.
    name = model if model.upper().startswith(maker.upper()) else f"{maker} {model}".strip()
    return f"{name}, {voltage_kv:g} kV" if voltage_kv else name
