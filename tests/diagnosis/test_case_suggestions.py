"""Which rules are asked about an examination, with what, and what is left open."""

import hashlib
import math
from dataclasses import replace
from datetime import date, datetime
from importlib.resources import files

import numpy as np
import pytest
from tests.diagnosis.test_suggest import LUNG, nodule

from aegle.diagnosis.case_suggestions import of_classification, suggest_all
from aegle.diagnosis.patient_facts import patient_facts
from aegle.diagnosis.suggest import SuggestOptions
from aegle.domain.assessment import HeatMap, ImageClassification, VisitAssessments
from aegle.domain.errors import OptionError
from aegle.domain.finding import Findings
from aegle.domain.study import Examination, Patient
from aegle.domain.suggestion import InputSource, Neighbour, OutOfDistribution, PredictionSet
from aegle.domain.text import Text

PATIENT = Patient(id="1", birth_date=date(1960, 6, 15), sex="F")
VISIT = Examination(patient=PATIENT, study_uid="1.2", time=datetime(2026, 1, 5, 9))
SCREENING = replace(VISIT, description="Lung cancer screening")
HEALTHY = {"known_cancer": False, "immunosuppressed": False, "high_risk": False}


def said(*lesions, visit=VISIT, assessed=None, **sections):
    findings = Findings(study_uid="1.2", organs=(LUNG,), lesions=lesions)
    stated = patient_facts(sections, "facts")
    return suggest_all(visit, findings, options=SuggestOptions(), assessed=assessed, stated=stated)


def of(suggestions, rule, subject="L1"):
    (only,) = (s for s in suggestions if s.rule.startswith(rule) and s.subject == subject)
    return only


def test_an_incidental_nodule_is_open_until_what_the_table_needs_is_stated():
    found = of(said(nodule(7)), "Fleischner")

    assert found.category == "REVIEW"
    assert [i.name for i in found.inputs if i.is_missing] == [
        *("known_cancer", "immunosuppressed", "high_risk"),
    ]
    assert found.row is found.next_step is None
    assert [(a.category, str(a.reason)) for a in found.alternatives] == [
        ("CT 6-12m, then consider CT 18-24m", "if the risk is low"),
        ("CT 6-12m, then CT 18-24m", "if the risk is high"),
    ]


@pytest.mark.parametrize(
    ("high_risk", "count", "category"),
    [
        (False, 1, "CT 6-12m, then consider CT 18-24m"),
        (True, 1, "CT 6-12m, then CT 18-24m"),
        (True, 2, "CT 3-6m, then CT 18-24m"),
    ],
)
def test_with_its_facts_the_table_is_read(high_risk, count, category):
    nodules = [nodule(7, id=f"L{n + 1}") for n in range(count)]

    found = of(said(*nodules, facts=HEALTHY | {"high_risk": high_risk}), "Fleischner")

    assert found.category == category
    assert found.next_step is not None
    assert not any(i.is_missing for i in found.inputs)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (HEALTHY | {"known_cancer": True}, "known primary cancer"),
        (HEALTHY | {"immunosuppressed": True}, "immunosuppressed"),
        (HEALTHY | {"age": 12}, "35 years or more"),
        (HEALTHY | {"age": 200}, "age cannot be 200"),
    ],
)
def test_outside_its_population_the_table_is_not_read(facts, words):
    found = of(said(nodule(7), facts=facts), "Fleischner")

    assert found.category == "REVIEW"
    assert words in str(found.reason)
    assert found.alternatives == ()


def test_unclear_density_is_missing_until_the_type_is_stated():
    pale = nodule(7, hu=-600)

    assert "type" in [i.name for i in of(said(pale, facts=HEALTHY), "Fleischner").inputs]
    stated = of(said(pale, facts=HEALTHY, lesions={"L1": {"type": "ggn"}}), "Fleischner")
    assert stated.category == "CT 6-12m, then CT every 2y until 5y"


def test_a_stated_type_goes_before_the_density_in_lung_rads():
    pale = nodule(10, hu=-600)
    openly = of(said(pale, visit=SCREENING), "Lung-RADS")
    stated = of(
        said(pale, visit=SCREENING, lesions={"L1": {"type": "part_solid", "s": 7}}), "Lung-RADS"
    )

    assert openly.category == "REVIEW"
    assert openly.alternatives[0].category == "4A"
    assert stated.category == "4A"
    assert "part_solid" in str(stated.reason)


