"""What speaks for the word of the shipped radiograph model."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.study import Examination, Patient, Projection, SeriesReference
from aegle.phantoms.radiograph import RadiographOptions, make_radiograph
from aegle.recognition.classify import ClassifyOptions, classify, model_of
from aegle.record import store
from aegle.workflow.evidencing import file_name, with_evidence

MODEL = model_of(ClassifyOptions())


@pytest.fixture(scope="module")
def visit():
    series = SeriesReference(
        study_uid="1.2",
        series_uid="1.2.3",
        frame_of_reference_uid="1.2.4",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        sop_instance_uids=("1.2.5",),
        modality="DX",
        body_part="CHEST",
        view="PA",
    )
    image = make_radiograph(options=RadiographOptions(shape=(125, 160))).image
    return Examination(
        patient=Patient(id="P1", sex="F"),
        study_uid="1.2",
        time=None,
        projections=(Projection(name="Chest PA / DX", image=image, series=series),),
    )


@pytest.fixture(scope="module")
def said(visit):
    (found,) = classify(visit, options=ClassifyOptions()).classifications
    return found


def test_of_an_image_that_the_model_is_not_made_for_nothing_is_shown(visit, said):
    """A made radiograph is unlike a patient's."""
    assert said.out_of_distribution.is_outside
    assert with_evidence(said, visit, 1, MODEL) is said


def test_set_map_and_neighbours_come_from_the_model_s_file(visit, said, tmp_path):
    found = with_evidence(replace(said, out_of_distribution=None), visit, 2, MODEL)

    kept = found.prediction_set
    assert said.likeliest in kept.categories
    assert (kept.coverage, kept.calibration_cases, kept.group) == (pytest.approx(0.9), 748, "")
    assert kept.measured_coverage == pytest.approx(0.9, abs=0.02)
    heat = found.heat_map
    assert heat.category == said.likeliest
    assert heat.seen.shape == heat.share.shape == (224, 224)
    assert heat.share.max() == 255
    assert heat.file == "evidence/visit-2-chest-pa-dx.png"
    assert "On 18 images" in str(heat.trust)
    assert "no evidence by itself" in str(heat.trust)
    assert (round(heat.score, 2), round(heat.chance, 2)) == (0.30, 0.24)
    assert len(found.neighbours) == 3
    assert all(n.category in said.classes and n.distance > 0.5 for n in found.neighbours)

    store.write(found, tmp_path)
    again = store.read(type(found), tmp_path)
    np.testing.assert_array_equal(again.heat_map.share, heat.share)
    assert again.prediction_set == kept


def test_names_of_files_are_safe():
    assert file_name(1, "../../Röntgen  PA") == "evidence/visit-1-r-ntgen-pa.png"
