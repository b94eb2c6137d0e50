"""A first look says what the images are, in plain data."""

import dataclasses
import json

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.learning.look import Spread, look
from aegle.learning.reading_samples import DataOptions, read_samples


def test_counts_sizes_and_values_are_those_of_the_images(made_set, scene):
    images = {
        "a": scene(1, size=20),
        "b": scene(2, size=40)[:, :30],
        "c": np.dstack([scene(3, size=60)] * 3),
        "d": scene(1, size=20),
        "e": None,
    }
    samples = made_set(
        images,
        classes=("x", "y"),
        label=[0, 0, 1, 0, 1],
        split=["train"] * 4 + [""],
        group=["p", "p", "p", "", ""],
    )

    found = look(samples)

    assert (found.images, found.unreadable, found.axes, found.colour) == (5, 1, 2, 1)
    assert found.counts == {"train": {"x": 3, "y": 1}, "": {"y": 1}}
    assert (found.groups, found.largest_group) == (3, 3)
    assert found.size == (
        Spread(least=20, median=30, most=60),
        Spread(least=20, median=25, most=60),
    )
    assert found.aspect == Spread(least=0.75, median=1, most=1)
    assert (found.near_duplicate_clusters, found.near_duplicates) == (1, 2)
    assert found.number_formats == {"uint8": 4}
    assert found.bits == 8
    assert 0 < found.intensity[0] < found.intensity[1] < found.intensity[2] < 256
    json.dumps(dataclasses.asdict(found))


@pytest.mark.parametrize(
    ("highest", "kind", "bits"),
    [(4095, np.uint16, 12), (4096, np.uint16, 13), (255, np.int32, 8), (1, np.float32, 0)],
)
def test_bits_are_those_that_the_values_use(made_set, scene, highest, kind, bits):
    image = (scene(1).astype(np.float64) / 255 * highest).astype(kind)

    assert look(made_set({"a": image})).bits == bits


def test_spacing_is_read_from_the_headers_of_volumes(shared_data):
    options = DataOptions(label="", start="images/hippocampus_00")

    found = look(read_samples(shared_data("msd_hippocampus"), options=options))

    assert found.axes == 3
    assert [s.median for s in found.spacing_mm] == [1, 1, 1]
    assert 30 < found.size[0].median < 60


def test_nothing_readable_is_an_error(made_set):
    with pytest.raises(InputError, match="none of 1 images"):
        look(made_set({"a": None}))
