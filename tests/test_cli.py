"""The command explains itself, speaks JSON, and answers mistakes with words and a status."""

import json
import subprocess
import sys

import pytest

import aegle
from aegle import api, cli
from aegle.workflow.options import describe

COMMANDS = ("demo", "run", "options", "doctor")


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
        (["demo", "--now", "yesterday"], "Invalid value"),
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
