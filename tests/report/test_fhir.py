"""The FHIR bundle is sound, and our checks refuse one that is not."""

import copy
import json
from dataclasses import replace

import pytest

from aegle.domain.errors import InputError
from aegle.domain.timeline import LesionStatus
from aegle.report import fhir
from aegle.report.fhir_check import problems, require_sound


@pytest.fixture(scope="module")
def bundle(case):
    return fhir.bundle(case)


def of_type(bundle, name):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == name]


def walk(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_bundle_is_sound(bundle, nothing):
    assert problems(bundle) == []
    assert problems(fhir.bundle(nothing)) == []


def test_times_without_a_zone_are_told_as_days(case):
    visits = tuple(replace(v, time=v.time.replace(tzinfo=None)) for v in case.examinations.visits)
    examinations = replace(case.examinations, visits=visits)
    provenance = replace(case.provenance, now=case.provenance.now.replace(tzinfo=None))
    made = fhir.bundle(replace(case, examinations=examinations, provenance=provenance))

    assert problems(made) == []
    assert of_type(made, "ImagingStudy")[0]["started"] == "2026-01-05"


def test_unknown_values_are_left_out(case):
    response = replace(case.following.follow_up.responses[0], sum_mm=float("nan"))
    follow_up = replace(case.following.follow_up, responses=(response,))
    made = fhir.bundle(replace(case, following=replace(case.following, follow_up=follow_up)))

    assert problems(made) == []
    assert "NaN" not in json.dumps(made)


def test_same_results_give_the_same_bytes(case, tmp_path):
    first = fhir.write(case, tmp_path / "a.json").read_bytes()
    second = fhir.write(case, tmp_path / "b.json").read_bytes()

    assert first == second
    assert json.loads(first)["resourceType"] == "Bundle"


def test_every_reference_is_in_the_bundle(bundle):
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    references = [node["reference"] for node in walk(bundle) if "reference" in node]

    assert len(references) > 50
    assert set(references) <= urls


def test_one_study_and_one_report_per_visit(bundle):
    assert len(of_type(bundle, "Patient")) == 1
    assert len(of_type(bundle, "ImagingStudy")) == 3
    assert len(of_type(bundle, "DiagnosticReport")) == 3
    assert len(of_type(bundle, "CarePlan")) == 1


def test_lesion_sizes_carry_codes_and_units(bundle):
    lesion = next(o for o in of_type(bundle, "Observation") if o["code"]["text"] == "L1, mass")
    told = {
        (c["code"]["coding"][0]["code"], c["valueQuantity"]["code"]): c["valueQuantity"]["value"]
        for c in lesion["component"]
    }

    assert told["33728-7", "mm"] == 34.2
    assert told["33729-5", "mm"] == 27.36
    assert ("118565006", "mL") in told
    assert told["112181", "[hnsf'U]"] == 34.6
    assert ("126401", "{SUVbw}g/mL") in told
    assert lesion["bodySite"]["coding"][0] == {
        "system": "http://snomed.info/sct",
        "code": "3341006",
        "display": "Right lung",
    }


def test_nothing_is_final_and_the_plan_is_a_proposal(bundle):
    assert {o["status"] for o in of_type(bundle, "Observation")} == {"preliminary"}
    assert {r["status"] for r in of_type(bundle, "DiagnosticReport")} == {"preliminary"}
    assert of_type(bundle, "CarePlan")[0]["intent"] == "proposal"


def test_response_and_category_are_told(bundle):
    values = [
        o["valueCodeableConcept"].get("text")
        for o in of_type(bundle, "Observation")
        if "valueCodeableConcept" in o
    ]

    assert "PR: partial response" in values
    assert "PD: progressive disease" in values
    assert "4B" in values


def test_a_rule_that_does_not_apply_has_no_value(bundle):
    absent = [o for o in of_type(bundle, "Observation") if "dataAbsentReason" in o]

    assert len(absent) == 2
    assert all("valueCodeableConcept" not in o for o in absent)


def first_coding(bundle):
    return of_type(bundle, "Observation")[0]["code"]["coding"][0]


def change_status(name, value):
    return lambda bundle: of_type(bundle, name)[0].update(status=value)


def change_first(key, wanted, **values):
    def change(bundle):
        node = next(n for n in walk(bundle) if key in n and wanted(n))
        node.update(values)

    return change


def drop(name, key):
    return lambda bundle: of_type(bundle, name)[0].pop(key)


FAULTS = {
    "bogus observation status": change_status("Observation", "bogus"),
    "bogus report status": change_status("DiagnosticReport", "bogus"),
    "bogus study status": change_status("ImagingStudy", "final"),
    "bogus plan status": change_status("CarePlan", "final"),
    "bogus plan intent": lambda b: of_type(b, "CarePlan")[0].update(intent="wish"),
    "bogus gender": lambda b: of_type(b, "Patient")[0].update(gender="F"),
    "bogus bundle type": lambda b: b.update(type="heap"),
    "bogus name type": lambda b: of_type(b, "Device")[0]["deviceName"][0].update(type="nick"),
    "no status": drop("Observation", "status"),
    "no code": drop("Observation", "code"),
    "unknown element": lambda b: of_type(b, "Patient")[0].update(colour="red"),
    "dangling reference": change_first(
        "reference", lambda n: True, reference="urn:uuid:00000000-0000-4000-8000-000000000000"
    ),
    "nonsense reference": change_first("reference", lambda n: True, reference="nonsense"),
    "subject is a device": lambda b: of_type(b, "Observation")[0].update(
        subject=of_type(b, "Observation")[0]["device"]
    ),
    "unit is not UCUM": change_first("value", lambda n: n.get("code") == "mm", code="millimetre"),
    "unit of another system": change_first(
        "value", lambda n: n.get("code") == "mm", system="http://example.org"
    ),
    "no number": change_first("value", lambda n: n.get("code") == "mm", value=None),
    "infinite": change_first("value", lambda n: n.get("code") == "mm", value=float("inf")),
    "code without system": lambda b: of_type(b, "Observation")[0]["code"]["coding"][0].pop(
        "system"
    ),
    "resource twice": lambda b: b["entry"].append(copy.deepcopy(b["entry"][0])),
    "resource under another name": lambda b: b["entry"][3].update(
        fullUrl="urn:uuid:00000000-0000-4000-8000-000000000000"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_unsound_bundle_is_refused(bundle, fault):
    damaged = copy.deepcopy(bundle)
    fault(damaged)

    with pytest.raises(InputError, match="not sound"):
        require_sound(damaged)


def test_unsound_results_are_not_written(case, tmp_path, monkeypatch):
    monkeypatch.setattr(fhir, "GENDERS", {"F": "lady"})

    with pytest.raises(InputError, match="gender"):
        fhir.write(case, tmp_path / "f.json")

    assert list(tmp_path.iterdir()) == []


def test_a_response_has_its_lesions_as_members_and_both_studies_as_source(bundle):
    responses = [
        o
        for o in of_type(bundle, "Observation")
        if o["code"].get("coding", [{}])[0].get("code") == "97509-4"
    ]
    by_url = {e["fullUrl"]: e["resource"] for e in bundle["entry"]}

    assert [o["valueCodeableConcept"]["coding"][0]["code"] for o in responses] == [
        "268910001",
        "271299001",
    ]
    for number, found in enumerate(responses, start=1):
        members = [by_url[m["reference"]] for m in found["hasMember"]]
        assert {m["code"]["coding"][0]["code"] for m in members} == {"21889-1"}
        sources = [by_url[s["reference"]]["identifier"][0]["value"] for s in found["derivedFrom"]]
        assert sources == ["urn:oid:1.2.3.0", f"urn:oid:1.2.3.{number}"]
        assert found["method"]["text"] == "RECIST 1.1"
    # One lesion at the second visit, a new one beside it at the third.
    assert [len(o["hasMember"]) for o in responses] == [1, 2]


def test_a_lesion_that_is_gone_keeps_its_identity_with_a_size_of_nothing(case):
    entries = case.following.follow_up.timeline.entries
    last = max(e.visit for e in entries)
    kept = tuple(
        replace(e, status=LesionStatus.GONE, lesion_id=None, diameter_mm=0.0, volume_ml=0.0)
        if e.visit == last and e.track == "T1"
        else e
        for e in entries
    )
    follow_up = case.following.follow_up
    gone = replace(follow_up, timeline=replace(follow_up.timeline, entries=kept))
    made = fhir.bundle(replace(case, following=replace(case.following, follow_up=gone)))

    assert problems(made) == []
    (found,) = [o for o in of_type(made, "Observation") if o["code"].get("text") == "T1, gone"]
    first = next(o for o in of_type(made, "Observation") if o["code"].get("text") == "L1, mass")
    assert found["identifier"] == first["identifier"]
    assert [c["valueQuantity"]["value"] for c in found["component"]] == [0.0]
