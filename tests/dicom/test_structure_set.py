import subprocess
from datetime import datetime
from io import BytesIO
from zipfile import ZipFile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.path import Path as Outline

from aegle.dicom import attachment, structure_set
from aegle.dicom.contours import outlines, rasterise
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError
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


def image_on(grid):
    slices = grid.shape[0]
    series = SeriesReference(
        study_uid="2.25.1",
        series_uid="2.25.2",
        frame_of_reference_uid="2.25.3",
        modality="CT",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=tuple(f"2.25.4{i}" for i in range(slices)),
        study_date=datetime(2024, 2, 29),
    )
    values = np.zeros(grid.shape, np.float32)
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=series)


def grid_of(orientation, shape):
    return Grid(
        shape=shape,
        spacing_mm=(3.0, 1.5, 0.7),
        origin_mm=(-210.3, 35.5, 1007.25),
        axes=AXES[orientation],
    )


def asymmetric_mask(shape=(5, 24, 31)):
    """A body with holes, an island in a hole, a thin sheet, a diagonal and single voxels."""
    mask = np.zeros(shape, bool)
    mask[1:4, 3:18, 4:25] = True
    mask[2, 6:12, 7:14] = False
    mask[2, 8:10, 9:12] = True
    mask[1:3, 6, 18:22] = False
    mask[2, 14, 20] = mask[2, 6, 16] = False
    mask[3, :, 28] = True
    mask[0, 23, 0] = mask[4, 0, 30] = True
    mask[4, range(10), range(5, 15)] = True
    return mask


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.fixture
def written(tmp_path):
    def write(structures, image):
        return structure_set.write(structures, image, PATIENT, tmp_path / "rs.dcm", now=NOW)

    return write


@pytest.mark.parametrize("orientation", AXES)
def test_a_mask_comes_back_exactly(written, orientation):
    mask = asymmetric_mask()
    image = image_on(grid_of(orientation, mask.shape))
    given_set = StructureSet(
        (
            Structure.of("GTV", mask, image.volume.grid, type=StructureType.LESION),
            Structure.of("odd name", ~mask, image.volume.grid, type=StructureType.AVOIDANCE),
        )
    )

    found = structure_set.interpret(written(given_set, image), image)

    assert found.notices == ()
    assert [s.name for s in found.structures] == ["GTV", "odd name"]
    assert [s.type.value for s in found.structures] == ["GTV", "AVOIDANCE"]
    assert np.array_equal(found.structures["GTV"].mask, mask)
    assert np.array_equal(found.structures["odd name"].mask, ~mask)


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.booleans())
def test_any_mask_lies_inside_its_outlines_for_readers_that_unite_or_exclude(mask, is_hole):
    mask = np.pad(~mask, 2, constant_values=True) if is_hole else mask
    polygons = list(outlines(mask))
    shape = (1, *mask.shape)

    together = rasterise(polygons, [0] * len(polygons), shape)[0]
    united = np.zeros(mask.shape, bool)
    for polygon in polygons:
        united |= rasterise([polygon], [0], shape)[0]

    assert np.array_equal(together, mask)
    assert np.array_equal(united, mask)


def test_the_channel_to_a_hole_has_no_width():
    mask = np.ones((7, 9), bool)
    mask[3, 5] = mask[4, 2] = False

    (polygon,) = outlines(mask)
    (y, x), (y1, x1) = polygon.T, np.roll(polygon, -1, axis=0).T
    level = np.abs(x1 - x) > 1

    # Four corners cut by half a half-voxel square each, two holes of half a voxel each.
    assert abs(np.sum(x * y1 - x1 * y)) / 2 == 7 * 9 - 4 / 8 - 2 / 2
    # Along a row the channels keep half a voxel away from the centres.
    assert np.all(y[level] % 1 == 0.5)
    assert np.array_equal(y[level], y1[level])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "oblique"])
