"""What cannot be learned or must not be overwritten is refused in one sentence."""

import zipfile

import numpy as np
import pytest

from aegle import api
from aegle.domain.errors import FileError, InputError, OptionError


@pytest.fixture
def volumes(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 120, (24, 12, 12, 12)).astype(np.uint8)
    labels = np.arange(24)[:, None] % 2
    images[labels[:, 0] == 1, 4:8, 4:8, 4:8] += 120
    file = tmp_path / "volumes.npz"
    parts = {"train": slice(0, 16), "val": slice(16, 24)}
    np.savez(
        file,
        **{f"{name}_images": images[part] for name, part in parts.items()},
        **{f"{name}_labels": labels[part] for name, part in parts.items()},
    )
    return file


def recipe(file, network):
    return {
        "data": {"path": str(file)},
        "prepare": {"size": 12},
        "network": {"name": network},
        "train": {"epochs": 1, "batch": 8},
        "validate": {"how": "data", "tune": 0},
    }


def test_volumes_train_a_network_of_volumes(volumes, tmp_path):
    done = api.train(recipe(volumes, "small-resnet-3d"), tmp_path / "run")

    assert done.files["model"].exists()
    assert done.numbers["images"] == 8


def test_volumes_do_not_fit_a_network_of_pictures(volumes, tmp_path):
    with pytest.raises(InputError, match=r"does not take images of shape \(1, 12, 12, 12\)"):
        api.train(recipe(volumes, "small-cnn"), tmp_path / "run")


def test_a_training_is_not_overwritten_by_a_judgement(spot_model, spots):
    training = spot_model.parent

    with pytest.raises(OptionError, match="folder of a training"):
        api.evaluate(spot_model, spots, training)
    with pytest.raises(OptionError, match="folder of a training"):
        api.predict(spot_model, spots / "00.png", training)


def test_a_group_that_nothing_states_is_refused(spots, tmp_path):
    file = tmp_path / "images.zip"
    with zipfile.ZipFile(file, "w") as images:
        for place in sorted(spots.glob("*.png")):
            images.write(place, f"{('a', 'b')[int(place.stem) % 2]}/{place.name}")

    with pytest.raises(InputError, match="group 'patient'"):
        api.train({"data": {"path": str(file), "group": "patient"}}, tmp_path / "run")


def test_labels_that_are_no_numbers_are_refused(volumes, tmp_path):
    arrays = dict(np.load(volumes))
    arrays["train_labels"] = np.where(arrays["train_labels"] == 1, 0.3, 0.0)
    file = tmp_path / "half.npz"
    np.savez(file, **arrays)

    with pytest.raises(InputError, match="no whole number"):
        api.train(recipe(file, "small-resnet-3d"), tmp_path / "run")


def test_weights_that_are_not_there_are_named(with_, tmp_path):
    with pytest.raises(FileError, match=r"absent\.pth"):
        api.train(with_(transfer={"weights": str(tmp_path / "absent.pth")}), tmp_path / "run")
