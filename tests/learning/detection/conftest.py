"""Pictures of one bright rectangle each, and a set of them."""

import numpy as np
import pytest

from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.detection.prepared import BoxSet
from aegle.learning.samples import Sample

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
