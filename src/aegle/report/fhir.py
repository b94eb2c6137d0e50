"""The case as a FHIR R4B bundle.

Everything is *preliminary* or a *proposal*: a person decides. Identifiers are derived from
content, so that the same case gives the same bytes.
"""

import json
import math
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import aegle
from aegle.domain.case import CaseResults
from aegle.domain.finding import Lesion, OrganMeasure, Statistics, Suggestion
from aegle.domain.study import Examination, Patient
from aegle.domain.suggestion import standing
from aegle.domain.timeline import LesionStatus
from aegle.domain.volume import Quantity
from aegle.record.identity import digest
from aegle.report import fhir_codes as codes
from aegle.report import fhir_follow, fhir_suggestions
from aegle.report.fhir_check import require_sound
from aegle.report.fhir_codes import Json, component, concept, quantity
from aegle.report.files import write_whole
from aegle.report.find import findings_of
from aegle.report.language import clean
from aegle.report.language import words as _words
from aegle.report.plan_words import limit_words, metric_words

GENDERS = {"F": "female", "M": "male", "O": "other"}


def write(results: CaseResults, path: Path) -> Path:
    """Write the case as one FHIR R4B Bundle of type ``collection`` in JSON.

    Args:
        results: All that is known about the case.
        path: File to write; replaced if it is there.

    Returns:
        The path.

    Raises:
        InputError: The bundle does not hold to FHIR; nothing is written.
    """
    made = bundle(results)
    require_sound(made)
    text = json.dumps(made, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return write_whole(path, f"{text}\n".encode())


def bundle(results: CaseResults) -> Json:
    """Return the bundle: patient, program, studies, measures, suggestions, reports, plan."""
    entries = [
        {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
        for resource in _Writer(results).resources()
    ]
    made: Json = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    now = results.provenance.now
    return {**made, "timestamp": now.isoformat()} if now.tzinfo else made


class _Writer:
    """Makes the resources of one case and the references between them."""

    def __init__(self, results: CaseResults) -> None:
        self._results = results
        self._patient = results.examinations.patient
        self._reviews = standing(results.reviews)

    def resources(self) -> Iterator[Json]:
        yield _patient(self._patient, self._id("Patient"))
        yield self._device()
        for maker in fhir_suggestions.makers(self._results.suggestions.visits):
            key = fhir_suggestions.maker_key(maker)
            yield fhir_suggestions.device(maker, self._id("Device", key))
        for number, visit in enumerate(self._results.examinations.visits):
            yield self._study(visit)
            observations = [*self._measures(number, visit), *self._judgements(number, visit)]
            yield from observations
            yield from self._issues(number, visit)
            yield self._report(visit, observations)
        plan = self._plan()
        if plan is not None:
            yield plan

    def _id(self, *parts: str) -> str:
        content = bytes.fromhex(digest("fhir", self._patient.id, *parts))[:16]
        return str(uuid.UUID(bytes=content, version=5))

    def _reference(self, *parts: str) -> Json:
        return {"reference": f"urn:uuid:{self._id(*parts)}", "type": parts[0]}

    def _device(self) -> Json:
        name = {"name": "Aegle", "type": "model-name"}
        return {
            "resourceType": "Device",
            "id": self._id("Device"),
            "status": "active",
            "deviceName": [name],
            "version": [{"value": self._results.provenance.version}],
            "note": [{"text": aegle.RESEARCH_USE}],
        }

    def _study(self, visit: Examination) -> Json:
        references = [*(i.series for i in visit.images), *(p.series for p in visit.projections)]
        series = [
            {
                "uid": item.series_uid,
                "modality": {"system": codes.DICOM, "code": item.modality or "OT"},
                "numberOfInstances": len(item.sop_instance_uids),
                **({"description": clean(item.description)} if item.description.strip() else {}),
            }
            for item in references
        ]
        return {
            "resourceType": "ImagingStudy",
            "id": self._id("ImagingStudy", visit.study_uid),
            "identifier": [{"system": codes.DICOM_UID, "value": f"urn:oid:{visit.study_uid}"}],
            "status": "available",
            "subject": self._reference("Patient"),
            "numberOfSeries": len(series),
            "numberOfInstances": sum(len(item.sop_instance_uids) for item in references),
            **({"series": series} if series else {}),
            **({"started": _when(visit.time)} if visit.time else {}),
            **({"description": clean(visit.description)} if visit.description.strip() else {}),
        }

    def _observation(self, visit: Examination, key: tuple[str, ...], content: Json) -> Json:
        imaging = (codes.OBSERVATION_CATEGORY, "imaging", "Imaging")
        return {
            "resourceType": "Observation",
            "id": self._id("Observation", visit.study_uid, *key),
            "status": "preliminary",
            "category": [concept(imaging)],
            "subject": self._reference("Patient"),
            "device": self._reference("Device"),
            "derivedFrom": [self._reference("ImagingStudy", visit.study_uid)],
            **({"effectiveDateTime": _when(visit.time)} if visit.time else {}),
            **content,
        }

    def _measures(self, number: int, visit: Examination) -> Iterator[Json]:
        findings = findings_of(self._results, number)
        for lesion in findings.lesions:
            yield self._observation(visit, ("lesion", lesion.id), _lesion(lesion))
        for organ in findings.organs:
            key = ("organ", organ.name, organ.statistics.image)
            yield self._observation(visit, key, _organ(organ))

    def _judgements(self, number: int, visit: Examination) -> Iterator[Json]:
        lesions = {lesion.id for lesion in findings_of(self._results, number).lesions}
        for place, suggestion in enumerate(self._suggestions(number)):
            review = self._reviews.get(suggestion.id)
            content = fhir_suggestions.observation(suggestion, review)
            content["device"] = self._maker(suggestion)
            if suggestion.subject in lesions:
                key = ("Observation", visit.study_uid, "lesion", suggestion.subject)
                content["derivedFrom"] = [self._reference(*key)]
            yield self._observation(visit, ("rule", suggestion.rule, str(place)), content)
        yield from self._course(number, visit)

    def _course(self, number: int, visit: Examination) -> Iterator[Json]:
        """Yield what became of each lesion that is gone, and the response that all decide."""
        follow_up = self._results.following.follow_up
        if follow_up is None or visit.study_uid not in follow_up.timeline.study_uids:
            return
        timeline = follow_up.timeline
        place = timeline.study_uids.index(visit.study_uid)
        gone = [e for e in timeline.at(place) if e.status is LesionStatus.GONE]
        for entry in gone:
            content = fhir_follow.gone(entry, self._tracking_uid(entry.track))
            yield self._observation(visit, ("gone", entry.track), content)
        members = [("lesion", o.id) for o in findings_of(self._results, number).lesions]
        members += [("gone", e.track) for e in gone]
        baseline = timeline.study_uids[0]
        for response in follow_up.responses:
            if response.visit == place:
                content = fhir_follow.response(response)
                content["derivedFrom"] = [
                    self._reference("ImagingStudy", uid)
                    for uid in dict.fromkeys((baseline, visit.study_uid))
                ]
                content["hasMember"] = [
                    self._reference("Observation", visit.study_uid, *m) for m in members
                ]
                if not members:
                    del content["hasMember"]
                yield self._observation(visit, ("response", response.criterion), content)

    def _tracking_uid(self, track: str) -> str:
        """Return the UID that a lesion has at every visit; empty if it is not known."""
        follow_up = self._results.following.follow_up
        for entry in follow_up.timeline.entries if follow_up else ():
            if entry.track != track or follow_up is None:
                continue
            study = follow_up.timeline.study_uids[entry.visit]
            number = self._results.examinations.index_of(study)
            for lesion in findings_of(self._results, number).lesions:
                if lesion.id == entry.lesion_id:
                    return lesion.tracking_uid
        return ""

    def _suggestions(self, number: int) -> tuple[Suggestion, ...]:
        visits = self._results.suggestions.visits
        return visits[number] if number < len(visits) else ()

    def _maker(self, suggestion: Suggestion) -> Json:
        if suggestion.made_by is None:
            return self._reference("Device")
        return self._reference("Device", fhir_suggestions.maker_key(suggestion.made_by))

    def _issues(self, number: int, visit: Examination) -> Iterator[Json]:
        """Yield what a person has to look at."""
        for place, said in enumerate(self._suggestions(number)):
            if not fhir_suggestions.asks_for_attention(said):
                continue
            key = (visit.study_uid, "rule", said.rule, str(place))
            references = {
                "id": self._id("DetectedIssue", *key),
                "patient": self._reference("Patient"),
                "author": self._maker(said),
                "observation": self._reference("Observation", *key),
            }
            yield fhir_suggestions.issue(said, self._reviews.get(said.id), references)

    def _report(self, visit: Examination, observations: list[Json]) -> Json:
        results = [
            {"reference": f"urn:uuid:{o['id']}", "type": "Observation"} for o in observations
        ]
        now = self._results.provenance.now
        radiology = (codes.DIAGNOSTIC_SERVICE, "RAD", "Radiology")
        return {
            "resourceType": "DiagnosticReport",
            "id": self._id("DiagnosticReport", visit.study_uid),
            "status": "preliminary",
            "category": [concept(radiology)],
            "code": concept(codes.IMAGING_STUDY),
            "subject": self._reference("Patient"),
            "imagingStudy": [self._reference("ImagingStudy", visit.study_uid)],
            "conclusion": _conclusion(observations),
            **({"result": results} if results else {}),
            **({"effectiveDateTime": _when(visit.time)} if visit.time else {}),
            **({"issued": now.isoformat()} if now.tzinfo else {}),
        }

    def _plan(self) -> Json | None:
        planning = self._results.planning
        if planning.plan is None:
            return None
        plan, visit = planning.plan, self._results.examinations.visits[planning.visit]
        asked = plan.prescription
        told = _words("en")
        goals = [
            f"{r.goal.structure}: {metric_words(r.goal, told)} {limit_words(r.goal)}, "
            f"plan {r.value:.1f}, {'met' if r.is_met else 'not met'}"
            for r in plan.goals
        ]
        return {
            "resourceType": "CarePlan",
            "id": self._id("CarePlan", visit.study_uid),
            "status": "draft",
            "intent": "proposal",
            "title": "External-beam radiotherapy",
            "description": clean(
                f"{asked.dose_gy:g} Gy in {asked.fractions} fractions to {asked.target}, "
                f"{len(plan.beams)} beams, {plan.machine}"
            ),
            "subject": self._reference("Patient"),
            "supportingInfo": [self._reference("ImagingStudy", visit.study_uid)],
            "note": [{"text": clean(text)} for text in (aegle.RESEARCH_USE, *goals)],
        }


def _patient(patient: Patient, key: str) -> Json:
    family, _, given = clean(patient.name.split("=")[0]).partition("^")
    names = [part for part in given.split("^") if part.strip()]
    name = {
        **({"family": family} if family.strip() else {}),
        **({"given": names} if names else {}),
    }
    return {
        "resourceType": "Patient",
        "id": key,
        "identifier": [{"use": "usual", "value": clean(patient.id) or "unknown"}],
        "gender": GENDERS.get(patient.sex, "unknown"),
        **({"name": [name]} if name else {}),
        **({"birthDate": patient.birth_date.isoformat()} if patient.birth_date else {}),
    }


def _when(time: datetime) -> str:
    """Return a FHIR dateTime: a time of day needs a zone, so without one only the day is told."""
    return time.isoformat() if time.tzinfo else time.date().isoformat()


def _lesion(lesion: Lesion) -> Json:
    lengths = lesion.diameters
    components = [
        component(quantity(lengths.longest_mm, "mm"), codes.LARGEST_DIMENSION, codes.LONG_AXIS),
        component(
            quantity(lengths.perpendicular_mm, "mm"), codes.OTHER_DIMENSION, codes.SHORT_AXIS
        ),
        component(quantity(lesion.volume_ml, "mL"), codes.VOLUME),
    ]
    for statistics in lesion.statistics:
        components += _statistics(statistics)
    return {
        "identifier": [{"system": codes.DICOM_UID, "value": f"urn:oid:{lesion.tracking_uid}"}],
        "code": concept(codes.TUMOUR_SIZE, text=f"{clean(lesion.id)}, {lesion.kind.value}"),
        "valueCodeableConcept": concept(
            codes.snomed(codes.KINDS[lesion.kind]), text=lesion.kind.value
        ),
        "bodySite": codes.body_site(clean(lesion.site)),
        "component": components,
    }


def _statistics(statistics: Statistics) -> list[Json]:
    """Return mean, deviation and extremes, where their unit has a code."""
    unit = codes.UNIT_OF.get(statistics.unit)
    if unit is None:
        return []
    components = []
    told = {n: c for n, c in codes.ATTENUATION.items() if math.isfinite(getattr(statistics, n))}
    for name, hounsfield in told.items():
        text = f"{name}, {clean(statistics.image)}"
        value = quantity(getattr(statistics, name), unit)
        if statistics.unit == Quantity.RADIODENSITY.value:
            components.append(component(value, hounsfield, text=text))
        elif statistics.unit == Quantity.STANDARDISED_UPTAKE.value:
            components.append(component(value, codes.SUV, text=f"SUVbw {text}"))
        else:
            components.append(component(value, text=text))
    return components


def _organ(organ: OrganMeasure) -> Json:
    return {
        "code": concept(codes.VOLUME, text=f"volume of {clean(organ.name.replace('_', ' '))}"),
        "valueQuantity": quantity(organ.volume_ml, "mL"),
        "bodySite": codes.body_site(clean(organ.name)),
        **({"component": c} if (c := _statistics(organ.statistics)) else {}),
    }


def _conclusion(observations: list[Json]) -> str:
    told = [
        f"{o['code']['text']}: {o['valueCodeableConcept']['text']}."
        for o in observations
        if "bodySite" not in o and "valueCodeableConcept" in o
    ]
    return " ".join([*told, aegle.RESEARCH_USE])
