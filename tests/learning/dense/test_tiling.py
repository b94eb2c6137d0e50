import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.learning.dense.tiling import AxisTiles, Tiling

axes = st.builds(
    lambda tile, more, step: AxisTiles(size=tile + more, tile=tile, step=step),
    st.integers(1, 40),
    st.integers(0, 90),
    st.floats(0.1, 1),
)


@given(axes)
def test_tiles_reach_from_end_to_end_no_further_apart_than_asked_for(axis):
    gaps = np.diff(axis.starts)

    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == axis.size
    assert np.all(gaps >= 1)
    assert np.all(gaps <= max(1, np.ceil(axis.tile * axis.step)))


@given(axes)
def test_weights_sum_to_one_everywhere(axis):
    total = np.zeros(axis.size)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start : start + axis.tile] += weights

    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "tile", "step", "starts"),
    [
        pytest.param(256, 96, 0.75, (0, 53, 107, 160), id="three quarters of a tile at most"),
        pytest.param(110, 64, 0.5, (0, 23, 46), id="as nnU-Net's documentation computes"),
        pytest.param(64, 64, 0.5, (0,), id="an image of one tile"),
    ],
)
def test_tiles_are_spread_evenly(size, tile, step, starts):
    assert AxisTiles(size=size, tile=tile, step=step).starts == starts


def test_a_lone_tile_counts_fully():
    axis = AxisTiles(size=8, tile=8, step=0.5)

    np.testing.assert_array_equal(axis.weights, np.ones((1, 8)))


def test_the_weight_falls_as_a_gaussian_of_an_eighth_of_the_tile():
    axis = AxisTiles(size=48, tile=32, step=0.5)

    # At voxel 20 the first tile is 4.5 off its middle, the second 11.5; deviation 4.
    ratio = axis.weights[0, 20] / axis.weights[1, 4]
    assert ratio == pytest.approx(np.exp((11.5**2 - 4.5**2) / 32), rel=1e-4)


def test_only_tiles_that_touch_the_rows_are_given():
    tiling = Tiling.of((10, 40, 10), (10, 10, 10), 1.0)

    starts = [tile.start for tile in tiling.tiles([0], 10, 21)]

    assert starts == [(0, 10, 0), (0, 20, 0)]
