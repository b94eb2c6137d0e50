"""Overlap in closed form, and which of overlapping boxes stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.learning.detection.boxes import likeliest, moved, overlaps, within


def boxes(*rows):
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param((0, 0, 10, 10), 1.0, id="the same box"),
        pytest.param((5, 0, 15, 10), 50 / 150, id="half beside it"),
        pytest.param((5, 5, 15, 15), 25 / 175, id="a quarter in common"),
        pytest.param((2, 2, 6, 6), 16 / 100, id="within it"),
        pytest.param((10, 0, 20, 10), 0.0, id="touching at an edge"),
        pytest.param((30, 30, 30, 40), 0.0, id="without width"),
    ],
)
def test_overlap_is_what_is_shared_over_what_is_covered(other, expected):
    assert overlaps(boxes((0, 0, 10, 10)), boxes(other))[0, 0] == pytest.approx(expected)


@given(
    st.lists(
        st.tuples(*[st.floats(0, 50, width=32)] * 2, *[st.floats(1, 30, width=32)] * 2),
        min_size=1,
        max_size=8,
    )
)
def test_overlap_does_not_ask_for_order(rows):
    found = boxes(*[(x, y, x + w, y + h) for x, y, w, h in rows])
    shared = overlaps(found, found)

    np.testing.assert_allclose(shared, shared.T)
    assert shared.max() <= 1 + 1e-5


def test_of_boxes_of_one_class_the_likeliest_stays():
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (0, 0, 10, 10), (30, 30, 40, 40))
    scores = np.array([0.6, 0.9, 0.5, 0.2], np.float32)

    kept = likeliest(found, scores, np.array([0, 0, 1, 0]), overlap=0.5)

    assert kept.tolist() == [1, 2, 3]


def test_boxes_that_overlap_just_as_much_as_allowed_both_stay():
    found = boxes((0, 0, 10, 10), (5, 0, 15, 10))
    scores, classes = np.array([0.9, 0.8], np.float32), np.array([0, 0])

    assert len(likeliest(found, scores, classes, overlap=1 / 3 + 1e-6)) == 2
    assert len(likeliest(found, scores, classes, overlap=1 / 3 - 1e-6)) == 1


def test_a_quarter_turn_swaps_width_and_height_about_the_centre():
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])

    # x to the right and y down: this turn takes the right edge to the lower one.
    found = moved(boxes((60, 45, 90, 55)), quarter, np.zeros(2), 100)

    np.testing.assert_allclose(found, [(45, 60, 55, 90)], atol=1e-5)


def test_a_shift_moves_columns_by_its_first_number():
    found = moved(boxes((10, 20, 30, 40)), np.eye(2), np.array([5.0, -3.0]), 100)

    np.testing.assert_allclose(found, [(15, 17, 35, 37)], atol=1e-5)


def test_boxes_mostly_outside_the_picture_are_left_out():
    cut, is_seen = within(boxes((-30, 0, 10, 10), (-4, 0, 10, 10)), 100, least_share=0.4)

    np.testing.assert_allclose(cut, [(0, 0, 10, 10), (0, 0, 10, 10)])
    assert is_seen.tolist() == [False, True]
