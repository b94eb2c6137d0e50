"""Worst cases and their pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from aegle.domain.prediction import Predictions
from aegle.evaluation.drawing import thumbnail
from aegle.evaluation.pictures import draw_case, worst_cases


def of_three(truth, probabilities):
    return Predictions(
        classes=("a", "b", "c"),
        names=tuple(f"image {i}" for i in range(len(truth))),
        truth=np.array(truth),
        probabilities=np.array(probabilities),
        groups=tuple(f"p{i}" for i in range(len(truth))),
    )


def test_the_surest_of_the_wrong_comes_first_and_right_answers_are_left_out():
    predictions = of_three(
        [0, 0, 1, 2],
        [[0.3, 0.6, 0.1], [0.9, 0.1, 0], [0.95, 0.05, 0], [0.3, 0.6, 0.1]],
    )

    found = worst_cases(predictions)

    assert [case.name for case in found] == ["image 2", "image 3", "image 0"]
    first = found[0]
    assert (first.truth, first.predicted, first.group) == ("b", "a", "p2")
    assert (first.probability, first.probability_of_truth) == (0.95, 0.05)
    assert [case.name for case in worst_cases(predictions, most=1)] == ["image 2"]


def test_there_is_no_worst_case_where_all_is_right():
    assert worst_cases(of_three([0], [[1, 0, 0]])) == ()


def test_a_case_is_shown_with_name_truth_and_probability():
    (case,) = worst_cases(of_three([1], [[0.912, 0.05, 0.038]]))

    found = draw_case(case, lambda name: np.arange(400).reshape(20, 20))

    assert found.caption == "image 0: is b, said a with 91.2% (5.0% for b)"


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        pytest.param((40, 20), (20, 40), id="picture"),
        pytest.param((40, 20, 3), (20, 40), id="colour picture"),
        pytest.param((1, 40, 20), (20, 40), id="prepared picture"),
        pytest.param((3, 40, 20), (20, 40), id="prepared colour picture"),
        pytest.param((12, 40, 20), (20, 40), id="volume"),
        pytest.param((1, 12, 40, 20), (20, 40), id="prepared volume"),
        pytest.param((1000, 500), (160, 320), id="large picture"),
    ],
)
def test_every_kind_of_image_becomes_a_small_picture(shape, size):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    found = thumbnail(pixels, "alt", "caption")

    assert (found.width, found.height) == size
    assert Image.open(io.BytesIO(found.data)).size == size


def test_values_beyond_a_byte_are_scaled_to_what_can_be_seen():
    found = thumbnail(np.linspace(-1000, 1000, 10_000).reshape(100, 100), "alt", "")

    shown = np.asarray(Image.open(io.BytesIO(found.data)))
    assert (shown.min(), shown.max()) == (0, 255)
    assert shown[0, 0] < shown[50, 50] < shown[99, 99]


def test_the_middle_slice_of_a_volume_is_shown():
    volume = np.zeros((5, 10, 10), np.uint8)
    volume[2] = 200

    found = thumbnail(volume, "alt", "")

    assert (np.asarray(Image.open(io.BytesIO(found.data))) == 200).all()
