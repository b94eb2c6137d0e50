import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.learning.dense.topology import topology

sizes = st.integers(1, 320)
spacings = st.sampled_from([0.5, 0.8, 1.0, 2.5, 5.0])


def test_hippocampus_is_halved_three_times_along_each_axis():
    """Isensee 2021, supplement: patch 40 x 56 x 40 for a median of 36 x 50 x 35 at 1 mm."""
    found = topology((36, 50, 35), (1.0, 1.0, 1.0))

    assert found.divisors == (8, 8, 8)
    padded = [
        -(-size // step) * step for size, step in zip((36, 50, 35), found.divisors, strict=True)
    ]
    assert padded == [40, 56, 40]


def test_thick_slices_of_the_prostate_are_halved_late_and_convolved_flat_at_first():
    """nnU-Net's plan for MSD Prostate (3.6 x 0.625 x 0.625 mm): two levels of flat kernels."""
    found = topology((20, 320, 256), (3.6, 0.625, 0.625))

    assert found.kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))
    assert found.strides[:4] == ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2))


def test_kernels_stay_three_where_other_axes_were_halved():
    found = topology((7, 64, 64), (1.0, 1.0, 1.0))

    assert found.divisors == (1, 16, 16)
    assert set(found.kernels) == {(3, 3, 3)}


def test_small_axes_stay_whole():
    assert topology((7, 64), (1.0, 1.0)).divisors[0] == 1
    assert topology((8, 64), (1.0, 1.0)).divisors[0] == 2


@given(st.tuples(sizes, sizes, sizes), st.tuples(spacings, spacings, spacings))
def test_no_halved_axis_ends_below_four_voxels(patch, spacing_mm):
    found = topology(patch, spacing_mm)

    ends = np.array(patch) / np.array(found.divisors)
    halved = np.array(found.divisors) > 1
    assert np.all(np.ceil(ends[halved]) >= 4)
    assert len(found.strides) == len(found.kernels)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_coarse_axis_may_be_any(axis):
    spacing_mm = [1.0, 1.0, 1.0]
    spacing_mm[axis] = 5.0

    found = topology((64, 64, 64), spacing_mm)

    assert found.strides[1][axis] == 1
    assert found.kernels[0][axis] == 1
    assert sum(found.strides[1]) == 5
