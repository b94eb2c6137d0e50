"""Code systems, units and required codes of FHIR R4B that the export uses."""

from typing import Any

from aegle.domain.codes import BODY_PARTS, LYMPH_NODE, MASS, NEOPLASM, NODULE, Code
from aegle.domain.finding import LesionKind
from aegle.domain.response import ResponseCategory
from aegle.domain.volume import Quantity

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
DICOM = "http://dicom.nlm.nih.gov/resources/ontology/DCM"
UCUM = "http://unitsofmeasure.org"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
DICOM_UID = "urn:dicom:uid"
SYSTEMS = frozenset({SNOMED, LOINC, DICOM, OBSERVATION_CATEGORY, DIAGNOSTIC_SERVICE, DATA_ABSENT})

MILLIMETRE, MILLILITRE, PERCENT, GRAY, COUNT = "mm", "mL", "%", "Gy", "1"
HOUNSFIELD = "[hnsf'U]"
SUV_BODY_WEIGHT = "{SUVbw}g/mL"
BECQUEREL = "Bq/mL"
UNITS = frozenset(
    {MILLIMETRE, MILLILITRE, PERCENT, GRAY, COUNT, HOUNSFIELD, SUV_BODY_WEIGHT, BECQUEREL}
)
"""Units of the export; UCUM 2.1, DICOM PS3.16 CID 82 and CID 85."""

TUMOUR_SIZE = (LOINC, "21889-1", "Size Tumor")
LARGEST_DIMENSION = (LOINC, "33728-7", "Size.maximum dimension in Tumor")
OTHER_DIMENSION = (LOINC, "33729-5", "Size additional dimension in Tumor")
LONG_AXIS = (SNOMED, "103339001", "Long axis")
SHORT_AXIS = (SNOMED, "103340004", "Short axis")
VOLUME = (SNOMED, "118565006", "Volume")
DISEASE_STATUS = (LOINC, "97509-4", "Cancer disease status")
TREND = {
    ResponseCategory.COMPLETE_RESPONSE: (SNOMED, "268910001", "Patient's condition improved"),
    ResponseCategory.PARTIAL_RESPONSE: (SNOMED, "268910001", "Patient's condition improved"),
    ResponseCategory.NEITHER_COMPLETE_NOR_PROGRESSIVE: (
        SNOMED,
        "359746009",
        "Patient's condition stable",
    ),
    ResponseCategory.STABLE_DISEASE: (SNOMED, "359746009", "Patient's condition stable"),
    ResponseCategory.PROGRESSIVE_DISEASE: (SNOMED, "271299001", "Patient's condition worsened"),
    ResponseCategory.NOT_EVALUABLE: (SNOMED, "709137006", "Patient condition undetermined"),
}
"""Value set ConditionStatusTrend of HL7 mCODE 4.0.0, to which Cancer disease status is bound."""
IMAGING_STUDY = (LOINC, "18748-4", "Diagnostic imaging study")
ATTENUATION = {
    "mean": (DICOM, "112181", "Mean Attenuation Coefficient"),
    "deviation": (DICOM, "112183", "Standard Deviation of Attenuation Coefficient"),
    "minimum": (DICOM, "112179", "Minimum Attenuation Coefficient"),
    "maximum": (DICOM, "112180", "Maximum Attenuation Coefficient"),
}
SUV = (DICOM, "126401", "SUVbw")
UNIT_OF = {
    Quantity.RADIODENSITY.value: HOUNSFIELD,
    Quantity.STANDARDISED_UPTAKE.value: SUV_BODY_WEIGHT,
    Quantity.ACTIVITY_CONCENTRATION.value: BECQUEREL,
}
KINDS = {
    LesionKind.NODULE: NODULE,
    LesionKind.MASS: MASS,
    LesionKind.LYMPH_NODE: LYMPH_NODE,
    LesionKind.TUMOUR: NEOPLASM,
}

