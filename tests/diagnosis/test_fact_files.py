"""Facts from files of elsewhere: units converted, what cannot be used shown with its reason."""

import json
from datetime import date, datetime

import pytest

from aegle.diagnosis.fact_files import facts_of
from aegle.diagnosis.patient_facts import LOINC, SNOMED, read_facts
from aegle.diagnosis.whose_facts import StatedPatient, caution_of, stated_patient
from aegle.domain.errors import FileError, IdentityError, OptionError
from aegle.domain.study import Patient
from aegle.report.language import words

UCUM = "http://unitsofmeasure.org"


def observation(code, value=None, unit="", *, time="2026-01-05", status="final", patient="1"):
    made = {
        "resourceType": "Observation",
        "status": status,
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": time,
    }
    if isinstance(value, int | float):
        made["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    elif value:
        made["valueCodeableConcept"] = {"coding": [{"system": SNOMED, "code": value}]}
    return made


def condition(code, *, clinical="active", verification="confirmed", time="2020-03-01"):
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": SNOMED, "code": code}]},
        "clinicalStatus": {"coding": [{"code": clinical}]},
        "verificationStatus": {"coding": [{"code": verification}]},
        "onsetDateTime": time,
    }


def bundle(folder, *resources, name="bundle.json"):
    file = folder / name
    tree = {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}
    file.write_text(json.dumps(tree))
    return file


def read(*files):
    content, name = facts_of(files)
    return read_facts(content, name)


def shown(stated):
    return {one.name: f"{one.value} {one.unit}".strip() for one in stated.laboratory}


def test_values_of_a_bundle_are_in_one_unit_and_the_latest_counts(tmp_path):
    stated = read(
        bundle(
            tmp_path,
            observation("2345-7", 99, "mg/dL", time="2025-01-05"),
            # 180.156 g/mol: 126 mg/dL are 6.994 mmol/L.
            observation("2345-7", 126, "mg/dL", time="2026-01-05T08:00:00+01:00"),
            observation("2160-0", 88, "umol/L"),
        )
    )

    assert shown(stated) == {"glucose": "6.994 mmol/L", "creatinine": "88 umol/L"}
    glucose = stated.laboratory[0]
    assert glucose.time == datetime(2026, 1, 5, 8)
    assert (glucose.code, glucose.is_used) == (f"{LOINC}|2345-7", False)


def test_what_cannot_be_used_is_shown_with_its_reason(tmp_path):
    stated = read(
        bundle(
            tmp_path,
            observation("2345-7", 126, "mmol/L"),
            observation("2160-0", 1.1, "mmHg"),
            observation("2951-2", 140, "mmol/L", status="cancelled"),
            observation("2823-3", 4.1, "mmol/L"),
            observation("2823-3", 7.9, "mmol/L"),
            observation("99999-9", 3, "mg/dL"),
        )
    )

    assert shown(stated) == {
        "glucose": "cannot be used: 126 mmol/L is not possible; in mg/dL it would be. Check the "
        "unit.",
        "creatinine": "cannot be used: The unit 'mmHg' cannot be turned into umol/L.",
        "sodium": "cannot be used: The observation is marked 'cancelled'.",
        "potassium": "cannot be used: 4.1 and 7.9 mmol/L at the same time",
        "unknown_codes": "99999-9",
    }


def test_conditions_and_answers_settle_facts_and_the_latest_counts(tmp_path):
    stated = read(
        bundle(
            tmp_path,
            condition("87433001"),
            condition("234532001", verification="refuted"),
            observation("72166-2", "266919005", time="2010-01-01"),
            observation("72166-2", "8517006", time="2024-01-01"),
        )
    )

    assert {name: one.value for name, one in stated.patient.items()} == {
        **{"emph": True, "smoke": True}
    }
    assert stated.patient["smoke"].time == datetime(2024, 1, 1)


@pytest.mark.parametrize("clinical", ["resolved", "inactive", "remission"])
def test_a_condition_that_is_over_settles_nothing(tmp_path, clinical):
    assert read(bundle(tmp_path, condition("87433001", clinical=clinical))).patient == {}


def test_a_table_of_laboratory_values_and_facts_go_together(tmp_path):
    labs, facts = tmp_path / "labs.csv", tmp_path / "facts.json"
    labs.write_text(
        "patient,name,value,unit,time\n7,glucose,high,mg/dL,2026-01-05\n7,CRP?,5,mg/L,\n"
        "7,creatinine,<0.5,mg/dL,2026-01-05\n"
    )
    facts.write_text('{"facts": {"high_risk": true}}')

    stated = read(facts, labs)

    assert stated.patient["high_risk"].value is True
    assert shown(stated) == {
        "glucose": "cannot be used: 'high' is no number.",
        "creatinine": "<44.2 umol/L",
        "unknown_codes": "CRP?",
    }


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda f: [
                bundle(f, observation("2345-7", 5, "mmol/L"), observation("1", 5, "g", patient="2"))
            ],
            IdentityError,
            "observations of 2 patients",
        ),
        (
            lambda f: [
                bundle(
                    f,
                    observation("72166-2", "266919005"),
                    observation("72166-2", "8517006"),
                )
            ],
            OptionError,
            "'never smoked' and 'ex-smoker' at the same time",
        ),
        (
            lambda f: [
                written(f, "labs.csv", "patient,name,value,unit\n1,urea,5,mmol/L\n2,urea,5,g\n")
            ],
            IdentityError,
            "holds 2 patients",
        ),
        (lambda f: [written(f, "labs.csv", "a,b\n1,2\n")], FileError, "has no column patient"),
        (
            lambda f: [written(f, "one.json", '{"resourceType": "Patient"}')],
            FileError,
            "no FHIR bundle",
        ),
        (
            lambda f: [
                written(f, "a.json", '{"facts": {"age": 62}}'),
                written(f, "b.json", '{"facts": {"age": 26}}'),
            ],
            OptionError,
            "age is 26, another file states 62",
        ),
        (
            lambda f: [written(f, "a.json", "{}"), written(f, "b.json", '{"fact": {}}')],
            OptionError,
            "no section fact",
        ),
        (lambda f: [f / "none.json"], OptionError, "cannot be read"),
        (lambda f: [written(f, "a.json", "{")], OptionError, "is not JSON"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, make, error, words):
    with pytest.raises(error, match=words):
        read(*make(tmp_path))


