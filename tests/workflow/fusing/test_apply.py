"""A fusion model on new patients: probability, set, what is missing or wrong, what counted."""

import csv
import json
from itertools import permutations

import numpy as np
import pytest

from aegle.cli import main
from aegle.domain.errors import FileError
from aegle.learning.fusion import model_file
from aegle.learning.fusion.contributions import contributions
from aegle.learning.fusion.table import Feature, Table
from aegle.workflow.fusing.run import run as fuse

HEAD = ["id", "crp [mg/dL]", "age [a]", "volume [mL]", "sex"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a model whose outcome follows from CRP and age, and return its file."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    said, old = random.normal(size=(2, 150))
    event = random.random(150) < 1 / (1 + np.exp(-2 * (said + old)))
    with (folder / "patients.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "crp", "age", "volume", "density", "sex", "grade", "outcome"])
        for i in range(150):
            crp, age = np.exp(1 + said[i]), 60 + 10 * old[i]
            row = [i, f"{crp:.3f}", f"{age:.0f}", 20 + i % 7, "", "FM"[i % 2]]
            table.writerow([*row, int(event[i]) + 1, int(event[i])])
    recipe = {
        "model": {"name": "made 1"},
        "table": {
            "path": str(folder / "patients.csv"),
            "patient": "id",
            "outcome": "outcome",
            "labels": ["grade"],
        },
        "modalities": {
            "laboratory": ["crp", "density"],
            "person": ["age", "sex"],
        },
        "columns": {
            "crp": {"unit": "mg/L", "analyte": "c_reactive_protein"},
            "age": {"unit": "a", "low": 18, "high": 110},
            "volume": {"unit": "mL", "low": 1, "high": 500},
            "density": {"unit": "mg/L/mL", "ratio": ["crp", "volume"]},
        },
        "fusion": {"members": 2, "epochs": 30},
        "boosting": {"rounds": 20},
        "judge": {"folds": 3},
        "evaluate": {"resamples": 100},
    }
    return fuse(recipe, folder / "run").files["model"]


def written(folder, rows, head=HEAD):
    file = folder / "new.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([head, *rows])
    return file


def said(model, folder, rows, head=HEAD):
    """Ask by the command and return what it says of each patient."""
    code = main(
        ["predict", str(model), str(written(folder, rows, head)), "--out", str(folder / "o")]
    )
    assert code == 0
    return json.loads((folder / "o" / "predictions.json").read_text())


def test_every_patient_gets_a_probability_a_set_and_what_each_modality_adds(trained, tmp_path):
    rows = [["A", "5", "75", "20", "F"], ["B", "0.02", "45", "20", "M"], ["C", "5", "", "20", ""]]
    found = said(trained, tmp_path, rows)
    high, low, half = found["patients"]

    assert found["outcome"] == "outcome = 1"
    assert high["probability"] > 0.8 > 0.2 > low["probability"]
    assert (high["missing"], half["missing"]) == ([], ["person"])
    assert half["unknown"] == ["age", "sex"]
    assert high["group"] == "complete"
    assert half["group"] == "without person"
    for one in found["patients"]:
        assert one["calibration_cases"] == 150
        assert one["coverage"] == 0.9
        # What the modalities add and what is said of nothing is what is said.
        logit = one["start"] + sum(one["contributions"].values())
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(one["probability"], abs=1e-9)
    assert high["set"] == ["positive"]
    assert half["contributions"]["person"] == 0
    assert high["contributions"]["laboratory"] > 0 > low["contributions"]["laboratory"]


def test_values_in_another_unit_say_the_same(trained, tmp_path):
    (first,) = said(trained, tmp_path, [["A", "2", "60", "25", "F"]])["patients"]
    head = ["id", "crp [mg/L]", "age [a]", "volume [L]", "sex"]
    (second,) = said(trained, tmp_path, [["A", "20", "60", "0.025", "F"]], head)["patients"]

    assert second["probability"] == pytest.approx(first["probability"], abs=1e-9)


def test_the_quotient_stands_in_for_an_empty_cell(trained, tmp_path):
    head = ["id", "crp [mg/L]", "density [mg/L/mL]", "volume [mL]"]
    rows = [["A", "20", "", "25"], ["B", "20", "0.8", ""], ["C", "20", "", ""]]
    one, same, without = said(trained, tmp_path, rows, head)["patients"]

    assert one["probability"] == pytest.approx(same["probability"], abs=1e-9)
    assert without["unknown"] == ["density", "age", "sex"]


def test_a_column_that_is_not_there_is_missing_and_labels_are_not_looked_at(trained, tmp_path):
    found = said(trained, tmp_path, [["A", "60", "2"]], ["id", "age [a]", "grade"])

    assert found["patients"][0]["missing"] == ["laboratory"]
    assert found["notices"] == [
        "Columns that are not there are unknown: crp, density, sex.",
        "Not looked at: grade.",
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["A", "high", "60", "20", "F"], "'crp': 'high' is no number."),
        (["A", "99999", "60", "20", "F"], "'crp': 99999 mg/dL is not possible."),
        (["A", "5", "9", "20", "F"], "'age' is 9 a; the model is made for 18 to 110 a."),
        (["A", "5", "old", "20", "F"], "'age' is 'old', which is no number."),
        (["A", "5", "60", "20", "?!"], "'sex' is '?!'; known are F, M."),
        (["A", "5", "60", "big", "F"], "'volume' is 'big', which is no number."),
        (["A", "", "", "20", ""], "Nothing is known that the model takes."),
    ],
    ids=[
        "text",
        "impossible",
        "a child",
        "text in age",
        "unknown code",
        "text in a ratio",
        "empty",
    ],
)
def test_what_cannot_be_used_gives_a_reason_and_no_probability(trained, tmp_path, row, reason):
    wrong, right = said(trained, tmp_path, [row, ["B", "5", "60", "20", "F"]])["patients"]

    assert wrong["status"] == "REVIEW"
    assert wrong["reasons"] == [reason]
    assert "probability" not in wrong
    assert right["status"] == "judged"
    line = (tmp_path / "o" / "predictions.csv").read_text().splitlines()[1]
    assert line.startswith("A,REVIEW,,")
    assert "REVIEW" in (tmp_path / "o" / "predictions.html").read_text()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (["id", "crp", "age [a]"], "'crp' states no unit. Call the column 'crp [mg/L]'"),
        (["id", "crp [mmHg]", "age [a]"], "'crp' is in 'mmHg', wanted is 'mg/L'"),
        (["id", "crp [furlong]", "age [a]"], "'crp' is in 'furlong'"),
        (["id", "crp [mg/L]", "age [cm]"], "'age' is in 'cm', wanted is 'a'"),
        (["id", "crp [mg/L]", "sex [kg]"], "'sex' has no unit"),
        (["id", "crp [mg/L]", "height [cm]"], "does not know the column(s) height [cm]"),
        (["id", "crp [mg/L]", "crp [mg/dL]"], "states 'crp' twice"),
        (["id", "grade", "outcome"], "holds nothing that the model takes"),
        (["who", "crp [mg/L]", "age [a]"], "does not know the column(s) who"),
        (["crp [mg/L]", "age [a]", "sex"], "has no column 'id'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(trained, tmp_path, capsys, head, message):
    file = written(tmp_path, [["1", "2", "3"]], head)

    assert main(["predict", str(trained), str(file), "--out", str(tmp_path / "o")]) in (1, 2)
    shown = " ".join(capsys.readouterr().err.split())
    assert message in shown
    assert not (tmp_path / "o" / "predictions.json").exists()


def test_a_model_that_does_not_say_what_it_takes_is_refused(trained, tmp_path):
    from dataclasses import replace

    from aegle.workflow.fusing import applying

    model = model_file.load(trained)
    bare = tmp_path / "bare.safetensors"
    model_file.save(replace(model, facts={}), bare)
    file = written(tmp_path, [["A", "5", "60", "20", "F"]])

    with pytest.raises(FileError, match="does not say how tables of new patients look"):
        applying.run(bare, file, tmp_path / "o")


def test_what_modalities_add_is_the_mean_over_every_order():
    names = tuple("abc")
    features = tuple(Feature(name=n, modality=n) for n in names)
    values = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    table = Table(features=features, names=("0", "1"), groups=("0", "1"), values=values)

    def risk(asked):
        a, b, c = np.nan_to_num(asked.values).T
        return 0.5 + a + a * b + 2 * b * c + c**2

    start, added = contributions(risk, table)

    expected = np.zeros((2, 3))
    for order in permutations(range(3)):
        known = np.full_like(values, np.nan)
        for place in order:
            before = risk(
                Table(features=features, names=("0", "1"), groups=("0", "1"), values=known)
            )
            known = known.copy()
            known[:, place] = values[:, place]
            after = risk(
                Table(features=features, names=("0", "1"), groups=("0", "1"), values=known)
            )
            expected[:, place] += (after - before) / 6
    assert start == 0.5
    np.testing.assert_allclose(added, expected, atol=1e-12)
    assert added[1, 1] == 0
