"""The overview picture."""

import numpy as np
import pytest
from PIL import Image

from aegle.report import pictures


@pytest.mark.parametrize("language", ["en", "zh"])
def test_same_results_give_the_same_picture(case, tmp_path, language):
    first = pictures.overview(case, tmp_path / "a.png", language=language).read_bytes()
    second = pictures.overview(case, tmp_path / "b.png", language=language).read_bytes()

    assert first == second


def test_picture_is_wide_and_holds_three_panels(case, tmp_path):
    with Image.open(pictures.overview(case, tmp_path / "a.png")) as picture:
        shades = np.asarray(picture.convert("RGB")).astype(int)

    assert picture.size == (1800, 600)
    thirds = np.split(shades, 3, axis=1)
    dark = [np.mean(third.max(axis=2) < 120) for third in thirds]
    assert dark[0] > 0.2
    assert dark[1] > 0.2
    assert 0.005 < dark[2] < 0.2


def test_no_date_is_written_into_the_picture(case, tmp_path):
    path = pictures.overview(case, tmp_path / "a.png")

    with Image.open(path) as picture:
        assert picture.info.keys() <= {"dpi", "transparency"}


def test_nothing_known_is_said_in_words(nothing, tmp_path):
    assert pictures.overview(nothing, tmp_path / "a.png").stat().st_size > 1000
