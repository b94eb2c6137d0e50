"""A recipe is checked whole before anything runs, and its mistakes are named."""

import pytest

from aegle.domain.errors import OptionError
from aegle.workflow.learning.recipe import (
    SECTIONS,
    ModelOptions,
    describe,
    plain,
    read_recipe,
)


@pytest.fixture
def recipe_file(tmp_path):
    """Return a function that writes a recipe and gives its path."""

    def write(text):
        file = tmp_path / "made.toml"
        file.write_text(text)
        return file

    return write


def test_paths_are_relative_to_the_recipe(recipe_file, tmp_path):
    recipe = read_recipe(
        recipe_file('data.path = "images"\ntransfer.weights = "../w.safetensors"\n')
    )

    assert recipe.data.path == str(tmp_path / "images")
    assert recipe.transfer.weights == str(tmp_path.parent / "w.safetensors")


def test_paths_in_settings_are_relative_to_the_working_folder(recipe_file, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    recipe = read_recipe(recipe_file('data.path = "images"\n'), ["data.path=mine"])

    assert recipe.data.path == str(tmp_path / "here" / "mine")


def test_weights_by_url_stay_as_they_are(recipe_file):
    text = 'data.path = "images"\ntransfer.weights = "https://example.org/w.pth"\n'

    assert read_recipe(recipe_file(text)).transfer.weights == "https://example.org/w.pth"


def test_the_model_is_called_as_its_recipe(recipe_file):
    assert read_recipe(recipe_file('data.path = "x"\n')).model.name == "made"
    named = recipe_file('data.path = "x"\nmodel.name = "chest 2"\n')
    assert read_recipe(named).model.name == "chest 2"


def test_settings_win_over_the_file(recipe_file):
    file = recipe_file('data.path = "x"\n[train]\nepochs = 3\nbatch = 8\n')

    recipe = read_recipe(file, ["train.epochs=5", "validate.seeds=1,2", "data.classes=a,b"])

    assert (recipe.train.epochs, recipe.train.batch) == (5, 8)
    assert recipe.validate.seeds == (1, 2)
    assert recipe.data.classes == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no images are named"),
        ("[train]\nepochs = 3\n", "made.toml: no images are named"),
        ('data.path = "x"\n[trian]\nepochs = 3\n', "Unknown section 'trian' of a recipe"),
        (
            'data.path = "x"\n[train]\nepoch = 3\n',
            r"Unknown option\(s\) train.epoch; known: epochs",
        ),
        ('data.path = "x"\n[train]\nepochs = 0\n', "train.epochs: Input should be greater"),
        ('data.path = "x"\n[validate]\nlabel_shares = [0.0]\n', r"validate.label_shares\[0\]"),
        ('data = "x"\n', "'data' is a section of a recipe and holds 'x'"),
        ('data.path = "x', "cannot be read as TOML"),
    ],
)
def test_mistakes_are_named(recipe_file, text, message):
    with pytest.raises(OptionError, match=message):
        read_recipe(recipe_file(text))


def test_sections_may_be_classes():
    recipe = read_recipe(
        {"data": {"path": "x"}, "model": ModelOptions(name="m", modalities=("CR",))}
    )

    assert recipe.model.modalities == ("CR",)


def test_images_alone_are_a_recipe_of_defaults(tmp_path):
    recipe = read_recipe(tmp_path / "images.zip")

    assert recipe.data.path == str(tmp_path / "images.zip")
    assert recipe.train == read_recipe({"data": {"path": "x"}}).train


def test_plain_options_make_the_same_recipe(sections):
    recipe = read_recipe(sections)

    assert read_recipe(plain(recipe)) == recipe


def test_every_option_is_described():
    rows = describe()

    assert {row["section"] for row in rows} == set(SECTIONS)
    assert all(row["description"] for row in rows)
