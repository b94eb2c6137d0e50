"""Discs are outlined, stopped and gone on with, predicted and judged by commands of one line."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from aegle import api
from aegle.domain.errors import InputError
from aegle.learning.model import load

SIDE = 48
COUNT = 12


def discs(random, count, radius):
    """Return a picture of bright discs, and the number of the disc of each pixel."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels, numbers = random.normal(60, 8, (SIDE, SIDE)), np.zeros((SIDE, SIDE), np.uint16)
    for number in range(1, count + 1):
        row, column = random.integers(radius, SIDE - radius, 2)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        pixels[inside], numbers[inside] = random.normal(180, 8, inside.sum()), number
    return pixels.clip(0, 255).astype(np.uint8), numbers


def folder_of(root, count, radius, to_mask):
    random = np.random.default_rng(3)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(COUNT):
        pixels, numbers = discs(random, count, radius)
        Image.fromarray(pixels).save(root / "images" / f"{number:02}.png")
        Image.fromarray(to_mask(numbers)).save(root / "masks" / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("discs")
    return folder_of(root, 1, 9, lambda numbers: (255 * (numbers > 0)).astype(np.uint8))


def sections(data, **more):
    return {
        "model": {"name": "discs 1", "task": "segment"},
        "data": {"path": str(data)},
        "outline": {"minutes": 0.1, "steps": 100, "memory_mb": 1500},
        "validate": {"how": "folds", "folds": 3, "tune": 0},
        "evaluate": {"resamples": 100},
        **more,
    }


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    return api.train(sections(pictures), tmp_path_factory.mktemp("trained") / "run")


def test_discs_are_outlined_without_any_option_of_the_network(trained):
    assert trained.numbers["scores"]["dice"]["value"] > 0.9
    assert trained.numbers["images"] == COUNT // 3


def test_plan_page_card_and_table_are_written(trained):
    plan = json.loads((trained.folder / "plan.json").read_text())
    written = {path.name for path in trained.folder.iterdir()}

    files = {"evaluation.html", "scores.json", "cases.csv", "card.md", "model.safetensors"}
    assert files <= written
    assert plan["configuration"]["axes"] == 2
    assert set(plan["configuration"]["reasons"]) >= {"patch", "spacing", "batch", "scaling"}
    assert "outlines" in (trained.folder / "card.md").read_text()
    assert "Dice" in (trained.folder / "card.md").read_text()


def test_the_model_holds_all_that_is_needed_to_use_it(trained):
    facts = load(trained.files["model"]).facts

    assert facts.task == "segment"
    assert facts.extras["configuration"]["patch"] == list(
        json.loads((trained.folder / "plan.json").read_text())["configuration"]["patch"]
    )


def test_the_same_recipe_gives_the_same_bytes(pictures, trained, tmp_path):
    again = api.train(sections(pictures), tmp_path / "again")

    assert again.files["model"].read_bytes() == trained.files["model"].read_bytes()


class StoppedError(Exception):
    """Ends a training in its second epoch."""


def stopping(step, reused):
    del reused

    def progress(done, total):
        if step.name.startswith("train") and done > total * 0.9:
            raise StoppedError

    return progress


def test_a_stopped_training_goes_on_to_the_same_bytes(pictures, trained, tmp_path):
    with pytest.raises(StoppedError):
        api.train(sections(pictures), tmp_path / "run", announce=stopping)
    assert list((tmp_path / "run" / "parts").rglob("checkpoint.safetensors"))

    done = api.train(sections(pictures), tmp_path / "run")

    assert done.files["model"].read_bytes() == trained.files["model"].read_bytes()


def test_every_picture_is_judged_once_across_folds(pictures, tmp_path):
    short = sections(pictures, outline={"minutes": 0.1, "steps": 2})

    done = api.train(short, tmp_path / "run", cross_validate=True)

    assert done.numbers["images"] == COUNT
    assert len({case["name"] for case in done.numbers["cases"]}) == COUNT


def test_predicted_labels_lie_on_the_picture(pictures, trained, tmp_path):
    done = api.predict(trained.files["model"], pictures / "images" / "00.png", tmp_path / "said")

    truth = np.asarray(Image.open(pictures / "masks" / "00.png")) > 0
    said = np.asarray(Image.open(tmp_path / "said" / "labels" / "00.png"))
    assert 2 * (truth & (said == 1)).sum() / (truth.sum() + (said == 1).sum()) > 0.85
    assert done.rows[0]["label 1 [pixels]"] == (said == 1).sum()
    assert "Research" in (tmp_path / "said" / "predictions.html").read_text()


def test_pictures_called_alike_keep_their_own_labels_and_a_damaged_one_is_named(
    pictures, trained, tmp_path
):
    given = tmp_path / "given"
    given.mkdir()
    truths = {}
    for number, name in ((0, "a.png"), (1, "a.bmp")):
        Image.open(pictures / "images" / f"{number:02}.png").save(given / name)
        truths[name] = np.asarray(Image.open(pictures / "masks" / f"{number:02}.png")) > 0
    (given / "cut.png").write_bytes(b"no png")

    done = api.predict(trained.files["model"], given, tmp_path / "said")

    assert len({row["labels"] for row in done.rows}) == 2
    for row, truth in zip(done.rows, (truths["a.bmp"], truths["a.png"]), strict=True):
        said = np.asarray(Image.open(tmp_path / "said" / row["labels"])) == 1
        assert 2 * (truth & said).sum() / (truth.sum() + said.sum()) > 0.85
    assert "cut.png" in done.notices[0]


def test_a_model_is_judged_on_other_pictures(pictures, trained, tmp_path):
    done = api.evaluate(trained.files["model"], pictures, tmp_path / "judged")

    assert done.numbers["images"] == COUNT
    assert done.numbers["scores"]["label 1 dice"]["value"] > 0.85


def test_other_classes_than_the_model_knows_are_refused(pictures, trained, tmp_path):
    data = {"data": {"path": str(pictures), "classes": ["lesion"]}}

    with pytest.raises(InputError, match=r"holds lesion, but model .* finds label 1"):
        api.evaluate(trained.files["model"], data, tmp_path / "judged")


def test_masks_are_not_taken_for_a_class_of_images(pictures, tmp_path):
    with pytest.raises(InputError, match=r"Set model\.task to segment"):
        api.train({"data": {"path": str(pictures)}}, tmp_path / "run")


def test_memory_that_no_plan_fits_is_refused_with_what_it_takes(pictures, tmp_path):
    tight = sections(pictures, outline={"memory_mb": 300})

    with pytest.raises(InputError, match=r"needs \d+ MB.*outline\.memory_mb"):
        api.train(tight, tmp_path / "run")


def test_objects_are_numbered_one_by_one(tmp_path):
    root = folder_of(tmp_path / "data", 4, 6, lambda numbers: numbers)
    recipe = sections(root, model={"name": "cells 1", "task": "instances"})
    recipe["data"]["objects"] = True
    recipe["outline"]["steps"] = 50

    done = api.train(recipe, tmp_path / "run")

    assert done.numbers["scores"]["f1"]["value"] > 0.6
    said = api.predict(done.files["model"], root / "images" / "00.png", tmp_path / "said")
    labels = np.asarray(Image.open(tmp_path / "said" / "labels" / "00.png"))
    assert said.rows[0]["objects"] == len(np.unique(labels)) - 1


def test_labels_of_a_volume_keep_its_place(tmp_path):
    """Slices of 3 mm, turned about the long axis, not at the origin."""
    random = np.random.default_rng(5)
    turned = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(4):
        values, labels = random.normal(0, 10, (10, 24, 20)), np.zeros((10, 24, 20), np.uint8)
        start = random.integers(2, 8, 3)
        box = (slice(start[0] // 2, start[0] // 2 + 5), slice(start[1], start[1] + 9))
        box = (*box, slice(start[2], start[2] + 8))
        values[box], labels[box] = random.normal(200, 10, labels[box].shape), 1
        for name, array in (("imagesTr", values.astype(np.float32)), ("labelsTr", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((1.0, 1.0, 3.0))
            image.SetOrigin((40.0, -30.0, 7.0))
            image.SetDirection(turned)
            ending = "_0000.nii.gz" if name == "imagesTr" else ".nii.gz"
            sitk.WriteImage(image, str(tmp_path / "data" / name / f"case{number}{ending}"))
    facts = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "box": 1},
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(facts))

    done = api.train(
        sections(
            tmp_path / "data",
            outline={"minutes": 0.1, "steps": 40, "memory_mb": 1500},
            validate={"how": "folds", "folds": 2, "tune": 0},
        ),
        tmp_path / "run",
    )
    given = tmp_path / "data" / "imagesTr" / "case0_0000.nii.gz"
    said = api.predict(done.files["model"], given, tmp_path / "said")

    written = sitk.ReadImage(str(tmp_path / "said" / said.rows[0]["labels"]))
    original = sitk.ReadImage(str(given))
    assert done.numbers["scores"]["dice"]["value"] > 0.8
    np.testing.assert_allclose(written.GetOrigin(), original.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(written.GetDirection(), original.GetDirection(), atol=1e-5)
    assert said.rows[0]["box [mL]"] == pytest.approx(5 * 9 * 8 * 3 / 1000, rel=0.25)
