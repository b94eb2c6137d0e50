"""The command explains itself, speaks JSON, and answers mistakes with words and a status."""

import json

import pytest

import aegle
from aegle import cli

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
        (["run", "scan.dcm", "--out", "case", "--set", "photons.beams=x"], "Unknown option"),
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
