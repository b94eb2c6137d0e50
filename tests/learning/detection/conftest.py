"""Pictures of one bright rectangle each, and sets of pictures."""

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.detection.prepared import BoxSet
from aegle.learning.samples import Sample, SampleSet

SIZE = 96


def configuration(size=SIZE, stride=8, classes=2):
    return BoxConfiguration(
        size=size,
        mean=(0.45,),
        deviation=(0.25,),
        stride=stride,
        batch=4,
        network="mobile-detector",
        settings={"channels": 1, "classes": classes, "stride": stride, "width": 16},
        steps=10,
    )


@pytest.fixture(scope="session")
def rectangles():
    """Return a set of four pictures, each with one bright rectangle on middle grey."""
    values = np.full((4, 1, SIZE, SIZE), 115, np.uint8)
    boxes = []
    for number, (left, top, wide, high) in enumerate(
        ((30, 36, 24, 14), (40, 20, 12, 40), (50, 50, 20, 20), (28, 60, 30, 12))
    ):
        values[number, 0, top : top + high, left : left + wide] = 255
        boxes.append(np.array([[left, top, left + wide, top + high]], np.float32))
    return BoxSet(
        classes=("wide", "high"),
        samples=tuple(Sample(name=str(number)) for number in range(4)),
        configuration=configuration(),
        values=values,
        boxes=tuple(boxes),
        box_classes=tuple(np.array([number % 2]) for number in range(4)),
        key="rectangles",
    )


@pytest.fixture
def placed():
    """Return a function that makes a picture of values (row, column) or (channel, row, column)."""

    def make(values):
        planes = np.atleast_3d(np.asarray(values, np.float32))
        planes = planes if np.ndim(values) == 3 else planes.transpose(2, 0, 1)
        grid = Grid(shape=(1, *planes.shape[1:]), spacing_mm=(1.0, 1.0, 1.0))
        return PlacedImage(values=planes[:, None], grid=grid, is_picture=True)

    return make


@pytest.fixture
def sample_set(placed):
    """Return a function that makes a set of pictures, each with its boxes and classes."""

    def make(pictures, boxes, box_classes, classes=("disc", "bar")):
        names = [f"{number:02}.png" for number in range(len(pictures))]
        where = {name: number for number, name in enumerate(names)}
        return SampleSet(
            classes=classes,
            samples=tuple(Sample(name=name) for name in names),
            load=lambda sample: pictures[where[sample.name]],
            content=lambda sample: np.ascontiguousarray(pictures[where[sample.name]]).tobytes(),
            source="made",
            place=lambda sample: placed(pictures[where[sample.name]]),
            annotate=lambda sample: Annotation(
                boxes=np.array(boxes[where[sample.name]], np.float32).reshape(-1, 4),
                box_classes=np.array(box_classes[where[sample.name]], np.int64),
            ),
        )

    return make
