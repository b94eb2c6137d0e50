"""Index and patient coordinates agree for any orientation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import GeometryError
from aegle.domain.grid import Grid

spacing = st.floats(0.3, 5.0)
position = st.floats(-500, 500)
angle = st.floats(-np.pi, np.pi)


def axes_turned_by(radians: float) -> tuple:
    c, s = np.cos(radians), np.sin(radians)
    return ((0.0, -s, c), (0.0, c, s), (1.0, 0.0, 0.0))


@given(st.tuples(spacing, spacing, spacing), st.tuples(position, position, position), angle)
def test_indices_survive_the_round_trip(spacing_mm, origin_mm, radians):
    grid = Grid(
        shape=(9, 8, 7), spacing_mm=spacing_mm, origin_mm=origin_mm, axes=axes_turned_by(radians)
    )
    indices = np.array([[0, 0, 0], [8, 7, 6], [4.5, 1.25, 3.0]])

    np.testing.assert_allclose(grid.to_indices(grid.to_patient(indices)), indices, atol=1e-9)


# A round trip cannot tell a mirrored or transposed convention from the right one,
# so positions are also checked on a sagittal grid, where no two axes coincide.
def test_sagittal_indices_move_along_their_own_patient_axes():
    leftward, footward, backward = (1, 0, 0), (0, 0, -1), (0, 1, 0)
    grid = Grid(
        shape=(4, 4, 4),
        spacing_mm=(5.0, 2.0, 1.0),
        origin_mm=(10.0, 20.0, 30.0),
        axes=(leftward, footward, backward),
    )

    positions_mm = grid.to_patient(np.eye(3))

    np.testing.assert_allclose(positions_mm, [[15, 20, 30], [10, 20, 28], [10, 21, 30]])


def test_refuses_sheared_axes():
    with pytest.raises(GeometryError, match="perpendicular"):
        Grid(shape=(2, 2, 2), spacing_mm=(1, 1, 1), axes=((0, 0.2, 1), (0, 1, 0), (1, 0, 0)))


@given(
    # At the limit itself the rounding of the corners decides.
    offset_mm=st.floats(-3, 3).filter(lambda value: abs(abs(value) - 0.01) > 1e-9),
    axis=st.integers(0, 2),
)
def test_grids_are_the_same_only_where_every_voxel_lies_at_the_same_place(offset_mm, axis):
    origin = [0.0, 0.0, 0.0]
    origin[axis] += offset_mm
    here = Grid(shape=(3, 4, 5), spacing_mm=(1.0, 2.0, 3.0))
    there = Grid(shape=(3, 4, 5), spacing_mm=(1.0, 2.0, 3.0), origin_mm=tuple(origin))

    assert here.is_same_as(there) == (abs(offset_mm) <= 0.01)


def test_turned_grid_with_the_same_origin_is_another_grid():
    upright = Grid(shape=(2, 2, 2), spacing_mm=(1.0, 1.0, 1.0))
    mirrored = Grid(
        shape=(2, 2, 2),
        spacing_mm=(1.0, 1.0, 1.0),
        axes=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),
    )

    assert not upright.is_same_as(mirrored)


def test_centre_lies_between_the_outermost_voxel_centres():
    grid = Grid(shape=(3, 5, 9), spacing_mm=(2.0, 1.0, 0.5), origin_mm=(10.0, 20.0, 30.0))

    np.testing.assert_allclose(grid.centre_mm, [12, 22, 32])
