"""``aegle suggest``: a case's page, numbers, cards and reviews; every claim is one click away."""

import json
import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from aegle import api, cli
from aegle.diagnosis.case_suggestions import of_classification
from aegle.domain.assessment import AllAssessments, HeatMap, ImageClassification, VisitAssessments
from aegle.domain.case import AllFindings, AllSuggestions, Examinations, Segmentations
from aegle.domain.errors import FileError, OptionError
from aegle.domain.suggestion import (
    Decision,
    Neighbour,
    OutOfDistribution,
    PredictionSet,
    Review,
)
from aegle.domain.text import Text
from aegle.report import document, html, suggestion_page
from aegle.report.cds_check import card_problems, feedback_problems
from aegle.report.fhir_check import problems
from aegle.workflow import case_folder
from aegle.workflow.suggesting import STAGES

NOW = datetime(2026, 7, 1, 8)
FACTS = {
    "facts": {"known_cancer": False, "immunosuppressed": False, "high_risk": True},
    "records": [
        {"system": "http://loinc.org", "code": "1988-5", "value": 4.2, "unit": "mg/L"},
    ],
}


@pytest.fixture
def folder(case, tmp_path):
    """Keep the made case as ``aegle run`` does, up to its findings."""
    kept = {
        Examinations: case.examinations,
        Segmentations: case.segmentations,
        AllFindings: case.findings,
        AllAssessments: AllAssessments(tuple(VisitAssessments() for _ in range(3))),
    }
    with case_folder.opened(tmp_path / "case") as opened:
        for name, kind in STAGES.items():
            opened.keep(name, "key", kept[kind])
    return tmp_path / "case"


def numbers(folder, **more):
    return api.suggestion_numbers(api.suggest(folder, now=NOW, **more))


def test_page_numbers_cards_and_fhir_are_written_and_sound(folder):
    found = numbers(folder, facts=FACTS)

    first, second, _ = found["visits"]
    assert [(s["subject"], s["category"]) for s in first["suggestions"]] == [
        ("examination", "4B"),
        ("L1", "4B"),
    ]
    assert [(s["rule"], s["applies"]) for s in second["suggestions"]] == [
        ("Lung-RADS v2022", False),
        ("Fleischner 2017", True),
    ]
    assert second["suggestions"][1]["category"].startswith("consider CT 3m")
    assert json.loads((folder / "suggestions.json").read_text("utf-8")) == found
    cards = json.loads((folder / "cds-cards.json").read_text("utf-8"))
    assert card_problems({"cards": cards["cards"]}) == []
    bundle = json.loads((folder / "fhir-suggestions.json").read_text("utf-8"))
    assert problems(bundle) == []


def test_every_suggestion_has_its_reasons_one_click_away(folder):
    found = numbers(folder, facts=FACTS)
    page = (folder / "suggestions.html").read_text("utf-8")
    opened = re.findall(r"<details><summary>(.*?)</details>", page, re.DOTALL)
    every = [s for visit in found["visits"] for s in visit["suggestions"] if s["applies"]]

    assert len(opened) == len(every)
    for said, text in zip(every, opened, strict=True):
        assert said["id"] in text
        assert said["made_by"]["digest"] in text
        assert "Made for" in text
        assert all(i["meaning"] in text for i in said["inputs"])


def test_the_page_is_chinese_for_a_chinese_reader(folder):
    api.suggest(folder, facts=FACTS, language="zh", now=NOW)
    page = (folder / "suggestions.html").read_text("utf-8")

    assert 'lang="zh-CN"' in page
    assert "理由与依据" in page
    for english in ("Reasons and evidence", "Limits of use", "not reviewed", "mean diameter"):
        assert english not in page


def test_facts_are_kept_and_used_again(folder):
    stated, again = numbers(folder, facts=FACTS), numbers(folder)

    assert stated == again
    assert numbers(folder, facts={}) != again


def test_reviews_are_added_and_never_changed(folder):
    chosen = numbers(folder)["visits"][0]["suggestions"][1]["id"]
    accepting = {"suggestion": chosen, "decision": "accepted", "by": "Dr Wu"}
    overriding = {
        **{"suggestion": chosen, "decision": "overridden", "by": "Dr Roe"},
        **{"reason": "spiculated", "category": "4X"},
    }

    first = numbers(folder, review=accepting)["reviews"]
    kept = sorted((folder / "reviews").iterdir())[0].read_bytes()
    found = numbers(folder, review=overriding)

    assert found["reviews"][0] == first[0]
    assert found["reviews"][1]["replaces"] == first[0]["id"]
    assert sorted((folder / "reviews").iterdir())[0].read_bytes() == kept
    assert found["visits"][0]["suggestions"][1]["review"] == found["reviews"][1]
    page = (folder / "suggestions.html").read_text("utf-8")
    assert "spiculated" in page
    assert "replaced" in page
    cards = json.loads((folder / "cds-cards.json").read_text("utf-8"))
    assert feedback_problems({"feedback": cards["feedback"]}) == []
    assert [f["outcome"] for f in cards["feedback"]] == ["overridden"]


