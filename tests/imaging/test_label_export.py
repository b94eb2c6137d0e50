import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.imaging.label_export import LabelExport, upsampled_labels

shapes = st.tuples(*[st.integers(1, 7)] * 3)


def interpolated(scores, shape):
    """What is asked for, by interpolating every class everywhere."""
    fine = functional.interpolate(scores[None], shape, mode="trilinear", align_corners=False)[0]
    return fine.argmax(0).numpy()


def noise(classes, shape, seed=0):
    return torch.randn(classes, *shape, generator=torch.Generator().manual_seed(seed))


def smooth(classes, shape, seed=0):
    coarse = noise(classes, (3, 4, 3), seed)[None]
    return functional.interpolate(coarse, shape, mode="trilinear")[0]


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 14), shapes, st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 99))
def test_labels_are_those_of_interpolating_every_class(classes, coarse, fine, seed):
    scores = noise(classes, coarse, seed)

    np.testing.assert_array_equal(upsampled_labels(scores, fine), interpolated(scores, fine))


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_labels_of_smooth_scores_are_those_of_interpolating_every_class(classes):
    scores = smooth(classes, (20, 22, 24))

    found = upsampled_labels(scores.numpy(), (41, 80, 61))

    np.testing.assert_array_equal(found, interpolated(scores, (41, 80, 61)))
    assert len(np.unique(found)) > 1


def test_a_class_that_is_second_at_every_corner_may_win_between_them():
    scores = torch.zeros(3, 1, 1, 2)
    scores[0, 0, 0] = torch.tensor([10.0, 0.0])
    scores[1, 0, 0] = torch.tensor([0.0, 10.0])
    scores[2, 0, 0] = torch.tensor([8.5, 8.5])

    assert upsampled_labels(scores, (1, 1, 10)).ravel().tolist() == [0, 0, 0, 2, 2, 2, 2, 1, 1, 1]


def test_of_equal_scores_the_first_class_wins():
    scores = torch.zeros(4, 2, 3, 3)
    scores[0, 1, 1, 1] = -1
    scores[2, 0, 0, 0] = 1

    np.testing.assert_array_equal(
        upsampled_labels(scores, (5, 7, 6)), interpolated(scores, (5, 7, 6))
    )


@settings(max_examples=40, deadline=None)
@given(shapes, st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 3), st.booleans())
def test_slices_that_come_one_by_one_and_rows_in_strips_give_the_same(coarse, fine, rows, same):
    fine = coarse if same else fine
    scores = noise(5, coarse)
    found = np.full(fine, 99, np.uint8)
    first = 0
    while True:
        stop = min(coarse[1], first + rows + 1)
        window = (slice(0, coarse[0]), slice(first, stop), slice(0, coarse[2]))
        export = LabelExport(5, coarse, fine, window=window)
        for number in range(coarse[0]):
            export.add(scores[:, number : number + 1, first:stop])
        found[export.region] = export.labels
        if stop == coarse[1]:
            break
        first = stop - 1

    np.testing.assert_array_equal(found, interpolated(scores, fine))


def test_scores_in_half_precision_are_taken():
    scores = smooth(3, (6, 8, 7)).half()

    found = upsampled_labels(scores, (13, 14, 15))

    np.testing.assert_array_equal(found, interpolated(scores.float(), (13, 14, 15)))


@pytest.mark.parametrize(("classes", "kind"), [(256, np.uint8), (257, np.uint16)])
def test_labels_take_two_bytes_where_one_is_too_small(classes, kind):
    scores = torch.zeros(classes, 2, 1, 1)
    scores[classes - 1, 0] = 1
    scores[3, 1] = 1

    found = upsampled_labels(scores, (4, 1, 1))

    assert found.dtype == kind
    assert found.ravel().tolist() == [classes - 1, classes - 1, 3, 3]


def test_more_classes_than_two_bytes_tell_apart_are_refused():
    with pytest.raises(InputError, match="65537 classes"):
        LabelExport(65_537, (2, 2, 2), (4, 4, 4))


def test_scores_without_classes_are_refused():
    with pytest.raises(InputError, match="expected"):
        upsampled_labels(np.zeros((2, 2, 2), np.float32), (4, 4, 4))
