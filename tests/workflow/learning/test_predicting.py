"""A model says of any image what it was trained to say, and refuses images of another kind."""

import json
import zipfile
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import torch
from PIL import Image

from aegle import api
from aegle.dicom.image_series import reference, write_projection
from aegle.domain.errors import FileError, InputError, OptionError
from aegle.domain.study import Patient, Projection
from aegle.domain.volume import PlanarImage
from aegle.learning import model as model_file
from aegle.learning.preparation import PreparationOptions

NOW = datetime(2026, 1, 2, 3, 4, 5)
PATIENT = Patient(id="made")


def radiograph(path, *, modality="CR", body_part="CHEST", pixels=None):
    """Write a DICOM radiograph with a spot."""
    if pixels is None:
        pixels = np.random.default_rng(5).normal(900, 60, (24, 24))
        pixels[8:14, 8:14] += 1500
    image = PlanarImage(values=np.float32(pixels)[None])
    series = reference(image, PATIENT.id, modality=modality, study="1", time=NOW)
    projection = Projection(name=modality, image=image, series=series)
    return write_projection(projection, PATIENT, path, now=NOW, body_part=body_part)


def said(done):
    return {image["name"]: image for image in done.numbers["images"]}


def test_a_folder_of_pictures(spot_model, spots, tmp_path):
    done = api.predict(spot_model, spots, tmp_path / "out")

    pictures = [spots / f"{n:02}.png" for n in range(48)]
    expected = model_file.load(spot_model).probabilities(
        [np.array(Image.open(p)) for p in pictures]
    )
    found = [said(done)[path.name]["probabilities"] for path in pictures]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert done.files["page"].read_text().count("<figure>") == 48


def test_one_picture(spot_model, spots, tmp_path):
    done = api.predict(spot_model, spots / "02.png", tmp_path / "out")

    assert list(said(done)) == ["02.png"]
    assert said(done)["02.png"]["likeliest"] == "spot"
    assert json.loads(done.files["data"].read_text()) == done.numbers