def test_another_rasteriser_finds_the_voxel_centres_in_the_written_contours(written, orientation):
    mask = asymmetric_mask()
    image = image_on(grid_of(orientation, mask.shape))
    grid = image.volume.grid
    path = written(StructureSet((Structure.of("GTV", mask, grid),)), image)
    centres = np.stack(np.meshgrid(*map(np.arange, mask.shape[1:]), indexing="ij"), -1)
    united = np.zeros(mask.shape, bool)

    for contour in pydicom.dcmread(path).ROIContourSequence[0].ContourSequence:
        points = grid.to_indices(np.array(contour.ContourData, float).reshape(-1, 3))
        assert np.ptp(points[:, 0]) < 1e-3
        at = round(points[0, 0])
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert uid == image.series.sop_instance_uids[at]
        assert contour.NumberOfContourPoints == len(points)
        inside = Outline(points[:, 1:]).contains_points(centres.reshape(-1, 2))
        united[at] |= inside.reshape(mask.shape[1:])

    assert dice(united, mask) >= 0.995


def test_a_single_voxel_is_a_diamond_around_its_centre(written):
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 3] = True
    image = image_on(grid_of("axial", mask.shape))
    path = written(StructureSet((Structure.of("dot", mask, image.volume.grid),)), image)

    (contour,) = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence
    points = np.array(contour.ContourData, float).reshape(-1, 3)

    centre = (-210.3 + 3 * 0.7, 35.5 + 2 * 1.5, 1007.25 + 3.0)
    np.testing.assert_allclose(points.mean(axis=0), centre, atol=1e-4)
    np.testing.assert_allclose(np.ptp(points, axis=0), (0.7, 1.5, 0), atol=1e-4)


def polygon_file(*contours, frame="2.25.3", kind="CLOSED_PLANAR", interpreted=""):
    """Write a structure set by hand: one region, contours of LPS points [mm]."""
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID = "2.25.9"
    roi = pydicom.Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 7, "gtv_1", frame
    dataset.StructureSetROISequence = [roi]
    drawn = pydicom.Dataset()
    drawn.ReferencedROINumber, drawn.ContourSequence = 7, []
    for points in contours:
        contour = pydicom.Dataset()
        contour.ContourGeometricType = kind
        contour.ContourData = [f"{v:.5f}" for v in np.ravel(points)]
        drawn.ContourSequence.append(contour)
    dataset.ROIContourSequence = [drawn]
    observation = pydicom.Dataset()
    observation.ReferencedROINumber, observation.RTROIInterpretedType = 7, interpreted
    dataset.RTROIObservationsSequence = [observation]
    buffer = BytesIO()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def rectangle(x, y, z):
    return [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]


UNIT = image_on(Grid(shape=(4, 10, 12), spacing_mm=(2.0, 1.0, 1.0)))


def test_a_rectangle_holds_the_voxels_whose_centres_it_encloses():
    content = polygon_file(rectangle((2.6, 7.4), (0.9, 4.1), 2.0))

    found = structure_set.read(content, UNIT)["gtv_1"]

    expected = np.zeros((4, 10, 12), bool)
    expected[1, 1:5, 3:8] = True
    assert np.array_equal(found.mask, expected)
    assert found.type is StructureType.LESION
    assert found.origin == "RTSTRUCT"


def test_a_contour_inside_another_cuts_a_hole_and_a_doubled_contour_does_not():
    outer, inner = rectangle((0.5, 8.5), (0.5, 8.5), 0), rectangle((2.5, 5.5), (2.5, 4.5), 0)

    found = structure_set.read(polygon_file(outer, inner, outer), UNIT)["gtv_1"]

    assert found.box.sum() == 8 * 8 - 3 * 2


def test_the_type_that_a_file_states_is_believed_before_the_name():
    content = polygon_file(rectangle((2, 5), (2, 5), 0), interpreted="CTV")

    assert structure_set.read(content, UNIT)["gtv_1"].type is StructureType.TARGET


