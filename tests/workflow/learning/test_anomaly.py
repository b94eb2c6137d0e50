"""From a recipe to a memory of normal images, and its use."""

import csv
import io
import json
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from aegle import catalogue
from aegle.domain.errors import InputError, OptionError
from aegle.learning.model import load
from aegle.workflow.learning import predicting
from aegle.workflow.learning.anomaly import heat_picture
from aegle.workflow.learning.training import Request, run


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file with the weights of a frozen network; drawn at random, they tell textures."""
    path = tmp_path_factory.mktemp("weights") / "frozen.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = catalogue.load("network", "mobilenet-v2")(classes=2, batch_norm=False)
    save_file(network.state_dict(), path)
    return path


@pytest.fixture
def odd(with_, weights):
    """Return a recipe that learns from plain pictures and judges spots."""
    return with_(
        model={"name": "spots 1", "task": "anomaly"},
        data={"classes": ["plain", "spot"]},
        prepare={"size": 48, "low_percentile": 0, "high_percentile": 100},
        network={"name": "memory-bank", "settings": {}},
        bank={"taps": [2, 4], "patches": 100},
        transfer={"weights": str(weights)},
    )


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_spots_are_odd_to_a_memory_of_plain_pictures(odd, tmp_path):
    done = run(Request(recipe=odd, out=tmp_path / "run"))

    assert done.numbers["scores"]["auc"]["value"] > 0.9
    facts = load(tmp_path / "run" / "model.safetensors").facts
    assert facts.task == "anomaly"
    assert facts.measured["auc"]["value"] == done.numbers["scores"]["auc"]["value"]
    table = rows(done.files["table"])
    assert {row["truth"] for row in table} == {"plain", "spot"}
    assert all(
        (float(row["score"]) > float(row["limit"])) == (row["above"] == "yes") for row in table
    )


def test_use_writes_scores_and_maps(odd, spots, tmp_path):
    run(Request(recipe=odd, out=tmp_path / "run"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in (0, 2):
        (pictures / f"{number:02}.png").write_bytes((spots / f"{number:02}.png").read_bytes())

    done = predicting.run(
        tmp_path / "run" / "model.safetensors", pictures, tmp_path / "out", now=datetime(2026, 1, 2)
    )

    plain, spot = rows(done.files["scores"])
    assert list(plain) == ["name", "score", "limit", "above"]
    assert float(spot["score"]) > float(plain["score"])
    assert json.loads(done.files["data"].read_text())["limit"] == pytest.approx(
        float(spot["limit"]), abs=1e-6
    )
    maps = sorted(done.files["maps"].glob("*.png"))
    assert [path.name for path in maps] == ["00001.png", "00002.png"]
    with Image.open(maps[0]) as image:
        assert image.size == (48, 48)


def test_without_weights_there_is_no_memory(odd, tmp_path):
    with pytest.raises(OptionError, match=r"transfer\.weights"):
        run(Request(recipe={**odd, "transfer": {}}, out=tmp_path / "run"))


def test_without_normal_images_there_is_no_memory(odd, tmp_path):
    recipe = {**odd, "data": {**odd["data"], "where": {"label": ["spot"]}}}
    with pytest.raises(InputError, match="normal class 'plain'"):
        run(Request(recipe=recipe, out=tmp_path / "run"))


def test_heat_colours_what_lies_above_the_usual():
    image = np.full((1, 8, 8), 100, np.uint8)
    odd = np.ones((8, 8), np.float32)
    odd[:, 4:] = 3

    picture = heat_picture(image, odd, 2.0, "one")

    pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB")).astype(int)
    assert (pixels[:, :4] == 100).all()
    # 0.35 × 100 + 0.65 × (230, 60, 20).
    assert np.abs(pixels[0, 6] - [184, 74, 48]).max() <= 2
