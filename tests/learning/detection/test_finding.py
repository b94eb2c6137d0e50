"""Pictures of any shape are searched in a square, and boxes come back to their pixels."""

import numpy as np
import pytest
import torch
from tests.learning.detection.conftest import configuration

from aegle import catalogue
from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.learning.annotations import PlacedImage
from aegle.learning.detection.configure import (
    BoxFacts,
    DetectionOptions,
    configure_boxes,
)
from aegle.learning.detection.finding import find_boxes
from aegle.learning.detection.prepared import Fit, squared
from aegle.learning.model import Model, ModelFacts
from aegle.learning.networks.detector import Looked


def picture(rows, columns, channels=1):
    values = np.full((channels, 1, rows, columns), 10, np.float32)
    grid = Grid(shape=(1, rows, columns), spacing_mm=(1, 1, 1))
    return PlacedImage(values=values, grid=grid, is_picture=True)


def test_a_wide_picture_is_padded_above_and_below():
    image = picture(30, 60)
    image.values.setflags(write=True)
    image.values[0, 0, 10:20, 20:30] = 200

    pixels, fit = squared(image, configuration(size=96))

    assert fit == Fit(scale=1.6, left=0, top=24)
    rows, columns = np.nonzero(pixels[0] > 160)
    assert (rows.min(), rows.max() + 1) == pytest.approx((24 + 16, 24 + 32), abs=1)
    assert (columns.min(), columns.max() + 1) == pytest.approx((32, 48), abs=1)


def test_boxes_go_into_the_square_and_back():
    fit = Fit.of(480, 640, 416)
    boxes = np.array([[3.0, 5.0, 200.0, 100.0], [0.0, 0.0, 640.0, 480.0]], np.float32)

    np.testing.assert_allclose(fit.undo(fit.apply(boxes)), boxes, atol=1e-3)
    np.testing.assert_allclose(fit.apply(boxes)[1], [0, 52, 416, 364], atol=1e-3)


def model(monkeypatch, output):
    network = catalogue.load("network", "mobile-detector")(
        channels=1, classes=2, stride=8, width=16
    )
    looked = Looked(output, (torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 3, 3)))
    likely = torch.tensor([0.1, 0.9]).log()
    monkeypatch.setattr(network, "forward", lambda images: looked)
    monkeypatch.setattr(
        network, "classify", lambda features, boxes, size: likely.expand(len(boxes), -1)
    )
    settings = configuration(size=96)
    facts = ModelFacts(
        name="m 1",
        task="detect",
        network="mobile-detector",
        classes=("a", "b"),
        extras={"configuration": {k: v for k, v in vars(settings).items() if k != "reasons"}},
    )
    return Model(facts=facts, network=network)


def test_a_peak_becomes_a_box_in_pixels_of_the_picture(monkeypatch):
    output = torch.full((1, 5, 12, 12), -10.0)
    output[0, 0, 6, 4] = 3.0
    # Middle of place (6, 4) is 52 down, 36 across; 2 strides of 8 pixels to every side.
    output[0, 1:] = float(np.log(np.expm1(2.0)))

    found = find_boxes(
        model(monkeypatch, output), picture(48, 96), options=DetectionOptions(least_score=0.5)
    )

    assert found.classes.tolist() == [1]
    assert found.scores[0] == pytest.approx(0.9 / (1 + np.exp(-3.0)))
    np.testing.assert_allclose(found.boxes, [(20, 12, 52, 44)], atol=1e-3)


def test_volumes_are_refused(monkeypatch):
    grid = Grid(shape=(2, 8, 8), spacing_mm=(1, 1, 1))
    volume = PlacedImage(values=np.zeros((1, 2, 8, 8), np.float32), grid=grid, is_picture=False)

    with pytest.raises(InputError, match="takes pictures"):
        find_boxes(model(monkeypatch, torch.zeros(1)), volume, options=DetectionOptions())


FACTS = BoxFacts(
    pictures=600, channels=3, classes=("a",), median_side=416, small_side=0.3, boxes=700
)


def test_more_time_lets_pictures_keep_their_size():
    short, long = (
        configure_boxes(FACTS, options=DetectionOptions(minutes=m), pretrained=True)
        for m in (4, 60)
    )

    assert short.size < long.size == 416
    assert "416 pixels" in long.reasons["size"]


def test_small_objects_are_looked_for_at_every_8th_pixel():
    small = BoxFacts(**{**vars(FACTS), "small_side": 0.06})
    options = DetectionOptions(minutes=60)

    assert configure_boxes(small, options=options, pretrained=True).stride == 8
    assert configure_boxes(FACTS, options=options, pretrained=True).stride == 16


def test_memory_bounds_the_batch_and_too_little_is_refused():
    roomy, tight = (
        configure_boxes(FACTS, options=DetectionOptions(minutes=60, memory_mb=m), pretrained=True)
        for m in (4000, 1200)
    )

    assert tight.batch < roomy.batch
    assert tight.memory_mb <= 1200
    with pytest.raises(InputError, match=r"detect\.memory_mb"):
        configure_boxes(FACTS, options=DetectionOptions(memory_mb=300), pretrained=True)
