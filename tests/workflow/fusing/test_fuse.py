"""From a CSV file to a judged model; what leaks, lacks or cannot be read is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from aegle import api
from aegle.cli import main
from aegle.domain.errors import FileError, InputError, OptionError
from aegle.learning.fusion import model_file
from aegle.workflow.fusing.cohort import cohort_of
from aegle.workflow.fusing.recipe import read_fusion_recipe
from aegle.workflow.fusing.table_files import highest, rows_of

ROOT = Path(__file__).parents[3]
TABLES = ROOT.parent / "shared" / "data" / "tables"
FAST = {"members": 2, "epochs": 30}


def made(folder, *, count=120, seed=0):
    """Write patients whose outcome follows from CRP and age, with odd cells among them."""
    random = np.random.default_rng(seed)
    said, old = random.normal(size=(2, count))
    event = random.random(count) < 1 / (1 + np.exp(-2 * (said + old)))
    with (folder / "patients.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "crp", "age", "sex", "grade", "outcome"])
        for i in range(count):
            crp = {0: "haemolysed", 1: "", 2: "99999"}.get(i, f"{np.exp(1 + said[i]) / 10:.3f}")
            age = f"{60 + 10 * old[i]:.0f}"
            table.writerow([i, crp, age, "FM"[i % 2], int(event[i]) + 1, int(event[i])])
    return {
        "model": {"name": "made 1"},
        "table": {
            "path": str(folder / "patients.csv"),
            "patient": "id",
            "outcome": "outcome",
            "labels": ["grade"],
            "by": ["sex"],
        },
        "modalities": {"laboratory": ["crp"], "person": ["age", "sex"]},
        "columns": {
            "crp": {"unit": "mg/dL", "analyte": "c_reactive_protein"},
            "age": {"unit": "a", "low": 0, "high": 120},
        },
        "fusion": FAST,
        "boosting": {"rounds": 20},
        "judge": {"folds": 3},
        "evaluate": {"resamples": 200},
    }


def test_a_table_becomes_a_judged_model(tmp_path):
    done = api.fuse(made(tmp_path), tmp_path / "run")

    judged = done.numbers["judged"]
    assert judged["whole"]["fusion"]["value"] > 0.75
    assert "late fusion of boosted trees" in judged["whole"]
    assert [one["modality"] for one in judged["missing"]] == ["laboratory", "person"]
    for one in (*judged["whole"].values(), *(m["masked"] for m in judged["missing"])):
        assert one["low"] < one["value"] < one["high"]
    assert {s["value"] for s in judged["subgroups"][0]["subgroups"]} == {"F", "M"}
    assert "'crp': 1 × 'haemolysed' is no number." in done.notices
    assert "'crp': 1 × 99999 mg/dL is not possible." in done.notices
    assert "| laboratory |" in done.files["tables"].read_text()
    page = done.files["page"].read_text()
    for words in ("With a modality missing", "By sex", "late fusion of boosted trees"):
        assert words in page
    assert "'crp': 1 × 99999 mg/dL is not possible." in page.replace("&#39;", "'")

    model = model_file.load(done.files["model"])
    crp = next(f for f in model.features if f.name == "crp")
    assert (crp.unit, crp.modality) == ("mg/L", "laboratory")
    assert model.facts["labels"] == ["grade"]


def test_several_splits_give_the_mean_over_all_their_parts(tmp_path):
    recipe = made(tmp_path)
    several = {**recipe, "judge": {"folds": 3, "repeats": 2}}
    second = {**recipe, "judge": {"folds": 3, "seed": 1}}
    values = []
    for number, one in enumerate((recipe, second, several)):
        judged = api.fuse(one, tmp_path / str(number)).numbers["judged"]
        values.append([judged["whole"]["logistic regression"]["value"]])
        values[-1] += [m["masked"]["value"] for m in judged["missing"]]
        assert judged["subgroups"][0]["subgroups"][0]["images"] == 60

    np.testing.assert_allclose(values[2], np.mean(values[:2], axis=0), atol=1e-9)


def test_laboratory_values_are_in_the_unit_of_the_analyte_and_missing_ones_stay_missing(tmp_path):
    cohort = cohort_of(read_fusion_recipe(made(tmp_path)), tmp_path)

    crp = cohort.table.values[:, 0]
    written = [row["crp"] for row in rows_of(tmp_path / "patients.csv")]
    assert np.isnan(crp[:3]).all()
    np.testing.assert_allclose(crp[3:], [10 * float(cell) for cell in written[3:]])


@pytest.mark.parametrize(
    ("section", "changed", "message"),
    [
        ("modalities", {"person": ["grade"]}, "'grade' is a label"),
        ("modalities", {"person": ["outcome"]}, "'outcome' is a label"),
        ("columns", {"age": {"ratio": ["grade", "age"]}}, "'grade' is a label.*feature 'age'"),
        ("modalities", {"person": ["age"], "other": ["age"]}, "the column 'age' twice"),
        ("modalities", {"person": "age"}, "is a list of columns"),
        ("table", {"time": "age"}, "classes have no time"),
        ("table", {"outcome": ""}, "table.outcome"),
        ("odd", {}, "Unknown section"),
        ("columns", {"age": {"unti": "a"}}, "Unknown option"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, section, changed, message):
    recipe = made(tmp_path)
    recipe[section] = {**recipe.get(section, {}), **changed}

    with pytest.raises(OptionError, match=message):
        read_fusion_recipe(recipe)


def test_a_label_under_another_name_is_found(tmp_path):
    recipe = made(tmp_path)
    recipe["table"]["labels"] = []
    recipe["modalities"]["person"] = ["age", "grade"]

    with pytest.raises(InputError, match="'grade' tells the outcome of every patient"):
        cohort_of(read_fusion_recipe(recipe), tmp_path)


def test_an_unknown_column_and_an_unknown_analyte_are_refused(tmp_path):
    recipe = made(tmp_path)
    recipe["modalities"]["person"] = ["height"]
    with pytest.raises(OptionError, match="no column 'height'"):
        cohort_of(read_fusion_recipe(recipe), tmp_path)

    recipe = made(tmp_path)
    recipe["columns"]["crp"]["analyte"] = "crp"
    with pytest.raises(OptionError, match="analyte 'crp' is not known"):
        cohort_of(read_fusion_recipe(recipe), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("a,b\n1\n", "1 cells in row 1, not 2"), ("a,a\n1,2\n", "column twice")],
)
def test_broken_tables_are_explained(tmp_path, text, message):
    file = tmp_path / "table.csv"
    file.write_text(text)

    with pytest.raises(FileError, match=message):
        rows_of(file)


def test_a_series_counts_by_its_first_values_in_time(tmp_path):
    (tmp_path / "series.csv").write_text(
        "id,hours,crp,ldh,outcome\nA,30,1,900,1\nA,2,,300,1\nA,1,5,,1\nB,3,7,200,0\nC,40,1,1,0\n"
    )
    recipe = read_fusion_recipe(
        {
            "table": {
                "path": str(tmp_path / "series.csv"),
                "patient": "id",
                "once": True,
                "when": "hours",
                "until": 24,
                "outcome": "outcome",
            },
            "modalities": {"laboratory": ["crp", "ldh"]},
        }
    )

    table = cohort_of(recipe, tmp_path).table

    assert table.groups == ("A", "B")
    assert table.values.tolist() == [[5, 300], [7, 200]]


def test_the_command_fails_without_a_traceback(tmp_path, capsys):
    assert main(["fuse", str(tmp_path / "none.toml"), "--out", str(tmp_path / "run")]) == 2
    assert "cannot be read as TOML" in capsys.readouterr().err


@pytest.mark.parametrize(
    "file", sorted((ROOT / "recipes/fusion").glob("*.toml")), ids=lambda f: f.stem
)
def test_recipes_are_understood_and_name_their_data(file):
    recipe = read_fusion_recipe(file)

    assert recipe.model.licence
    assert recipe.model.trained_on


@pytest.mark.skipif(not TABLES.exists(), reason="needs ../shared/data/tables")
def test_the_prostate_table_is_read_without_its_labels(tmp_path):
    cohort = cohort_of(read_fusion_recipe(ROOT / "recipes/fusion/prostate-cancer.toml"), tmp_path)

    # Counted with a spreadsheet: 1149 studies of 1129 patients, 345 with significant cancer.
    assert len(cohort.table.names) == 1149
    assert len(set(cohort.table.groups)) == 1129
    assert cohort.outcome.event.sum() == 345
    named = {feature.name for feature in cohort.table.features}
    assert named == {"patient_age", "psa", "psad", "prostate_volume"}


@pytest.mark.parametrize(
    ("cell", "said"),
    [("5,2", "5"), ("2,4,3", "4"), ("3,N/A", "3"), ("", ""), ("N/A", ""), ("4,x", "4,x")],
)
def test_of_several_lesions_the_highest_counts(cell, said):
    assert highest(cell) == said


@pytest.mark.skipif(not TABLES.exists(), reason="needs ../shared/data/tables")
def test_the_reading_is_the_highest_category_of_the_lesions(tmp_path):
    recipe = ROOT / "recipes/fusion/prostate-cancer-reading.toml"
    table = cohort_of(read_fusion_recipe(recipe), tmp_path).table
    reading = table.values[:, [f.name for f in table.features].index("lesion_PIRADS")]

    with (TABLES / "picai_marksheet_RUMC_PCNN.csv").open() as file:
        cells = [row["lesion_PIRADS"] for row in csv.DictReader(file)]
    expected = [max((int(c) for c in cell if c.isdigit()), default=np.nan) for cell in cells]
    np.testing.assert_array_equal(reading, expected)


def test_page_of_fusion_holds_the_numbers_that_were_measured():
    import importlib.util

    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "measure_fusion.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    measured = json.loads(tool.MEASURED.read_text())

    assert tool.PAGE.read_text() == tool.page(measured)
    for name, published in tool.COX.items():
        assert measured[name]["judged"]["whole"]["fusion"]["value"] >= published - 0.01
