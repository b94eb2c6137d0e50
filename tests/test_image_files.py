"""NIfTI, NRRD and MetaImage lie in LPS space; pictures keep their values."""

import gzip
import json
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from aegle import image_files
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.volume import PlanarImage, Quantity, Volume


def nifti(values, affine, *, kind=512, code=2):
    """A NIfTI-1 file after the standard: ``affine`` maps (i, j, k) to RAS; values[k, j, i]."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    depth = values.shape[::-1]
    struct.pack_into("<8h", header, 40, len(depth), *depth, *[1] * (7 - len(depth)))
    struct.pack_into("<2h", header, 70, kind, 8 * values.dtype.itemsize)
    columns = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    struct.pack_into("<8f", header, 76, 1, *columns, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[123] = 2  # millimetres
    struct.pack_into("<h", header, 254, code)
    struct.pack_into("<12f", header, 280, *np.asarray(affine, float)[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(values.dtype.newbyteorder("<")).tobytes()


@pytest.fixture
def save(tmp_path):
    def write(values, name="image.nii.gz", *, spacing=(1, 1, 1), origin=(0, 0, 0), direction=None):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        if direction is not None:
            image.SetDirection(direction)
        sitk.WriteImage(image, str(tmp_path / name))
        return tmp_path / name

    return write


RAMP = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def test_a_nifti_in_ras_is_turned_to_lps(tmp_path):
    # i goes to the right at 2 mm, j to the front at 3 mm, k up at 4 mm, from RAS (10, 20, 30).
    affine = [[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]]
    path = tmp_path / "ras.nii"
    path.write_bytes(nifti(RAMP.astype(np.uint16), affine))

    volume = image_files.read(path)

    np.testing.assert_array_equal(volume.values, RAMP)
    positions = volume.grid.to_patient(np.vstack([np.zeros(3), np.eye(3)]))
    # LPS: x and y change sign.
    np.testing.assert_allclose(
        positions, [[-10, -20, 30], [-10, -20, 34], [-10, -23, 30], [-12, -20, 30]]
    )


def test_a_turned_nifti_keeps_every_voxel_in_its_place(tmp_path):
    # i up, j to the left, k to the front.
    affine = [[0, -3, 0, 5], [0, 0, 4, 6], [2, 0, 0, 7], [0, 0, 0, 1]]
    path = tmp_path / "turned.nii.gz"
    path.write_bytes(gzip.compress(nifti(RAMP.astype(np.uint16), affine)))

    volume = image_files.read(path)

    for k, j, i in np.ndindex(RAMP.shape):
        x, y, z, _ = np.array(affine) @ [i, j, k, 1]
        np.testing.assert_allclose(
            volume.grid.to_patient(np.array([k, j, i])), [-x, -y, z], atol=1e-5
        )
        assert volume.values[k, j, i] == RAMP[k, j, i]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_volume_format_gives_the_same(save, ending):
    direction = (0, 0, 1, 1, 0, 0, 0, 1, 0)
    path = save(RAMP, f"image{ending}", spacing=(0.5, 2, 3), origin=(1, -2, 3), direction=direction)

    volume = image_files.read(path)

    assert isinstance(volume, Volume)
    np.testing.assert_array_equal(volume.values, RAMP)
    assert volume.quantity is Quantity.SIGNAL
    np.testing.assert_allclose(volume.grid.origin_mm, (1, -2, 3))
    np.testing.assert_allclose(volume.grid.spacing_mm, (3, 2, 0.5))
    # Columns of the direction are the axes of i, j and k.
    np.testing.assert_allclose(volume.grid.axes, ((1, 0, 0), (0, 0, 1), (0, 1, 0)), atol=1e-6)


def test_the_caller_says_what_values_mean(save):
    assert image_files.read(save(RAMP), quantity=Quantity.RADIODENSITY).quantity.value == "HU"


def test_slopes_of_nifti_are_applied(tmp_path):
    content = bytearray(nifti(RAMP.astype(np.uint16), np.eye(4)))
    struct.pack_into("<2f", content, 112, 0.5, -10)
    path = tmp_path / "scaled.nii"
    path.write_bytes(content)

    np.testing.assert_allclose(image_files.read(path).values, RAMP * 0.5 - 10)


def test_sheared_axes_are_refused(tmp_path):
    path = tmp_path / "sheared.nii"
    affine = [[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    path.write_bytes(nifti(RAMP.astype(np.uint16), affine))

    with pytest.raises(GeometryError, match=r"sheared\.nii"):
        image_files.read(path)


@pytest.mark.parametrize("shape", [(5, 2, 3, 4), (3, 4)])
def test_other_than_three_dimensions_are_refused(save, shape):
    image = sitk.Image([*shape[::-1]], sitk.sitkInt16)
    path = save(RAMP).with_name("other.nii")
    sitk.WriteImage(image, str(path))

    with pytest.raises(GeometryError, match=f"has {len(shape)} dimensions"):
        image_files.read(path)


def test_several_values_for_each_voxel_are_refused(save, tmp_path):
    sitk.WriteImage(sitk.Image([2, 2, 2], sitk.sitkVectorFloat32, 3), str(tmp_path / "v.nrrd"))

    with pytest.raises(GeometryError, match="3 values"):
        image_files.read(tmp_path / "v.nrrd")


@pytest.mark.parametrize("name", ["cut.nii.gz", "cut.nii", "cut.nrrd", "cut.mha", "cut.png"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of this kind" * 3)

    with pytest.raises(FileError, match=rf"{name}.*Check that it is complete"):
        image_files.read(tmp_path / name)


def test_a_tiny_file_that_declares_a_huge_image_is_refused(tmp_path):
    content = bytearray(nifti(RAMP.astype(np.uint16), np.eye(4)))
    struct.pack_into("<8h", content, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path = tmp_path / "huge.nii"
    path.write_bytes(content)

    with pytest.raises(FileError, match="declares"):
        image_files.read(path)


def test_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(FileError, match="not supported"):
        image_files.read(tmp_path / "image.xyz")


class TestPictures:
    @pytest.mark.parametrize("name", ["p.png", "p.tif"])
    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    def test_grey(self, tmp_path, name, kind):
        values = np.array([[0, 1, 200], [7, 8, 255]], kind) * (257 if kind is np.uint16 else 1)
        Image.fromarray(values.astype(kind)).save(tmp_path / name)

        picture = image_files.read(tmp_path / name)

        assert isinstance(picture, PlanarImage)
        np.testing.assert_array_equal(picture.values, [values])

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
    def test_colours_become_red_green_blue(self, tmp_path, mode):
        colours = Image.new("RGB", (4, 2), (255, 0, 128)).convert(mode)
        ending = "tif" if mode == "CMYK" else "png"
        colours.save(tmp_path / f"c.{ending}")

        values = image_files.read(tmp_path / f"c.{ending}").values

        assert values.shape == (1, 2, 4, 3)
        np.testing.assert_allclose(values[0, 0, 0], [255, 0, 128], atol=30 if mode == "P" else 1)

    def test_pages_are_frames(self, tmp_path):
        pages = [Image.fromarray(np.full((2, 3), v, np.uint8)) for v in (1, 2, 3)]
        pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])

        assert image_files.read(tmp_path / "pages.tif").values[:, 0, 0].tolist() == [1, 2, 3]

    def test_pages_of_different_sizes_are_refused(self, tmp_path):
        pages = [Image.fromarray(np.zeros((2, n), np.uint8)) for n in (3, 4)]
        pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])

        with pytest.raises(FileError, match="pages differ"):
            image_files.read(tmp_path / "pages.tif")


class TestLabels:
    def test_every_number_becomes_a_structure(self, save):
        labels = np.zeros((3, 4, 5), np.int16)
        labels[0, 1, 2:4], labels[2, 3, 1], labels[1] = 1, 300, 256

        found = image_files.read_labels(save(labels), names={1: "liver", 300: "Lesion left"})

        assert [s.name for s in found] == ["liver", "label_256", "Lesion left"]
        for structure, number in zip(found, (1, 256, 300), strict=True):
            np.testing.assert_array_equal(structure.mask, labels == number)
        assert found["Lesion left"].type is StructureType.LESION
        assert found["liver"].type is StructureType.ORGAN
        assert found["liver"].origin == "labelmap"

    @pytest.mark.parametrize("name", ["labels.json", "seg.nii.gz.labels.json"])
    def test_names_may_lie_beside_the_file(self, save, name):
        path = save(np.array([[[0, 1, 2]]], np.uint8), "seg.nii.gz")
        path.with_name(name).write_text(json.dumps({"labels": {"1": "Spinal-Cord"}}))

        assert [s.name for s in image_files.read_labels(path)] == ["Spinal-Cord", "label_2"]

    def test_names_that_cannot_be_read_are_refused(self, save):
        path = save(np.array([[[0, 1, 2]]], np.uint8), "seg.nii.gz")
        path.with_name("labels.json").write_text('{"labels": ["liver"]}')

        with pytest.raises(FileError, match=r"labels\.json"):
            image_files.read_labels(path)

    def test_whole_numbers_in_floats_are_labels(self, save):
        path = save(np.array([[[0.0, 2.0, 300.0]]], np.float32))

        assert [s.name for s in image_files.read_labels(path)] == ["label_2", "label_300"]

    @pytest.mark.parametrize(
        ("values", "finding"),
        [
            (np.array([[[0.0, 0.5]]], np.float32), "fractions"),
            (np.array([[[0.0, np.nan]]], np.float32), "fractions"),
            (np.array([[[0.0, np.inf]]], np.float32), "fractions"),
            (np.array([[[0, -1]]], np.int16), "negative value -1"),
            (np.arange(3000, dtype=np.int16).reshape(1, 30, 100), "2999 different values"),
        ],
    )
    def test_other_values_are_refused(self, save, values, finding):
        with pytest.raises(InputError, match=finding):
            image_files.read_labels(save(values, "image.nrrd"))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("labels.nii.gz", True),
            ("ct_seg.nrrd", True),
            ("MASK.mha", True),
            ("lung-masks.nii", True),
            ("case1.label.nii.gz", True),
            ("t2_labelmap.nrrd", True),
            ("ct.nii.gz", False),
            ("unmasked.nii", False),
            ("segovia.nii", False),
            ("mask.png", False),
        ],
    )
    def test_a_word_of_the_name_decides_what_is_taken_for_labels(self, tmp_path, name, expected):
        assert image_files.is_labels(tmp_path / name) is expected

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (np.arange(64), True),
            (np.arange(65), False),
            (np.arange(64) / 2, False),
            (np.arange(64) - 1, False),
        ],
        ids=["64 values", "65 values", "fractions", "negative"],
    )
    @pytest.mark.parametrize(
        "name", ["brainmask.nii", "lesion_change_gt.nii.gz", "GTV1.nrrd", "roi.mha", "Tumours.nii"]
    )
    def test_a_hint_in_the_name_counts_with_few_whole_values(self, save, name, values, expected):
        path = save(values.astype(np.float32).reshape(1, 1, -1), name)

        assert image_files.is_labels(path) is expected

    @pytest.mark.parametrize("name", ["weights.nii", "ct.nii.gz", "mastoid.nii", "tumourless.nii"])
    def test_other_names_are_images_whatever_they_hold(self, save, name):
        assert not image_files.is_labels(save(np.eye(3, dtype=np.uint8)[None], name))

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("GTV_Mass", "LESION"), ("lesion_change_gt", "LESION"), ("brainmask", "ORGAN")],
    )
    def test_a_single_label_is_called_as_its_file(self, save, name, kind):
        (structure,) = image_files.read_labels(
            save(np.eye(3, dtype=np.uint8)[None], f"{name}.nii.gz")
        )

        assert (structure.name, structure.type.name) == (name, kind)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"])
def test_values_that_are_no_numbers_are_refused(save, name, kind, value):
    values = RAMP.astype(kind)
    values[1, 2, 3] = value

    with pytest.raises(FileError, match=rf"{name}: 1 of its values"):
        image_files.read(save(values, name))


def test_labels_that_are_no_numbers_are_refused(tmp_path):
    values = np.ones((2, 3, 4), np.float32)
    values[0, 0, 1] = np.nan
    (tmp_path / "mask.nii").write_bytes(nifti(values, np.eye(4), kind=16))

    with pytest.raises(FileError, match="1 of its values"):
        image_files.read_labels(tmp_path / "mask.nii")


def test_the_given_ct_with_labels_is_read(shared_data):
    folder = shared_data("lung1_001_ct")
    volumes = sorted(p for p in folder.iterdir() if p.name.endswith(image_files.VOLUME_ENDINGS))
    assert volumes
    for path in volumes:
        peer = sitk.ReadImage(str(path))
        volume = image_files.read(path)
        np.testing.assert_array_equal(volume.values, sitk.GetArrayFromImage(peer))
        last = [n - 1 for n in peer.GetSize()]
        np.testing.assert_allclose(
            volume.grid.to_patient(np.array(last[::-1], float)),
            peer.TransformIndexToPhysicalPoint(last),
            atol=1e-3,
        )