def test_a_new_nodule_is_an_alternative_at_baseline_and_a_fact_when_stated():
    at_baseline = of(said(nodule(7), visit=SCREENING), "Lung-RADS")
    new = of(said(nodule(7), visit=SCREENING, lesions={"L1": {"status": "new"}}), "Lung-RADS")

    assert at_baseline.category == "3"
    assert [a.category for a in at_baseline.alternatives] == ["4A"]
    assert new.category == "4A"
    assert new.alternatives == ()


def test_every_suggestion_names_inputs_times_evidence_and_the_file_that_made_it():
    found = of(said(nodule(7), visit=SCREENING), "Lung-RADS")
    file = files("aegle.diagnosis").joinpath("rules/lung_rads.toml").read_bytes()

    assert found.made_by.digest == hashlib.sha256(file).hexdigest()
    assert found.made_by.version == "2022"
    by_name = {i.name: i for i in found.inputs}
    assert (by_name["age"].value, by_name["age"].source) == ("65", InputSource.EXAMINATION)
    assert (by_name["d"].value, by_name["d"].unit) == ("7", "mm")
    assert {by_name[name].time for name in ("age", "d", "type")} == {VISIT.time}
    assert (found.evidence[0].image, found.evidence[0].structure) == ("CT", "L")
    assert "checked against" in str(found.confirmed)
    assert "screening" in str(found.limits[0])
    assert any("benign" in str(text) for text in found.assumed)


def test_the_id_changes_with_what_a_suggestion_rests_on():
    first, same, other = (
        of(said(nodule(mm), visit=SCREENING), "Lung-RADS").id for mm in (7, 7, 7.2)
    )

    assert first == same
    assert first != other
    assert of(said(nodule(7), visit=replace(SCREENING, time=None)), "Lung-RADS").id != first


@pytest.mark.parametrize(
    ("today", "age"), [((2026, 6, 14), "65"), ((2026, 6, 15), "66"), ((1995, 6, 15), "35")]
)
def test_age_is_in_whole_years_on_the_day(today, age):
    visit = replace(SCREENING, time=datetime(*today))

    found = of(said(nodule(7), visit=visit), "Lung-RADS")

    assert next(i.value for i in found.inputs if i.name == "age") == age


BROCK = {"fam": False, "emph": True, "spic": False, "upper": True}


def test_brock_is_asked_at_screening_once_a_fact_of_its_own_is_stated():
    facts = BROCK | {"age": 62}
    found = of(said(nodule(10), visit=SCREENING, facts=facts), "Brock")
    # McWilliams 2013, model 2b, at age 62: terms of age and of 10 mm by their centres.
    x = -6.7892 + 0.6011 + 0.2953 - 5.3854 * (1 - 1.58113883) + 0.6581 - 0.0824 * (1 - 4)

    assert found.probability == pytest.approx(1 / (1 + math.exp(-x)), abs=5e-5)
    assert found.category == f"{found.probability:.1%}"
    nothing_stated = said(nodule(10), visit=SCREENING)
    assert not [s for s in nothing_stated if s.rule.startswith("Brock")]
    lacking = of(said(nodule(10), visit=SCREENING, facts={"spic": True}), "Brock")
    assert lacking.category == "REVIEW"
    assert [i.name for i in lacking.inputs if i.is_missing] == ["fam", "emph", "upper"]


def test_mayo_is_for_a_solitary_nodule_found_otherwise():
    facts = HEALTHY | {"smoke": True, "cancer": False, "spic": False, "upper": True, "age": 62}
    alone = of(said(nodule(10), facts=facts), "Mayo")
    x = -6.8272 + 0.0391 * 62 + 0.7917 + 0.1274 * 10 + 0.7838

    assert alone.probability == pytest.approx(1 / (1 + math.exp(-x)), abs=5e-5)
    of_two = of(said(nodule(10), nodule(9, id="L2"), facts=facts), "Mayo")
    assert (of_two.category, of_two.probability) == ("REVIEW", None)
    assert "solitary" in str(of_two.reason)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"lesions": {"L9": {"type": "solid"}}}, "stated of L9, but the lung nodules are L1"),
        ({"facts": {"high_risk": "yes"}}, "high_risk is 'yes'; give true or false"),
        ({"facts": {"age": "62"}}, "age is '62'; give a number in years"),
        ({"facts": {"age": {"value": 744, "unit": "months"}}}, "convert it"),
    ],
)
def test_wrong_facts_are_errors(sections, words):
    with pytest.raises(OptionError, match=words):
        said(nodule(7), **sections)


