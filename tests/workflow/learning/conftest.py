"""Pictures whose class is plain to see, and recipes that learn them in a second."""

import csv

import numpy as np
import pytest
from PIL import Image

from aegle import api
from aegle.workflow.learning import reporting


@pytest.fixture(scope="session")
def spots(tmp_path_factory):
    """Return a folder of 48 pictures of 24 patients: half of them show a bright spot."""
    root = tmp_path_factory.mktemp("spots")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :24]
    listed = []
    for number in range(48):
        label = ("plain", "spot")[number // 2 % 2]
        pixels = random.normal(90, 12, (24, 24))
        if label == "spot":
            row, column = random.integers(6, 18, 2)
            pixels += 120 * ((rows - row) ** 2 + (columns - column) ** 2 < 16)
        file = f"{number:02}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / file)
        listed.append(
            {
                "file": file,
                "label": label,
                "patient": f"p{number // 2:02}",
                "split": "val" if number >= 32 else "train",
                "view": ("AP", "PA")[number % 2],
                "reader": label if number % 8 else "spot",
            }
        )
    with (root / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, listed[0])
        table.writeheader()
        table.writerows(listed)
    return root


@pytest.fixture(scope="session", autouse=True)
def quick_pages():
    """Draw no charts: they cost more than the trainings, and have tests of their own."""
    patch = pytest.MonkeyPatch()
    patch.setattr(reporting, "page", lambda found, image_of: f"<html>{found.measured}</html>")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def spot_model(spots, tmp_path_factory):
    """Return the file of a model of spots, made for computed radiographs of the chest."""
    sections = {
        "model": {"name": "spots 1", "modalities": ["CR", "DX"], "body_parts": ["CHEST"]},
        "data": {"path": str(spots / "manifest.csv"), "group": "patient"},
        "prepare": {"size": 24},
        "network": {"name": "small-cnn", "settings": {"width": 6}},
        "train": {"epochs": 3, "batch": 16, "rate": 0.01},
        "evaluate": {"resamples": 100},
    }
    return api.train(sections, tmp_path_factory.mktemp("model") / "run").files["model"]


@pytest.fixture
def sections(spots):
    """Return the sections of a recipe that trains in about a second."""
    return {
        "data": {"path": str(spots / "manifest.csv"), "group": "patient"},
        "prepare": {"size": 24},
        "network": {"name": "small-cnn", "settings": {"width": 6}},
        "train": {"epochs": 4, "batch": 16, "rate": 0.01},
        "validate": {"how": "folds", "folds": 2},
        "evaluate": {"resamples": 100, "subgroup_minimum": 4, "class_minimum": 2},
    }


@pytest.fixture
def with_(sections):
    """Return a function that gives the sections with some options changed."""

    def change(**changed):
        return {
            **sections,
            **{name: {**sections.get(name, {}), **to} for name, to in changed.items()},
        }

    return change
