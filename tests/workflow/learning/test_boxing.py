"""Squares and crosses are found by their boxes."""

import json

import numpy as np
import pytest
from PIL import Image

from aegle import api
from aegle.domain.errors import InputError

SIDE = 64


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Return a folder of pictures with a bright square or a bright frame each, in COCO's form."""
    root = tmp_path_factory.mktemp("shapes")
    random = np.random.default_rng(1)
    images, annotations = [], []
    for number in range(16):
        pixels = random.normal(60, 8, (SIDE, SIDE))
        side = int(random.integers(24, 34))
        top, left = random.integers(2, SIDE - side - 2, 2)
        pixels[top : top + side, left : left + side] = 200
        kind = number % 2
        if kind:
            pixels[top + 6 : top + side - 6, left + 6 : left + side - 6] = 60
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / f"{number:02}.png")
        name = {"id": number, "file_name": f"{number:02}.png", "width": SIDE, "height": SIDE}
        images.append(name)
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": kind,
                "bbox": [int(left), int(top), side, side],
                "area": side * side,
                "iscrowd": 0,
            }
        )
    categories = [{"id": 0, "name": "square"}, {"id": 1, "name": "frame"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def sections(data, steps):
    return {
        "model": {"name": "shapes 1", "task": "detect"},
        "data": {"path": str(data)},
        "detect": {"steps": steps, "minutes": 1},
        "train": {"batch": 4, "average": 0.9, "rate": 2e-3},
        "validate": {"how": "holdout", "share": 0.25, "tune": 0},
        "evaluate": {"resamples": 100},
    }


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    return api.train(sections(shapes, 3), tmp_path_factory.mktemp("trained") / "run")


def test_page_card_and_scores_of_every_class_are_written(trained):
    assert {"ap_50", "ap_50_95", "square ap_50", "frame ap_50"} <= set(trained.numbers["scores"])
    assert "finds square and frame by their boxes" in trained.files["card"].read_text()
    assert trained.files["evaluation"].exists()


def test_the_same_recipe_gives_the_same_bytes(shapes, trained, tmp_path):
    again = api.train(sections(shapes, 3), tmp_path / "again")

    assert again.files["model"].read_bytes() == trained.files["model"].read_bytes()


def test_boxes_are_listed_in_pixels_of_the_picture(shapes, trained, tmp_path):
    done = api.predict(trained.files["model"], shapes, tmp_path / "said")

    assert done.numbers["pictures"] == 16
    for row in done.numbers["boxes"]:
        assert 0 <= row["left"] < row["right"] <= SIDE
        assert 0 <= row["top"] < row["bottom"] <= SIDE


def test_a_model_is_judged_on_boxes(shapes, trained, tmp_path):
    done = api.evaluate(trained.files["model"], shapes, tmp_path / "judged")

    assert done.numbers["images"] == 16
    assert 0 <= done.numbers["scores"]["ap_50"]["value"] <= 1


def test_pictures_without_boxes_are_refused(trained, shapes, tmp_path):
    (tmp_path / "bare").mkdir()
    Image.open(shapes / "00.png").save(tmp_path / "bare" / "00.png")

    with pytest.raises(InputError):
        api.evaluate(trained.files["model"], tmp_path / "bare", tmp_path / "judged")
