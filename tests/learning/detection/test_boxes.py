import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegle.learning.detection.boxes import area, likeliest, moved, overlaps, within

seeds = st.integers(0, 2**32 - 1)


def several(seed):
    """Return up to a dozen boxes, many of which overlap."""
    draws = np.random.default_rng(seed)
    corners = draws.uniform(0, 60, (draws.integers(1, 13), 2))
    return np.hstack((corners, corners + draws.uniform(1, 60, corners.shape))).astype(np.float32)


def box_tools():
    from monai.data import box_utils

    return box_utils


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param((0, 0, 10, 10), 1.0, id="the same"),
        pytest.param((5, 0, 15, 10), 1 / 3, id="half of each"),
        pytest.param((0, 0, 5, 20), 1 / 3, id="half as wide and twice as high"),
        pytest.param((10, 0, 20, 10), 0.0, id="side by side"),
        pytest.param((20, 20, 30, 30), 0.0, id="apart on both axes"),
        pytest.param((5, 5, 5, 5), 0.0, id="empty"),
    ],
)
def test_overlap_is_what_is_shared_of_the_union(second, expected):
    first = np.array([(0, 0, 10, 10)], np.float32)

    assert overlaps(first, np.array([second], np.float32))[0, 0] == pytest.approx(expected)


@given(seeds, seeds)
def test_overlaps_agree_with_monai(seed, other):
    first, second = several(seed), several(other)
    theirs = box_tools().box_iou(torch.from_numpy(first), torch.from_numpy(second))

    assert overlaps(first, second) == pytest.approx(theirs.numpy(), abs=1e-5)


def test_a_box_that_ends_before_it_begins_has_no_area():
    assert area(np.array([(5, 5, 3, 9), (0, 0, 2, 3)], np.float32)).tolist() == [0, 6]


@given(seeds)
def test_the_boxes_that_stay_agree_with_monai(seed):
    boxes = several(seed)
    # Scores apart from each other leave no choice of order.
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    one_class = np.zeros(len(boxes), np.int64)
    theirs = box_tools().non_max_suppression(boxes, scores, 0.5)

    assert likeliest(boxes, scores, one_class, overlap=0.5).tolist() == theirs.tolist()


def test_boxes_of_different_classes_may_lie_on_each_other():
    boxes = np.array([(0, 0, 10, 10)] * 3, np.float32)
    kept = likeliest(boxes, np.array([0.4, 0.9, 0.8], np.float32), np.array([0, 1, 0]), overlap=0.5)

    assert kept.tolist() == [1, 2]


def test_of_no_boxes_none_stay():
    empty = np.zeros((0, 4), np.float32)

    assert len(likeliest(empty, np.zeros(0, np.float32), np.zeros(0, np.int64), overlap=0.5)) == 0


@pytest.mark.parametrize(
    ("linear", "shift", "expected"),
    [
        pytest.param([[1, 0], [0, 1]], (0, 0), (10, 20, 30, 60), id="nothing moves"),
        pytest.param([[1, 0], [0, 1]], (5, -7), (15, 13, 35, 53), id="shift right and up"),
        pytest.param([[-1, 0], [0, 1]], (0, 0), (70, 20, 90, 60), id="left becomes right"),
        pytest.param([[1, 0], [0, -1]], (0, 0), (10, 40, 30, 80), id="top becomes bottom"),
        pytest.param([[0, -1], [1, 0]], (0, 0), (40, 10, 80, 30), id="a quarter turn"),
        pytest.param([[2, 0], [0, 2]], (0, 0), (-30, -10, 10, 70), id="twice as large"),
    ],
)
def test_moves_boxes_about_the_middle_of_the_picture(linear, shift, expected):
    box = np.array([(10, 20, 30, 60)], np.float32)

    result = moved(box, np.array(linear, float), np.array(shift, float), 100)

    assert result[0] == pytest.approx(expected)


def test_a_box_is_cut_at_the_edge_and_leaves_once_too_little_is_seen():
    boxes = np.array([(-5, 0, 5, 10), (-8, 0, 2, 10), (20, 95, 30, 105)], np.float32)

    cut, is_seen = within(boxes, 100, least_share=0.4)

    assert cut.tolist() == [[0, 0, 5, 10], [0, 0, 2, 10], [20, 95, 30, 100]]
    assert is_seen.tolist() == [True, False, True]
