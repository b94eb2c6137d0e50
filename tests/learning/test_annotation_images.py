"""Images and masks lie where their files say, and numbers of masks are read as they were drawn."""

import io

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aegle.domain.errors import FileError, GeometryError
from aegle.domain.grid import Grid
from aegle.learning.annotation_images import mask_numbers, placed, require_on
from aegle.learning.image_decoding import volume_grid, volume_with_grid


def itk_bytes(folder, image, name="made.nii.gz"):
    path = folder / name
    sitk.WriteImage(image, str(path))
    return path.read_bytes()


def png(pixels, **how):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, how.pop("format", "PNG"), **how)
    return file.getvalue()


def oblique(array, angles=(0.0, 0.0, 0.0), spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    image = sitk.GetImageFromArray(array)
    turn = sitk.Euler3DTransform((0, 0, 0), *angles)
    image.SetDirection(turn.GetMatrix())
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


@settings(max_examples=12, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    axes=st.sampled_from(["LPS", "RAS", "ASL", "SPR", "PIR"]),
    name=st.sampled_from(["a.nii.gz", "a.mha", "a.nrrd"]),
)
def test_a_voxel_lies_where_itk_puts_it(tmp_path_factory, angles, axes, name):
    array = np.zeros((3, 4, 5), np.int16)
    array[2, 1, 3] = 7
    image = oblique(array, angles, (0.5, 2.0, 3.0), (10.0, -20.0, 30.0))
    image = sitk.DICOMOrient(image, axes)
    content = itk_bytes(tmp_path_factory.mktemp("itk"), image, name)
    marked = np.argwhere(sitk.GetArrayFromImage(image) == 7)[0][::-1]

    values, grid = volume_with_grid(name, content)

    found = grid.to_patient(np.argwhere(values[0] == 7)[0].astype(float))
    expected = image.TransformIndexToPhysicalPoint(marked.tolist())
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert volume_grid(name, content).is_same_as(grid, tolerance_mm=1e-3)


def test_a_volume_is_turned_so_that_slices_run_to_the_head(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = sitk.DICOMOrient(oblique(array, spacing=(1.0, 2.0, 3.0)), "ASR")

    found = placed(["a.nii"], lambda _: itk_bytes(tmp_path, image, "a.nii"), {})

    np.testing.assert_array_equal(found.values, array[None])
    assert found.grid.spacing_mm == (3.0, 2.0, 1.0)
    assert not found.is_picture


def test_pictures_are_one_slice_thick_and_colours_are_channels():
    colours = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    files = {"grey.png": png(colours[..., 0]), "colour.png": png(colours)}

    grey = placed(["grey.png"], files.__getitem__, {})
    colour = placed(["colour.png"], files.__getitem__, {})

    np.testing.assert_array_equal(grey.values, colours[None, None, ..., 0])
    np.testing.assert_array_equal(colour.values[:, 0], np.moveaxis(colours, -1, 0))
    assert grey.is_picture
    assert colour.grid == Grid(shape=(1, 4, 5), spacing_mm=(1.0, 1.0, 1.0))


def test_channels_of_one_image_must_share_its_grid(tmp_path):
    array = np.zeros((2, 3, 4), np.int16)
    files = {
        "a_0000.nii": itk_bytes(tmp_path, oblique(array), "a_0000.nii"),
        "a_0001.nii": itk_bytes(tmp_path, oblique(array, origin=(0, 0, 1.0)), "a_0001.nii"),
    }

    with pytest.raises(GeometryError, match=r"'a_0001\.nii' lies on another grid"):
        placed(list(files), files.__getitem__, {})


def test_a_file_with_a_fourth_axis_is_refused_unless_its_channels_are_expected(tmp_path):
    array = np.arange(48, dtype=np.int16).reshape(2, 2, 3, 4)
    content = itk_bytes(tmp_path, sitk.GetImageFromArray(array, isVector=False))

    with pytest.raises(FileError, match=r"size \(4, 3, 2, 2\).*one scalar volume"):
        placed(["made.nii.gz"], lambda _: content, {})
    found = placed(["made.nii.gz"], lambda _: content, {}, channels_per_file=2)

    np.testing.assert_array_equal(found.values, array)


BINARY = np.array([[0, 1, 1], [0, 0, 1]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.png", png((BINARY * 255).astype(np.uint8)), id="black and white"),
        pytest.param("a.png", png(BINARY.astype(np.uint8)), id="0 and 1"),
        pytest.param("a.png", png(BINARY.astype(bool)), id="one bit"),
        pytest.param("a.png", png((BINARY * 65535).astype(np.uint16)), id="16 bit white"),
        pytest.param("a.bmp", png(BINARY.astype(np.uint8) * 255, format="BMP"), id="bitmap"),
        pytest.param(
            "a.png", png(np.repeat(BINARY[..., None] * 255, 3, -1).astype(np.uint8)), id="grey RGB"
        ),
    ],
)
def test_masks_of_two_values_count_0_and_1(name, content):
    numbers, grid = mask_numbers(name, content)

    np.testing.assert_array_equal(numbers[0], BINARY)
    assert grid.shape == (1, 2, 3)


def test_a_mask_compressed_with_loss_is_cut_at_half():
    square = np.zeros((16, 16), np.uint8)
    square[4:12, 4:12] = 255

    numbers, _ = mask_numbers("a.jpg", png(square, format="JPEG", quality=60))

    np.testing.assert_array_equal(numbers[0], square == 255)


def test_numbers_of_classes_and_of_palette_entries_stay():
    classes = np.array([[0, 3, 7]], np.uint8)
    palette = Image.new("P", (3, 1))
    palette.putpalette([0, 0, 0] + [9, 80, 200] * 255)
    palette.putdata(classes.ravel().tolist())
    file = io.BytesIO()
    palette.save(file, "PNG")

    assert mask_numbers("a.png", png(classes))[0].tolist() == [[[0, 3, 7]]]
    assert mask_numbers("a.png", file.getvalue())[0].tolist() == [[[0, 3, 7]]]
    wide = np.array([[0, 300, 65534]], np.uint16)
    assert mask_numbers("a.png", png(wide))[0].tolist() == [[[0, 300, 65534]]]


def test_masks_in_colours_or_fractions_are_refused(tmp_path):
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    shares = itk_bytes(tmp_path, sitk.GetImageFromArray(np.full((2, 2, 2), 0.5, np.float32)))

    with pytest.raises(FileError, match="mask in colours"):
        mask_numbers("a.png", png(colours))
    with pytest.raises(FileError, match="no whole numbers"):
        mask_numbers("a.nii.gz", shares)


IMAGE = Grid(shape=(4, 5, 6), spacing_mm=(2.0, 1.0, 1.0), origin_mm=(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param({"shape": (4, 5, 7)}, id="shape"),
        pytest.param({"spacing_mm": (2.1, 1.0, 1.0)}, id="spacing"),
        pytest.param({"origin_mm": (1.0, 2.0, 3.2)}, id="origin"),
        pytest.param(
            {"axes": ((0.0, 0.0, 1.0), (0.0998334, 0.9950042, 0.0), (0.9950042, -0.0998334, 0.0))},
            id="turned by 0.1",
        ),
        pytest.param({"axes": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))}, id="mirrored"),
    ],
)
def test_a_mask_elsewhere_is_refused(mask):
    facts = {"shape": (4, 5, 6), "spacing_mm": (2.0, 1.0, 1.0), "origin_mm": (1.0, 2.0, 3.0)}

    with pytest.raises(GeometryError, match=r"'m\.nii' lies on another grid.*resample the mask"):
        require_on("m.nii", Grid(**(facts | mask)), IMAGE)


def test_rounded_headers_are_no_other_grid():
    rounded = Grid(shape=(4, 5, 6), spacing_mm=(2.0001, 1.0, 0.9999), origin_mm=(1.0004, 2.0, 3.0))

    require_on("m.nii", rounded, IMAGE)
