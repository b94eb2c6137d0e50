"""Pictures and boxes are brought to one square once, and read from a folder from then on."""

from dataclasses import replace

import numpy as np
import pytest
from tests.learning.detection.conftest import configuration

from aegle.domain.errors import FileError, InputError
from aegle.learning.annotations import Annotation
from aegle.learning.detection.prepared import PADDING, Fit, prepare_boxes, squared
from aegle.learning.samples import SampleSet


def tell_nobody(done, total):
    del done, total


def in_colour(size):
    return replace(configuration(size=size), mean=(0.5,) * 3, deviation=(0.25,) * 3)


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        pytest.param(100, 200, (0.5, 0, 25), id="wide: bars above and below"),
        pytest.param(200, 100, (0.5, 25, 0), id="high: bars left and right"),
        pytest.param(50, 50, (2.0, 0, 0), id="square and smaller"),
    ],
)
def test_a_picture_is_scaled_by_its_longer_side_into_the_middle(rows, columns, expected):
    fit = Fit.of(rows, columns, 100)

    assert (fit.scale, fit.left, fit.top) == expected


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        pytest.param((60, 120), (80, 10, 100, 40), id="wide"),
        pytest.param((150, 75), (10, 100, 40, 130), id="high"),
        pytest.param((32, 24), (4, 8, 16, 12), id="made larger"),
    ],
)
def test_a_box_lies_where_its_object_went(placed, shape, box):
    left, top, right, bottom = box
    values = np.full(shape, 10.0)
    values[top:bottom, left:right] = 250

    pixels, fit = squared(placed(values), configuration(size=96))

    rows, columns = np.nonzero(pixels[0] > 180)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert fit.apply(np.array([box], np.float32))[0] == pytest.approx(found, abs=1)


def test_what_a_picture_does_not_fill_is_grey(placed):
    pixels, _ = squared(placed(np.full((40, 80), 200.0)), configuration(size=80))

    assert (pixels[0, :20] == PADDING).all()
    assert (pixels[0, 20:60] == 200).all()
    assert (pixels[0, 60:] == PADDING).all()


def test_a_grey_picture_fills_every_channel(placed):
    pixels, _ = squared(placed(np.eye(32) * 200), in_colour(size=32))

    assert pixels.shape == (3, 32, 32)
    assert (pixels == pixels[:1]).all()


def test_colours_stay_apart(placed):
    values = np.stack([np.full((32, 32), level) for level in (10, 100, 200)])

    pixels, _ = squared(placed(values), in_colour(size=32))

    assert pixels[:, 0, 0].tolist() == [10, 100, 200]


def test_values_beyond_bytes_are_scaled_by_their_range(placed):
    values = np.linspace(-1000, 3000, 32 * 32).reshape(32, 32)

    pixels, _ = squared(placed(values), configuration(size=32))

    assert (pixels.min(), pixels.max()) == (0, 255)


PICTURES = [np.full((30, 60), 50, np.uint8), np.full((60, 30), 90, np.uint8)]
BOXES = [[(0, 0, 30, 30)], [(0, 0, 30, 20), (10, 30, 20, 60)]]
KINDS = [[1], [0, 1]]


def test_pictures_and_boxes_lie_in_one_square(sample_set, tmp_path):
    found = prepare_boxes(
        sample_set(PICTURES, BOXES, KINDS),
        tmp_path,
        configuration=configuration(size=64),
        progress=tell_nobody,
    )

    assert found.values.shape == (2, 1, 64, 64)
    assert found.boxes[0][0] == pytest.approx((0, 16, 32, 48))
    assert found.boxes[1][1] == pytest.approx((16 + 64 / 6, 32, 16 + 64 / 3, 64), abs=1e-4)
    assert found.box_classes[1].tolist() == [0, 1]
    assert found.dimensions == 4


def test_a_second_time_pictures_are_read_from_the_folder(sample_set, tmp_path):
    first = prepare_boxes(
        sample_set(PICTURES, BOXES, KINDS),
        tmp_path,
        configuration=configuration(),
        progress=tell_nobody,
    )
    read = []

    def place(sample):
        read.append(sample.name)
        raise AssertionError

    whole = sample_set(PICTURES, BOXES, KINDS)
    again = prepare_boxes(
        SampleSet(
            classes=whole.classes,
            samples=whole.samples,
            load=whole.load,
            content=whole.content,
            place=place,
            annotate=whole.annotate,
        ),
        tmp_path,
        configuration=configuration(),
        progress=tell_nobody,
    )

    assert read == []
    assert np.array_equal(first.values, again.values)
    assert first.digest() == again.digest()


@pytest.mark.parametrize(
    ("boxes", "kinds", "size"),
    [
        pytest.param([[(0, 0, 30, 29)], BOXES[1]], KINDS, 64, id="another box"),
        pytest.param(BOXES, [[0], [0, 1]], 64, id="another class"),
        pytest.param(BOXES, KINDS, 96, id="another size"),
    ],
)
def test_other_boxes_or_sizes_are_another_set(sample_set, tmp_path, boxes, kinds, size):
    def digest(*drawn, at):
        return prepare_boxes(
            sample_set(PICTURES, *drawn),
            tmp_path,
            configuration=configuration(size=at),
            progress=tell_nobody,
        ).digest()

    assert digest(BOXES, KINDS, at=64) != digest(boxes, kinds, at=size)


def test_a_picture_with_outlines_alone_is_refused(sample_set, tmp_path):
    whole = sample_set(PICTURES, BOXES, KINDS)
    outlined = SampleSet(
        classes=whole.classes,
        samples=whole.samples,
        load=whole.load,
        content=whole.content,
        place=whole.place,
        annotate=lambda sample: Annotation(labels=np.zeros((1, 30, 60), np.int32)),
    )

    with pytest.raises(InputError, match=r"'00\.png' has outlines, but no boxes"):
        prepare_boxes(outlined, tmp_path, configuration=configuration(), progress=tell_nobody)


def test_a_folder_that_cannot_be_written_is_named(sample_set, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(FileError, match="cannot be written"):
        prepare_boxes(
            sample_set(PICTURES, BOXES, KINDS),
            blocked / "cache",
            configuration=configuration(),
            progress=tell_nobody,
        )


def test_pictures_that_fail_half_way_leave_nothing_behind(sample_set, tmp_path):
    whole = sample_set(PICTURES, BOXES, KINDS)

    def place(sample):
        if sample.name == "01.png":
            raise InputError("'01.png' is damaged.")
        return whole.place(sample)

    broken = SampleSet(
        classes=whole.classes,
        samples=whole.samples,
        load=whole.load,
        content=whole.content,
        place=place,
        annotate=whole.annotate,
    )

    with pytest.raises(InputError, match="damaged"):
        prepare_boxes(broken, tmp_path, configuration=configuration(), progress=tell_nobody)

    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
