import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.imaging.reduction import area_means, at_most

sizes = st.integers(2, 30)


@given(rows=sizes, columns=sizes, data=st.data())
def test_mean_stays(rows, columns, data):
    shape = (data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns)))
    plane = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    means = area_means(plane, shape)

    assert means.shape == shape
    assert means.mean() == pytest.approx(plane.mean(), abs=1e-5)


def test_whole_parts_are_block_means():
    plane = np.arange(24.0).reshape(4, 6)

    np.testing.assert_allclose(area_means(plane, (2, 3)), [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])


def test_pixels_between_parts_are_shared():
    # Three pixels in two parts: the middle one is halved.
    np.testing.assert_allclose(area_means(np.array([[0.0, 3.0, 9.0]]), (1, 2)), [[1.0, 7.0]])


def test_longer_side_is_kept_to_its_limit_and_small_pictures_stay():
    plane = np.zeros((300, 100), np.float32)

    assert at_most(plane, 150).shape == (150, 50)
    assert at_most(plane, 300) is plane or np.array_equal(at_most(plane, 300), plane)
    assert at_most(np.zeros((1000, 1)), 100).shape == (100, 1)
