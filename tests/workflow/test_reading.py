"""Files become visits; what is missing, unknown or implausible is said with its name."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, IdentityError, InputError
from aegle.workflow.image_files import FileOptions, modality_of
from aegle.workflow.reading import ReadingOptions, gather, read_images


def read(folder, **files):
    inputs = gather((folder,), options=ScanOptions(), progress=lambda *_: None)
    options = ReadingOptions(images=ImageOptions(), files=FileOptions(**files))
    return read_images(inputs, options=options, progress=lambda *_: None).visits


def notices(visits):
    return [str(notice) for visit in visits for notice in visit.notices]


@pytest.fixture
def save(tmp_path):
    def write(name, values=None, spacing=(1.0, 1.0, 1.0)):
        values = np.arange(6 * 5 * 4).reshape(6, 5, 4) if values is None else values
        image = sitk.GetImageFromArray(np.asarray(values, np.float32))
        image.SetSpacing(spacing)
        sitk.WriteImage(image, str(tmp_path / name))
        return tmp_path

    return write


@pytest.fixture
def save_dicom(tmp_path):
    def write(name, *, kind=CTImageStorage, study="1.2.3", pixels=True, **changes):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID = kind, f"{study}.9.{len(name)}"
        item.StudyInstanceUID, item.SeriesInstanceUID = study, f"{study}.1"
        item.PatientID, item.PatientName, item.Modality = "17", "Doe^Jane", "CT"
        if pixels:
            item.Rows, item.Columns, item.BitsAllocated, item.BitsStored = 4, 5, 16, 12
            item.HighBit, item.PixelRepresentation, item.SamplesPerPixel = 11, 0, 1
            item.PhotometricInterpretation = "MONOCHROME2"
            item.ImagePositionPatient, item.PixelSpacing = [0, 0, 0], [1, 1]
            item.ImageOrientationPatient, item.SliceThickness = [1, 0, 0, 0, 1, 0], 2
            item.RescaleSlope, item.RescaleIntercept = 1, -1024
            item.PixelData = np.arange(20, dtype="<u2").tobytes()
        for keyword, value in changes.items():
            setattr(item, keyword, value)
        item.save_as(tmp_path / name, enforce_file_format=True)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("ct.nii.gz", "CT"),
        ("example_ct.nii.gz", "CT"),
        ("CT2.nrrd", "CT"),
        ("patient 3 - chest-CT (thin).nii", "CT"),
        ("pt_017_ct.nii", "CT"),
        ("pt.nii", "PT"),
        ("whole-body_SUV.mha", "PT"),
        ("study1_T1W.nii.gz", "MR"),
        ("study2_FLAIR.nii.gz", "MR"),
        ("MR_T1_image.nii.gz", "MR"),
        ("cxr.png", "DX"),
        ("petrous_bone.nii", "OT"),
        ("doctor.nii", "OT"),
        ("pt01.nii", "OT"),
        ("pet_ct.nii", "OT"),
    ],
)
def test_words_of_a_name_say_the_modality(name, modality):
    assert modality_of(name) == modality


def test_unknown_modality_is_noticed_and_can_be_said(save):
    folder = save("chest.nii.gz")

    unknown, said = read(folder), read(folder, modality="CT")

    assert unknown[0].images[0].series.modality == "OT"
    assert "The modality of chest.nii.gz is not known" in notices(unknown)[0]
    assert said[0].images[0].series.modality == "CT"
    assert notices(said) == []


def test_masks_with_natural_names_become_structures(save):
    inside = np.zeros((6, 5, 4))
    inside[2:4, 1:3, 1:3] = 1
    save("mr_flair.nii.gz", np.random.default_rng(1).normal(100, 20, (6, 5, 4)))
    save("brainmask.nii.gz", inside)
    folder = save("lesion_change_gt.nii.gz", inside)

    (visit,) = read(folder)

    (image,) = visit.images
    assert {s.name: s.type for s in image.structures} == {
        "brainmask": StructureType.ORGAN,
        "lesion_change_gt": StructureType.LESION,
    }


def test_label_map_on_another_grid_is_named_with_both_grids(save):
    save("ct.nii.gz", spacing=(1, 1, 2.5))
    folder = save("seg.nii.gz", np.ones((3, 5, 4)), spacing=(3, 3, 3))

    with pytest.raises(GeometryError) as caught:
        read(folder)

    said = str(caught.value)
    assert "seg.nii.gz: a label map of 3 × 5 × 4 voxels of 3 × 3 × 3 mm" in said
    assert "ct of 6 × 5 × 4 voxels of 2.5 × 1 × 1 mm" in said


@pytest.mark.parametrize(
    ("name", "spacing", "noticed"),
    [
        ("ct.nii", (1, 1, 20), False),
        ("ct.nii", (1, 1, 20.5), True),
        ("ct.nii", (10.5, 10.5, 5), True),
        ("mr.nii", (10.5, 10.5, 5), False),
        ("mr.nii", (21, 10, 5), True),
    ],
)
def test_voxels_of_implausible_size_are_noticed(save, name, spacing, noticed):
    said = notices(read(save(name, spacing=spacing)))

    assert any("are implausibly large" in notice for notice in said) is noticed


def test_many_files_left_out_for_one_reason_are_one_notice(save):
    folder = save("ct.nii.gz")
    for number in range(4):
        (folder / f"letter{number}.txt").write_text("Dear colleague")

    assert notices(read(folder)) == [
        "4 files are not used, for example letter0.txt: "
        "It is neither DICOM nor an image file of a known kind."
    ]


def test_few_files_left_out_are_named_one_by_one(save):
    folder = save("ct.nii.gz")
    for number in range(3):
        (folder / f"letter{number}.txt").write_text("Dear colleague")

    assert [notice.split()[0] for notice in notices(read(folder))] == [
        "letter0.txt",
        "letter1.txt",
        "letter2.txt",
    ]


def test_structures_without_images_name_the_series_they_refer_to(save_dicom):
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = "1.2.3.77"
    study.RTReferencedSeriesSequence = [series]
    frame.RTReferencedStudySequence = [study]
    folder = save_dicom(
        "rs.dcm",
        kind=RTStructureSetStorage,
        pixels=False,
        ReferencedFrameOfReferenceSequence=[frame],
    )

    with pytest.raises(InputError, match=r"rs\.dcm is .* RT Structure Set, .*\(1\.2\.3\.77\)"):
        read(folder)


def test_images_without_pixels_are_said_to_have_none(save_dicom):
    folder = save_dicom("head.dcm", pixels=False)

    with pytest.raises(FileError, match=r"head\.dcm: it has no pixel data"):
        read(folder)


def test_images_without_pixels_beside_others_are_noticed(save_dicom):
    save_dicom("whole.dcm")
    folder = save_dicom("head.dcm", pixels=False)

    assert "head.dcm is not used: It has no pixel data." in notices(read(folder))


@pytest.mark.parametrize("who", ["", "17"])
def test_several_studies_need_a_patient(save_dicom, who):
    save_dicom("a.dcm", PatientID=who, PatientName="")
    folder = save_dicom("b.dcm", study="1.2.4", PatientID=who, PatientName="")

    if who:
        assert len(read(folder)) == 2
        return
    with pytest.raises(IdentityError, match="name no patient and belong to 2 studies"):
        read(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RescaleSlope": "0"}, r"a\.dcm: its rescale slope is 0"),
        ({"PixelSpacing": [0, 0]}, r"\(1\.2\.3\.1\): its pixel spacing of 0 × 0 mm"),
        ({"PixelSpacing": [-1, 1]}, r"\(1\.2\.3\.1\): its pixel spacing of -1 × 1 mm"),
    ],
)
def test_series_without_sound_numbers_are_refused_by_name(save_dicom, changes, words):
    with pytest.raises(InputError, match=words):
        read(save_dicom("a.dcm", **changes))


def test_float_pixels_that_are_no_numbers_are_refused(save_dicom):
    folder = save_dicom("a.dcm")
    item = pydicom.dcmread(folder / "a.dcm")
    values = np.zeros(20, "<f4")
    values[7] = np.nan
    del item.PixelData, item.BitsStored, item.HighBit, item.PixelRepresentation
    item.BitsAllocated, item.FloatPixelData = 32, values.tobytes()
    item.save_as(folder / "a.dcm")

    with pytest.raises(FileError, match=r"a\.dcm: it holds values that are infinite or not"):
        read(folder)
