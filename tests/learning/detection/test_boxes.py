import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.learning.detection.boxes import area, likeliest, moved, overlaps, within

SIDE = 24
seeds = st.integers(0, 2**32 - 1)


def several(seed):
    """Return up to eight boxes of whole pixels, many of which overlap."""
    draws = np.random.default_rng(seed)
    corners = draws.integers(0, SIDE // 2, (draws.integers(1, 9), 2))
    sizes = draws.integers(1, SIDE // 2, corners.shape)
    return np.hstack((corners, corners + sizes)).astype(np.float32)


def painted(box):
    left, top, right, bottom = box.astype(int)
    canvas = np.zeros((SIDE, SIDE), bool)
    canvas[top:bottom, left:right] = True
    return canvas


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


@given(seeds)
def test_overlap_is_the_share_of_painted_pixels(seed):
    boxes = several(seed)
    canvases = [painted(box) for box in boxes]
    counted = [[np.sum(a & b) / np.sum(a | b) for b in canvases] for a in canvases]

    assert overlaps(boxes, boxes) == pytest.approx(np.array(counted), abs=1e-6)


def test_a_box_that_ends_before_it_begins_has_no_area():
    assert area(np.array([(5, 5, 3, 9), (0, 0, 2, 3)], np.float32)).tolist() == [0, 6]


@given(seeds)
def test_every_box_that_goes_overlaps_a_likelier_one_that_stays(seed):
    boxes = several(seed)
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)

    kept = likeliest(boxes, scores, np.zeros(len(boxes), np.int64), overlap=0.4)

    shared = overlaps(boxes, boxes)
    assert scores[kept].tolist() == sorted(scores[kept], reverse=True)
    assert np.triu(shared[np.ix_(kept, kept)], 1).max() <= 0.4
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        assert any(shared[gone, one] > 0.4 and scores[one] > scores[gone] for one in kept)


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