@pytest.mark.parametrize(
    ("height_mm", "slice_index"),
    [(0.9, 0), (1.1, 1), (-0.9, 0), (6.9, 3), (-1.1, None), (7.1, None)],
)
def test_a_contour_between_slices_belongs_to_the_nearest_within_half_a_distance(
    height_mm, slice_index
):
    good, off = rectangle((6, 9), (6, 9), 4), rectangle((0.5, 3.5), (0.5, 3.5), height_mm)

    found = structure_set.interpret(polygon_file(good, off), UNIT)
    mask = found.structures["gtv_1"].mask

    if slice_index is None:
        assert not mask[[0, 1, 3]].any()
        assert "1 contours do not lie in a slice" in str(found.notices[0])
    else:
        assert mask[slice_index, 1:4, 1:4].all()
        assert found.notices == ()


def test_of_two_heights_in_one_slice_the_nearer_counts():
    near, far = rectangle((0.5, 3.5), (0.5, 3.5), 2.1), rectangle((0.5, 8.5), (0.5, 8.5), 1.4)

    for contours in ((near, far), (far, near)):
        found = structure_set.interpret(polygon_file(*contours), UNIT)
        assert found.structures["gtv_1"].box.sum() == 9
        assert "1 contours are not closed, or lie between slices" in str(found.notices[0])


def test_a_contour_across_the_slices_is_refused():
    upright = [(1, 1, 0), (5, 1, 0), (5, 1, 6), (1, 1, 6)]

    with pytest.raises(GeometryError, match="No contour"):
        structure_set.read(polygon_file(upright), UNIT)


def test_a_structure_set_of_another_frame_of_reference_is_refused():
    content = polygon_file(rectangle((2, 5), (2, 5), 0), frame="2.25.99")

    with pytest.raises(GeometryError, match=r"2\.25\.99.*2\.25\.3"):
        structure_set.read(content, UNIT)


def test_open_contours_are_left_out_and_said():
    content = polygon_file(rectangle((2, 5), (2, 5), 0), kind="OPEN_PLANAR")

    with pytest.raises(GeometryError, match="No contour"):
        structure_set.read(content, UNIT)


@pytest.mark.parametrize(
    ("x", "y", "speaks"),
    [
        # 12 columns and 10 rows of 1 mm: centres from 0 to 11 and to 9 mm.
        ((2, 12), (2, 10), False),
        ((2, 12.1), (2, 5), True),
        ((-1.1, 5), (2, 5), True),
        ((2, 5), (2, 10.1), True),
        ((2, 5), (-1, 5), False),
    ],
)
def test_contours_beyond_the_edge_of_the_image_are_cut_off_and_said(x, y, speaks):
    found = structure_set.interpret(polygon_file(rectangle(x, y, 0)), UNIT)

    assert len(found.structures) == 1
    assert [str(n) for n in found.notices] == speaks * [
        "Structure 'gtv_1': 1 contours reach beyond the edge of the image and were cut off there."
    ]


def test_contours_that_enclose_no_voxel_are_said():
    found = structure_set.interpret(polygon_file(rectangle((2.2, 2.8), (2, 5), 0)), UNIT)

    assert len(found.structures) == 0
    assert [str(n) for n in found.notices] == ["Structure 'gtv_1' encloses no voxel of the image."]


@pytest.mark.parametrize("content", [b"", b"no DICOM" * 40, b"\0" * 128 + b"DICM"])
def test_what_is_no_structure_set_is_refused(content):
    with pytest.raises(FileError, match="structure set"):
        structure_set.read(content, UNIT)


def test_structures_of_another_grid_are_not_written(written):
    other = Grid(shape=(4, 10, 12), spacing_mm=(2.0, 1.0, 1.1))

    with pytest.raises(GeometryError, match="another grid"):
        written(StructureSet((Structure.of("a", np.ones(other.shape), other),)), UNIT)


