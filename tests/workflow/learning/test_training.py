"""One recipe, one model: the same bytes whenever it is trained, stopped or repeated."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aegle import api
from aegle.domain.errors import FileError, InputError, OptionError, WorkflowError
from aegle.learning import model as model_file
from aegle.workflow.learning import fitting, run_folder
from aegle.workflow.learning.plan import read_plan


@pytest.fixture(scope="module")
def trained(spots, tmp_path_factory):
    """Return what a whole tiny training gives."""
    out = tmp_path_factory.mktemp("trained") / "run"
    sections = {
        "model": {"name": "spots 1", "modalities": ["CR"], "trained_on": ["Made spots"]},
        "data": {"path": str(spots / "manifest.csv"), "group": "patient"},
        "prepare": {"size": 24},
        "network": {"name": "small-cnn", "settings": {"width": 6}},
        "train": {"epochs": 4, "batch": 16, "rate": 0.01},
        "validate": {"how": "folds", "folds": 2, "by": ["view"]},
        "evaluate": {"resamples": 100, "subgroup_minimum": 4, "class_minimum": 2},
    }
    return api.train(sections, out), sections


def bytes_of(done):
    return done.files["model"].read_bytes()


def test_a_bright_spot_is_learned(trained):
    done, _ = trained

    assert done.numbers["scores"]["auc"]["value"] > 0.95
    assert done.numbers["images"] == 24


def test_everything_is_written(trained):
    done, _ = trained

    written = {path.name for path in done.folder.iterdir()}
    assert {
        "plan.json",
        "evaluation.html",
        "scores.json",
        "predictions.csv",
        "card.md",
        "model.safetensors",
    } <= written
    assert all(path.exists() for path in done.files.values())


def test_the_model_says_what_it_is_and_how_good_it_is(trained):
    done, _ = trained

    facts = model_file.load(done.files["model"]).facts

    assert (facts.name, facts.modalities) == ("spots 1", ("CR",))
    assert facts.trained_on == ("Made spots",)
    assert facts.classes == ("plain", "spot")
    assert facts.measured["auc"]["count"] == 24
    assert facts.measured["auc"]["value"] == done.numbers["scores"]["auc"]["value"]


def test_subgroups_are_judged_by_the_columns_asked_for(trained):
    (table,) = trained[0].numbers["subgroups"]

    assert table["column"] == "view"
    assert {group["value"]: group["images"] for group in table["subgroups"]} == {"AP": 12, "PA": 12}


def test_a_rerun_gives_the_same_bytes(trained, tmp_path):
    done, sections = trained

    again = api.train(sections, tmp_path / "again")

    assert bytes_of(again) == bytes_of(done)
    for name in ("plan.json", "evaluation.html", "scores.json", "predictions.csv", "card.md"):
        assert (again.folder / name).read_bytes() == (done.folder / name).read_bytes()


def test_a_plan_is_repeated_exactly(trained, tmp_path):
    done, _ = trained

    again = api.train(done.folder / "plan.json", tmp_path / "again")

    assert bytes_of(again) == bytes_of(done)


def test_the_plan_holds_everything_that_was_decided(trained):
    done, _ = trained
    plan = read_plan(done.folder / "plan.json")

    assert plan.recipe.train.epochs == 4
    assert plan.versions.keys() >= {"torch", "numpy", "aegle"}
    assert plan.estimate["steps"] > 0
    assert {name for part in plan.parts for name in part.judged} == {
        f"{n:02}.png" for n in range(48)
    }


def test_another_seed_gives_another_model(trained, with_, tmp_path):
    other = api.train(with_(train={"seed": 1}, model={"name": "spots 1"}), tmp_path / "other")

    assert bytes_of(other) != bytes_of(trained[0])


def test_images_that_changed_since_the_plan_are_refused(trained, spots, tmp_path):
    plan = read_plan(trained[0].folder / "plan.json")
    changed = replace(plan, data_digest="0" * 64)

    with pytest.raises(InputError, match="the images are not those of the plan"):
        api.train(changed, tmp_path / "again")


def test_a_finished_training_is_not_repeated(trained, sections, monkeypatch):
    done, sections = trained
    before = bytes_of(done)
    monkeypatch.setattr(fitting, "train", None)
    announced = []

    def announce(step, reused):
        announced.append((step.name, reused))
        return lambda *_: None

    again = api.train(sections, done.folder, announce=announce)

    assert bytes_of(again) == before
    assert ("train fold-0-seed-0", True) in announced
    assert not any(name.startswith("look") for name, _ in announced)


def test_what_the_model_is_called_does_not_repeat_the_training(trained, monkeypatch):
    done, sections = trained
    monkeypatch.setattr(fitting, "train", None)

    renamed = api.train({**sections, "model": {"name": "spots 2"}}, done.folder)

    assert model_file.load(renamed.files["model"]).facts.name == "spots 2"
    api.train(sections, done.folder)


def test_other_options_in_the_same_folder_train_anew(sections, with_, tmp_path):
    first = api.train(with_(train={"epochs": 1}), tmp_path / "run")
    before = bytes_of(first)

    second = api.train(with_(train={"epochs": 2}), tmp_path / "run")

    assert bytes_of(second) != before
    assert bytes_of(second) == bytes_of(api.train(with_(train={"epochs": 2}), tmp_path / "new"))


def test_the_part_to_judge_on_can_be_chosen(sections, tmp_path):
    done = api.train(sections, tmp_path / "run", fold=1)

    plan = read_plan(done.folder / "plan.json")
    assert plan.part == 1
    assert (done.folder / "parts" / "fold-1-seed-0").is_dir()
    with pytest.raises(OptionError, match="no part 2"):
        api.train(sections, tmp_path / "run", fold=2)


def test_one_class_only_is_refused(with_, tmp_path):
    with pytest.raises(InputError, match="one class"):
        api.train(with_(data={"where": {"label": ["spot"]}}), tmp_path / "run")


def test_pixels_that_are_no_numbers_are_refused(with_, tmp_path):
    images = np.random.default_rng(0).random((20, 24, 24))
    images[3, 5, 5] = np.nan
    labels = np.arange(20)[:, None] % 2
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=labels)

    with pytest.raises(InputError, match="train/00003"):
        api.train(with_(data={"path": str(tmp_path / "x.npz"), "group": ""}), tmp_path / "run")


def test_weights_that_do_not_fit_are_refused(trained, with_, tmp_path):
    given = {"transfer": {"weights": str(trained[0].files["model"])}}

    with pytest.raises(InputError, match="it is for another network"):
        api.train(with_(**given, network={"name": "base-cnn", "settings": {}}), tmp_path / "run")


def test_an_unknown_setting_of_the_network_is_named(with_, tmp_path):
    with pytest.raises(OptionError, match="Network 'small-cnn' has no setting widht"):
        api.train(with_(network={"settings": {"widht": 3}}), tmp_path / "run")


def test_a_full_disk_keeps_the_last_model(trained, sections, monkeypatch):
    done, sections = trained
    before = bytes_of(done)

    def full(*_given, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file.Path, "write_bytes", full)
    with pytest.raises((FileError, OSError), match="No space left"):
        api.train({**sections, "model": {"name": "spots 3"}}, done.folder)

    assert bytes_of(done) == before
    assert not list(done.folder.glob("*.part*"))


def test_a_folder_with_other_files_is_left_alone(sections, tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")

    with pytest.raises(OptionError, match="holds files that Aegle did not write"):
        api.train(sections, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_two_runs_do_not_share_a_folder(sections, tmp_path):
    with (
        run_folder.opened(tmp_path / "run"),
        pytest.raises(WorkflowError, match="Another run is working"),
    ):
        api.train(sections, tmp_path / "run")


def test_settings_cannot_change_a_plan(trained):
    with pytest.raises(OptionError, match="cannot be changed by settings"):
        api.recipe(trained[0].folder / "plan.json", "train.epochs=3")


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", json.dumps({"format": "aegle plan 1"})])
def test_what_is_no_plan_is_named(text, tmp_path):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(FileError, match=r"plan\.json"):
        api.train(tmp_path / "plan.json", tmp_path / "run")
