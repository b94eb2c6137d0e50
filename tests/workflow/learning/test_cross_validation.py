"""Every image is judged by a model that has not seen it, and a stopped run goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from aegle import api
from aegle.catalogue import load as load_network
from aegle.evaluation.calibration import fit_temperature
from aegle.learning.model import load
from aegle.learning.reading_samples import read_samples
from aegle.workflow.learning import fitting
from aegle.workflow.learning.baseline import baseline_of
from aegle.workflow.learning.plan import read_plan


@pytest.fixture(scope="module")
def validated(spots, tmp_path_factory):
    """Return what cross-validation with two seeds gives, and the sections of its recipe."""
    sections = {
        "data": {"path": str(spots / "manifest.csv"), "group": "patient"},
        "prepare": {"size": 24},
        "network": {"name": "small-cnn", "settings": {"width": 6}},
        "train": {"epochs": 3, "batch": 16, "rate": 0.01},
        "validate": {"how": "folds", "folds": 2, "seeds": [0, 1], "final": True},
        "evaluate": {"resamples": 100},
    }
    out = tmp_path_factory.mktemp("validated") / "run"
    return api.train(sections, out, cross_validate=True), sections


def test_every_image_is_judged(validated):
    done, _ = validated

    lines = (done.folder / "predictions.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == [f"{n:02}.png" for n in range(48)]
    assert done.numbers["mean"]["groups"] == 24


def test_runs_are_listed_by_part_and_seed(validated):
    assert list(validated[0].numbers["runs"]) == [
        "fold-0-seed-0",
        "fold-1-seed-0",
        "fold-0-seed-1",
        "fold-1-seed-1",
    ]


def test_the_mean_is_that_of_the_runs(validated):
    numbers = validated[0].numbers

    of_runs = [run["auc"] for run in numbers["runs"].values()]
    assert numbers["mean"]["scores"]["auc"]["value"] == pytest.approx(np.mean(of_runs), abs=1e-6)


def test_no_model_saw_what_it_judged(validated):
    plan = read_plan(validated[0].folder / "plan.json")

    for part in plan.parts:
        assert not set(part.judged) & {*part.training, *part.tuning}


def test_the_kept_model_is_trained_on_all_and_says_what_was_measured(validated):
    done, _ = validated

    facts = load(done.files["model"]).facts
    assert (done.folder / "parts" / "all-seed-0").is_dir()
    assert facts.measured["auc"]["value"] == done.numbers["mean"]["scores"]["auc"]["value"]


def test_a_run_that_was_killed_between_folds_goes_on(validated, tmp_path, monkeypatch):
    done, sections = validated
    train, trainings = fitting.train, []

    def killed_at_the_third(*given, **named):
        trainings.append(named["folder"].parent.name)
        if len(trainings) == 3:
            raise KeyboardInterrupt
        return train(*given, **named)

    monkeypatch.setattr(fitting, "train", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        api.train(sections, tmp_path / "run", cross_validate=True)
    again = api.train(sections, tmp_path / "run", cross_validate=True)

    assert trainings == [
        "fold-0-seed-0",
        "fold-1-seed-0",
        "fold-0-seed-1",
        "fold-0-seed-1",
        "fold-1-seed-1",
        "all-seed-0",
    ]
    assert (again.folder / "model.safetensors").read_bytes() == done.files["model"].read_bytes()
    assert again.numbers == done.numbers


def test_a_run_that_was_killed_within_a_fold_goes_on(validated, tmp_path):
    done, sections = validated
    updates = []

    def announce(step, reused):
        def progress(number, total):
            if step.name == "train fold-1-seed-0":
                updates.append(number)
                if number == total - 1 and len(updates) < 2 * total:
                    raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        api.train(sections, tmp_path / "run", cross_validate=True, announce=announce)
    killed_after = len(updates)
    again = api.train(sections, tmp_path / "run", cross_validate=True)

    assert killed_after > 1
    assert again.files["model"].read_bytes() == done.files["model"].read_bytes()
    assert again.numbers == done.numbers


def test_numbers_are_written_as_they_are_returned(validated):
    done, _ = validated

    assert json.loads((done.folder / "cross-validation.json").read_text()) == done.numbers
    assert "48 images in 24 groups, 4 trainings" in done.files["table"].read_text()


def test_the_baseline_is_judged_on_the_same_images(validated, tmp_path):
    _, sections = validated
    weights = tmp_path / "weights.pt"
    torch.save(load_network("network", "small-cnn")().state_dict(), weights)
    baseline = {"baseline": str(weights), "baseline_network": "small-cnn", "seeds": [0]}

    found = api.train(
        {**sections, "validate": {"how": "folds", "folds": 2, **baseline}},
        tmp_path / "run",
        cross_validate=True,
    )

    against = found.numbers["against_baseline"]["auc"]
    assert found.numbers["baseline"]["images"] == 48
    assert against["difference"] == pytest.approx(against["first"] - against["second"], abs=2e-6)
    assert against["first"] == found.numbers["mean"]["scores"]["auc"]["value"]


def test_the_baseline_is_logistic_regression_of_standardised_features():
    from sklearn.linear_model import LogisticRegression

    from aegle.learning.preparation import PreparationOptions
    from aegle.learning.prepared import PreparedSet
    from aegle.learning.samples import Sample

    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    described = (random.normal(size=(40, 3)) + labels[:, None]) * [1, 100, 0.01]
    prepared = PreparedSet(
        classes=("a", "b"),
        samples=tuple(Sample(name=str(n), label=int(labels[n])) for n in range(40)),
        values=np.zeros((40, 1, 8, 8), np.uint8),
        preparation=PreparationOptions(size=8),
    )
    training, judged = np.arange(30), np.arange(30, 40)

    found = baseline_of(prepared, described.astype(np.float32), training, judged)

    mean, spread = described[training].mean(axis=0), described[training].std(axis=0)
    scaled = (described - mean) / spread
    expected = LogisticRegression().fit(scaled[training], labels[training])
    np.testing.assert_allclose(
        found.probabilities, expected.predict_proba(scaled[judged]), atol=1e-4
    )


def test_without_tuning_images_the_other_parts_give_the_temperature(validated, tmp_path):
    _, sections = validated
    options = {"how": "folds", "folds": 3, "tune": 0, "final": True}

    done = api.train({**sections, "validate": options}, tmp_path / "run", cross_validate=True)

    plain = [
        predicted_alone(done.folder, part, sections)
        for part in read_plan(done.folder / "plan.json").parts
    ]
    shown = {
        line.split(",")[0]: float(line.split(",")[-1])
        for line in (done.folder / "predictions.csv").read_text().splitlines()[1:]
    }
    for place, part in enumerate(plain):
        logits = np.concatenate([p[1] for other, p in enumerate(plain) if other != place])
        labels = np.concatenate([p[2] for other, p in enumerate(plain) if other != place])
        temperature = fit_temperature(logits, labels)
        expected = softmax(part[1] / temperature, axis=1)[:, 1]
        np.testing.assert_allclose([shown[name] for name in part[0]], expected, atol=1e-5)
    everyone = fit_temperature(
        np.concatenate([p[1] for p in plain]), np.concatenate([p[2] for p in plain])
    )
    assert load(done.files["model"]).facts.temperature == pytest.approx(everyone, rel=1e-3)


def predicted_alone(folder, part, sections):
    """Return names, logits and labels of the images that a part's model judges."""
    model = load(folder / "parts" / f"{part.name}-seed-0" / "model.safetensors")
    data = api.recipe(sections).data
    samples = {s.name: s for s in read_samples(Path(data.path), options=data).samples}
    root = Path(data.path).parent
    pixels = [np.array(Image.open(root / name)) for name in part.judged]
    return part.judged, model.logits(pixels), np.array([samples[n].label for n in part.judged])


def test_the_model_carries_limits_of_sets_from_the_images_that_did_not_train_it(validated):
    done, _ = validated
    kept = load(done.files["model"]).facts.extras["conformal"]

    assert kept["column"] == "view"  # the manifest tells views apart
    by_view = {name: (one["cases"], one["rank"]) for name, one in kept["groups"]["limits"].items()}
    assert by_view == {"AP": (24, 23), "PA": (24, 23)}  # ceil(25 * 0.9)
    assert kept["all"]["classes"] == ["plain", "spot"]
    limit = kept["all"]["limits"]["all"]
    assert (limit["cases"], limit["rank"]) == (48, 45)  # ceil(49 * 0.9)
    assert 0.75 <= kept["all"]["measured"]["all"] <= 1