def test_the_validator_finds_no_error(written, require_program):
    program = require_program("dciodvfy", "dicom3tools")
    mask = asymmetric_mask()
    image = image_on(grid_of("oblique", mask.shape))
    grid = image.volume.grid
    structures = (
        Structure.of("lung_left", mask, grid),
        Structure.of("CTV", mask, grid, type=StructureType.TARGET),
        Structure.of("nothing", np.zeros_like(mask), grid, origin="SEG"),
    )

    path = written(StructureSet(structures), image)
    found = subprocess.run([program, path], capture_output=True, text=True, check=False)

    assert "RTStructureSet" in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_a_structure_set_says_which_image_it_refers_to(written):
    path = written(StructureSet((Structure.of("a", np.ones((4, 10, 12)), UNIT.volume.grid),)), UNIT)

    assert attachment.refers_to(path) == ("2.25.3", ("2.25.2",))
    assert attachment.refers_to(path.read_bytes()) == ("2.25.3", ("2.25.2",))


def members(archive, folder):
    with ZipFile(archive) as found:
        names = [n for n in found.namelist() if n.startswith(folder) and not n.endswith("/")]
        return [found.read(n) for n in names]


def real_image(contents):
    slices = [pydicom.dcmread(BytesIO(c), stop_before_pixels=True) for c in contents]
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    first, last = slices[0], slices[-1]
    gap_mm = (last.ImagePositionPatient[2] - first.ImagePositionPatient[2]) / (len(slices) - 1)
    grid = Grid(
        shape=(len(slices), first.Rows, first.Columns),
        spacing_mm=(float(gap_mm), *map(float, first.PixelSpacing)),
        origin_mm=tuple(map(float, first.ImagePositionPatient)),
    )
    series = SeriesReference(
        study_uid=first.StudyInstanceUID,
        series_uid=first.SeriesInstanceUID,
        frame_of_reference_uid=first.FrameOfReferenceUID,
        modality=first.Modality,
        sop_class_uid=first.SOPClassUID,
        sop_instance_uids=tuple(d.SOPInstanceUID for d in slices),
    )
    volume = Volume(
        values=np.zeros(grid.shape, np.float32), grid=grid, quantity=Quantity.RADIODENSITY
    )
    return Image(name="real", volume=volume, series=series)


REAL = [
    (
        "ibsi1_ct_with_rtstruct.zip",
        "",
        "ibsi_reference/ibsi_1_ct_radiomics_phantom/nifti/mask/mask",
    ),
    ("sts_025_ct_pet_mr_rtstruct.zip", "STS_025/CT/", "sts_ct_pet_mr/STS_025/CT_mask"),
    ("sts_025_ct_pet_mr_rtstruct.zip", "STS_025/PET/", "sts_ct_pet_mr/STS_025/PET_mask"),
    ("sts_025_ct_pet_mr_rtstruct.zip", "STS_025/MR_T1/", "sts_ct_pet_mr/STS_025/MR_T1_mask"),
]


@pytest.mark.parametrize(("archive", "folder", "mask"), REAL)
def test_contours_of_other_systems_give_the_published_mask(shared_data, archive, folder, mask):
    archive = shared_data("dicom_series", archive)
    reference = sitk.ReadImage(str(shared_data(*f"{mask}.nii.gz".split("/"))))
    image = real_image(members(archive, f"{folder}image/"))
    (content,) = members(archive, f"{folder}mask/")

    (found,) = structure_set.read(content, image)

    assert attachment.refers_to(content) == (
        image.series.frame_of_reference_uid,
        (image.series.series_uid,),
    )
    assert found.type is StructureType.LESION
    np.testing.assert_allclose(reference.GetOrigin(), image.volume.grid.origin_mm, atol=1e-3)
    assert np.array_equal(found.mask, sitk.GetArrayFromImage(reference) > 0)
