"""A model is judged on images that it was not trained on, also by group and by a second reader."""

import json
from dataclasses import replace

import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from aegle import api
from aegle.domain.errors import FileError, InputError, OptionError
from aegle.evaluation.page import page
from aegle.learning.model import load, save
from aegle.workflow.learning import reporting


def data(spots, **changed):
    return {
        "data": {"path": str(spots / "manifest.csv"), "group": "patient", **changed},
        "evaluate": {"resamples": 100, "subgroup_minimum": 4, "class_minimum": 2},
    }


def table(done):
    lines = (done.folder / "predictions.csv").read_text().splitlines()
    heads = lines[0].split(",")
    return [dict(zip(heads, line.split(","), strict=True)) for line in lines[1:]]


def test_scores_are_those_of_the_predictions(spot_model, spots, tmp_path):
    done = api.evaluate(spot_model, data(spots, where={"split": ["val"]}), tmp_path / "out")

    rows = table(done)
    truth = [row["truth"] == "spot" for row in rows]
    said = [float(row["probability_spot"]) for row in rows]
    assert len(rows) == 16
    assert done.numbers["scores"]["auc"]["value"] == pytest.approx(roc_auc_score(truth, said))
    assert done.numbers["groups"] == 8
    assert json.loads(done.files["scores"].read_text())["scores"] == done.numbers["scores"]
    assert "<html" in done.files["evaluation"].read_text()


def test_the_models_order_of_classes_counts(spot_model, spots, tmp_path):
    loaded = load(spot_model)
    turned = replace(loaded, facts=replace(loaded.facts, classes=("spot", "plain")))
    path = save(turned, tmp_path / "turned.safetensors")

    one, other = (
        table(api.evaluate(model, data(spots), tmp_path / out))
        for model, out in ((spot_model, "out"), (path, "turned"))
    )

    assert [row["truth"] for row in one] == [row["truth"] for row in other]
    assert [row["probability_spot"] for row in one] == [row["probability_plain"] for row in other]


def test_subgroups_by_a_column(spot_model, spots, tmp_path):
    done = api.evaluate(spot_model, data(spots), tmp_path / "out", by="view")

    (subgroups,) = done.numbers["subgroups"]
    assert [group["value"] for group in subgroups["subgroups"]] == ["AP", "PA"]


def test_agreement_with_a_second_reader(spot_model, spots, tmp_path):
    done = api.evaluate(spot_model, data(spots), tmp_path / "out", reader="reader")

    found = dict(done.evaluation.agreements)
    rows = {row["name"]: row for row in table(done)}
    listed = [line.split(",") for line in (spots / "manifest.csv").read_text().splitlines()[1:]]
    labels, readers = ([row[place] for row in listed] for place in (1, 5))
    said = [rows[row[0]]["likeliest"] for row in listed]
    assert found["second reader and labels, 48 images"].value == pytest.approx(
        cohen_kappa_score(readers, labels)
    )
    assert found["labels and model, 48 images"].value == pytest.approx(
        cohen_kappa_score(labels, said)
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [({"by": "colour"}, "no column 'colour'"), ({"reader": "eyes"}, "no column 'eyes'")],
)
def test_an_unknown_column_is_named(spot_model, spots, tmp_path, given, message):
    with pytest.raises(OptionError, match=message):
        api.evaluate(spot_model, data(spots), tmp_path / "out", **given)


def test_other_classes_are_refused(spot_model, spots, tmp_path):
    with pytest.raises(InputError, match="data name the classes spot, plain, but model"):
        api.evaluate(spot_model, data(spots, classes=["spot", "plain"]), tmp_path / "out")


def test_one_class_cannot_be_judged(spot_model, spots, tmp_path):
    with pytest.raises(InputError, match="Scores need images of two classes"):
        api.evaluate(spot_model, data(spots, where={"label": ["spot"]}), tmp_path / "out")


def test_what_is_no_model_is_named(spots, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"none")

    with pytest.raises(FileError, match=r"m\.safetensors"):
        api.evaluate(tmp_path / "m.safetensors", data(spots), tmp_path / "out")


def test_the_page_shows_the_worst_cases(spot_model, spots, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "page", page)

    done = api.evaluate(spot_model, data(spots), tmp_path / "out")

    shown = done.files["evaluation"].read_text()
    assert "spots 1" in shown
    assert "48 of manifest.csv" in shown
