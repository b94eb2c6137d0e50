"""Organs and lesions found in the made chest patient agree with what was made."""

import numpy as np
import pytest
import SimpleITK as sitk

from aegle.domain.case import ImageStructures, VisitStructures
from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.recognition.characterise import CharacteriseOptions, characterise
from aegle.recognition.lesions import CandidateOptions, candidates
from aegle.recognition.thorax_ct import ClassicalOptions, segment

VOXEL_MM = 1.5


@pytest.fixture(scope="module")
def made():
    """The last visit, which has the most lesions, at full size."""
    return make_visit(2, options=ThoraxOptions(seed=1))


@pytest.fixture(scope="module")
def organs(made):
    return segment(made.ct, options=ClassicalOptions())


@pytest.fixture(scope="module")
def found(made, organs):
    return candidates(made.ct, organs, options=CandidateOptions())


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("name", ["body", "lung_right", "lung_left"])
def test_organs_have_the_right_place_and_volume(made, organs, name):
    assert dice(organs[name].mask, made.structures[name].mask) >= 0.97
    assert organs[name].volume_ml == pytest.approx(made.structures[name].volume_ml, rel=0.03)


def test_the_true_cord_lies_in_the_canal(made, organs):
    cord, canal = made.structures["spinal_cord"].mask, organs["spinal_cord"].mask

    assert canal[cord].mean() > 0.95
    assert canal.any(axis=(1, 2))[5:-5].all()


def test_every_lesion_in_the_lungs_is_found_and_nothing_else(made, found):
    true = [lesion for lesion in made.lesions if lesion.kind is not LesionKind.LYMPH_NODE]

    def hits(lesion):
        return [
            c
            for c in found
            if np.linalg.norm(np.subtract(c.centroid_mm, lesion.centre_mm)) < lesion.longest_mm / 2
        ]

    assert [len(hits(lesion)) for lesion in true] == [1] * len(true)
    assert len(found) == len(true)


def test_found_lesions_have_the_right_diameters_side_and_kind(made, organs, found):
    series = SeriesReference(
        study_uid="1.2",
        series_uid="1.2.3",
        frame_of_reference_uid="1.2.4",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=("1",),
    )
    examination = Examination(
        patient=Patient(id="P"),
        study_uid="1.2",
        time=None,
        images=(Image(name="CT", volume=made.ct, series=series),),
    )
    visit = VisitStructures(
        images=(ImageStructures(image="CT", structures=StructureSet((*organs, *found))),)
    )

    findings = characterise(examination, visit, options=CharacteriseOptions())

    for lesion in findings.lesions:
        true = min(
            made.lesions,
            key=lambda t, at=lesion.structure.centroid_mm: np.linalg.norm(
                np.subtract(at, t.centre_mm)
            ),
        )
        assert lesion.diameters.longest_mm == pytest.approx(true.longest_mm, abs=VOXEL_MM)
        assert lesion.diameters.perpendicular_mm == pytest.approx(
            true.perpendicular_mm, abs=VOXEL_MM
        )
        assert lesion.site == true.site
        assert lesion.kind is LesionKind.NODULE


def test_lungs_of_a_real_patient_with_a_large_tumour(shared_data):
    image = sitk.ReadImage(str(shared_data("lung1_001_ct", "ct.nii.gz")))
    labels = sitk.GetArrayFromImage(
        sitk.ReadImage(str(shared_data("lung1_001_ct", "labels.nii.gz")))
    )
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    grid = Grid(
        shape=values.shape, spacing_mm=image.GetSpacing()[::-1], origin_mm=image.GetOrigin()
    )

    structures = segment(
        Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY),
        options=ClassicalOptions(),
    )

    tumour = labels == 4
    for name, label in (("lung_left", 2), ("lung_right", 3)):
        expected = (labels == label) & ~tumour
        assert dice(structures[name].mask & ~tumour, expected) >= 0.95
