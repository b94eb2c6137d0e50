"""From a recipe to an autoencoder, and the use of its codes."""

import csv
import json
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from aegle.workflow.learning import predicting
from aegle.workflow.learning.autoencoding import mean_with_interval
from aegle.workflow.learning.training import Request, run


@pytest.fixture
def drawing(with_):
    """Return a recipe that learns to draw the pictures with so many epochs."""

    def recipe(name, epochs=2, **settings):
        return with_(
            model={"name": "drawing 1", "task": "reconstruct", **settings.pop("model", {})},
            normalise={"mean": [0.0], "deviation": [1.0]},
            network={"name": name, "settings": settings},
            train={"epochs": epochs, "batch": 16, "rate": 1e-3, "clip": 1.0},
        )

    return recipe


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_narrow_autoencoder_starts_as_components(drawing, tmp_path):
    recipe = drawing("narrow-autoencoder", 1, code=4)
    recipe = {
        **recipe,
        "train": {**recipe["train"], "rate": 1e-9},
        "validate": {**recipe["validate"], "tune": 0},
    }

    done = run(Request(recipe=recipe, out=tmp_path / "run"))

    scores = done.numbers["scores"]
    assert done.numbers["code_values"] == 4
    assert scores["mean_squared_error"]["value"] == pytest.approx(
        scores["components_mean_squared_error"]["value"], rel=1e-4
    )
    assert done.files["drawings"].exists()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("base-autoencoder", {"channels": 1}, id="base"),
        pytest.param("narrow-autoencoder", {"code": 4, "model": {"noise": 0.1}}, id="denoising"),
        pytest.param("variational-autoencoder", {"code": 4, "width": 4}, id="variational"),
    ],
)
def test_every_kind_learns(drawing, tmp_path, name, settings):
    done = run(Request(recipe=drawing(name, 3, **settings), out=tmp_path / "run"))

    course = json.loads((tmp_path / "run" / "parts" / "fold-0-seed-0" / "course.json").read_text())
    losses = [epoch["training_loss"] for epoch in course["epochs"]]
    assert losses[-1] < losses[0]
    assert done.numbers["scores"]["mean_squared_error"]["value"] > 0


def test_use_writes_codes_map_look_alikes_and_drawings(drawing, spots, tmp_path):
    run(Request(recipe=drawing("narrow-autoencoder", code=4), out=tmp_path / "run"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        (pictures / f"{number}.png").write_bytes((spots / f"{number:02}.png").read_bytes())
    with Image.open(pictures / "3.png") as image:
        twin = np.asarray(image).astype(int) + 1
    Image.fromarray(twin.clip(0, 255).astype(np.uint8)).save(pictures / "twin.png")

    done = predicting.run(
        tmp_path / "run" / "model.safetensors", pictures, tmp_path / "out", now=datetime(2026, 1, 2)
    )

    assert np.load(done.files["codes"]).shape == (7, 4)
    with done.files["neighbours"].open() as file:
        found = list(csv.DictReader(file))
    (first,) = [row for row in found if row["name"] == "3.png" and row["rank"] == "1"]
    assert first["neighbour"] == "twin.png"
    assert size_of(done.files["map"])[0] > 300
    # Seven images in two rows of 24 pixels.
    assert size_of(done.files["drawings"]) == (7 * 24, 48)


def test_interval_of_a_mean_counts_patients_not_images():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], 50)
    by_patient = mean_with_interval(values, [str(n // 50) for n in range(200)])
    by_image = mean_with_interval(values, [str(n) for n in range(200)])

    assert by_patient["value"] == by_image["value"] == 1.5
    # Standard error with four patients 1.118 / 2, with 200 images 1.118 / 14.1.
    assert by_patient["high"] - by_patient["low"] == pytest.approx(2 * 1.96 * 0.559, rel=0.1)
    assert by_image["high"] - by_image["low"] == pytest.approx(2 * 1.96 * 0.0791, rel=0.1)