def test_contradicting_facts_are_for_review():
    found = of(
        said(nodule(7), facts=HEALTHY, lesions={"L1": {"type": "solid", "s": 4}}), "Fleischner"
    )

    assert found.category == "REVIEW"
    assert "not part-solid" in str(found.reason)


def test_laboratory_values_are_shown_as_not_used_by_the_rule():
    crp = {"system": "http://loinc.org", "code": "1988-5", "value": 4, "unit": "mg/L"}

    found = of(said(nodule(7), records=[crp]), "Fleischner")

    assert [(i.name, i.value, i.is_used) for i in found.inputs][-1] == (
        *("c_reactive_protein", "4", False),
    )


def test_a_model_becomes_a_suggestion_with_its_probability_and_other_classes():
    read = ImageClassification(
        image="DX",
        model="chest 1",
        model_digest="ab" * 32,
        classes=("none", "pneumonia"),
        probabilities=(0.2, 0.8),
    )

    found = said(assessed=VisitAssessments(classifications=(read,)))[-1]

    assert (found.category, found.subject, found.probability) == ("pneumonia", "DX", 0.8)
    assert [(a.category, a.probability) for a in found.alternatives] == [("none", 0.2)]
    assert found.made_by.digest == "ab" * 32
    assert found.prediction_set is found.out_of_distribution is None


def test_a_model_says_nothing_of_an_image_unlike_those_it_was_trained_on():
    far = OutOfDistribution(is_outside=True, score=5.0, limit=2.0, method="distance")
    said = ImageClassification(
        image="chest",
        model="pneumonia",
        model_digest="ab" * 32,
        classes=("no", "yes"),
        probabilities=(0.2, 0.8),
        out_of_distribution=far,
        notices=(Text("Not applicable to this image."),),
    )

    found = of_classification(said, "1.2.3")

    assert (found.applies, found.category, found.probability) == (False, "", None)
    assert found.out_of_distribution == far
    assert str(found.reason) == "Not applicable to this image."
    near = replace(said, out_of_distribution=replace(far, is_outside=False), notices=())
    assert of_classification(near, "1.2.3").category == "yes"


def test_what_speaks_for_a_model_goes_into_its_suggestion():
    found = HeatMap(
        category="yes",
        method="grad-cam",
        seen=np.zeros((2, 2), np.uint8),
        share=np.zeros((2, 2), np.uint8),
        file="evidence/visit-1-chest.png",
        trust=Text("Measured on 18 images."),
        score=0.3,
        chance=0.24,
    )
    kept = PredictionSet(categories=("yes",), coverage=0.9, calibration_cases=748)
    same = Neighbour(name="0001", category="no", distance=0.01)
    far = Neighbour(name="0002", category="no", distance=1.1)
    said = ImageClassification(
        image="chest",
        model="pneumonia",
        model_digest="ab" * 32,
        classes=("no", "yes"),
        probabilities=(0.2, 0.8),
        prediction_set=kept,
        heat_map=found,
        neighbours=(same, far),
    )

    made = of_classification(said, "1.2.3")

    assert made.prediction_set == kept
    (evidence,) = made.evidence
    assert (evidence.map_file, evidence.map_method) == ("evidence/visit-1-chest.png", "grad-cam")
    assert (evidence.map_score, evidence.map_score_name) == (0.3, "AUPRC (chance 0.24)")
    assert made.neighbours == (same, far)
    assert "Measured on 18 images." in [str(text) for text in made.limits]
    assert any("no autoencoder comes with this model" in str(text) for text in made.limits)
    assert "looks the same" in str(made.cautions[-1])
    assert of_classification(replace(said, neighbours=(far,)), "1.2.3").cautions == ()
