import subprocess
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from aegle.dicom import attachment, segmentation
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume

NOW = datetime(2024, 3, 1, 8, 30)
PATIENT = Patient(id="A 1", name="Made")
HALF = 0.7071067811865476
AXES = {
    "axial": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "sagittal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "left-handed": ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "oblique": ((0.0, -HALF, HALF), (0.0, HALF, HALF), (1.0, 0.0, 0.0)),
}
SHAPE = (6, 7, 11)
"""No multiple of 8, so that frames begin within a byte."""


def grid_of(orientation="axial", shape=SHAPE):
    return Grid(
        shape=shape,
        spacing_mm=(3.0, 1.5, 0.7),
        origin_mm=(-210.3, 35.5, 1007.25),
        axes=AXES[orientation],
    )


def image_on(grid, **changes):
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.4{i}" for i in range(grid.shape[0])),
        study_date=datetime(2024, 2, 29),
    )
    values = np.zeros(grid.shape, np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=replace(series, **changes))


def masks():
    """Two masks that overlap and are alike under no flip or transposition."""
    first, second = np.zeros((2, *SHAPE), bool)
    first[1:4, 1:5, 2:9] = True
    first[2, 2, 3:6] = False
    first[5, 6, 10] = True
    second[3:6, 0:3, 4:7] = True
    second[0, 0, 0] = True
    return first, second


def structures_on(grid):
    first, second = masks()
    return StructureSet(
        (
            Structure.of("nodule 1", first, grid, type=StructureType.LESION),
            Structure.of("lung_left", second, grid),
            Structure.of("PTV", first | second, grid, type=StructureType.TARGET, origin="made"),
        )
    )


@pytest.fixture
def written(tmp_path):
    def write(structures, image, **options):
        path = tmp_path / "seg.dcm"
        return segmentation.write(structures, image, PATIENT, path, now=NOW, **options)

    return write


@pytest.mark.parametrize("orientation", AXES)
def test_another_library_finds_every_voxel_where_the_grid_puts_it(written, orientation):
    grid = grid_of(orientation)
    structures = structures_on(grid)
    path = written(structures, image_on(grid))

    found = highdicom.seg.segread(path).get_volume()

    for number, structure in enumerate(structures):
        inside = np.argwhere(found.array[..., number] > 0)
        places_mm = inside @ found.affine[:3, :3].T + found.affine[:3, 3]
        expected_mm = grid.to_patient(np.argwhere(structure.mask).astype(float))
        order = [np.lexsort(np.round(p, 2).T) for p in (places_mm, expected_mm)]
        np.testing.assert_allclose(places_mm[order[0]], expected_mm[order[1]], atol=1e-6)


@pytest.mark.parametrize("orientation", AXES)
def test_masks_names_and_types_come_back(written, orientation):
    image = image_on(grid_of(orientation))
    structures = structures_on(image.volume.grid)

    found = segmentation.read(written(structures, image), image)

    assert [s.name for s in found] == ["nodule 1", "lung_left", "PTV"]
    assert [s.type for s in found] == [s.type for s in structures]
    for read, original in zip(found, structures, strict=True):
        assert np.array_equal(read.mask, original.mask)
        assert read.origin == "SEG"


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        bool, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
    )
)
def test_any_masks_come_back(tmp_path_factory, stack):
    grid = grid_of(shape=stack.shape[1:])
    image = image_on(grid)
    structures = tuple(Structure.of(f"s{i}", mask, grid) for i, mask in enumerate(stack))
    path = tmp_path_factory.mktemp("seg") / "seg.dcm"
    if not stack.any():
        with pytest.raises(InputError, match="nothing to write"):
            segmentation.write(StructureSet(structures), image, PATIENT, path, now=NOW)
        return

    segmentation.write(StructureSet(structures), image, PATIENT, path, now=NOW)
    found = segmentation.read(path, image)

    assert [s.name for s in found] == [s.name for s in structures if not s.is_empty]
    for structure in found:
        assert np.array_equal(structure.mask, stack[int(structure.name[1:])])


