import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from aegle.domain.errors import InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.cubic import resized, resized_grid, respaced

HALF = 0.7071067811865476
OBLIQUE = Grid(
    shape=(14, 23, 31),
    spacing_mm=(3.0, 1.5, 0.7),
    origin_mm=(-210.3, 35.5, 1007.25),
    axes=((0.0, -HALF, HALF), (0.0, HALF, HALF), (1.0, 0.0, 0.0)),
)
shapes = st.tuples(*[st.integers(1, 40)] * 3)


@pytest.mark.parametrize("order", [1, 3])
@settings(max_examples=30, deadline=None)
@given(have=shapes, want=shapes, seed=st.integers(0, 99))
def test_the_result_is_that_of_scipy(order, have, want, seed):
    values = np.random.default_rng(seed).uniform(-1000, 1000, have).astype(np.float32)

    found = resized(values, want, order=order)

    zoom = np.divide(want, have)
    expected = ndimage.zoom(values.astype(float), zoom, order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_values_of_a_scan_are_within_a_hundredth_of_a_unit_of_scipy():
    values = np.random.default_rng(0).uniform(-1024, 3071, (90, 101, 130)).astype(np.float32)

    found = resized(values, (60, 70, 75))

    zoom = np.divide((60, 70, 75), values.shape)
    expected = ndimage.zoom(values.astype(float), zoom, order=3, mode="nearest", grid_mode=True)
    assert np.abs(found - expected).max() < 0.01


def test_each_axis_may_have_its_own_order():
    values = np.random.default_rng(0).normal(size=(9, 17, 21)).astype(np.float32)

    found = resized(values, (25, 30, 11), order=(1, 3, 0))

    middles = np.floor((np.arange(11) + 0.5) * 21 / 11).astype(int)
    rows = ndimage.zoom(values, (1, 30 / 17, 1), order=3, mode="nearest", grid_mode=True)
    slices = ndimage.zoom(rows, (25 / 9, 1, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(found, slices[..., middles], atol=1e-5)


def test_nearest_voxels_are_taken_without_change():
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)

    found = resized(values, (4, 3, 8), order=0)

    np.testing.assert_array_equal(found, values.repeat(2, 0).repeat(2, 2))


def test_cubic_splines_swing_beyond_an_edge_unless_the_range_is_kept():
    values = np.zeros((4, 20, 20), np.float32)
    values[:, 10:] = 100

    free, kept = (resized(values, (4, 37, 20), keep_range=keep) for keep in (False, True))

    assert free.max() > 105
    assert free.min() < -5
    assert kept.max() == 100
    assert kept.min() == 0
    np.testing.assert_array_equal(kept, free.clip(0, 100))


def test_a_picture_stays_one_slice_thick():
    picture = np.random.default_rng(0).normal(size=(1, 12, 13)).astype(np.float32)

    assert resized(picture, (1, 24, 5)).shape == (1, 24, 5)


def test_outer_faces_of_the_grid_stay_where_they_are():
    found = resized_grid(OBLIQUE, (9, 40, 20))

    for ends in (-0.5, np.subtract(OBLIQUE.shape, 0.5)):
        before = OBLIQUE.to_patient(np.broadcast_to(ends, 3).astype(float))
        moved = -0.5 if np.ndim(ends) == 0 else np.subtract(found.shape, 0.5)
        np.testing.assert_allclose(
            found.to_patient(np.broadcast_to(moved, 3).astype(float)), before, atol=1e-9
        )


@pytest.mark.parametrize("order", [1, 3])
def test_a_ramp_in_the_patient_has_the_same_values_on_the_new_grid(order):
    ramp = np.array([1.0, -2.0, 3.0])
    indices = np.stack(np.indices(OBLIQUE.shape), -1)
    values = (OBLIQUE.to_patient(indices) @ ramp).astype(np.float32)
    volume = Volume(values=values, grid=OBLIQUE, quantity=Quantity.SIGNAL)

    found = respaced(volume, (1.4, 1.1, 1.3), order=order)

    assert found.grid.shape == (30, 31, 17)
    expected = found.grid.to_patient(np.stack(np.indices(found.grid.shape), -1)) @ ramp
    # Next to the outer faces the value at the edge goes on, so the ramp ends there.
    inner = (slice(12, -12), slice(10, -10), slice(4, -4))
    np.testing.assert_allclose(found.values[inner], expected[inner], atol=0.2)


def test_values_without_three_axes_are_refused():
    with pytest.raises(InputError, match=r"shape \(5, 5\)"):
        resized(np.zeros((5, 5), np.float32), (5, 5, 5))


def test_other_orders_are_refused():
    with pytest.raises(OptionError, match="order 2"):
        resized(np.zeros((5, 5, 5), np.float32), (3, 3, 3), order=2)
