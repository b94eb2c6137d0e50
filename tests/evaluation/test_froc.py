"""Sensitivity at false positives per image, worked by hand."""

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.evaluation.froc import (
    RATES,
    froc,
    froc_curve,
    hit_by_overlap,
    hit_by_points,
    marks_of,
)


@pytest.fixture(scope="module")
def worked():
    """Four images with five lesions, the fourth without one.

    By falling score: hit, false, hit, again the first, false, hit, false, false, hit.
    """
    rows = [
        (0.95, 0, 0),
        (0.90, 1, -1),
        (0.85, 1, 0),
        (0.80, 0, 0),
        (0.70, 3, -1),
        (0.60, 2, 1),
        (0.50, 2, -1),
        (0.40, 3, -1),
        (0.30, 0, 1),
    ]
    scores, images, hits = (np.array(column) for column in zip(*rows, strict=True))
    return marks_of(scores, images.astype(int), hits.astype(int), np.array([2.0, 1, 2, 0]))


def test_sensitivities_are_those_worked_by_hand(worked):
    found = froc(worked, np.ones((1, 4)))[:, 0]

    # False per image 0: 1 of 5; 1/4: 2; 2/4: 3; 4/4: 4 of 5; what was hit again does not count.
    assert RATES == (0.125, 0.25, 0.5, 1, 2, 4, 8)
    assert found.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8])


def test_the_curve_goes_through_every_threshold(worked):
    false, right = froc_curve(worked)

    assert false.tolist() == pytest.approx([0, 0.25, 0.25, 0.25, 0.5, 0.5, 0.75, 1, 1])
    assert right.tolist() == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6, 0.8])


def test_marks_of_equal_score_come_together():
    marks = marks_of(
        np.array([0.9, 0.9, 0.9]), np.zeros(3, int), np.array([0, -1, -1]), np.array([1.0])
    )

    # Whoever takes the hit takes both false marks.
    assert froc(marks, np.ones((1, 1)), (1.0, 2.0))[:, 0].tolist() == [0, 1]


def test_weights_count_as_copies_of_images_do(worked):
    weights = np.array([[1, 0, 2, 1.0]])

    found = froc(worked, weights, (0.25, 0.5, 1.0, 2.0))[:, 0]

    # Lesions 2 + 4, images 4. By falling score: 1 hit; 1 false; 2 hits; 2 false; 1 false; 1 hit.
    assert found.tolist() == pytest.approx([3 / 6, 3 / 6, 4 / 6, 4 / 6])


def test_without_lesions_sensitivity_is_not_defined():
    marks = marks_of(np.array([0.9]), np.array([0]), np.array([-1]), np.array([0.0]))

    assert np.isnan(froc(marks, np.ones((1, 1)))).all()


def test_without_marks_nothing_is_found():
    none = np.zeros(0)
    marks = marks_of(none, none.astype(int), none.astype(int), np.array([1.0, 2.0]))

    assert froc(marks, np.ones((1, 2))).max() == 0


def test_a_point_hits_the_lesion_that_it_lies_in():
    lesions = np.zeros((2, 3, 4), int)
    lesions[1, 2, 3], lesions[0, 1, 0] = 2, 1

    found = hit_by_points(
        lesions, np.array([[1, 2, 3], [0, 1, 0], [0, 0, 0], [2, 0, 0], [-1, 2, 3]])
    )

    assert found.tolist() == [1, 0, -1, -1, -1]


def test_an_outlined_mark_hits_the_lesion_that_it_overlaps_most():
    lesions = np.array([[[1, 1, 1, 1, 0, 2, 2, 2, 2, 2]]])
    marked = np.array([[[0, 0, 1, 1, 1, 1, 1, 0, 0, 0]]])

    # 2 of 7 with the first, 2 of 8 with the second.
    assert hit_by_overlap(lesions, marked).tolist() == [0]
    assert hit_by_overlap(lesions, marked, least=0.28).tolist() == [0]
    assert hit_by_overlap(lesions, marked, least=0.29).tolist() == [-1]
    assert hit_by_overlap(np.zeros_like(lesions), marked).tolist() == [-1]
    mostly_beside = hit_by_overlap(np.array([[[1, 1, 0, 0, 0]]]), np.array([[[0, 1, 1, 1, 1]]]))
    assert mostly_beside.tolist() == [0]
    with pytest.raises(InputError, match="0 to 1"):
        hit_by_overlap(lesions, marked, least=1.5)
