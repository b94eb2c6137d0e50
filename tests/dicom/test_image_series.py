import subprocess
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from aegle.dicom import image_series
from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.domain.study import Image, Patient, Projection
from aegle.domain.volume import PlanarImage, Quantity, Volume

NOW = datetime(2024, 3, 1, 8, 30)
TAKEN = datetime(2024, 2, 29, 10, 15, 20)
PATIENT = Patient(id="A 1", name="Made^Series", birth_date=date(1960, 3, 1), sex="F")
HALF = 0.7071067811865476
AXES = {
    "axial": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "sagittal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "oblique": ((0.0, -HALF, HALF), (0.0, HALF, HALF), (1.0, 0.0, 0.0)),
}
QUANTITIES = {
    "CT": Quantity.RADIODENSITY,
    "MR": Quantity.SIGNAL,
    "PT": Quantity.ACTIVITY_CONCENTRATION,
    "OT": Quantity.SIGNAL,
}


def grid_of(orientation="axial", shape=(4, 5, 7)):
    return Grid(
        shape=shape,
        spacing_mm=(3.0, 1.5, 1.25),
        origin_mm=(-10.0, 5.5, 7.25),
        axes=AXES[orientation],
    )


def image_of(modality, *, orientation="axial", values=None, quantity=None):
    grid = grid_of(orientation)
    if values is None:
        values = np.random.default_rng(0).normal(300, 200, grid.shape)
    volume = Volume(
        values=np.asarray(values, np.float32), grid=grid, quantity=quantity or QUANTITIES[modality]
    )
    series = image_series.reference(
        volume, PATIENT.id, modality=modality, study="first", time=TAKEN, description="Chest"
    )
    return Image(name=modality, volume=volume, series=series)


def facts():
    return image_series.PetFacts(
        weight_kg=70,
        injected_bq=3e8,
        injected_at=datetime(2024, 2, 29, 9, 0),
        acquired_at=datetime(2024, 2, 29, 10, 0),
    )


def errors_of(program, path):
    found = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1)
    return [line for line in found.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("orientation", AXES)
def test_another_library_finds_every_voxel_where_the_grid_puts_it(tmp_path, orientation):
    image = image_of("CT", orientation=orientation)

    paths = image_series.write(image, PATIENT, tmp_path, now=NOW)
    read = sitk.ReadImage([str(p) for p in paths])

    for index in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (0, 0, 6), (2, 3, 5)):
        found_mm = read.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]])
        np.testing.assert_allclose(
            found_mm, image.volume.grid.to_patient(np.array(index, float)), atol=1e-6
        )
        assert read[tuple(index[::-1])] == pytest.approx(image.volume.values[index], abs=0.5)


def test_slices_of_a_left_handed_grid_keep_their_positions(tmp_path):
    grid = Grid(shape=(3, 2, 2), spacing_mm=(2.0, 1.0, 1.0), axes=((0, 0, -1), *AXES["axial"][1:]))
    volume = Volume(values=np.zeros(grid.shape), grid=grid, quantity=Quantity.RADIODENSITY)
    series = image_series.reference(volume, "A", modality="CT", study="1")

    paths = image_series.write(
        Image(name="CT", volume=volume, series=series), PATIENT, tmp_path, now=NOW
    )

    assert [pydicom.dcmread(p).ImagePositionPatient[2] for p in paths] == [0, -2, -4]


@pytest.mark.parametrize("body_part", ["chest", ""])
@pytest.mark.parametrize("modality", QUANTITIES)
def test_the_validator_finds_no_error(tmp_path, require_program, modality, body_part):
    program = require_program("dciodvfy", "dicom3tools")

    paths = image_series.write(
        image_of(modality, orientation="oblique"),
        PATIENT,
        tmp_path,
        now=NOW,
        body_part=body_part,
        pet=facts() if modality == "PT" else None,
    )

    assert errors_of(program, paths[1]) == []


def test_the_validator_finds_no_error_in_a_pet_of_uptake_without_facts(tmp_path, require_program):
    program = require_program("dciodvfy", "dicom3tools")
    image = image_of("PT", quantity=Quantity.STANDARDISED_UPTAKE)

    path, *_ = image_series.write(image, PATIENT, tmp_path, now=NOW)

    assert errors_of(program, path) == []
    assert pydicom.dcmread(path).Units == "GML"


def test_every_file_names_patient_study_series_and_time(tmp_path):
    image = image_of("CT")

    paths = image_series.write(image, PATIENT, tmp_path, now=NOW, body_part="chest")
    found = pydicom.dcmread(paths[2])

    assert [p.name for p in paths] == ["0001.dcm", "0002.dcm", "0003.dcm", "0004.dcm"]
    assert (found.PatientID, found.PatientName, found.PatientBirthDate) == (
        "A 1",
        "Made^Series",
        "19600301",
    )
    assert found.PatientAge == "063Y"
    assert (found.StudyDate, found.InstanceCreationDate) == ("20240229", "20240301")
    assert found.SOPInstanceUID == image.series.sop_instance_uids[2]
    assert found.FrameOfReferenceUID == image.series.frame_of_reference_uid
    assert (found.BodyPartExamined, found.RescaleType, found.InstanceNumber) == ("CHEST", "HU", 3)
    assert not list(tmp_path.glob(".*"))


