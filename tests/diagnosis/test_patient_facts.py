"""What is stated beside the images: nothing is converted or guessed silently."""

import json

import pytest

from aegle.diagnosis.patient_facts import LOINC, RECORD_CODES, SNOMED, of_visit, read_facts
from aegle.domain.errors import OptionError
from aegle.domain.suggestion import InputSource


def read(**sections):
    return read_facts(json.dumps(sections), "facts.json")


def record(code="30525-0", system=LOINC, **more):
    return {"system": system, "code": code} | more


def test_records_become_facts_with_time_and_code():
    stated = read(
        facts={"high_risk": True},
        records=[
            record(value=62, unit="a", time="2026-01-05T08:30:00"),
            record("8517006", SNOMED),
            record("2160-0", value=1.1, unit="mg/dL"),
        ],
    )

    assert {name: one.value for name, one in stated.patient.items()} == {
        **{"high_risk": True, "age": 62, "smoke": True},
    }
    age = stated.patient["age"]
    assert (age.source, age.code) == (InputSource.RECORD, "http://loinc.org|30525-0")
    assert age.time is not None
    assert age.time.hour == 8
    (creatinine,) = stated.laboratory
    # 1.1 mg/dL of 113.12 g/mol.
    assert (creatinine.name, creatinine.value, creatinine.unit) == ("creatinine", "97.24", "umol/L")
    assert not creatinine.is_used


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"facts": {"hight": 1}}, "no rule asks for hight"),
        ({"facts": {"d": 12}}, "no rule asks for d"),
        ({"fact": {}}, "sections patient, facts, lesions, records"),
        ({"lesions": {"L1": 4}}, "give an object of facts"),
        ({"lesions": {"L1": {"typ": "solid"}}}, "lesion L1: no rule asks for typ"),
        ({"records": {}}, "give a list"),
        ({"records": ["30525-0"]}, "give system, code, value"),
        ({"records": [record("99999-9", value=1, unit="a")]}, "code '99999-9' .* is not known"),
        ({"records": [record("2160-0", SNOMED, value=1, unit="mg/dL")]}, "is not known"),
        ({"records": [record(value="62", unit="a")]}, "is '62'; give a number in a"),
        ({"records": [record(value=True, unit="a")]}, "give a number"),
        ({"records": [record(value=62)]}, "is in None; convert it and give a"),
        (
            {"records": [record("2345-7", value=126, unit="mmol/L")]},
            "glucose: 126 mmol/L is not possible; in mg/dL it would be",
        ),
        (
            {"records": [record("2345-7", value=5.5, unit="mmHg")]},
            "glucose: The unit 'mmHg' cannot be turned into mmol/L",
        ),
        ({"records": [record("2345-7", value=5.5)]}, "glucose: No unit is stated"),
        ({"records": [record("2345-7", value="high", unit="mg/dL")]}, "'high' is no number"),
        ({"records": [record("2345-7", value=-1, unit="mg/dL")]}, "-1 mg/dL is not possible"),
        ({"records": [record(value=-1, unit="a")]}, "cannot be -1"),
        (
            {
                "records": [
                    record("2345-7", value=5.5, unit="mmol/L"),
                    record("2345-7", value=200, unit="mg/dL"),
                ]
            },
            r"record 2: glucose is 5\.5 and 11\.1 mmol/L; leave out",
        ),
        ({"laboratory": {}}, "give a list of values"),
        ({"laboratory": [{"value": 1}]}, r"give code \(LOINC\) or name"),
        ({"laboratory": [{"name": "urea", "time": "noon"}]}, "is no time"),
        ({"records": [record("77176002", SNOMED, value=20)]}, "leave it out"),
        ({"records": [record(value=62, unit="a", time="yesterday")]}, "is no time"),
        (
            {"facts": {"age": 61}, "records": [record(value=62, unit="a")]},
            "age is 61 and 62; leave out",
        ),
        (
            {"records": [record("8517006", SNOMED), record("266919005", SNOMED)]},
            "smoke is True and False",
        ),
    ],
)
def test_malformed_facts_are_refused_with_what_to_do(sections, words):
    with pytest.raises(OptionError, match=words):
        read(**sections)


@pytest.mark.parametrize("text", ["", "[1]", '{"facts": {"age": 1, "age": 2}}', "[" * 100_000])
def test_what_is_no_object_of_facts_is_refused(text):
    with pytest.raises(OptionError, match=r"facts\.json"):
        read_facts(text, "facts.json")


def test_a_lesion_is_named_with_its_visit_where_there_are_several():
    stated = read(lesions={"2/L1": {"type": "solid"}})

    assert of_visit(stated, 1, 2).lesions == {}
    assert of_visit(stated, 2, 2).lesions == {"L1": {"type": "solid"}}
    for key, visits in (("L1", 2), ("3/L1", 2), ("0/L1", 1)):
        with pytest.raises(OptionError, match="name the visit"):
            of_visit(read(lesions={key: {}}), 1, visits)
    assert of_visit(read(lesions={"L1": {}}), 1, 1).lesions == {"L1": {}}


def test_codes_have_the_check_digits_of_their_systems():
    from aegle.report.fhir_check import _is_code

    assert [code for system, code in RECORD_CODES if not _is_code(system, code)] == []
