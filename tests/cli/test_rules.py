"""``aegle rule``: result, row, next step and source; malformed facts end with status 2."""

import io
import json
import sys

import pytest

import aegle
from aegle import api, cli


def told(facts, monkeypatch):
    """Put facts on standard input."""
    text = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_a_file_of_facts_is_answered_as_json(tmp_path, capsys):
    file = tmp_path / "nodule.json"
    file.write_text('\ufeff{"comp": "solid", "echo": "hypo", "foci": ["macro", "rim"], "cm": 1.0}')

    assert cli.main(["rule", "ti-rads", "--input", str(file), "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert said["result"] == [7, "TR5", "FNA"]
    assert said["rule"] == "ti-rads"
    assert said["row"] == "7 points or more: highly suspicious; 1 cm or larger"
    assert said["computed"] == {"points": 7}
    assert said["parts"] == {
        **{"start": 0, "comp": 2, "echo": 2, "taller": 0},
        **{"margin": 0, "foci": 3},
    }
    assert said["assumed"] == ["age: adult", "taller than wide: no", "margin: smooth"]
    assert said["doi"] == "10.1016/j.jacr.2017.01.046"
    assert said["doi"] in said["citation"]
    assert "not confirmed by the primary document" in said["next_step_confirmed"]
    assert said["research_use"] == aegle.RESEARCH_USE
    assert said == api.rule("ti-rads", said["input"]).plain() | {"research_use": aegle.RESEARCH_USE}


def test_words_for_people(monkeypatch, capsys):
    told({"type": "part_solid", "d": 10, "s": 7}, monkeypatch)

    assert cli.main(["rule", "fleischner", "--input", "-"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Fleischner 2017: CT 3-6m; if unchanged")
    assert any(line.startswith("Row: Single part-solid") for line in lines)
    assert any(line.startswith("Caution: The solid part is 6 mm") for line in lines)
    assert "Assumed: several nodules: no" in lines
    assert any(line.startswith("Next step: CT after 3 to 6 months") for line in lines)
    assert any("10.1148/radiol.2017161659" in line for line in lines)
    assert lines[-1] == aegle.RESEARCH_USE


def test_what_the_rule_leaves_open_is_review_with_status_0(monkeypatch, capsys):
    told({"age": 12, "smoke": 0, "cancer": 0, "d": 9, "spic": 0, "upper": 1}, monkeypatch)

    assert cli.main(["rule", "mayo", "--input", "-", "--json"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert said["result"] == "REVIEW"
    assert "child" in said["reason"]
    assert said["row"] is said["next_step"] is None


def test_what_is_missing_is_named(capsys):
    assert cli.main(["rule", "brock", "--input", '{"age": 62, "d": 8}']) == 0

    shown = capsys.readouterr().out
    assert "Brock (PanCan): REVIEW" in shown
    assert "Missing: spic" in shown


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("lung-rads", {"typ": "solid"}, "has no fact typ"),
        ("lung-rads", {"type": "solid", "d": "8 mm"}, "give a number in mm"),
        ("lung-rads", {"type": "solid", "d": {"value": 0.8, "unit": "cm"}}, "convert it"),
        ("lung-rads", [1, 2], "give an object"),
        ("lung-rads", b'{"d": 5, "d": 9}', "d is stated twice"),
        ("lung-rads", b'{"d": ', "is not JSON"),
        ("lung-rads", b"\xff\xfe", "is not JSON"),
        ("lung-rads", b"[" * 100_000, "is not JSON"),
        ("lung-rads-2022", {}, "No rule 'lung-rads-2022'; known: aspects"),
        ("brock", b'{"age": NaN}', "not a finite number"),
        ("brock", b'{"age": 1e999}', "not a finite number"),
    ],
)
def test_malformed_facts_end_with_2_and_say_why(name, facts, words, monkeypatch, capsys):
    told(facts, monkeypatch)

    assert cli.main(["rule", name, "--input", "-"]) == 2

    shown = capsys.readouterr()
    assert words in " ".join(shown.err.split())
    assert shown.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rule"], "--list shows the rules"),
        (["rule", "mayo"], "--input FILE"),
        (["rule", "mayo", "--input", "nowhere.json"], "nowhere.json: cannot be read"),
        (["rule", "mayo", "--input", "."], "cannot be read"),
    ],
)
def test_bad_usage(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert cli.main(arguments) == 2

    assert words in " ".join(capsys.readouterr().err.split())


def test_rules_are_listed(capsys):
    assert cli.main(["rule", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["rule"] for one in listed] == [one["rule"] for one in api.rules()]
    assert {"rule", "version", "effective", "doi", "applies_to", "facts"} <= set(listed[0])

    assert cli.main(["rule", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(one["rule"] in shown for one in listed)
    assert "not a medical device" in " ".join(shown.split())
