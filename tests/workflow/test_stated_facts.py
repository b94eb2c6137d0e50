"""What is stated beside the images goes through a whole run, and another patient's is refused."""

import hashlib
import json

import pytest

from aegle import api, cli
from aegle.domain.errors import IdentityError

from .conftest import NOW

pytestmark = pytest.mark.xdist_group("stated_facts")
UNPLANNED = ["choice.visit=none"]
SMOKER = "77176002"
"""SNOMED CT."""


def bundle(folder, *, birth_date, number="MADE-THORAX-1"):
    """A FHIR bundle with a patient, creatinine in mg/dL and a diagnosis of smoking."""
    resources = [
        {
            "resourceType": "Patient",
            "id": "p",
            "identifier": [{"value": number}],
            "birthDate": birth_date,
            "gender": "female",
        },
        {
            "resourceType": "Observation",
            "status": "final",
            "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
            "effectiveDateTime": "2025-01-10",
            "valueQuantity": {"value": 1.0, "code": "mg/dL"},
        },
        {
            "resourceType": "Condition",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": SMOKER}]},
        },
    ]
    file = folder / f"{birth_date}.json"
    tree = {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}
    file.write_text(json.dumps(tree))
    return file


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def stated(coarse_images, tmp_path_factory):
    """A run of the first visit with a bundle of the same patient, and its folder."""
    folder = tmp_path_factory.mktemp("stated")
    visit = min(p for p in coarse_images.iterdir() if p.is_dir())
    facts = bundle(folder, birth_date="1961-03-14")
    case = folder / "case"
    results = api.run(
        [visit], case, facts=facts, options=api.read_options(settings=UNPLANNED), now=NOW
    )
    return visit, case, results


def shown(results):
    return {i.name: (i.value, i.unit) for s in results.suggestions.visits[0] for i in s.inputs}


def test_values_of_the_bundle_are_shown_in_the_analytes_unit(stated):
    _, _, results = stated

    # 1 mg/dL is 88.4 µmol/L: creatinine weighs 113.12 g/mol.
    assert shown(results)["creatinine"] == ("88.4", "umol/L")


def test_no_suggestion_doubts_whose_facts_these_are(stated):
    _, _, results = stated

    assert not [c for s in results.suggestions.visits[0] for c in s.cautions if "birth" in str(c)]


def test_no_plan_is_made_where_none_is_asked_for(stated):
    _, case, results = stated

    assert results.planning.plan is None
    assert str(results.planning.reason) == "No plan was asked for."
    assert not (case / "dicom" / "plan").exists()


def test_another_date_of_birth_is_refused_and_the_case_stays(stated, tmp_path):
    visit, case, _ = stated
    before = contents(case)

    with pytest.raises(IdentityError, match=r"born 1950-05-05.*born 1961-03-14"):
        api.run(
            [visit],
            case,
            facts=bundle(tmp_path, birth_date="1950-05-05"),
            options=api.read_options(settings=UNPLANNED),
            now=NOW,
        )

    assert contents(case) == before


def test_what_was_stated_last_counts_until_something_else_is(stated):
    visit, case, _ = stated

    again = api.run([visit], case, options=api.read_options(settings=UNPLANNED), now=NOW)

    assert shown(again)["creatinine"] == ("88.4", "umol/L")


def test_following_takes_facts_too_and_plans_only_when_told(coarse_images, tmp_path, capsys):
    visits = sorted(p for p in coarse_images.iterdir() if p.is_dir())[:2]
    table = tmp_path / "laboratory.csv"
    table.write_text("patient,code,value,unit\n4711,2160-0,1.0,mg/dL\n")

    results = api.follow(visits, tmp_path / "case", facts=table, now=NOW)

    assert shown(results)["creatinine"] == ("88.4", "umol/L")
    assert str(results.planning.reason) == "No plan was asked for."
    (doubt,) = {str(c) for s in results.suggestions.visits[0] for c in s.cautions}
    assert doubt == (
        "What is stated beside the images is of patient 4711, the images are of MADE-THORAX-1, "
        "and no date of birth says whether they are one person."
    )
    assert cli.main(["suggest", str(tmp_path / "case")]) == 0
    assert "Note: What is stated beside the images is of patient 4711" in capsys.readouterr().out
