"""How far inside its object each pixel lies."""

import numpy as np
import torch

from aegle.learning.dense.distances import object_distances, object_targets


def test_depth_of_a_square_grows_by_pixels_to_its_middle():
    labels = np.zeros((1, 9, 9), int)
    labels[0, 2:7, 2:7] = 5

    row = object_distances(labels, flat=True)[0, 4]

    # Centres lie 0.5, 1.5 and 2.5 pixels from the edge of a square of 5.
    np.testing.assert_allclose(row, [0, 0, 0.2, 0.6, 1, 0.6, 0.2, 0, 0], atol=1e-6)


def test_depth_of_a_disc_is_its_radius_less_the_distance_from_its_middle():
    rows, columns = np.mgrid[:101, :101]
    radius = np.hypot(rows - 50, columns - 50)
    labels = (radius <= 40).astype(int)[None]

    depth = object_distances(labels, flat=True)[0]

    inside = labels[0] > 0
    np.testing.assert_allclose(depth[inside], 1 - radius[inside] / 40.5, atol=0.025)


def test_touching_objects_have_their_edge_between_them():
    labels = np.zeros((1, 7, 12), int)
    labels[0, 1:6, 1:6] = 1
    labels[0, 1:6, 6:11] = 2

    row = object_distances(labels, flat=True)[0, 3]

    np.testing.assert_allclose(row[1:11], [0.2, 0.6, 1, 0.6, 0.2] * 2, atol=1e-6)


def test_each_object_is_measured_by_its_own_largest_depth():
    labels = np.zeros((1, 20, 40), int)
    labels[0, 2:5, 2:5] = 1
    labels[0, 2:17, 10:25] = 2

    depth = object_distances(labels, flat=True)

    assert depth[labels == 1].max() == depth[labels == 2].max() == 1
    assert depth[labels == 0].max() == 0
    assert depth[labels > 0].min() > 0


def test_the_border_of_the_image_is_no_edge():
    labels = np.zeros((1, 9, 9), int)
    labels[0, :, :4] = 1

    np.testing.assert_allclose(
        object_distances(labels, flat=True)[0, 0, :5], [1, 2.5 / 3.5, 1.5 / 3.5, 0.5 / 3.5, 0]
    )
    assert object_distances(np.full((1, 3, 3), 4), flat=True).min() == 1


def test_slices_are_measured_alone_or_together():
    labels = np.zeros((5, 9, 9), int)
    labels[1:4, 2:7, 2:7] = 1

    alone = object_distances(labels, flat=True)
    together = object_distances(labels, flat=False)

    assert alone[1, 4, 4] == 1
    np.testing.assert_allclose(together[:, 4, 4], [0, 1 / 3, 1, 1 / 3, 0], atol=1e-6)


def test_ignored_pixels_are_neither_inside_nor_outside():
    labels = torch.zeros(2, 6, 6, dtype=torch.int16)
    labels[0, 1:4, 1:4] = 3
    labels[1, :2] = -1

    targets = object_targets(labels)

    assert targets.shape == (2, 2, 6, 6)
    assert targets[0, 0].sum() == 9
    assert targets[0, 1, 2, 2] == 1
    assert (targets[1, 0, :2] == -1).all()
    assert targets[1, 1].max() == 0
