import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.phantoms.breathing import Motion

BREATH = Motion(diaphragm_mm=12, chest_mm=-3)
FULL = Motion(diaphragm_mm=12, chest_mm=-3, turn_deg=(0.8, -0.5, 1.5), shift_mm=(4.0, -1.5, 6.0))
coordinates = st.floats(-150, 150)


@given(coordinates, coordinates, coordinates)
def test_there_and_back_again_is_the_same_place(x, y, z):
    point = np.array([x, y, z])

    np.testing.assert_allclose(FULL.to_reference(FULL.from_reference(point)), point, atol=1e-3)


@given(coordinates, coordinates, coordinates)
def test_breathing_never_folds_the_body(x, y, z):
    step = 0.01
    corners = np.array([x, y, z]) + step * np.vstack([np.zeros(3), np.eye(3)])
    moved = BREATH.to_reference(corners)

    assert np.linalg.det((moved[1:] - moved[0]) / step) > 0.2


def test_visit_0_moves_nothing():
    points = np.array([[10.0, -20, 30], [0, 0, -90]])

    np.testing.assert_allclose(Motion().from_reference(points), points, atol=1e-12)


def test_the_diaphragm_rises_and_the_apex_stays():
    dome, apex = BREATH.from_reference(np.array([[-68.0, -12, -70], [-45, 6, 125]]))

    assert 7 < dome[2] - -70 < 12
    assert apex == pytest.approx([-45, 6, 125], abs=0.1)


def test_the_front_of_the_chest_falls_and_the_back_stays():
    front, back = BREATH.from_reference(np.array([[0.0, -105, 10], [0, 120, 10]]))

    # A fall is a move to the back, which is +y.
    assert 2.5 < front[1] - -105 < 3.0
    assert back == pytest.approx([0, 120, 10], abs=0.01)


def test_the_spine_does_not_breathe():
    spine = np.array([[0.0, 62, z] for z in range(-120, 121, 20)])

    np.testing.assert_allclose(BREATH.from_reference(spine), spine, atol=0.35)


def test_a_turn_about_z_brings_the_left_side_to_the_back():
    moved = Motion(turn_deg=(0, 0, 90)).from_reference(np.array([10.0, 0, 0]))

    np.testing.assert_allclose(moved, [0, 10, 0], atol=1e-9)


def test_a_turn_about_x_brings_the_back_to_the_head():
    moved = Motion(turn_deg=(90, 0, 0)).from_reference(np.array([0.0, 10, 0]))

    np.testing.assert_allclose(moved, [0, 0, 10], atol=1e-9)


def test_the_shift_comes_after_the_turn():
    moved = Motion(turn_deg=(0, 0, 90), shift_mm=(1, 2, 3)).from_reference(np.array([10.0, 0, 0]))

    np.testing.assert_allclose(moved, [1, 12, 3], atol=1e-9)


def test_whole_grids_map_like_single_points():
    x, y, z = np.array([-60.0, 5, 40]), np.array([-70.0, 20]), np.array([-90.0, 0, 30, 110])

    mapped = FULL.reference_axes(x, y, z)

    for k, j, i in np.ndindex(4, 2, 3):
        expected = FULL.to_reference(np.array([x[i], y[j], z[k]]))
        np.testing.assert_allclose([axis[k, j, i] for axis in mapped], expected, atol=1e-3)
