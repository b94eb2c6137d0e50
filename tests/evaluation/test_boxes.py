"""Average precision against hand-worked and published numbers."""

import numpy as np
import pytest

from aegle.evaluation.boxes import (
    average_precision,
    box_iou,
    gathered,
    hits_of,
    precision_recall,
)

ONES = np.ones((1, 1))


def found_in_rows(rows, truths):
    """Return boxes of one class in one image from rows of (score, is right)."""
    truth = np.array([[20 * n, 0, 20 * n + 10, 10] for n in range(truths)], float)
    free, boxes = iter(truth), []
    for _, right in rows:
        boxes.append(next(free) if right else np.array([0, 500, 10, 510.0]))
    return gathered([hits_of(truth, np.array(boxes).reshape(-1, 4), [s for s, _ in rows])])


def test_intersection_over_union_of_boxes():
    first = [[0, 0, 10, 10], [0, 0, 0, 0]]
    second = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 3, 6, 8], [0, 0, 0, 0]]

    found = box_iou(np.array(first, float), np.array(second, float))

    np.testing.assert_allclose(found, [[1, 50 / 150, 0, 20 / 100, 0], [0, 0, 0, 0, 0]])


# Ten boxes by falling score, right (1) or false (0), and five true ones. Precision at the right
# boxes is 1, 2/2, 3/4, 4/7, 5/10 at recalls 0.2, 0.4, 0.6, 0.8, 1.
def test_average_precision_of_a_worked_example():
    rows = list(zip(np.linspace(1, 0.1, 10), (1, 1, 0, 1, 0, 0, 1, 0, 0, 1), strict=True))

    found = found_in_rows(rows, truths=5)

    # Recalls 0 to 0.4 are 41 of 101; then 20 each.
    at_101 = (41 * 1 + 20 * 3 / 4 + 20 * 4 / 7 + 20 * 5 / 10) / 101
    area = 0.4 * 1 + 0.2 * (3 / 4 + 4 / 7 + 5 / 10)
    assert average_precision(found, ONES)[0, 0] == pytest.approx(at_101)
    assert average_precision(found, ONES, interpolation="area")[0, 0] == pytest.approx(area)
    recall, precision = precision_recall(found)
    assert recall.tolist() == pytest.approx([0.2, 0.4, 0.4, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8, 1])
    assert precision[[0, 3, 9]].tolist() == pytest.approx([1, 0.75, 0.5])


def test_precision_at_a_recall_is_the_best_reached_at_it_or_beyond():
    found = found_in_rows([(0.9, 0), (0.8, 1), (0.7, 1), (0.6, 1)], truths=3)

    assert average_precision(found, ONES, interpolation="area")[0, 0] == pytest.approx(3 / 4)


def test_what_is_not_found_lowers_average_precision():
    found = found_in_rows([(0.9, 1)], truths=4)

    # Recalls 0, 0.01 ... 0.25.
    assert average_precision(found, ONES)[0, 0] == pytest.approx(26 / 101)
    assert average_precision(found_in_rows([], truths=4), ONES)[0, 0] == 0


def test_without_true_boxes_average_precision_is_not_defined():
    assert np.isnan(average_precision(found_in_rows([(0.9, 0)], truths=0), ONES)).all()


def test_a_second_box_on_one_object_is_false():
    truth = np.array([[0, 0, 10, 10.0]])

    hits = hits_of(truth, np.array([[0, 0, 10, 9.0], [0, 0, 10, 10]]), np.array([0.9, 0.8]))

    # At 0.95 the first, whose IoU is 0.9, is false and leaves the object to the second.
    assert hits.hits[0].tolist() == [0, -1]
    assert hits.hits[8].tolist() == [0, -1]
    assert hits.hits[9].tolist() == [-1, 0]


def test_a_box_takes_the_object_that_it_overlaps_most_of_those_still_free():
    truth = np.array([[0, 0, 10, 10.0], [3, 0, 13, 10]])
    boxes = np.array([[2, 0, 12, 10.0], [2, 0, 12, 10]])

    hits = hits_of(truth, boxes, np.array([0.5, 0.9]))

    assert hits.scores.tolist() == [0.9, 0.5]
    assert hits.hits[0].tolist() == [1, 0]


def test_at_most_one_hundred_boxes_of_a_class_count_in_an_image():
    boxes = np.tile([[0, 0, 10, 10.0]], (150, 1))

    assert hits_of(boxes[:1], boxes, np.linspace(0, 1, 150)).scores.size == 100


def test_weights_count_images_as_often_as_copies_of_them_would():
    generator = np.random.default_rng(4)
    truth = [generator.uniform(0, 50, (3, 2)) for _ in range(4)]
    truth = [np.concatenate([t, t + 20], 1) for t in truth]
    images = [
        hits_of(t, np.concatenate([t + generator.normal(0, 2, t.shape), t[:1] + 30]), s)
        for t, s in zip(truth, generator.permutation(16).reshape(4, 4) / 16, strict=True)
    ]
    weights = np.array([[1, 0, 2, 1], [3, 1, 0, 0], [0, 0, 0, 4], [1, 1, 1, 1.0]])

    found = average_precision(gathered(images), weights)

    for column, row in enumerate(weights.astype(int)):
        copies = [image for image, count in zip(images, row, strict=True) for _ in range(count)]
        alone = average_precision(gathered(copies), np.ones((1, len(copies))))
        # Copies share their score; a copy counts after the other, a weight at once, so the
        # precision between the copies is not seen.
        np.testing.assert_allclose(found[:, column], alone[:, 0], atol=0.12)
    single = average_precision(gathered(images), np.ones((1, 4)))
    np.testing.assert_allclose(found[:, 3], single[:, 0])
