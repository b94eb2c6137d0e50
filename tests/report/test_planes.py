"""Slices are hung as radiologists hang them, whatever way the array runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.report.planes import Plane, View, resampled

LEFT, BACK, HEAD = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def flipped(axis):
    return tuple(-x for x in axis)


# slice, row and column direction of arrays that are met in practice
ARRAYS = {
    "axial, feet first": (HEAD, BACK, LEFT),
    "axial, head first": (flipped(HEAD), BACK, LEFT),
    "axial, prone": (HEAD, flipped(BACK), flipped(LEFT)),
    "axial, mirrored": (HEAD, BACK, flipped(LEFT)),
    "sagittal": (LEFT, flipped(HEAD), BACK),
    "coronal": (BACK, flipped(HEAD), LEFT),
    "columns to the head": (LEFT, BACK, HEAD),
}


def grid(axes, shape=(9, 11, 13), spacing_mm=(3.0, 2.0, 1.5)):
    """Return a grid whose middle lies at the origin of the patient."""
    plain = Grid(shape=shape, spacing_mm=spacing_mm, axes=axes)
    return Grid(shape=shape, spacing_mm=spacing_mm, axes=axes, origin_mm=tuple(-plain.centre_mm))


def with_blob(where_mm, on):
    """Return an image that is bright at one place and dark elsewhere."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in on.shape), indexing="ij"), -1)
    away_mm = np.linalg.norm(on.to_patient(places.astype(float)) - where_mm, axis=-1)
    return (away_mm <= away_mm.min() + 1e-9).astype(np.float32)


def brightest(picture):
    """Return where the blob is drawn, as parts of height and width."""
    row, column = np.unravel_index(np.argmax(picture), picture.shape)
    return row / (picture.shape[0] - 1), column / (picture.shape[1] - 1)


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
def test_patients_right_is_left_and_front_is_up_on_axial_pictures(axes):
    on = grid(axes)
    right_front_mm = np.array([-5.0, -4.0, 0.0])
    view = View(on, Plane.AXIAL)

    row, column = brightest(view.cut(with_blob(right_front_mm, on), view.index_at(right_front_mm)))

    assert row < 0.5
    assert column < 0.5


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
def test_patients_right_is_left_and_head_is_up_on_coronal_pictures(axes):
    on = grid(axes)
    right_head_mm = np.array([-5.0, 0.0, 5.0])
    view = View(on, Plane.CORONAL)

    row, column = brightest(view.cut(with_blob(right_head_mm, on), view.index_at(right_head_mm)))

    assert row < 0.5
    assert column < 0.5


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
def test_front_is_left_and_head_is_up_on_sagittal_pictures(axes):
    on = grid(axes)
    front_head_mm = np.array([0.0, -5.0, 5.0])
    view = View(on, Plane.SAGITTAL)

    row, column = brightest(view.cut(with_blob(front_head_mm, on), view.index_at(front_head_mm)))

    assert row < 0.5
    assert column < 0.5


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
def test_letters_name_the_borders(axes):
    letters = [View(grid(axes), plane).letters for plane in Plane]

    assert letters == [("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F")]


def test_letters_of_an_oblique_plane_name_both_directions():
    turned = np.radians(30)
    back = (0.0, np.cos(turned), -np.sin(turned))
    head = (0.0, np.sin(turned), np.cos(turned))
    view = View(grid((head, back, LEFT)), Plane.AXIAL)

    assert view.letters == ("R", "L", "AH", "PF")


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
@pytest.mark.parametrize("plane", Plane)
def test_positions_are_drawn_over_their_own_pixel(axes, plane):
    on = grid(axes)
    view = View(on, plane)
    place_mm = on.to_patient(np.array([2.0, 3.0, 4.0]))
    picture = view.cut(with_blob(place_mm, on), view.index_at(place_mm))
    row, column = np.unravel_index(np.argmax(picture), picture.shape)

    right_mm, down_mm = view.to_picture(place_mm)

    assert right_mm == pytest.approx(column * view.pixel_mm[1])
    assert down_mm == pytest.approx(row * view.pixel_mm[0])


@given(
    st.tuples(*(st.floats(-40, 40) for _ in range(3))),
    st.tuples(*(st.floats(-40, 40) for _ in range(3))),
    st.sampled_from(list(ARRAYS.values())),
)
def test_in_plane_distances_are_millimetres(first, second, axes):
    view = View(grid(axes), Plane.AXIAL)
    ends_mm = np.array([(*first[:2], 0.0), (*second[:2], 0.0)])

    drawn = view.to_picture(ends_mm)

    expected_mm = np.hypot(first[0] - second[0], first[1] - second[1])
    assert np.linalg.norm(drawn[0] - drawn[1]) == pytest.approx(expected_mm, abs=1e-9)


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
@pytest.mark.parametrize("plane", Plane)
def test_outline_covers_what_it_outlines(axes, plane):
    on = grid(axes)
    mask = np.random.default_rng(4).random(on.shape) > 0.8
    structure = Structure.of("noise", mask, on)
    view = View(on, plane)

    section = view.section(structure, 4)

    np.testing.assert_array_equal(section, view.cut(mask.astype(np.float32), 4) > 0)


def test_absent_structures_have_no_outline():
    on = grid(ARRAYS["sagittal"])
    mask = np.zeros(on.shape, bool)
    mask[2:4, 3:5, 6:9] = True
    view = View(on, Plane.SAGITTAL)

    assert view.section(Structure.of("small", mask, on), 7) is None
    assert view.section(Structure.of("none", np.zeros(on.shape, bool), on), 3) is None


@pytest.mark.parametrize("axes", ARRAYS.values(), ids=ARRAYS.keys())
def test_another_image_is_laid_where_it_belongs(axes):
    """A linear field is resampled exactly, so every pixel must equal its own position."""
    on = grid(axes)
    other_grid = grid(ARRAYS["axial, prone"], shape=(30, 30, 30), spacing_mm=(2.0, 2.5, 2.0))
    indices = np.stack(np.meshgrid(*(np.arange(30.0),) * 3, indexing="ij"), -1)
    x, y, z = np.moveaxis(other_grid.to_patient(indices), -1, 0)
    field = Volume(
        values=(x + 10 * y + 100 * z).astype(np.float32), grid=other_grid, quantity=Quantity.SIGNAL
    )
    view = View(on, Plane.AXIAL)

    drawn = resampled(view, 3, field)

    steps = np.stack(np.meshgrid(*(np.arange(float(n)) for n in on.shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(on.to_patient(steps), -1, 0)
    expected = view.cut((x + 10 * y + 100 * z).astype(np.float32), 3)
    np.testing.assert_allclose(drawn, expected, atol=1e-2)


def test_outside_the_other_image_there_is_nothing():
    on = grid(ARRAYS["axial, feet first"])
    small = Grid(shape=(2, 2, 2), spacing_mm=(50.0, 1.0, 1.0), origin_mm=(0.0, 0.0, -25.0))
    ones = Volume(values=np.ones((2, 2, 2), np.float32), grid=small, quantity=Quantity.SIGNAL)

    drawn = resampled(View(on, Plane.AXIAL), 4, ones)

    assert np.isnan(drawn).any()
    assert np.nanmax(drawn) == 1