def test_a_review_stays_with_what_it_was_about(folder):
    """Other facts make another suggestion, which nobody has reviewed."""
    chosen = numbers(folder)["visits"][1]["suggestions"][1]["id"]
    numbers(folder, review={"suggestion": chosen, "decision": "accepted", "by": "Dr Wu"})

    found = numbers(folder, facts=FACTS)

    assert found["visits"][1]["suggestions"][1]["review"] is None
    assert len(found["reviews"]) == 1
    assert "of an earlier state of the case" in (folder / "suggestions.html").read_text("utf-8")


def test_a_review_that_was_changed_is_noticed(folder):
    chosen = numbers(folder)["visits"][0]["suggestions"][0]["id"]
    numbers(folder, review={"suggestion": chosen, "decision": "accepted", "by": "Dr Wu"})
    (file,) = (folder / "reviews").iterdir()
    file.write_text(file.read_text("utf-8").replace("Dr Wu", "Dr No"), "utf-8")

    with pytest.raises(FileError, match="was changed after it was written"):
        numbers(folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--accept", "S-0", "--by", "Dr Wu"], "No suggestion 'S-0'"),
        (["--accept", "S-0", "--override", "S-0", "--by", "Dr Wu"], "not both"),
        (["--by", "Dr Wu"], "go with --accept"),
        (["--facts", "nowhere.json"], "cannot be read"),
    ],
)
def test_bad_usage_ends_with_2(folder, arguments, words, capsys):
    assert cli.main(["suggest", str(folder), *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_decision_lacks_nothing(folder):
    chosen = numbers(folder)["visits"][0]["suggestions"][0]["id"]

    for review in (
        {"suggestion": chosen, "decision": "accepted", "by": ""},
        {"suggestion": chosen, "decision": "overridden", "by": "Dr Wu"},
        {"suggestion": chosen, "decision": "maybe", "by": "Dr Wu"},
        {"suggestion": chosen, "decision": "accepted"},
    ):
        with pytest.raises(OptionError):
            numbers(folder, review=review)
    assert not list((folder / "reviews").glob("*"))


def test_only_a_finished_case_is_taken(tmp_path, capsys):
    assert cli.main(["suggest", str(tmp_path)]) == 2
    assert "no case of Aegle" in " ".join(capsys.readouterr().err.split())


def test_the_command_tells_ids_reasons_and_what_is_missing(folder, capsys):
    assert cli.main(["suggest", str(folder), "--now", NOW.isoformat()]) == 0

    shown = capsys.readouterr().out
    assert re.search(r"S-[0-9a-f]{10} {2}Lung-RADS v2022, L1: 4B", shown)
    assert "Missing: known_cancer, immunosuppressed, high_risk" in shown
    assert "suggestions.html" in shown


LAB = {"system": "http://loinc.org", "code": "2345-7", "unit": "mmol/L"}
HEALTHY = {"known_cancer": False, "immunosuppressed": False, "high_risk": True, "age": 60}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"records": [{**LAB, "value": 126}]}, "126 mmol/L is not possible; in mg/dL it would be"),
        ({"records": [{**LAB, "value": "high"}]}, "'high' is no number"),
        ({"records": [{**LAB, "code": "1-8", "value": 1}]}, "code '1-8'"),
        ({"records": [{**LAB, "value": 5}, {**LAB, "value": 9}]}, "glucose is 5 and 9 mmol/L"),
        ({"facts": {**HEALTHY, "age": "old"}}, "age"),
        ({"facts": {"smoker": True}}, "no rule asks for smoker"),
        ({"lesions": {"2/L9": {"type": "solid"}}}, "Facts are stated of L9"),
    ],
    ids=["unit", "text", "unknown code", "contradiction", "age in words", "name", "lesion"],
)
def test_malformed_facts_end_with_2_and_change_nothing(folder, tmp_path, facts, words, capsys):
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(facts))

    assert cli.main(["suggest", str(folder), "--facts", str(file)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (folder / "facts.json").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"age": 12}, "35 years or more"),
        ({"age": 200}, "age cannot be 200"),
        ({"known_cancer": True}, "known primary cancer"),
    ],
    ids=["a child", "impossible", "outside the population"],
)
def test_what_no_table_covers_is_for_review_with_the_reason(
    folder, tmp_path, changed, reason, capsys
):
    file = tmp_path / "facts.json"
    file.write_text(json.dumps({"facts": {**HEALTHY, **changed}}))

    assert cli.main(["suggest", str(folder), "--facts", str(file), "--json"]) == 0
    (found,) = (
        one
        for one in json.loads(capsys.readouterr().out)["visits"][1]["suggestions"]
        if one["rule"] == "Fleischner 2017"
    )
    assert found["category"] == "REVIEW"
    assert reason in found["reason"]


