import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from aegle.imaging.burned_in import glyphs
from aegle.imaging.noise import white_noise


def ground(seed=0):
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(0, 1, (220, 256)), 9)
    return (90 + 40 * soft / soft.std()).clip(10, 180).astype(np.float32)


def written(plane, words, at=(20, 12), size=12):
    picture = Image.fromarray(plane.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.text(at, words, fill=255, font=ImageFont.load_default(size=size))
    return np.asarray(picture, dtype=np.float32)


@pytest.mark.parametrize("size", [11, 14, 20])
def test_letters_are_counted(size):
    words = "RKTEVHB47"
    found = len(glyphs(written(ground(), words, size=size)))

    assert len(words) - 3 <= found <= len(words) + 1


def test_letters_are_where_they_were_written():
    boxes = glyphs(written(ground(), "RKTEVHB47", at=(100, 150), size=14))

    assert (boxes[:, 0] >= 150).all()
    assert (boxes[:, 1] <= 170).all()
    assert (boxes[:, 2] >= 98).all()


def test_picture_without_text_has_no_letters():
    assert len(glyphs(ground())) == 0


def test_side_marker_is_no_text():
    assert len(glyphs(written(ground(), "L", size=20))) == 0


def test_noise_writes_no_letters():
    noisy = ground() + np.random.default_rng(1).normal(0, 25, (220, 256)).astype(np.float32)

    assert len(glyphs(noisy, noise=white_noise(noisy))) == 0


def test_bright_lines_are_no_letters():
    plane = ground()
    plane[::20] = 255
    plane[:, ::25] = 255

    assert len(glyphs(plane)) == 0


def test_letters_that_stand_on_no_line_are_no_text():
    plane = ground()
    for number, letter in enumerate("RKTEVHB4"):
        plane = written(plane, letter, at=(20 + 9 * number, 12 + 22 * number), size=14)

    assert len(glyphs(plane)) == 0
