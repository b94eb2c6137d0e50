"""The bytes of a file become the pixels that were stored."""

import io

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from aegle.domain.errors import FileError
from aegle.learning.image_decoding import decode, ending, is_image, volume

RAMP = np.arange(24).reshape(4, 6)


def saved(picture, kind="PNG", **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def test_a_16_bit_picture_keeps_its_values():
    stored = (RAMP * 2500).astype(np.uint16)

    pixels = decode("a.png", saved(Image.fromarray(stored)), {})

    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, stored)


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("1", (4, 6)), ("L", (4, 6)), ("LA", (4, 6)), ("RGB", (4, 6, 3)), ("RGBA", (4, 6, 3))],
)
def test_pictures_are_grey_or_have_three_colours(mode, shape):
    picture = Image.fromarray((RAMP * 10).astype(np.uint8)).convert(mode)

    pixels = decode("a.png", saved(picture), {})

    assert pixels.shape == shape
    assert pixels.dtype == np.uint8


def test_pages_of_a_tiff_are_slices():
    pages = [Image.fromarray(np.full((4, 6), value, np.uint8)) for value in (1, 2, 3)]

    pixels = decode("a.TIFF", saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), {})

    assert pixels.shape == (3, 4, 6)
    assert pixels[:, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_volumes_come_in_patient_order_with_their_spacing(tmp_path, name):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.5, 2.0, 5.0))
    # Stored from left to right and head to feet; LPS runs the other way.
    image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, -1))
    sitk.WriteImage(image, str(tmp_path / name))

    pixels, spacing_mm = volume(name, (tmp_path / name).read_bytes())

    np.testing.assert_array_equal(pixels, values[::-1, :, ::-1])
    assert spacing_mm == pytest.approx((5.0, 2.0, 0.5))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("a.png", b"\x89PNG\r\n\x1a\n", "read as a picture", id="cut picture"),
        pytest.param("a.png", b"no png", "first bytes .* no known format", id="no picture"),
        pytest.param("a.nrrd", b"NRRD0004\n", "read as a volume", id="cut volume"),
        pytest.param("a.txt", b"", "ending in '.txt'", id="unknown kind"),
    ],
)
def test_damaged_and_unknown_files_are_errors(name, content, words):
    with pytest.raises(FileError, match=words):
        decode(name, content, {})


def test_a_cut_jpeg_is_an_error_not_a_grey_half():
    content = saved(Image.fromarray((RAMP * 10).astype(np.uint8)).resize((256, 256)), "JPEG")

    with pytest.raises(FileError, match="read as a picture"):
        decode("a.jpg", content[: len(content) // 2], {})


def test_vectors_are_not_volumes(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4, 2), np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))

    with pytest.raises(FileError, match="scalar volume"):
        volume("a.nrrd", (tmp_path / "a.nrrd").read_bytes())


def test_endings_are_told_apart():
    assert ending("A.NII.GZ") == ".nii.gz"
    assert ending("folder.d/scan") == ""
    assert is_image("x.dcm", (".dcm",))
    assert not is_image("x.dcm")