def test_each_frame_names_the_slice_it_was_drawn_on(written):
    image = image_on(grid_of())

    found = pydicom.dcmread(written(structures_on(image.volume.grid), image))
    first = found.PerFrameFunctionalGroupsSequence[0]
    source = first.DerivationImageSequence[0].SourceImageSequence[0]

    assert found.NumberOfFrames == 4 + 4 + 6
    assert source.ReferencedSOPInstanceUID == "2.25.41"
    assert list(first.FrameContentSequence[0].DimensionIndexValues) == [1, 2]
    assert len(found.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 6


def test_a_multi_frame_source_is_referred_to_as_a_whole(written):
    enhanced = "1.2.840.10008.5.1.4.1.1.2.1"
    image = image_on(grid_of(), sop_class_uid=enhanced, sop_instance_uids=("2.25.5",))

    path = written(structures_on(image.volume.grid), image)
    found = pydicom.dcmread(path)
    groups = found.PerFrameFunctionalGroupsSequence[0]
    source = groups.DerivationImageSequence[0].SourceImageSequence[0]

    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (enhanced, "2.25.5")
    assert "ReferencedFrameNumber" not in source
    assert len(segmentation.read(path, image)) == 3


def test_lesions_carry_their_tracking_uid_and_codes(written):
    image = image_on(grid_of())

    path = written(structures_on(image.volume.grid), image, tracking={"nodule 1": "2.25.77"})
    nodule, lung, target = pydicom.dcmread(path).SegmentSequence

    assert (nodule.TrackingUID, nodule.TrackingID) == ("2.25.77", "nodule 1")
    assert "TrackingUID" not in lung
    assert nodule.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert lung.SegmentedPropertyTypeCodeSequence[0].CodeValue == "44029006"
    assert target.SegmentedPropertyTypeCodeSequence[0].CodeValue == "228793007"
    assert nodule.SegmentAlgorithmType == "AUTOMATIC"
    assert target.SegmentAlgorithmType == "SEMIAUTOMATIC"


@pytest.mark.parametrize("count", [6, 1, 4], ids=["slices", "multi-frame", "no correspondence"])
def test_the_validator_finds_no_error(written, require_program, count):
    program = require_program("dciodvfy", "dicom3tools")
    uids = tuple(f"2.25.4{i}" for i in range(count))
    image = image_on(grid_of("oblique"), sop_instance_uids=uids)

    path = written(structures_on(image.volume.grid), image, tracking={"nodule 1": "2.25.77"})
    found = subprocess.run([program, path], capture_output=True, text=True, check=False)

    assert "Segmentation" in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def foreign(pixels, kind, *, image, slices=slice(None), syntax=ExplicitVRLittleEndian, segments=2):
    """Write a segmentation with another library, as bytes."""
    grid = image.volume.grid
    sources = []
    for index in range(grid.shape[0]):
        source = pydicom.Dataset()
        source.file_meta = pydicom.dataset.FileMetaDataset()
        source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        source.SOPClassUID = image.series.sop_class_uid
        source.SOPInstanceUID = image.series.sop_instance_uids[index]
        source.StudyInstanceUID, source.SeriesInstanceUID = "2.25.1", "2.25.2"
        source.FrameOfReferenceUID = image.series.frame_of_reference_uid
        source.PatientID = source.PatientName = source.PatientBirthDate = source.PatientSex = None
        source.AccessionNumber = source.StudyID = source.StudyDate = source.StudyTime = None
        source.Modality, source.Rows, source.Columns = "CT", *grid.shape[1:]
        source.ImagePositionPatient = grid.to_patient(np.array([index, 0.0, 0.0])).tolist()
        source.ImageOrientationPatient = [*grid.axes[2], *grid.axes[1]]
        source.PixelSpacing, source.SliceThickness = list(grid.spacing_mm[1:]), grid.spacing_mm[0]
        sources.append(source)
    descriptions = [
        highdicom.seg.SegmentDescription(
            number,
            "gtv",
            codes.SCT.MorphologicallyAbnormalStructure if number == 1 else codes.SCT.Organ,
            codes.SCT.Neoplasm if number == 1 else codes.SCT.Liver,
            highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in range(1, segments + 1)
    ]
    written = highdicom.seg.Segmentation(
        sources[slices],
        pixels,
        kind,
        descriptions,
        "2.25.8",
        1,
        "2.25.9",
        1,
        "Other",
        "Other",
        "1",
        "1",
        transfer_syntax_uid=syntax,
        max_fractional_value=200,
    )
    buffer = BytesIO()
    written.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_of_another_library_are_read(kind):
    image = image_on(grid_of("sagittal"))
    first, second = masks()
    second &= ~first

    content = foreign(first + np.uint8(2) * second, kind, image=image)
    found = segmentation.read(content, image)

    assert [s.name for s in found] == ["gtv", "gtv 2"]
    assert [s.type for s in found] == [StructureType.LESION, StructureType.LESION]
    for structure, mask in zip(found, (first, second), strict=True):
        assert np.array_equal(structure.mask, mask)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_fractional_segments_count_from_half_of_their_maximum(syntax):
    image = image_on(grid_of())
    fractions = np.random.default_rng(0).random(SHAPE)
    fractions[0, 0, :2] = (0.5, 0.49)

    content = foreign(fractions, "FRACTIONAL", image=image, syntax=syntax, segments=1)
    (found,) = segmentation.read(content, image)

    # 200 steps: 0.4975 and more become at least 100.
    assert np.array_equal(found.mask, np.rint(fractions * 200) >= 100)
    assert found.mask[0, 0, 0]
    assert not found.mask[0, 0, 1]


def test_a_segmentation_of_some_slices_lies_on_those_of_the_whole_image():
    image = image_on(grid_of("oblique"))
    first, _ = masks()

    content = foreign(
        first[1:4].astype(np.uint8), "BINARY", image=image, slices=slice(1, 4), segments=1
    )
    (found,) = segmentation.read(content, image)

    assert np.array_equal(found.mask[1:4], first[1:4])
    assert not found.mask[[0, 4, 5]].any()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"origin_mm": (-210.3, 35.5, 1008.75)}, id="half a slice away"),
        pytest.param({"origin_mm": (-210.3, 34.75, 1007.25)}, id="half a row away"),
        pytest.param({"origin_mm": (-210.3, 35.5, 1010.25)}, id="a slice sticks out"),
        pytest.param({"spacing_mm": (3.0, 1.5, 0.71)}, id="wider columns"),
        pytest.param({"spacing_mm": (2.9, 1.5, 0.7)}, id="closer slices"),
        pytest.param({"axes": AXES["sagittal"]}, id="another orientation"),
        pytest.param({"shape": (6, 7, 10)}, id="fewer columns"),
    ],
)
def test_a_segmentation_of_another_grid_is_refused(written, changed):
    image = image_on(grid_of())
    path = written(structures_on(image.volume.grid), image)

    with pytest.raises(GeometryError, match="does not lie on the voxels"):
        segmentation.read(path, image_on(replace(grid_of(), **changed)))


def test_a_segmentation_of_another_frame_of_reference_is_refused(written):
    image = image_on(grid_of())
    path = written(structures_on(image.volume.grid), image)

    with pytest.raises(GeometryError, match=r"2\.25\.3.*2\.25\.99"):
        segmentation.read(path, image_on(grid_of(), frame_of_reference_uid="2.25.99"))


def test_what_is_no_segmentation_is_refused(written):
    image = image_on(grid_of())
    content = written(structures_on(image.volume.grid), image).read_bytes()

    with pytest.raises(FileError, match="cannot be read as DICOM"):
        segmentation.read(b"no DICOM" * 40, image)
    with pytest.raises(FileError):
        segmentation.read(content[:-40], image)


def test_structures_of_another_grid_are_not_written(written):
    with pytest.raises(GeometryError, match="another grid"):
        written(structures_on(grid_of("oblique")), image_on(grid_of()))


def test_a_segmentation_says_which_image_it_refers_to(written):
    image = image_on(grid_of())

    assert attachment.refers_to(written(structures_on(image.volume.grid), image)) == (
        "2.25.3",
        ("2.25.2",),
    )
