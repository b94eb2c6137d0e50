"""Small outlined images that live in memory."""

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.dense.configuration import ChannelScaling, Configuration
from aegle.learning.dense.prepared import prepare_dense
from aegle.learning.samples import Sample, SampleSet


@pytest.fixture
def outlined_set():
    """Return a function that makes a set from arrays of values and of labels, by name."""

    def make(images, labels, *, classes=("first", "second"), spacing_mm=(1.0, 1.0, 1.0)):
        def place(sample):
            values = np.asarray(images[sample.name], np.float32)
            grid = Grid(shape=values.shape[1:], spacing_mm=spacing_mm)
            return PlacedImage(values=values, grid=grid, is_picture=values.shape[1] == 1)

        return SampleSet(
            classes=classes,
            samples=tuple(Sample(name=name) for name in images),
            load=lambda sample: images[sample.name],
            content=lambda sample: images[sample.name].tobytes(),
            source="made",
            place=place,
            annotate=lambda sample: Annotation(labels=np.asarray(labels[sample.name], np.int32)),
        )

    return make


@pytest.fixture
def configured():
    """Return a function that makes a configuration that changes no value and no spacing."""

    def make(axes, patch, *, channels=1, **facts):
        plain = ChannelScaling(scheme="range", low=0.0, high=1.0)
        settings = {
            "axes": axes,
            "spacing_mm": (1.0, 1.0, 1.0),
            "scaling": (plain,) * channels,
            "patch": patch,
            "batch": 2,
            "network": "",
            "settings": {},
            "steps": 1,
            "foreground_share": 1 / 3,
            "image_order": 3,
        }
        return Configuration(**(settings | facts))

    return make


@pytest.fixture
def dense(tmp_path, outlined_set, configured):
    """Return a function that prepares arrays as they are."""

    def make(images, labels, patch, *, objects=False, classes=("first", "second"), **facts):
        some = next(iter(images.values()))
        axes = 2 if patch[0] == 1 else 3
        return prepare_dense(
            outlined_set(images, labels, classes=classes),
            tmp_path,
            configuration=configured(axes, patch, channels=len(some), **facts),
            progress=lambda done, total: None,
            objects=objects,
        )

    return make