def test_a_zip_says_the_same_as_its_folder(spot_model, spots, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(4):
            archive.write(spots / f"{number:02}.png", f"{number:02}.png")

    zipped = said(api.predict(spot_model, tmp_path / "x.zip", tmp_path / "zipped"))

    whole = said(api.predict(spot_model, spots, tmp_path / "whole"))
    assert zipped == {name: whole[name] for name in zipped}
    assert len(zipped) == 4


def test_an_archive_of_arrays(spot_model, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (3, 24, 24), np.uint8)
    np.savez(tmp_path / "x.npz", test_images=images, test_labels=np.zeros((3, 1), np.int64))

    done = api.predict(spot_model, tmp_path / "x.npz", tmp_path / "out")

    assert len(said(done)) == 3


@pytest.mark.parametrize("name", ["nowhere.png", "nowhere"])
def test_a_missing_path_is_named(spot_model, tmp_path, name):
    with pytest.raises(FileError, match="nowhere"):
        api.predict(spot_model, tmp_path / name, tmp_path / "out")


def test_a_folder_without_images_is_named(spot_model, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear colleague")

    with pytest.raises(InputError, match="letters"):
        api.predict(spot_model, tmp_path / "letters", tmp_path / "out")


def test_a_picture_of_one_shade_is_refused(spot_model, tmp_path):
    Image.fromarray(np.full((24, 24), 7, np.uint8)).save(tmp_path / "flat.png")

    with pytest.raises(InputError, match=r"flat\.png"):
        api.predict(spot_model, tmp_path / "flat.png", tmp_path / "out")


def test_a_damaged_picture_does_not_stop_the_others(spot_model, spots, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("02.png", "03.png"):
        (tmp_path / "in" / name).write_bytes((spots / name).read_bytes())
    (tmp_path / "in" / "cut.png").write_bytes((spots / "02.png").read_bytes()[:60])

    done = api.predict(spot_model, tmp_path / "in", tmp_path / "out")

    assert list(said(done)) == ["02.png", "03.png"]
    (why,) = done.numbers["failed"]
    assert "cut.png" in why
    assert done.notices[0] == f"Left out: {why}."
    assert json.loads(done.files["data"].read_text()) == done.numbers


def test_a_task_that_is_not_known_is_refused(spot_model, spots, tmp_path, monkeypatch):
    from aegle.workflow.learning import predicting

    monkeypatch.setattr(predicting, "PREDICTIONS", {})

    with pytest.raises(InputError, match="models for 'classify' cannot be used yet"):
        api.predict(spot_model, spots, tmp_path / "out")


def test_results_do_not_go_where_other_files_lie(spot_model, spots, tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")

    with pytest.raises(OptionError, match="holds files that Aegle did not write"):
        api.predict(spot_model, spots, tmp_path)


def test_a_dicom_radiograph_gives_what_its_pixels_give(spot_model, tmp_path):
    path = radiograph(tmp_path / "x.dcm")

    (found,) = said(api.predict(spot_model, path, tmp_path / "out")).values()

    assert found["likeliest"] == "spot"


def test_a_folder_of_dicom_files(spot_model, tmp_path):
    (tmp_path / "files").mkdir()
    radiograph(tmp_path / "files" / "x.dcm")

    assert len(said(api.predict(spot_model, tmp_path / "files", tmp_path / "out"))) == 1


def test_another_modality_is_refused(spot_model, tmp_path):
    pixels = np.random.default_rng(0).normal(size=(24, 24, 3)) * 20 + 100
    path = radiograph(tmp_path / "x.dcm", modality="US", pixels=pixels)

    with pytest.raises(InputError, match="of modality US, but model 'spots 1' is made for CR, DX"):
        api.predict(spot_model, path, tmp_path / "out")


def test_another_body_part_is_refused(spot_model, tmp_path):
    path = radiograph(tmp_path / "x.dcm", body_part="KNEE")

    with pytest.raises(InputError, match="shows KNEE, but model 'spots 1' is made for CHEST"):
        api.predict(spot_model, path, tmp_path / "out")


def changed_copy(path, folder, **facts):
    """Another training: the same network with its weights a little moved."""
    model = model_file.load(path)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.network.parameters():
            weights += 0.05 * weights.std() * torch.randn_like(weights) if weights.ndim > 1 else 0
    moved = replace(model, facts=replace(model.facts, **facts))
    return model_file.save(moved, folder / "other.safetensors")


def test_an_ensemble_says_the_mean_of_its_members_and_how_far_they_agree(
    spot_model, spots, tmp_path
):
    other = changed_copy(spot_model, tmp_path)

    done = api.predict(spot_model, spots, tmp_path / "out", others=[other])

    pictures = [np.array(Image.open(spots / f"{n:02}.png")) for n in range(48)]
    pair = np.stack([model_file.load(m).probabilities(pictures) for m in (spot_model, other)])
    found = said(done)
    means = [found[f"{n:02}.png"]["probabilities"] for n in range(48)]
    np.testing.assert_allclose(means, pair.mean(axis=0), atol=1e-5)
    votes = [found[f"{n:02}.png"]["votes"] for n in range(48)]
    agrees = pair.argmax(axis=2) == pair.mean(axis=0).argmax(axis=1)
    np.testing.assert_allclose(votes, agrees.mean(axis=0))
    assert done.numbers["others"][0]["digest"] == model_file.load(other).digest
    assert "disagreement" in done.files["predictions"].read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"classes": ("spot", "none")}, "its classes is"),
        ({"preparation": PreparationOptions(size=32)}, "its preparation is"),
    ],
)
def test_models_that_differ_in_more_than_weights_are_no_ensemble(
    spot_model, spots, tmp_path, facts, says
):
    other = changed_copy(spot_model, tmp_path, **facts)

    with pytest.raises(InputError, match=says):
        api.predict(spot_model, spots, tmp_path / "out", others=[other])
