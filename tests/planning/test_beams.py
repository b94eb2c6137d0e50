"""IEC 61217 for a patient lying head first and supine, against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.planning.beams import (
    BeamFrame,
    BeamletOptions,
    aim,
    arc_angles,
    axes,
    equal_angles,
    frame,
    gantry_angles,
)

GRID = Grid(shape=(40, 40, 60), spacing_mm=(2.0, 2.0, 2.0), origin_mm=(-59.0, -39.0, -39.0))
angles = st.floats(0, 360, allow_nan=False)


def ball(centre_mm, radius_mm, name="PTV"):
    indices = np.stack(np.indices(GRID.shape), axis=-1)
    away_mm = np.linalg.norm(GRID.to_patient(indices) - centre_mm, axis=-1)
    return Structure.of(name, away_mm <= radius_mm, GRID)


def beam_at(gantry, couch, isocentre_mm=(0.0, 0.0, 0.0)):
    return BeamFrame(axes(gantry, couch), np.asarray(isocentre_mm), 1000.0)


@pytest.mark.parametrize(
    ("gantry", "couch", "source_mm"),
    [
        pytest.param(0, 0, (0, -1000, 0), id="0 shines from the front"),
        pytest.param(90, 0, (1000, 0, 0), id="90 from the patient's left"),
        pytest.param(180, 0, (0, 1000, 0), id="180 from the back"),
        pytest.param(270, 0, (-1000, 0, 0), id="270 from the right"),
        pytest.param(0, 90, (0, -1000, 0), id="the couch turns under a vertical beam"),
        pytest.param(90, 90, (0, 0, -1000), id="couch 90 brings the feet to gantry 90"),
        pytest.param(270, 90, (0, 0, 1000), id="and the head to gantry 270"),
        pytest.param(90, 270, (0, 0, 1000), id="couch 270 brings the head to gantry 90"),
    ],
)
def test_source_lies_where_the_angles_say(gantry, couch, source_mm):
    np.testing.assert_allclose(beam_at(gantry, couch).source_mm, source_mm, atol=1e-9)


@pytest.mark.parametrize(
    ("gantry", "couch", "x_axis", "y_axis"),
    [
        pytest.param(0, 0, (1, 0, 0), (0, 0, 1), id="x to the left, y to the head"),
        pytest.param(90, 0, (0, 1, 0), (0, 0, 1), id="x turns to the back"),
        pytest.param(0, 90, (0, 0, -1), (1, 0, 0), id="the patient turns the other way"),
    ],
)
def test_beam_axes(gantry, couch, x_axis, y_axis):
    np.testing.assert_allclose(axes(gantry, couch)[:2], [x_axis, y_axis], atol=1e-12)


@given(angles, angles)
def test_axes_are_a_right_handed_frame(gantry, couch):
    frame = axes(gantry, couch)

    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1.0)


def test_projection_magnifies_towards_the_source():
    isocentre = (5.0, -7.0, 11.0)
    # 200 mm above the isocentre, 1000 / 800 larger on the isocentre plane.
    seen = beam_at(0, 0, isocentre).project(np.array([25.0, -207.0, 51.0]))

    np.testing.assert_allclose(seen, [25.0, 50.0])


@given(angles, angles)
def test_isocentre_is_seen_on_the_axis(gantry, couch):
    seen = beam_at(gantry, couch, (3.0, 4.0, 5.0)).project(np.array([3.0, 4.0, 5.0]))

    np.testing.assert_allclose(seen, [0, 0], atol=1e-9)


def test_points_behind_the_source_are_refused():
    with pytest.raises(GeometryError, match="behind the source"):
        beam_at(0, 0).project(np.array([0.0, -1500.0, 0.0]))


def test_open_beamlets_cover_the_target_and_one_more_around_it():
    beam = aim(ball((10, 5, -5), 15), 0.0, 0.0, 1000.0, options=BeamletOptions(beamlet_mm=5.0))

    # The ball reaches 15 mm, cells of 5 mm round to ±15 mm, and one more beamlet.
    np.testing.assert_allclose(beam.positions_mm.max(axis=0), [20, 20])
    np.testing.assert_allclose(beam.positions_mm.min(axis=0), [-20, -20])
    np.testing.assert_allclose(beam.isocentre_mm, (10, 5, -5), atol=0.5)
    assert np.all(beam.weights == 1)


def test_without_margin_only_beamlets_that_see_the_target_are_open():
    target = ball((0, 0, 0), 15)
    options = BeamletOptions(beamlet_mm=5.0, margin_beamlets=0)

    beam = aim(target, 30.0, 0.0, 1000.0, options=options)

    assert np.hypot(*beam.positions_mm.T).max() <= 15 * 1.02 + 5 / np.sqrt(2)


def test_empty_target_is_refused():
    empty = Structure.of("PTV", np.zeros(GRID.shape, bool), GRID)

    with pytest.raises(InputError, match="'PTV' is empty"):
        aim(empty, 0.0, 0.0, 1000.0, options=BeamletOptions())


BODY = Structure.of("body", np.ones(GRID.shape, bool), GRID)


def test_beams_stay_on_the_side_of_a_lateral_target():
    left = gantry_angles(ball((35, 0, 0), 8), BODY, 7)
    right = gantry_angles(ball((-35, 0, 0), 8), BODY, 7)

    assert left == (345.0, 20.0, 55.0, 90.0, 125.0, 160.0, 195.0)
    assert right == (165.0, 200.0, 235.0, 270.0, 305.0, 340.0, 15.0)


def test_beams_surround_a_central_target_evenly():
    angles = gantry_angles(ball((5, 0, 0), 8), BODY, 7)

    # 51.43° apart, in whole degrees.
    assert angles == (0.0, 51.0, 103.0, 154.0, 206.0, 257.0, 309.0)


@pytest.mark.parametrize("offset_mm", [0, 35, -35])
@pytest.mark.parametrize("count", [1, 5, 7, 11, 36])
def test_chosen_angles_are_different_whole_degrees_of_one_turn(offset_mm, count):
    angles = gantry_angles(ball((offset_mm, 0, 0), 8), BODY, count)

    assert len(set(angles)) == count
    assert all(angle == int(angle) and 0 <= angle < 360 for angle in angles)


def test_a_positive_collimator_turns_counter_clockwise_seen_from_the_source():
    # From above at gantry 0°, the patient's left and head are x and y; x turns towards the head.
    np.testing.assert_allclose(axes(0, 0, 90)[0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(axes(0, 0, 90)[1], [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(axes(70, 20, 33)[2], axes(70, 20)[2], atol=1e-12)


@given(angles, angles, angles)
def test_axes_with_a_collimator_are_a_right_handed_frame(gantry, couch, collimator):
    turned = axes(gantry, couch, collimator)

    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned) == pytest.approx(1.0)


def test_beamlets_of_a_turned_collimator_still_cover_the_target():
    x, y, z = np.moveaxis(GRID.to_patient(np.stack(np.indices(GRID.shape), axis=-1)), -1, 0)
    bar = Structure.of("PTV", (np.abs(x) < 30) & (np.abs(y) < 6) & (np.abs(z) < 6), GRID)
    options = BeamletOptions(margin_beamlets=0)

    straight, turned = (
        aim(bar, 0.0, 0.0, 1000.0, collimator_deg=angle, options=options) for angle in (0.0, 90.0)
    )

    # The bar lies along the patient's x, which the turned collimator calls its y.
    np.testing.assert_allclose(np.abs(straight.positions_mm).max(axis=0), [30, 5])
    np.testing.assert_allclose(np.abs(turned.positions_mm).max(axis=0), [5, 30])
    seen = frame(turned, 1000.0).project(np.array([25.0, 0.0, 0.0]))
    np.testing.assert_allclose(seen, [0, -25], atol=2.0)


def test_equal_angles_divide_the_turn():
    assert equal_angles(9) == (0, 40, 80, 120, 160, 200, 240, 280, 320)
    assert equal_angles(4, 350) == (350, 80, 170, 260)


@pytest.mark.parametrize(
    ("start", "stop", "spacing", "clockwise", "expected"),
    [
        pytest.param(350, 10, 10, True, (350, 0, 10), id="across 0° the short way"),
        pytest.param(10, 350, 10, False, (10, 0, 350), id="and back"),
        pytest.param(0, 30, 20, True, (0, 15, 30), id="no wider than the spacing"),
        pytest.param(90, 90, 90, True, (90, 180, 270, 0, 90), id="a whole turn"),
    ],
)
def test_arcs_are_sampled_with_both_ends(start, stop, spacing, clockwise, expected):
    np.testing.assert_allclose(arc_angles(start, stop, spacing, clockwise=clockwise), expected)


def test_arcs_need_a_spacing():
    with pytest.raises(InputError, match="more than 0°"):
        arc_angles(0, 90, 0.0)
