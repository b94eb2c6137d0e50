"""Pictures of single cases."""

import io

import numpy as np
import pytest
from PIL import Image

from aegle.evaluation.outline_pictures import (
    SAID_COLOUR,
    TRUE_COLOUR,
    WRONG_COLOUR,
    ShownBox,
    borders,
    draw_boxes,
    sketch_objects,
    sketch_outlines,
    worst_slice,
)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB")).astype(int)


def places_of(colour, picture):
    """Return rows and columns whose colour is about that of a line, as shares of the image."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    shown = pixels(picture)
    found = np.argwhere(np.abs(shown - wanted).sum(axis=2) < 40)
    # The legend lies below the image.
    return found[found[:, 0] < 0.86 * shown.shape[0]] / shown.shape[:2]


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).normal(100, 30, (1, 3, 60, 60)).astype(np.float32)


def test_borders_run_along_the_edges_of_pixels():
    labels = np.zeros((3, 4), int)
    labels[1, 2] = 5

    pieces = {tuple(map(tuple, piece)) for piece in borders(labels).tolist()}

    assert pieces == {
        ((1.5, 0.5), (1.5, 1.5)),
        ((2.5, 0.5), (2.5, 1.5)),
        ((1.5, 0.5), (2.5, 0.5)),
        ((1.5, 1.5), (2.5, 1.5)),
    }


def test_there_is_a_border_between_touching_objects_and_along_the_edge_of_the_image():
    assert len(borders(np.array([[1, 2]]))) == 7
    assert len(borders(np.array([[1, 1]]))) == 6
    assert len(borders(np.zeros((4, 4), int))) == 0


def test_the_slice_with_most_errors_is_shown_or_else_the_fullest():
    wrong, real = np.zeros((4, 5, 5), bool), np.zeros((4, 5, 5), bool)
    real[1, :2] = True

    assert worst_slice(wrong, real) == 1
    wrong[3, 0, 0] = True
    assert worst_slice(wrong, real) == 3


def test_truth_and_model_lie_where_they_are_in_their_colours(noise):
    truth, said = np.zeros((3, 60, 60), int), np.zeros((3, 60, 60), int)
    truth[2, 5:55, 5:15], said[2, 5:25, 35:55] = 1, 1

    picture = sketch_outlines(noise, truth, said, spacing_mm=(1.0, 1.0, 1.0), caption="lopsided")()

    assert picture.caption == "lopsided (slice 3 of 3)"
    of_truth, of_model = (places_of(c, picture) for c in (TRUE_COLOUR, SAID_COLOUR))
    assert of_truth[:, 1].max() < 0.33
    assert of_truth[:, 0].max() > 0.7
    assert of_model[:, 1].min() > 0.5
    assert of_model[:, 0].max() < 0.45


def test_missed_and_false_objects_have_colours_of_their_own(noise):
    truth, said = np.zeros((3, 60, 60), int), np.zeros((3, 60, 60), int)
    truth[0, 5:20, 5:20], truth[0, 40:55, 5:20] = 1, 2
    said[0, 5:20, 5:20], said[0, 5:20, 40:55] = 8, 9

    picture = sketch_objects(
        noise, truth, said, wrong=((2,), (9,)), spacing_mm=(1.0, 1.0, 1.0), caption="x"
    )()

    found, missed, false = (
        places_of(c, picture).mean(axis=0) for c in (TRUE_COLOUR, SAID_COLOUR, WRONG_COLOUR)
    )
    assert (found < 0.4).all()
    assert missed[0] > 0.5 > missed[1]
    assert false[1] > 0.5 > false[0]


def test_boxes_are_drawn_where_they_lie():
    picture = draw_boxes(
        np.random.default_rng(0).integers(0, 90, (3, 1, 80, 80)).astype(np.uint8),
        [
            ShownBox(box=(5, 45, 30, 75), words="a", is_true=True),
            ShownBox(box=(45, 5, 75, 30), words="b 0.90", is_true=False),
            ShownBox(box=(45, 45, 75, 75), words="c $x", is_true=False, is_right=False),
        ],
        caption="boxes",
    )

    true, right, wrong = (
        places_of(c, picture).mean(axis=0) for c in (TRUE_COLOUR, SAID_COLOUR, WRONG_COLOUR)
    )
    assert true[0] > 0.5 > true[1]
    assert right[1] > 0.5 > right[0]
    assert (wrong > 0.5).all()


def test_no_truth_is_spoken_of_where_none_is_known():
    dark = np.zeros((1, 1, 80, 80), np.uint8)
    box = ShownBox(box=(5, 45, 30, 75), words="a", is_true=False)
    wanted = [int(TRUE_COLOUR[i : i + 2], 16) for i in (1, 3, 5)]

    judged, unknown = (
        (np.abs(pixels(draw_boxes(dark, [box], caption="", is_judged=known)) - wanted)).sum(axis=2)
        for known in (True, False)
    )

    assert (judged < 40).any()
    assert not (unknown < 40).any()


def test_thick_rows_are_drawn_higher_than_wide():
    labels = np.ones((1, 20, 20), int)

    picture = sketch_outlines(
        np.zeros((1, 1, 20, 20)), labels, labels, spacing_mm=(1.0, 2.0, 1.0), caption=""
    )()

    assert picture.height > 1.3 * picture.width


def test_the_same_case_gives_the_same_bytes(noise):
    labels = (noise[0] > 120).astype(int)
    sketch = sketch_outlines(noise, labels, labels * 0, spacing_mm=(1.0, 1.0, 1.0), caption="")

    assert sketch().data == sketch().data
