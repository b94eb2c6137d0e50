"""The evaluation page, its numbers and the model card."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from aegle.evaluation.agreement import kappa
from aegle.evaluation.bootstrap import measure
from aegle.evaluation.card import CardFacts, DataFacts, card
from aegle.evaluation.cross_validation import cross_validation
from aegle.evaluation.evaluate import About, evaluate, limits, numbers
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.page import page
from aegle.evaluation.selection import select
from aegle.evaluation.shortcuts import judge

FEW = EvaluationOptions(resamples=100)


@pytest.fixture(scope="module")
def evaluation(made):
    """Everything that an evaluation can hold."""
    sex = tuple("FMF"[i % 3] for i in range(120))
    predictions = made(per_group=1, columns={"sex": sex, "note <b>": ("x",) * 120})
    folds = [select(predictions, np.arange(120) % 3 == k) for k in range(3)]
    found = evaluate(
        predictions,
        options=FEW,
        about=About(title="Pneumonia <script>", facts={"Model": "net & co 1"}),
        by=("sex", "note <b>"),
        audit=[
            judge(name, predictions, predictions, options=FEW)
            for name in ("border_masked", "border_only")
        ],
        folds=cross_validation(folds, options=FEW, baseline=folds, names=("auc",)),
    )
    agreement = kappa("aab" * 9, "abb" * 9, categories="ab", options=FEW)
    return replace(
        found,
        sources={"another hospital": measure(made(60, seed=4), options=FEW)},
        agreements=(("reader and labels", agreement),),
    )


@pytest.fixture(scope="module")
def html(evaluation):
    return page(evaluation)


@pytest.fixture
def facts():
    return CardFacts(
        name="pneumonia 1",
        task="tells pneumonia from none",
        network="small-cnn",
        parameters=160_322,
        classes=("normal", "pneumonia"),
        licence="CC BY 4.0",
        digest="ab12",
        size_bytes=641_288,
        training_data=(
            DataFacts(name="Set | A", citation="Doe J. 2020", licence="CC0", used="100 images"),
        ),
        recipe='[network]\nname = "small-cnn"\n',
        command="aegle train recipe.toml --out run",
        versions={"torch": "2.13.0", "numpy": "2.4.6"},
    )


def plain_text(html):
    return re.sub(r"<[^>]+>", " ", html.split("</style>")[1])


def test_the_page_stands_alone_and_lets_no_name_become_markup(evaluation):
    html = page(evaluation, image_of=lambda name: np.arange(64).reshape(8, 8))

    assert "<script" not in html
    assert "Pneumonia &lt;script&gt;" in html
    assert "net &amp; co 1" in html
    assert "note &lt;b&gt;" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_the_same_evaluation_gives_the_same_page(evaluation, html):
    assert page(evaluation) == html


def test_the_page_shows_every_score_with_its_interval_and_says_what_it_is_not(evaluation, html):
    text = plain_text(html)

    for estimate in evaluation.measured.estimates:
        assert f"{estimate.value:.3f}" in text
        assert f"{estimate.low:.3f} to {estimate.high:.3f}" in text
    assert "Research software, not a medical device" in text
    for chapter in ("Subgroups", "Shortcut audit", "Images from elsewhere", "Second reader"):
        assert chapter in text
    assert "With only the border left the AUC is still" in text
    for sentence in limits(evaluation):
        assert str(sentence).split("'")[0] in text


def test_worst_cases_are_shown_as_pictures_only_where_pixels_are_given(evaluation, html):
    asked = []

    def image_of(name):
        asked.append(name)
        return np.arange(64).reshape(8, 8)

    with_pictures, without = page(evaluation, image_of=image_of), html

    assert asked == [case.name for case in evaluation.worst]
    assert with_pictures.count("<img") == without.count("<img") + len(asked)
    assert evaluation.worst[0].name in without


def test_chapters_with_nothing_to_say_are_left_out(made):
    found = evaluate(made(), options=FEW, about=About(title="Plain"))

    text = plain_text(page(found))

    for chapter in ("Subgroups", "Shortcut audit", "Second reader", "Several trainings"):
        assert chapter not in text
    assert "Images from another source were not judged." in text
    assert "marks beside the anatomy was not tested" in text


def test_a_page_of_four_classes_can_be_made(made):
    found = evaluate(made(classes=4), options=FEW, about=About(title="Four"))

    assert "means over one class against the rest" in plain_text(page(found))


def test_numbers_are_plain_json_with_nothing_undefined(evaluation):
    found = json.loads(json.dumps(numbers(evaluation), allow_nan=False))

    assert found["format"] == 1
    area = next(e for e in found["measured"]["estimates"] if e["name"] == "auc")
    assert area["value"] == evaluation.measured["auc"].value
    assert area["low"] == evaluation.measured["auc"].low
    assert found["audit"][1]["kind"] == "anatomy taken away"
    assert found["audit"][1]["verdict"] == str(evaluation.audit[1].verdict)
    assert found["confusion"] == evaluation.confusion.tolist()
    assert found["subgroups"][0]["subgroups"][0]["value"] == "F"
    assert found["folds"]["comparison"]["differences"][0]["value"] == 0
    assert found["options"]["resamples"] == 100
    assert found["sources"]["another hospital"]["images"] == 60


def test_an_undefined_number_is_null(two_class):
    found = evaluate(
        two_class([0, 1] * 10, [0.2, 0.8] * 10), options=FEW, about=About(title="Separated")
    )

    plain = json.loads(json.dumps(numbers(found), allow_nan=False))

    slope = next(e for e in plain["measured"]["estimates"] if e["name"] == "calibration_slope")
    assert slope["value"] is None
    assert "–" in plain_text(page(found))


def test_limits_name_rare_and_absent_classes_and_ungrouped_images(made):
    predictions = made(80, per_group=1)
    predictions = replace(
        predictions,
        classes=("normal", "pneumonia", "tuberculosis"),
        probabilities=np.pad(predictions.probabilities, ((0, 0), (0, 1))),
        truth=np.array([1] * 12 + [0] * 68),
    )

    found = evaluate(predictions, options=FEW, about=About(title="Rare"))

    said = " ".join(str(sentence) for sentence in limits(found))
    assert "only 12 images of 'pneumonia'" in said
    assert "No image is of tuberculosis" in said
    assert "Every image counts as a patient of its own" in said


def test_the_card_has_the_headings_of_a_model_card_in_their_order(evaluation, facts):
    text = card(facts, evaluation)

    assert re.findall(r"^## (.+)$", text, re.M) == [
        "Model details",
        "Intended use",
        "Out of scope",
        "Training data",
        "Evaluation data",
        "Metrics",
        "Subgroups",
        "Shortcut audit",
        "Ethical considerations",
        "Limits",
        "How to reproduce",
        "Reporting checklists",
    ]
    assert text == card(facts, evaluation)


def test_the_card_states_sources_numbers_and_how_to_make_the_model_anew(evaluation, facts):
    text = card(facts, evaluation)

    assert "| Set \\| A | 100 images | CC0 | Doe J. 2020 |" in text
    area = evaluation.measured["auc"]
    assert f"| AUC | {area.value:.3f} | {area.low:.3f} to {area.high:.3f} |" in text
    assert "160,322 parameters" in text
    assert "0.64 MB" in text
    assert 'name = "small-cnn"' in text
    assert text.index("| numpy | 2.4.6 |") < text.index("| torch | 2.13.0 |")
    assert "Images from elsewhere: another hospital, 60 images." in text
    assert "Research software, not a medical device" in text


def test_a_card_without_an_audit_says_so(made, facts):
    text = card(facts, evaluate(made(), options=FEW, about=About(title="Plain")))

    assert "## Shortcut audit\n\nNone was made.\n" in text
    assert "## Subgroups\n\nNone were judged.\n" in text