def test_a_bundle_and_facts_go_together_and_stay_with_the_case(folder, tmp_path, capsys):
    def observed(code, value, unit):
        return {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "effectiveDateTime": "2026-06-30T07:00:00",
            "valueQuantity": {"value": value, "unit": unit},
        }

    bundle, facts = tmp_path / "bundle.json", tmp_path / "facts.json"
    entries = [observed("2160-0", 1.1, "mg/dL"), observed("2345-7", 126, "mmol/L")]
    entries.append(observed("0-0", 1, "mg/dL"))
    tree = {"resourceType": "Bundle", "entry": [{"resource": one} for one in entries]}
    bundle.write_text(json.dumps(tree))
    facts.write_text(json.dumps({"facts": HEALTHY}))

    for arguments in (["--facts", str(facts), "--facts", str(bundle)], []):
        assert cli.main(["suggest", str(folder), *arguments, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)["visits"][1]["suggestions"][1]
        shown = {i["name"]: f"{i['value']} {i['unit']}".strip() for i in said["inputs"]}
        assert said["category"].startswith("consider CT 3m")
        assert shown["creatinine"] == "97.24 umol/L"
        assert shown["glucose"].startswith("cannot be used: 126 mmol/L is not possible; in mg/dL")
        assert shown["unknown_codes"] == "0-0"
    page = (folder / "suggestions.html").read_text("utf-8")
    assert "97.24 umol/L" in page
    assert "126 mmol/L is not possible" in page


def test_a_model_says_nothing_of_an_image_unlike_its_own_but_says_how_far_it_is(case):
    said = ImageClassification(
        image="DX",
        model="chest 1",
        model_digest="ab" * 32,
        classes=("none", "pneumonia"),
        probabilities=(0.13, 0.87),
        out_of_distribution=OutOfDistribution(is_outside=True, score=3.5, limit=2.0),
        notices=(Text("Not applicable to this image."),),
    )
    results = with_model(case, said)

    page = html.render(suggestion_page.build(results, "en"))

    assert not re.search(r"87(\.0)?\s?%", page)
    assert "Not applicable to this image." in page
    assert "3.5; ≤ 2" in page
    assert "withheld" in page


def test_the_set_and_the_map_stand_with_what_the_model_says(case):
    found = HeatMap(
        category="pneumonia",
        method="grad-cam",
        seen=np.full((8, 8), 90, np.uint8),
        share=np.eye(8, dtype=np.uint8) * 255,
        file="evidence/visit-2-dx.png",
        trust=Text("never measured"),
    )
    kept = PredictionSet(categories=("pneumonia", "none"), coverage=0.9, calibration_cases=748)
    said = ImageClassification(
        image="DX",
        model="chest 1",
        model_digest="ab" * 32,
        classes=("none", "pneumonia"),
        probabilities=(0.4, 0.6),
        prediction_set=kept,
        heat_map=found,
        neighbours=(Neighbour(name="00000261_007", category="pneumonia", distance=1.25),),
    )
    page = html.render(suggestion_page.build(with_model(case, said), "en"))

    assert "pneumonia, none (90 % promised)" in page
    assert "Where the model sees evidence for pneumonia" in page
    assert "never measured" in page
    assert "evidence/visit-2-dx.png" in page
    assert "pneumonia: 00000261_007" in page
    assert "distance 1.25" in page


def with_model(case, said):
    """Return the made case with a model's word on the radiograph of its second visit."""
    visits = (VisitAssessments(), VisitAssessments(classifications=(said,)), VisitAssessments())
    second = (*case.suggestions.visits[1], of_classification(said, "1.2.3.1"))
    suggested = (case.suggestions.visits[0], second, *case.suggestions.visits[2:])
    return replace(case, assessments=AllAssessments(visits), suggestions=AllSuggestions(suggested))


def test_the_report_shows_what_persons_decided(case):
    subject = case.suggestions.visits[0][0]
    review = Review(
        id="R-1",
        suggestion=subject.id,
        decision=Decision.OVERRIDDEN,
        by="Dr Roe",
        at=NOW,
        reason="an old scar",
    )
    reviewed = document.build(replace(case, reviews=(review,)), "en")

    assert "reviews" in [section.anchor for section in reviewed.sections]
    assert "an old scar" in html.render(reviewed)
    assert "reviews" not in [section.anchor for section in document.build(case, "en").sections]
