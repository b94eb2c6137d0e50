"""The documentation says what the program does."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

from aegle.planning.protocol import read as read_prescription
from aegle.workflow.breathing_phases import PhaseEntry
from aegle.workflow.learning.recipe import read_recipe
from aegle.workflow.options import read_options

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def tool(name):
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_page_of_measured_models_holds_the_numbers_that_were_measured():
    models = tool("make_models")
    measured = json.loads(models.MEASURED.read_text())

    assert models.PAGE.read_text() == models.page(measured)
    for name, (score, goal) in models.GOALS.items():
        found = measured[name]["cross-validation"]
        assert found["mean"]["scores"][score]["value"] >= goal
        assert found["against_baseline"][score]["low"] > 0


def test_page_of_outlining_models_holds_the_numbers_that_were_measured():
    models = tool("make_models")
    measured = json.loads(models.MEASURED.read_text())

    assert models.LOCATED_PAGE.read_text() == models.located_page(measured)


def test_page_of_starting_goals_holds_the_numbers_that_were_measured():
    experience = tool("measure_experience")
    measured = json.loads(experience.MEASURED.read_text())

    assert experience.PAGE.read_text() == experience.page(measured)
    assert measured["below_percent"]["value"] >= experience.GOAL_PERCENT


def test_every_recipe_is_trained_by_make_models_or_measured_by_a_tool():
    models = tool("make_models")
    known = {*models.CROSS_VALIDATED, *models.TRAINED, *models.LABELS, *models.LOCATED}
    tools = "".join(p.read_text() for p in (ROOT / "tools").glob("*.py"))

    assert {r.stem for r in RECIPES if r.stem not in known and r.stem not in tools} == set()


def test_options_pages_are_what_the_options_say():
    for place, text in tool("write_option_docs").pages().items():
        assert place.read_text() == text, f"{place.name}: run tools/write_option_docs.py"


def test_pages_of_rules_are_what_the_rules_say():
    pages = tool("write_rule_pages").pages()
    folder = ROOT / "docs" / "reference" / "rules"
    nav = (ROOT / "mkdocs.yml").read_text()

    assert set(folder.iterdir()) == set(pages)
    for place, text in pages.items():
        assert place.read_text() == text, f"{place.name}: run tools/write_rule_pages.py"
        assert f"reference/rules/{place.name}" in nav


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_in_the_documentation_are_understood(page):
    text = page.read_text()

    lines = text.replace("\\\n", " ").splitlines()
    for_recipes = [line for line in lines if re.search(r"aegle (train|evaluate)", line)]

    read_options(settings=settings_in(line for line in lines if line not in for_recipes))
    read_recipe({"data": {"path": "images"}}, settings_in(for_recipes))


def settings_in(lines):
    found = re.findall(r"--set ([a-z_]+\.[a-z_]+=[^\s`]+)", "\n".join(lines))
    return [setting for setting in found if setting != "section.option=value"]


@pytest.mark.parametrize("file", RECIPES, ids=lambda path: path.name)
def test_recipes_are_understood(file):
    recipe = read_recipe(file)

    assert recipe.model.name
    assert recipe.model.licence
    assert recipe.model.trained_on


def test_recipes_in_the_documentation_are_understood(tmp_path):
    text = (ROOT / "docs/how-to/train-a-model.md").read_text()
    for number, block in enumerate(re.findall(r"```toml[^\n]*\n(.*?)```", text, re.S)):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)

        read_recipe(file, "data.path=images")


def test_prescriptions_in_the_documentation_are_understood(tmp_path):
    text = (ROOT / "docs/how-to/plan-and-judge.md").read_text()
    phases, block = re.findall(r"```toml[^\n]*\n(.*?)```", text, re.S)
    file = tmp_path / "clinic.toml"
    file.write_text(block)

    assert [set(one) for one in tomllib.loads(phases)["phase"]] == [
        set(PhaseEntry.__dataclass_fields__)
    ]
    assert len(read_prescription(file).prescription.goals) == 2


def test_options_files_in_the_documentation_are_understood(tmp_path):
    text = (ROOT / "docs/how-to/own-images.md").read_text()
    (block,) = re.findall(r"```toml[^\n]*\n(.*?)```", text, re.S)
    file = tmp_path / "case.toml"
    file.write_text(block)

    assert read_options(file) == read_options(
        settings=[
            f"{section}.{name}={value}"
            for section, values in tomllib.loads(block).items()
            for name, value in values.items()
        ]
    )
