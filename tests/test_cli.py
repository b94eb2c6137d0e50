"""The command explains itself, speaks JSON, and answers mistakes with words and a status."""

import json
import subprocess
import sys

import numpy as np
import pytest

import aegle
from aegle import api, cli
from aegle.workflow.options import describe

COMMANDS = (
    "demo",
    "run",
    "follow",
    "plan",
    "compare",
    "adapt",
    "train",
    "evaluate",
    "predict",
    "explain",
    "fuse",
    "rule",
    "respond",
    "options",
    "doctor",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, capsys):
    assert cli.main([command, "--help"]) == 0

    assert f"aegle {command}" in capsys.readouterr().out.split("Example")[1]


def test_help_says_that_it_is_for_research(capsys):
    cli.main(["--help"])

    assert "not a medical device" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command"),
        (["run", "--out", "case"], "Missing argument"),
        (["run", "scan.dcm"], "Missing option"),
        (["run", "scan.dcm", "--out", "case", "--language", "fr"], "Invalid value"),
        (["run", "scan.dcm", "--out", "case", "--set", "photons.beamz=x"], "Unknown option"),
        (["run", "scan.dcm", "--out", "case", "--options", "none.toml"], "none.toml: cannot be"),
        (["follow", "january", "--out", "case"], "at least two visits, got 1"),
        (
            ["follow", "a", "b", "--structures", "m.nii", "--out", "c"],
            "1 label map(s) for 2 visits",
        ),
        (["demo", "--now", "yesterday"], "Invalid value"),
        (["train", "none.toml", "--out", "run"], "none.toml: cannot be read as TOML"),
        (["train", "images", "--out", "run", "--set", "trian.epochs=1"], "Unknown section 'trian'"),
        (["train", "images", "--out", "run", "--set", "train.epoch=1"], "Unknown option(s)"),
        (["train", "images", "--out", "run", "--fold", "first"], "Invalid value"),
        (["evaluate", "model.safetensors", "--out", "judged"], "Missing argument"),
        (["predict", "model.safetensors", "x.png"], "Missing option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_ends_with_2_and_says_why(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert cli.main(arguments) == 2

    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_missing_file_ends_with_1_and_names_it(tmp_path, capsys):
    status = cli.main(["run", str(tmp_path / "nowhere"), "--out", str(tmp_path / "case")])

    assert status == 1
    assert "nowhere: there is no such file or folder" in capsys.readouterr().err


def test_file_that_is_no_image_ends_with_1_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("Dear colleague")

    status = cli.main(["run", str(tmp_path / "letter.txt"), "--out", str(tmp_path / "case")])

    assert status == 1
    assert "letter.txt" in capsys.readouterr().err
    assert not (tmp_path / "case").exists()


def test_doctor_lists_everything_that_is_needed(capsys):
    assert cli.main(["doctor", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["aegle"] == aegle.__version__
    assert {"numpy", "torch", "pydicom", "simpleitk"} <= {n.lower() for n in found["packages"]}
    assert all(found["packages"].values())


def test_options_are_listed_with_meaning_and_default(capsys):
    assert cli.main(["options", "--json"]) == 0

    rows = {f"{r['section']}.{r['option']}": r for r in json.loads(capsys.readouterr().out)}
    assert rows["prescription.dose_gy"]["default"] == 60
    assert rows["recist.progression_increase_mm"]["unit"] == "mm"


def test_options_are_listed_with_their_whole_names(capsys):
    assert cli.main(["options"]) == 0

    shown = capsys.readouterr().out.split()
    assert {f"{r['section']}.{r['option']}" for r in describe()} <= set(shown)


@pytest.mark.parametrize(
    ("stopped_by", "words"),
    [
        (KeyboardInterrupt(), "stopped; the same command goes on where this one was"),
        (OSError(28, "No space left on device", "case/x.npy"), "case/x.npy: No space left"),
    ],
    ids=["interrupt", "full disk"],
)
def test_a_run_that_is_stopped_ends_with_1_and_words(stopped_by, words, capsys, monkeypatch):
    def stop(*_given, **_named):
        raise stopped_by

    monkeypatch.setattr(api, "run", stop)

    assert cli.main(["run", "scan.dcm", "--out", "case"]) == 1
    assert words in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "ct.nii").write_bytes(b"")
    place = "/proc/no-such-place"

    assert cli.main(["run", str(tmp_path), "--out", place]) == 2
    assert f"{place} cannot be used for the case" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["foo.bar=1", "images.tilt=upright"])
def test_wrong_settings_are_told_before_heavy_modules_are_imported(setting):
    code = (
        "import sys; from aegle import cli; "
        f"assert cli.main(['run', 'x', '--out', 'y', '--set', '{setting}']) == 2; "
        "print(sorted({'torch', 'matplotlib', 'highdicom', 'SimpleITK'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere", "--out", "run"], "nowhere: it does not exist"),
        (["train", "plan.json", "--out", "run"], "plan.json: cannot be read as JSON"),
        (
            ["evaluate", "no.safetensors", "images", "--out", "out"],
            "no.safetensors: cannot be read",
        ),
        (["predict", "no.safetensors", "x.png", "--out", "out"], "no.safetensors: cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_models_and_images_that_are_missing_end_with_1(
    arguments, words, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    assert cli.main(arguments) == 1

    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_trained_judged_and_used_from_the_command_line(tmp_path, capsys):
    random = np.random.default_rng(0)
    images = random.normal(90, 12, (24, 16, 16)).clip(0, 255).astype(np.uint8)
    images[::2, 4:10, 4:10] = 250
    labels = 1 - np.arange(24)[:, None] % 2
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=labels)
    (tmp_path / "made.toml").write_text(
        'data.path = "x.npz"\nprepare.size = 16\nnetwork.settings = { width = 4 }\n'
        'validate = { how = "holdout", share = 0.5, tune = 0.0 }\nevaluate.resamples = 100\n'
    )
    run, model = str(tmp_path / "run"), str(tmp_path / "run" / "model.safetensors")
    made, archive = str(tmp_path / "made.toml"), str(tmp_path / "x.npz")

    assert cli.main(["train", made, "--out", run, "--set", "train.epochs=2", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["images"] == 12
    assert trained["files"]["model"] == model
    out = str(tmp_path / "judged")
    assert cli.main(["evaluate", model, made, "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 24
    assert cli.main(["predict", model, archive, "--out", str(tmp_path / "said")]) == 0
    shown = capsys.readouterr().out
    assert "predictions.csv" in shown
    assert "not a medical device" in shown


def test_help_is_quick_since_nothing_heavy_is_imported():
    code = (
        "import sys; from aegle import cli; assert cli.main(['--help']) == 0; "
        "print(sorted({'torch', 'numpy', 'pydantic', 'matplotlib'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
