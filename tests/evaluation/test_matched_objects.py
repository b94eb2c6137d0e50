"""Objects matched with each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aegle.domain.errors import GeometryError
from aegle.evaluation.matched_objects import THRESHOLDS, match_objects, overlaps


def row(*runs):
    """Return one line of pixels from (number, length) runs."""
    return np.repeat([n for n, _ in runs], [length for _, length in runs])[None, None].astype(
        np.int32
    )


def test_objects_are_matched_by_overlap_whatever_their_numbers():
    truth = row((1, 10), (0, 2), (2, 10), (0, 2), (3, 10), (0, 6))
    # IoU 8/10 of 9 with 1, 6/14 of 7 with 2 2/18 of 7 with 3.
    said = row((9, 8), (0, 8), (7, 10), (0, 10), (5, 4))

    found = match_objects(truth, said)

    assert (found.truth, found.predicted) == (3, 3)
    assert found.pairs.tolist() == [1] * 7 + [0] * 3
    assert found.overlap[0] == pytest.approx(0.8)
    assert (found.missed, found.false) == ((2, 3), (5, 7))
    assert found.f1[0] == pytest.approx(1 / 3)
    assert overlaps(truth, said).iou.tolist() == pytest.approx([0.8, 6 / 14, 2 / 18])


@pytest.mark.parametrize(
    ("length", "pairs"),
    [
        pytest.param(10, [1] * 10, id="the same"),
        pytest.param(5, [1] + [0] * 9, id="exactly half matches at 0.5"),
        pytest.param(4, [0] * 10, id="less than half never matches"),
        pytest.param(9, [1] * 9 + [0], id="0.9 matches at 0.9 but not at 0.95"),
    ],
)
def test_a_pair_matches_if_its_overlap_reaches_the_threshold(length, pairs):
    found = match_objects(row((1, 10)), row((1, length), (0, 10 - length)))

    assert found.pairs.tolist() == pairs


def test_two_halves_of_one_object_are_one_pair_and_one_false_object():
    found = match_objects(row((1, 10)), row((1, 5), (2, 5)))

    assert found.pairs[0] == 1
    assert len(found.false) == 1
    assert found.missed == ()


def test_below_one_half_as_many_pairs_as_possible_are_made():
    # 8 covers most of the first true object and the half of the second; 9 lies in the first.
    truth, said = row((1, 20), (2, 6)), row((9, 3), (8, 20), (0, 3))

    found = match_objects(truth, said, thresholds=(0.1, 0.14))

    # The largest overlap alone, 17/23 of 8 with 1, would leave 2 and 9 without a partner.
    assert found.pairs.tolist() == [2, 1]
    assert found.overlap.tolist() == pytest.approx([3 / 23 + 3 / 20, 17 / 23])


def test_nothing_in_an_image_with_nothing_is_perfect():
    none, some = np.zeros((1, 3, 3), int), np.ones((1, 3, 3), int)

    assert match_objects(none, none).f1.tolist() == [1] * 10
    assert match_objects(none, some).f1.tolist() == [0] * 10
    assert match_objects(some, none).f1.tolist() == [0] * 10


def test_objects_are_cut_off_at_the_edge_of_the_region():
    truth, said = row((1, 10), (2, 10)), row((1, 10), (0, 10))
    region = row((1, 10), (0, 10)) > 0

    found = match_objects(truth, said, region=region)

    assert (found.truth, found.predicted, found.pairs[0]) == (1, 1, 1)


def test_another_shape_is_refused():
    with pytest.raises(GeometryError, match="grid"):
        match_objects(row((1, 4)), row((1, 5)))


small = arrays(np.int32, (1, 5, 6), elements=st.integers(0, 3))


@settings(deadline=None)
@given(small, small)
def test_overlaps_are_those_of_the_definition_and_partners_are_unique(truth, said):
    found = overlaps(truth, said)

    for (one, other), iou in zip(found.pairs, found.iou, strict=True):
        first, second = truth == found.truth[one], said == found.predicted[other]
        assert iou == pytest.approx((first & second).sum() / (first | second).sum())
    matched = match_objects(truth, said)
    assert matched.pairs.max() <= min(matched.truth, matched.predicted)
    assert (np.diff(matched.pairs) <= 0).all()
    assert len(matched.missed) == matched.truth - matched.pairs[0]
    assert len(matched.false) == matched.predicted - matched.pairs[0]
    swapped = match_objects(said, truth)
    assert swapped.pairs.tolist() == matched.pairs.tolist()


def test_thresholds_are_ten_steps_from_a_half():
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
