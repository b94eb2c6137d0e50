"""The course as content of FHIR Observations: a lesion that is gone, and the response."""

import math

from aegle.domain.response import Response
from aegle.domain.timeline import TimelineEntry
from aegle.report import fhir_codes as codes
from aegle.report.fhir_codes import Json, component, concept, quantity
from aegle.report.language import clean


def gone(entry: TimelineEntry, tracking_uid: str) -> Json:
    """Return a lesion that was looked for and not found: the same identity, a size of 0."""
    axis = codes.SHORT_AXIS if entry.is_lymph_node else codes.LONG_AXIS
    identity = {"system": codes.DICOM_UID, "value": f"urn:oid:{tracking_uid}"}
    return {
        **({"identifier": [identity]} if tracking_uid else {}),
        "code": concept(codes.TUMOUR_SIZE, text=f"{clean(entry.track)}, {entry.status.value}"),
        "component": [component(quantity(0.0, codes.MILLIMETRE), axis)],
    }


def response(response: Response) -> Json:
    """Return a response: category, sums, reason and what it rests on."""
    lengths = (
        ("sum of target lesions", response.sum_mm),
        ("sum at baseline", response.baseline_mm),
        ("nadir", response.nadir_mm),
    )
    known = [(name, mm) for name, mm in lengths if math.isfinite(mm)]
    components = [component(quantity(mm, codes.MILLIMETRE), text=name) for name, mm in known]
    told = response.category.name.replace("_", " ").lower()
    notes = [clean(str(response.reason)), clean(response.citation)]
    return {
        "code": concept(codes.DISEASE_STATUS, text=clean(response.criterion)),
        "valueCodeableConcept": concept(
            codes.TREND[response.category], text=f"{response.category.value}: {told}"
        ),
        "method": concept(text=clean(response.criterion)),
        **({"component": components} if components else {}),
        "note": [{"text": text} for text in notes if text],
    }
