"""A model is judged on images that it was not trained on, also by group and by a second reader."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from aegle import api
from aegle.domain.errors import FileError, InputError, OptionError


@pytest.fixture(scope="module")
def model(spots, tmp_path_factory):
    """Return the file of a model of spots."""
    sections = {
        "data": {"path": str(spots / "manifest.csv"), "group": "patient"},
        "prepare": {"size": 24},
        "network": {"name": "small-cnn", "settings": {"width": 6}},
        "train": {"epochs": 2, "batch": 16, "rate": 0.01},
        "evaluate": {"resamples": 100},
    }
    return api.train(sections, tmp_path_factory.mktemp("model") / "run").files["model"]


def data(spots, **changed):
    return {
        "data": {"path": str(spots / "manifest.csv"), "group": "patient", **changed},
        "evaluate": {"resamples": 100, "subgroup_minimum": 4, "class_minimum": 2},
    }


def table(done):
    lines = (done.folder / "predictions.csv").read_text().splitlines()
    heads = lines[0].split(",")
    return [dict(zip(heads, line.split(","), strict=True)) for line in lines[1:]]


def test_scores_are_those_of_the_predictions(model, spots, tmp_path):
    done = api.evaluate(model, data(spots, where={"split": ["val"]}), tmp_path / "out")

    rows = table(done)
    truth = [row["truth"] == "spot" for row in rows]
    said = [float(row["probability_spot"]) for row in rows]
    assert len(rows) == 16
    assert done.numbers["scores"]["auc"]["value"] == pytest.approx(roc_auc_score(truth, said))
    assert done.numbers["groups"] == 8
    assert json.loads(done.files["scores"].read_text())["scores"] == done.numbers["scores"]
    assert "<html" in done.files["evaluation"].read_text()


def test_the_models_order_of_classes_counts(model, tmp_path):
    random = np.random.default_rng(1)
    images = random.normal(90, 12, (12, 24, 24)).clip(0, 255).astype(np.uint8)
    images[:6, 8:14, 8:14] = 250
    np.savez(tmp_path / "x.npz", val_images=images, val_labels=np.repeat([[1], [0]], 6, axis=0))
    recipe = {
        "data": {"path": str(tmp_path / "x.npz"), "merge": {"1": "spot", "0": "plain"}},
        "evaluate": {"resamples": 100},
    }

    done = api.evaluate(model, recipe, tmp_path / "out")

    assert [row["truth"] for row in table(done)] == ["spot"] * 6 + ["plain"] * 6


def test_subgroups_by_a_column(model, spots, tmp_path):
    done = api.evaluate(model, data(spots), tmp_path / "out", by="view")

    (subgroups,) = done.numbers["subgroups"]
    assert [group["value"] for group in subgroups["subgroups"]] == ["AP", "PA"]


def test_agreement_with_a_second_reader(model, spots, tmp_path):
    done = api.evaluate(model, data(spots), tmp_path / "out", reader="reader")

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
def test_an_unknown_column_is_named(model, spots, tmp_path, given, message):
    with pytest.raises(OptionError, match=message):
        api.evaluate(model, data(spots), tmp_path / "out", **given)


def test_other_classes_are_refused(model, spots, tmp_path):
    with pytest.raises(InputError, match="data name the classes spot, plain, but model"):
        api.evaluate(model, data(spots, classes=["spot", "plain"]), tmp_path / "out")


def test_one_class_cannot_be_judged(model, spots, tmp_path):
    with pytest.raises(InputError, match="Scores need images of two classes"):
        api.evaluate(model, data(spots, where={"label": ["spot"]}), tmp_path / "out")


def test_what_is_no_model_is_named(spots, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"none")

    with pytest.raises(FileError, match=r"m\.safetensors"):
        api.evaluate(tmp_path / "m.safetensors", data(spots), tmp_path / "out")
