"""``aegle respond``: response from measurements on the command line and from Python."""

import json
import subprocess
import sys

import pytest

from aegle import api
from aegle.cli import main
from aegle.domain.errors import FileError, OptionError
from aegle.response.criterion import load, names

COURSE = {
    "visits": [
        {"date": "2026-01-05", "targets": {"T1": 42, "T2": 18}},
        {"date": "2026-03-02", "targets": {"T1": 33, "T2": 9}},
    ],
    "nodes": ["T2"],
}
TABLE = """patient,visit,lesion,role,size
P1,1,T1,target,40
P1,2,T1,target,28
P2,1,T1,target,40
P2,2,T1,target,48
"""


@pytest.fixture
def sizes(tmp_path):
    file = tmp_path / "sizes.json"
    file.write_text(json.dumps(COURSE))
    return file


def test_one_patient_as_json(sizes, capsys):
    assert main(["respond", "recist-1.1", "--input", str(sizes), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    (visit,) = found["visits"]
    # 60 to 42 mm is exactly -30 %.
    assert (visit["category"], visit["rule"]) == ("PR", "target-response")
    assert visit["probabilities"]["PR"] == pytest.approx(0.5, abs=0.02)
    assert found["policies"]["response"] == "carried"
    assert found["citation"] == load("recist-1.1").citation


def test_one_patient_in_words(sizes, capsys):
    assert main(["respond", "recist-1.1", "--input", str(sizes)]) == 0

    told = capsys.readouterr().out
    assert "PR" in told
    assert "Policies: response=carried" in told
    assert "Assumed: measurement alone" in told


def test_decimals_stay_as_they_are_written(tmp_path):
    file = tmp_path / "rows.json"
    rows = [
        {"b": 14.0, "n": 14.0, "c": 9.8},
        {"b": 27, "n": 27, "c": 32.4},
        {"b": 14, "n": 3.2, "c": 8.2},
    ]
    file.write_text(json.dumps(rows))

    assert [a["category"] for a in api.respond("recist-1.1", file)] == ["PR", "PD", "PD"]
    assert [api.respond("recist-1.1", row)["category"] for row in rows] == ["PR", "PD", "PD"]


def test_a_policy_is_chosen_and_recorded(tmp_path, capsys):
    file = tmp_path / "sums.json"
    file.write_text('{"sums": [100, 70, 80]}')
    command = ["respond", "recist-1.1", "--input", str(file), "--json"]

    assert main([*command, "--policy", "response=strict"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["expected"] == ["PR", "SD"]
    assert found["policies"]["response"] == "strict"


def test_a_cohort_leaves_answers_and_pictures(tmp_path, capsys):
    pytest.importorskip("lifelines", reason="lifelines is not installed")
    table, out = tmp_path / "sizes.csv", tmp_path / "answers"
    table.write_text(TABLE)

    assert main(["respond", "recist-1.1", "--input", str(table), "--out", str(out)]) == 0

    found = json.loads((out / "response.json").read_text())
    assert [p["visits"][0]["category"] for p in found["patients"]] == ["PR", "PD"]
    assert [p["best_percent"] for p in found["patients"]] == [-30, 20]
    for name in ("waterfall.png", "time_to_progression.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert "P2" in capsys.readouterr().out


def test_lists_the_criteria(capsys):
    assert main(["respond", "--list", "--json"]) == 0

    assert {c["id"] for c in json.loads(capsys.readouterr().out)} == set(names())
    assert main(["respond", "--list"]) == 0
    assert "--policy response=carried (carried, strict)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ('[{"b": 1, "n": 1, "c": 1}, 7]', "entry 2: it is 7"),
        ('{"visits": [{"targets": {"T1": "x"}}, {}]}', "baseline, T1 is 'x'; give a number"),
        ('{"first": 3, "second": []}', "no response"),
        ('{"baseline": 3, "visits": [{"t": 3}]}', "The input has|'d'|keys"),
    ],
)
def test_bad_files_end_with_words(tmp_path, capsys, content, words):
    file = tmp_path / "bad.json"
    file.write_text(content)
    criterion = "irecist" if "baseline" in content[:12] else "recist-1.1"

    assert main(["respond", criterion, "--input", str(file)]) == 1

    told = capsys.readouterr().err
    assert str(file) in told.replace("\n", "")
    assert "Traceback" not in told
    with pytest.raises(FileError, match=words):
        api.respond(criterion, file)


@pytest.mark.parametrize(
    "arguments",
    [
        ["recist-1.1"],
        ["recist-9", "--input", "x.json"],
        ["recist-1.1", "--input", "x.json", "--policy", "strict"],
        ["percist-1.0", "--input", "x.csv"],
    ],
)
def test_bad_usage(arguments):
    assert main(["respond", *arguments]) == 2


def test_unknown_criteria_are_named():
    with pytest.raises(OptionError, match="known: irecist, lugano-2014"):
        api.respond("x", {})


def test_help_shows_an_example():
    command = [sys.executable, "-m", "aegle", "respond", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert "Example" in shown.stdout
    assert "aegle respond recist-1.1" in shown.stdout