def test_ct_is_kept_in_whole_hounsfield_units(tmp_path):
    values = np.full((4, 5, 7), -1000.4)
    values[0, 0, :3] = (3071.0, 0.6, -32767)

    path, *_ = image_series.write(image_of("CT", values=values), PATIENT, tmp_path, now=NOW)
    found = pydicom.dcmread(path)

    assert (found.RescaleSlope, found.RescaleIntercept) == (1, 0)
    assert found.pixel_array[0].tolist() == [3071, 1, -32767, -1000, -1000, -1000, -1000]


@pytest.mark.parametrize(("modality", "scale"), [("PT", 1e5), ("MR", 0.01), ("CT", 1e6)])
def test_other_values_come_back_within_half_a_step(tmp_path, modality, scale):
    values = np.random.default_rng(1).random((4, 5, 7)) * scale
    image = image_of(modality, values=values)

    paths = image_series.write(image, PATIENT, tmp_path, now=NOW)
    found = [pydicom.dcmread(p) for p in paths]
    read = np.stack([f.pixel_array * float(f.RescaleSlope) for f in found])

    np.testing.assert_allclose(read, values, rtol=0, atol=1.01 * values.max() / 32766 / 2)


def test_uptake_follows_from_weight_activity_and_decay(tmp_path):
    # 70 kg, 300 MBq, one hour of F-18 (109.77 min): 2^(60/109.77) = 1.46063.
    image = image_of("PT", values=np.full((4, 5, 7), 1000.0))

    path, *_ = image_series.write(image, PATIENT, tmp_path, now=NOW, pet=facts())
    found = pydicom.dcmread(path)
    isotope = found.RadiopharmaceuticalInformationSequence[0]
    injected = datetime.strptime(isotope.RadiopharmaceuticalStartDateTime, "%Y%m%d%H%M%S.%f")
    assert isotope.RadiopharmaceuticalStartTime == f"{injected:%H%M%S.%f}"
    scanned = datetime.strptime(found.SeriesDate + found.SeriesTime, "%Y%m%d%H%M%S.%f")
    decay = 2 ** -((scanned - injected).total_seconds() / isotope.RadionuclideHalfLife)
    uptake = 1000 * found.PatientWeight * 1000 / (isotope.RadionuclideTotalDose * decay)

    assert (found.Units, found.DecayCorrection) == ("BQML", "START")
    assert set(found.CorrectedImage) == {"ATTN", "DECY"}
    assert uptake == pytest.approx(1000 * 70_000 / 3e8 * 1.46063, rel=1e-5)


def test_values_that_are_not_numbers_are_refused(tmp_path):
    values = np.full((4, 5, 7), np.nan)

    with pytest.raises(InputError, match="not numbers"):
        image_series.write(image_of("MR", values=values), PATIENT, tmp_path, now=NOW)


def test_a_series_with_too_few_uids_is_refused(tmp_path):
    image = image_of("CT")
    other = image_series.reference(
        PlanarImage(values=np.zeros((1, 2, 2))), "A", modality="CT", study="1"
    )

    with pytest.raises(InputError, match="4 slices but 1 SOP"):
        image_series.write(
            Image(name="CT", volume=image.volume, series=other), PATIENT, tmp_path, now=NOW
        )


def test_a_patient_id_that_does_not_fit_is_refused_rather_than_cut(tmp_path):
    with pytest.raises(InputError, match="at most 64"):
        image_series.write(image_of("CT"), Patient(id="1" * 65), tmp_path, now=NOW)


def test_uids_follow_from_content_and_images_of_a_study_share_its_frame():
    first, again, other = image_of("CT"), image_of("CT"), image_of("MR")
    darker = image_of("CT", values=first.volume.values - 1)

    assert first.series == again.series
    assert first.series.series_uid != darker.series.series_uid
    assert first.series.study_uid == other.series.study_uid
    assert first.series.frame_of_reference_uid == other.series.frame_of_reference_uid
    assert len(set(first.series.sop_instance_uids)) == 4
    assert not first.series.is_from_dicom


@pytest.mark.parametrize(
    ("values", "modality"),
    [
        pytest.param(np.arange(15.0).reshape(1, 3, 5), "CR", id="grey"),
        pytest.param(np.arange(15.0).reshape(1, 3, 5) / 7, "DX", id="fractions"),
        pytest.param(np.arange(45.0).reshape(1, 3, 5, 3), "XC", id="colour"),
    ],
)
def test_a_picture_comes_back_and_is_valid(tmp_path, require_program, values, modality):
    program = require_program("dciodvfy", "dicom3tools")
    planar = PlanarImage(values=values, spacing_mm=(0.2, 0.1))
    series = image_series.reference(planar, "A", modality=modality, study="1", time=TAKEN)
    projection = Projection(name="X", image=planar, series=series)

    path = image_series.write_projection(
        projection, PATIENT, Path(tmp_path, "x.dcm"), now=NOW, body_part="CHEST"
    )
    found = pydicom.dcmread(path)

    assert errors_of(program, path) == []
    slope = float(found.get("RescaleSlope", 1))
    np.testing.assert_allclose(found.pixel_array * slope, values[0], rtol=1e-4, atol=2e-5)
    spacing = found.get("ImagerPixelSpacing") or found.get("PixelSpacing")
    assert list(spacing) == [0.2, 0.1]


def test_a_film_of_several_frames_is_refused(tmp_path):
    planar = PlanarImage(values=np.zeros((2, 3, 3)))
    series = image_series.reference(planar, "A", modality="CR", study="1")

    with pytest.raises(InputError, match="2 frames"):
        image_series.write_projection(
            Projection(name="X", image=planar, series=series), PATIENT, tmp_path / "x", now=NOW
        )
