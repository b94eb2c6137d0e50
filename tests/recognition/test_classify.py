"""What the radiograph classifier says, and of what it says nothing."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aegle.domain.errors import FileError, OptionError
from aegle.domain.study import Examination, Patient, Projection, SeriesReference
from aegle.domain.volume import PlanarImage
from aegle.phantoms.radiograph import RadiographOptions, make_radiograph
from aegle.recognition.classify import ClassifyOptions, classify, model_path

PATIENT = Patient(id="P1")


@pytest.fixture(scope="module")
def radiograph():
    made = make_radiograph(options=RadiographOptions(shape=(125, 160)))
    return made.image


def examination(image, **facts):
    series = SeriesReference(
        study_uid="1.2",
        series_uid="1.2.3",
        frame_of_reference_uid="1.2.4",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        sop_instance_uids=("1.2.5",),
        **{"modality": "DX", "body_part": "CHEST", "view": "PA"} | facts,
    )
    return Examination(
        patient=PATIENT,
        study_uid="1.2",
        time=None,
        projections=(Projection(name="DX", image=image, series=series),),
    )


def test_a_frontal_radiograph_gets_probabilities_and_how_good_they_are(radiograph):
    said = classify(examination(radiograph), options=ClassifyOptions())

    (one,) = said.classifications
    assert one.classes == ("no_finding", "pneumonia")
    assert sum(one.probabilities) == pytest.approx(1)
    assert "0.9" in str(one.measured)
    assert "expect less" in str(one.measured)
    assert len(one.model_digest) == 64
    assert said.notices == ()


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"modality": "US"}, "not for US"),
        ({"body_part": "HAND"}, "not for HAND"),
        ({"view": "LL"}, "frontal"),
    ],
)
def test_what_the_model_is_not_made_for_is_not_classified(radiograph, facts, why):
    said = classify(examination(radiograph, **facts), options=ClassifyOptions())

    assert said.classifications == ()
    assert why in str(said.notices[0])


def test_a_radiograph_that_does_not_state_its_body_part_is_classified(radiograph):
    said = classify(examination(radiograph, body_part="", view=""), options=ClassifyOptions())

    assert len(said.classifications) == 1


def test_several_frames_and_empty_images_are_told_not_classified(radiograph):
    frames = PlanarImage(values=np.repeat(radiograph.values, 2, axis=0))
    blank = PlanarImage(values=np.zeros_like(radiograph.values))

    for image, why in ((frames, "single images"), (blank, "no class was sought")):
        said = classify(examination(image), options=ClassifyOptions())
        assert said.classifications == ()
        assert why in str(said.notices[0])


def test_no_model_says_nothing(radiograph):
    assert classify(examination(radiograph), options=ClassifyOptions(model="none")).notices == ()


def test_a_model_that_is_not_there_is_named(radiograph):
    with pytest.raises(OptionError, match="brain-ct"):
        classify(examination(radiograph), options=ClassifyOptions(model="brain-ct"))


def test_a_file_that_is_no_model_is_named(radiograph, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no model")

    with pytest.raises(FileError, match=r"wrong\.safetensors"):
        classify(examination(radiograph), options=ClassifyOptions(model=str(wrong)))


def test_the_model_that_ships_is_small_and_has_its_card():
    file = model_path("radiograph-pneumonia")

    assert file.stat().st_size <= 6_000_000
    card = file.with_suffix(".md").read_text()
    assert "Research software" in card
    assert "NIH" in card


@pytest.mark.xdist_group("real data")
def test_the_model_that_ships_tells_the_radiographs_apart_that_it_was_made_from(shared_data):
    from zipfile import ZipFile

    from sklearn.metrics import roc_auc_score

    from aegle.learning.model import load

    model = load(model_path("radiograph-pneumonia"))
    with ZipFile(shared_data("cxr_nih_pneumonia", "images.zip")) as images:
        names = [n for n in images.namelist() if n.endswith(".jpg")][::12]
        pictures = [np.asarray(Image.open(images.open(name))) for name in names]

    sick = model.probabilities(pictures)[:, 1]

    truth = [name.split("/")[-2] == "pneumonia" for name in names]
    assert roc_auc_score(truth, sick) > 0.93


def test_mirrored_radiographs_get_the_same_probability(radiograph):
    mirrored = replace(radiograph, values=radiograph.values[:, :, ::-1].copy())

    one, other = (
        classify(examination(image), options=ClassifyOptions()).classifications[0].probabilities
        for image in (radiograph, mirrored)
    )

    assert one == pytest.approx(other, abs=2e-2)
