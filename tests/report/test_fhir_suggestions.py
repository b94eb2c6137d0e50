"""Suggestions in FHIR, and a set of broken bundles of which every one is rejected."""

import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aegle.domain.case import AllSuggestions
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import (
    Alternative,
    Decision,
    Input,
    InputSource,
    Maker,
    MakerKind,
    OutOfDistribution,
    PredictionSet,
    Review,
)
from aegle.domain.text import Text
from aegle.report import fhir
from aegle.report.fhir_check import problems

GONE = object()
RULE = Maker(kind=MakerKind.RULE, id="lung-rads", version="2022", digest="ab" * 32)
MODEL = Maker(kind=MakerKind.MODEL, id="chest", version="1", digest="cd" * 32)
OPEN = Suggestion(
    rule="Lung-RADS v2022",
    applies=True,
    category="REVIEW",
    subject="L1",
    reason=Text("density not known"),
    id="S-1",
    made_by=RULE,
    inputs=(
        Input(
            name="d",
            meaning="mean diameter",
            value="30.8",
            unit="mm",
            source=InputSource.MEASURED,
            time=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
        ),
        Input(name="type", meaning="what the finding is", value=""),
    ),
    assumed=(Text("adult"),),
    alternatives=(Alternative(category="4B", reason=Text("if it is solid")),),
)
CALM = replace(OPEN, category="2", id="S-2")
READ = Suggestion(
    rule="chest",
    applies=True,
    category="pneumonia",
    subject="DX",
    reason=Text("model"),
    id="S-3",
    made_by=MODEL,
    probability=0.8,
    prediction_set=PredictionSet(categories=("pneumonia", "none"), coverage=0.9, group="adults"),
    out_of_distribution=OutOfDistribution(is_outside=True, score=4.0, limit=3.0),
    alternatives=(Alternative(category="none", reason=Text("other"), probability=0.2),),
)
REVIEW = Review(
    id="R-1",
    suggestion="S-1",
    decision=Decision.OVERRIDDEN,
    by="Dr Wu",
    at=datetime(2026, 1, 6, 8, tzinfo=UTC),
    reason="solid on thin slices",
    category="4B",
)


@pytest.fixture(scope="module")
def bundle(case):
    said = AllSuggestions(((OPEN, CALM, READ), (), ()))
    return fhir.bundle(replace(case, suggestions=said, reviews=(REVIEW,)))


def of_type(bundle, kind):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def about(bundle, rule):
    return next(o for o in of_type(bundle, "Observation") if o["code"].get("text") == rule)


def test_the_bundle_is_sound(bundle):
    assert problems(bundle) == []


def test_each_rule_and_model_is_a_device_with_the_digest_of_its_file(bundle):
    devices = of_type(bundle, "Device")[1:]

    assert [d["deviceName"][0]["name"] for d in devices] == ["lung-rads", "chest"]
    assert [d["identifier"][0]["value"] for d in devices] == ["ab" * 32, "cd" * 32]
    said = about(bundle, "Lung-RADS v2022")
    assert said["device"]["reference"] == f"urn:uuid:{devices[0]['id']}"


