"""Values from CSV and FHIR: converted, or missing with the reason; broken files are explained."""

import json
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from aegle import api
from aegle.diagnosis.laboratory.analytes import Stated, value_of
from aegle.diagnosis.laboratory.csv_reading import read_csv
from aegle.diagnosis.laboratory.fhir_reading import from_bundle, read_fhir
from aegle.domain.errors import FileError, IdentityError, InputError

SYNTHEA = Path(__file__).parents[4] / "shared" / "data" / "fhir_synthea_r4" / "bundles.zip"


@pytest.mark.parametrize(
    ("number", "unit", "code", "reason"),
    [
        (
            "5.5",
            "mg/dL",
            "2345-7",
            "5.5 mg/dL is not possible; in mmol/L it would be. Check the unit.",
        ),
        (
            180,
            "mmol/L",
            "2345-7",
            "180 mmol/L is not possible; in mg/dL it would be. Check the unit.",
        ),
        (-3, "mmol/L", "2345-7", "-3 mmol/L is not possible."),
        ("high", "mmol/L", "2345-7", "'high' is no number."),
        (True, "mmol/L", "2345-7", "'True' is no number."),
        ("1e999", "mmol/L", "2345-7", "'1e999' is no number."),
        ("", "mmol/L", "2345-7", "No value is stated."),
        (5, "", "2345-7", "No unit is stated."),
        (5, "U/L", "2345-7", "The unit 'U/L' cannot be turned into mmol/L."),
        (5, "furlong", "2345-7", "The unit 'furlong' cannot be turned into mmol/L."),
        (5, "mmol/L", "99999-9", "The code '99999-9' is not known."),
    ],
)
def test_what_cannot_be_used_is_missing_with_the_reason(number, unit, code, reason):
    value = value_of(Stated(number=number, unit=unit, code=code))

    assert value.value is None
    assert str(value.reason) == reason


def test_a_limit_of_detection_is_kept_beside_the_value():
    value = value_of(Stated(number="<0.01", unit="ng/mL", name="Troponin I"))

    assert (value.analyte, value.value, value.comparator) == ("troponin_i", pytest.approx(10), "<")


def test_csv_is_read_by_patient(tmp_path):
    file = tmp_path / "labs.csv"
    file.write_text(
        "patient,code,name,value,unit,time\n"
        "A,2160-0,,1.0,mg/dL,2026-01-02T08:00:00\n"
        "B,,hemoglobin,13.5,g/dL,\n"
        "A,2160-0,,2.0,mg/dL,2026-01-05\n"
        "A,,potassium,haemolysed,mmol/L,2026-01-05\n"
    )

    first, second = read_csv(file)

    assert first.latest("creatinine").value == pytest.approx(176.8, abs=0.1)
    before = first.latest("creatinine", before=datetime(2026, 1, 3))
    assert before.value == pytest.approx(88.4, abs=0.05)
    assert [str(v.reason) for v in first.missing] == ["'haemolysed' is no number."]
    assert (second.patient, second.known[0].value) == ("B", 135)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,value,unit\nA,1,g/L\n", "has no column code or name"),
        ("code,value,unit\n1,1,g/L\n", "has no column patient"),
        ("patient,name,value,unit\n,sodium,1,g/L\n", "names no patient in line 2"),
        ("patient,name,value,unit,time\nA,sodium,1,g/L,soon\n", "the time 'soon' in line 2"),
        ("", "has no column"),
    ],
)
def test_broken_csv_is_explained(tmp_path, text, message):
    file = tmp_path / "labs.csv"
    file.write_text(text)

    with pytest.raises(FileError, match=message):
        read_csv(file)


def observation(value=5.0, *, unit="mmol/L", code="2345-7", status="final", subject="p1", **more):
    made = {
        "resourceType": "Observation",
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": "Glucose"},
        "subject": {"reference": subject},
        "effectiveDateTime": "2026-01-02T08:00:00+01:00",
        "valueQuantity": {"value": value, "code": unit, "system": "http://unitsofmeasure.org"},
    }
    return {**made, **more}


def bundle(*resources):
    return {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}


def test_fhir_values_are_converted():
    table = from_bundle(bundle(observation(90, unit="mg/dL"), {"resourceType": "Patient"}))

    (value,) = table
    assert (value.analyte, value.unit, table.patient) == ("glucose", "mmol/L", "p1")
    assert value.value == pytest.approx(4.996, abs=1e-3)
    assert value.time == datetime(2026, 1, 2, 8)


def test_fhir_components_are_values_of_their_own():
    pressure = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "55284-4"}]},
        "component": [
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "code": "mm[Hg]"},
            }
            for code, value in (("8480-6", 120), ("8462-4", 80))
        ],
    }

    assert [v.value for v in from_bundle(bundle(pressure))] == [120, 80]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": "entered-in-error"}, "The observation is marked 'entered-in-error'."),
        ({"code": "2345-6"}, "The code '2345-6' is not known."),
        (
            {"valueQuantity": {"value": "5,0", "code": "mmol/L"}},
            "'5,0' is no number.",
        ),
    ],
)
def test_fhir_values_that_do_not_count_are_missing(changed, reason):
    (value,) = from_bundle(bundle(observation(**changed)))

    assert value.value is None
    assert str(value.reason) == reason


def test_fhir_absent_data_stay_missing():
    resource = observation(dataAbsentReason={"coding": [{"code": "not-performed"}]})
    del resource["valueQuantity"]

    (value,) = from_bundle(bundle(resource))

    assert str(value.reason) == "The source states no value (not-performed)."


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"resourceType": "Patient"}, InputError),
        ([], InputError),
        ({"resourceType": "Bundle", "entry": "none"}, InputError),
        ({"resourceType": "Bundle", "entry": [{"resource": 3}]}, InputError),
        (bundle(observation(subject="p1"), observation(subject="p2")), IdentityError),
        (bundle(observation(effectiveDateTime="yesterday")), InputError),
    ],
)
def test_broken_bundles_are_explained(content, kind, tmp_path):
    with pytest.raises(kind):
        from_bundle(content)
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(content))

    with pytest.raises(InputError):
        read_fhir(file)


@pytest.mark.skipif(not SYNTHEA.exists(), reason="needs ../shared/data/fhir_synthea_r4")
def test_synthetic_patients_are_read_whole(tmp_path):
    read, missing = 0, Counter()
    with zipfile.ZipFile(SYNTHEA) as bundles:
        for name in bundles.namelist():
            table = read_fhir(Path(bundles.extract(name, tmp_path)))
            read += len(table.known)
            missing.update(str(v.reason) for v in table.missing)

    # Counted with a loop over the JSON: 1050 quantities and 190 components of blood pressure.
    assert read + sum(missing.values()) == 1240
    # Synthea states proteins in g/dL with the numbers of g/L and the other way round.
    others = [reason for reason in missing if not reason.startswith("The code '")]
    assert others
    assert all("L it would be. Check the unit." in reason for reason in others)
    assert read > 900


def test_the_api_reads_both_kinds_of_file(tmp_path):
    sheet, resources = tmp_path / "labs.csv", tmp_path / "bundle.json"
    sheet.write_text("patient,name,value,unit\nA,glucose,90,mg/dL\n")
    resources.write_text(json.dumps(bundle(observation(90, unit="mg/dL"))))

    found = [table.known[0].value for path in (sheet, resources) for table in api.laboratory(path)]

    assert found == pytest.approx([4.996, 4.996], abs=1e-3)