REQUIRED: dict[str, frozenset[str]] = {
    "Bundle.type": frozenset(
        {
            "document",
            "message",
            "transaction",
            "transaction-response",
            "batch",
            "batch-response",
            "history",
            "searchset",
            "collection",
        }
    ),
    "Patient.gender": frozenset({"male", "female", "other", "unknown"}),
    "Patient.identifier.use": frozenset({"usual", "official", "temp", "secondary", "old"}),
    "ImagingStudy.status": frozenset(
        {"registered", "available", "cancelled", "entered-in-error", "unknown"}
    ),
    "Observation.status": frozenset(
        {
            "registered",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "cancelled",
            "entered-in-error",
            "unknown",
        }
    ),
    "DiagnosticReport.status": frozenset(
        {
            "registered",
            "partial",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "appended",
            "cancelled",
            "entered-in-error",
            "unknown",
        }
    ),
    "DetectedIssue.status": frozenset(
        {
            "registered",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "cancelled",
            "entered-in-error",
            "unknown",
        }
    ),
    "DetectedIssue.severity": frozenset({"high", "moderate", "low"}),
    "CarePlan.status": frozenset(
        {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}
    ),
    "CarePlan.intent": frozenset({"proposal", "plan", "order", "option"}),
    "Device.status": frozenset({"active", "inactive", "entered-in-error", "unknown"}),
    "Device.deviceName.type": frozenset(
        {
            "udi-label-name",
            "user-friendly-name",
            "patient-reported-name",
            "manufacturer-name",
            "model-name",
            "other",
        }
    ),
}
"""Codes allowed where FHIR R4B binds an element with strength *required*."""

TARGETS: dict[str, frozenset[str]] = {
    "Observation.subject": frozenset({"Patient"}),
    "Observation.device": frozenset({"Device"}),
    "Observation.derivedFrom": frozenset({"ImagingStudy", "Observation"}),
    "Observation.hasMember": frozenset({"Observation"}),
    "ImagingStudy.subject": frozenset({"Patient"}),
    "DiagnosticReport.subject": frozenset({"Patient"}),
    "DiagnosticReport.imagingStudy": frozenset({"ImagingStudy"}),
    "DiagnosticReport.result": frozenset({"Observation"}),
    "DetectedIssue.patient": frozenset({"Patient"}),
    "DetectedIssue.author": frozenset({"Device"}),
    "DetectedIssue.evidence.detail": frozenset({"Observation"}),
    "CarePlan.subject": frozenset({"Patient"}),
    "CarePlan.supportingInfo": frozenset({"ImagingStudy", "Observation"}),
}
"""Resource types that a reference may point to."""


NEEDED: dict[str, tuple[str, ...]] = {
    "Patient": ("identifier", "gender"),
    "Device": ("status", "deviceName", "version"),
    "ImagingStudy": ("status", "subject", "identifier"),
    "Observation": ("status", "category", "code", "subject", "device", "derivedFrom"),
    "DiagnosticReport": ("status", "code", "subject", "imagingStudy", "conclusion"),
    "DetectedIssue": ("status", "code", "severity", "patient", "author", "evidence"),
    "CarePlan": ("status", "intent", "subject"),
}
"""Resources of the export, and what each has to say."""

ABSENT_REASONS = frozenset(
    {
        *("unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked"),
        *("not-applicable", "unsupported", "as-text", "error", "not-a-number"),
        *("negative-infinity", "positive-infinity", "not-performed", "not-permitted"),
    }
)
"""Codes of FHIR's data-absent-reason."""


def concept(*codes: tuple[str, str, str], text: str = "") -> Json:
    """Return a CodeableConcept."""
    codings = [{"system": s, "code": c, "display": d} for s, c, d in codes]
    found: Json = {"coding": codings} if codings else {}
    return {**found, "text": text} if text else found


def snomed(code: Code) -> tuple[str, str, str]:
    """Return a domain code for a CodeableConcept."""
    return SNOMED, code.value, code.meaning


def body_site(name: str) -> Json:
    """Return a body part; in words alone if it has no code."""
    code = BODY_PARTS.get(name)
    text = name.replace("_", " ")
    return concept(snomed(code), text=text) if code else concept(text=text)


def quantity(value: float, unit: str) -> Json:
    """Return a Quantity in UCUM, to 0.001."""
    return {"value": round(float(value), 3), "unit": unit, "system": UCUM, "code": unit}


def component(value: Json, *code: tuple[str, str, str], text: str = "") -> Json:
    """Return a component of an Observation with its code and a Quantity."""
    return {"code": concept(*code, text=text), "valueQuantity": value}