def test_inputs_are_told_with_their_source_and_missing_ones_as_unknown(bundle):
    size, kind = about(bundle, "Lung-RADS v2022")["component"]

    assert size["valueString"] == "30.8 mm (measured on the image, 2026-01-05T09:30:00+00:00)"
    assert kind["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_probability_set_and_distance_are_components(bundle):
    told = {c["code"]["text"]: c for c in about(bundle, "chest")["component"]}

    assert told["probability"]["valueQuantity"]["value"] == 80
    assert told["probability of none"]["valueQuantity"]["code"] == "%"
    assert told["prediction set, adults"]["valueString"] == "pneumonia, none"
    assert told["image unlike those of training"]["valueBoolean"] is True


def test_what_needs_a_person_is_an_issue_and_what_is_calm_is_not(bundle):
    open_one, outside = of_type(bundle, "DetectedIssue")

    assert (open_one["severity"], outside["severity"]) == ("moderate", "low")
    assert "Missing: what the finding is." in open_one["detail"]
    (mitigation,) = open_one["mitigation"]
    assert mitigation["author"]["display"] == "Dr Wu"
    assert "in favour of 4B" in mitigation["action"]["text"]
    assert "mitigation" not in outside


def place(bundle, kind, number=0):
    found = [n for n, e in enumerate(bundle["entry"]) if e["resource"]["resourceType"] == kind]
    return found[number]


def broken(bundle, kind, path, value, number=0):
    """Return a copy of the bundle with one value of one resource set, or taken away."""
    made = copy.deepcopy(bundle)
    *steps, last = path
    node = made["entry"][place(bundle, kind, number)]["resource"]
    for step in steps:
        node = node[step]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return made


NOWHERE = {"reference": "urn:uuid:00000000-0000-0000-0000-000000000000"}
MUTATIONS = [
    ("Patient", ("gender",), "f"),
    ("Patient", ("gender",), GONE),
    ("Patient", ("identifier",), GONE),
    ("Patient", ("identifier", 0, "use"), "primary"),
    ("Patient", ("identifier", 0, "value"), " "),
    ("Patient", ("birthDate",), "1960-13-03"),
    ("Patient", ("birthDate",), "03.02.1960"),
    ("Patient", ("id",), "not an id!"),
    ("Patient", ("id",), "other"),
    ("Patient", ("sex",), "F"),
    ("Device", ("status",), "running"),
    ("Device", ("status",), GONE),
    ("Device", ("version",), GONE),
    ("Device", ("version", 0, "value"), GONE),
    ("Device", ("deviceName", 0, "type"), "algorithm"),
    ("Device", ("deviceName",), []),
    ("ImagingStudy", ("status",), "final"),
    ("ImagingStudy", ("subject",), GONE),
    ("ImagingStudy", ("subject",), NOWHERE),
    ("ImagingStudy", ("identifier", 0, "value"), "1.2.3"),
    ("ImagingStudy", ("identifier", 0, "value"), "urn:oid:1.02.3"),
    ("ImagingStudy", ("numberOfSeries",), 9),
    ("ImagingStudy", ("numberOfInstances",), 99),
    ("ImagingStudy", ("numberOfSeries",), -1),
    ("ImagingStudy", ("series", 0, "uid"), GONE),
    ("ImagingStudy", ("series", 0, "modality", "system"), "http://example.org"),
    ("ImagingStudy", ("started",), "yesterday"),
    ("Observation", ("status",), "draft"),
    ("Observation", ("status",), GONE),
    ("Observation", ("code",), GONE),
    ("Observation", ("code",), {}),
    ("Observation", ("code", "coding", 0, "code"), "21889-2"),
    ("Observation", ("code", "coding", 0, "system"), "http://loinc.org/"),
    ("Observation", ("subject",), GONE),
    ("Observation", ("subject",), NOWHERE),
    ("Observation", ("device",), GONE),
    ("Observation", ("device", "type"), "Patient"),
    ("Observation", ("derivedFrom",), []),
    ("Observation", ("category",), GONE),
    ("Observation", ("valueCodeableConcept", "coding", 0, "code"), "27925005"),
    ("Observation", ("valueString",), "two values"),
    ("Observation", ("dataAbsentReason",), {"text": "and a reason for none"}),
    ("Observation", ("component", 0, "valueQuantity", "code"), "millimetre"),
    ("Observation", ("component", 0, "valueQuantity", "system"), GONE),
    ("Observation", ("component", 0, "valueQuantity", "value"), "34.2 mm"),
    ("Observation", ("component", 0, "valueQuantity", "value"), GONE),
    ("Observation", ("component", 0, "valueQuantity"), GONE),
    ("Observation", ("component", 0, "code"), GONE),
    ("Observation", ("effectiveDateTime",), "2026-02-30"),
    ("Observation", ("note",), [{}]),
    ("DiagnosticReport", ("status",), "done"),
    ("DiagnosticReport", ("code",), GONE),
    ("DiagnosticReport", ("conclusion",), ""),
    ("DiagnosticReport", ("result", 0), NOWHERE),
    ("DiagnosticReport", ("imagingStudy",), GONE),
    ("DiagnosticReport", ("issued",), "2026-07-01"),
    ("DetectedIssue", ("status",), "open"),
    ("DetectedIssue", ("severity",), "severe"),
    ("DetectedIssue", ("severity",), GONE),
    ("DetectedIssue", ("patient",), NOWHERE),
    ("DetectedIssue", ("evidence",), GONE),
    ("DetectedIssue", ("author",), GONE),
    ("DetectedIssue", ("mitigation", 0, "action"), GONE),
    ("DetectedIssue", ("mitigation", 0, "action"), {}),
    ("CarePlan", ("status",), "proposed"),
    ("CarePlan", ("intent",), GONE),
    ("CarePlan", ("subject",), NOWHERE),
]


@pytest.mark.parametrize(("kind", "path", "value"), MUTATIONS)
def test_a_broken_resource_is_rejected(bundle, kind, path, value):
    assert problems(broken(bundle, kind, path, value)) != []


def test_references_to_resources_of_another_kind_are_rejected(bundle):
    study = {"reference": bundle["entry"][place(bundle, "ImagingStudy")]["fullUrl"]}

    for kind, path in (
        ("Observation", ("subject",)),
        ("Observation", ("device",)),
        ("DiagnosticReport", ("result", 0)),
        ("DetectedIssue", ("author",)),
        ("DetectedIssue", ("evidence", 0, "detail", 0)),
    ):
        assert problems(broken(bundle, kind, path, study)) != []


def test_broken_bundles_are_rejected(bundle):
    twice = copy.deepcopy(bundle)
    twice["entry"].append(twice["entry"][0])
    other = copy.deepcopy(bundle)
    other["entry"][0]["fullUrl"] = "urn:uuid:00000000-0000-0000-0000-000000000000"
    strange = copy.deepcopy(bundle)
    strange["entry"].append({"resource": {"resourceType": "Basic", "code": {"text": "x"}}})

    assert problems(twice) != []
    assert problems(other) != []
    assert problems(strange) != []
    assert problems(bundle | {"type": "bag"}) != []
    assert problems(bundle | {"timestamp": "2026-07-01"}) != []