def written(folder, name, text):
    file = folder / name
    file.write_text(text)
    return file


def patient(number="4711", *, own="1", born="1961-02-14", gender="female"):
    made = {"resourceType": "Patient", "id": own, "identifier": [{"value": number}]}
    return {**made, **({"birthDate": born} if born else {}), "gender": gender}


EXAMINED = Patient(id="IMG-7", birth_date=date(1961, 2, 14), sex="F")


def test_patient_of_a_bundle_is_known_by_every_number_date_of_birth_and_sex(tmp_path):
    stated = read(bundle(tmp_path, patient(), observation("2345-7", 99, "mg/dL")))

    assert stated.whose == StatedPatient(ids=("4711", "1"), birth_date=date(1961, 2, 14), sex="F")


def test_of_several_patients_the_subject_of_the_observations_counts(tmp_path):
    people = (patient("4711", own="1"), patient("0815", own="2", born="1950-01-01"))
    stated = read(bundle(tmp_path, *people, observation("2345-7", 99, "mg/dL", patient="2")))

    assert stated.whose.birth_date == date(1950, 1, 1)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"birth_date": "1961-02-15"}, "born 1961-02-15, the images are of IMG-7, born 1961-02-14"),
        ({"sex": "M"}, "of sex M"),
        ({"ids": ["IMG-7"], "birth_date": "1950-01-01"}, "born 1950-01-01"),
    ],
)
def test_another_person_is_refused(stated, says):
    with pytest.raises(IdentityError, match=says):
        caution_of(stated_patient(stated, "facts"), EXAMINED)


@pytest.mark.parametrize(
    ("stated", "is_doubtful"),
    [
        ({}, False),
        ({"ids": ["IMG-7"]}, False),
        ({"ids": ["4711", "IMG-7"]}, False),
        ({"ids": ["4711"], "birth_date": "1961-02-14"}, False),
        ({"ids": ["4711"]}, True),
        ({"ids": ["4711"], "sex": "F"}, True),
    ],
)
def test_another_number_alone_is_doubtful(stated, is_doubtful):
    said = caution_of(stated_patient(stated, "facts"), EXAMINED)

    assert (said is not None) == is_doubtful


def test_date_of_birth_tells_nothing_where_the_images_state_none():
    stated = stated_patient({"ids": ["4711"], "birth_date": "1961-02-14"}, "facts")

    assert caution_of(stated, Patient(id="anonymous")) is not None


def test_files_of_two_people_are_refused(tmp_path):
    first = bundle(tmp_path, patient(), name="first.json")
    second = bundle(tmp_path, patient(born="1950-01-01"), name="second.json")

    with pytest.raises(IdentityError, match=r"second\.json: is of a patient born 1950-01-01"):
        facts_of([first, second])


def test_numbers_of_two_files_of_one_person_are_joined(tmp_path):
    table = tmp_path / "values.csv"
    table.write_text("patient,code,value,unit\nLAB-9,2345-7,99,mg/dL\n")

    stated = read(bundle(tmp_path, patient(), observation("2345-7", 99, "mg/dL")), table)

    assert stated.whose.ids == ("4711", "1", "LAB-9")


@pytest.mark.parametrize(
    "section",
    [[], {"name": "A"}, {"ids": "4711"}, {"ids": [7]}, {"birth_date": "14.2.1961"}, {"sex": "w"}],
)
def test_malformed_patient_is_refused(section):
    with pytest.raises(OptionError, match="'patient' is"):
        read_facts(json.dumps({"patient": section}), "facts.json")


def test_a_reason_is_kept_so_that_another_language_can_say_it(tmp_path):
    stated = read(bundle(tmp_path, observation("2160-0", 80, "mm[Hg]")))

    (shown_as,) = stated.laboratory
    assert shown_as.value.startswith("cannot be used: The unit 'mm[Hg]'")
    assert "无法使用" in words("zh").text(shown_as.problem)
    assert "unit" not in words("zh").text(shown_as.problem)


@pytest.mark.parametrize(
    "reason",
    [
        {"text": "{a.__class__}", "values": {"a": 1}},
        {"text": "{a:>999}", "values": {"a": 1}},
        {"text": "{a!r}", "values": {"a": 1}},
        {"text": "{b}", "values": {"a": 1}},
        {"text": "{", "values": {}},
        {"text": 7, "values": {}},
        ["late"],
    ],
)
def test_a_reason_that_is_no_sentence_is_refused(reason):
    tree = {"laboratory": [{"code": "2160-0", "reason": reason}]}

    with pytest.raises(OptionError, match="is no reason"):
        read_facts(json.dumps(tree), "facts.json")
