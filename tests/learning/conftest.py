"""Small sets of images that live in memory."""

import numpy as np
import pytest

from aegle.domain.errors import FileError
from aegle.learning.samples import Sample, SampleSet


@pytest.fixture
def made_set():
    """Return a function that makes a set from arrays; an image of None cannot be read."""

    def make(images, *, classes=(), **facts):
        samples = tuple(
            Sample(name=name, **{key: values[i] for key, values in facts.items()})
            for i, name in enumerate(images)
        )

        def load(sample):
            if images[sample.name] is None:
                raise FileError(sample.name, "it is cut off.", "Fetch it again.")
            return images[sample.name]

        def content(sample):
            return b"" if images[sample.name] is None else images[sample.name].tobytes()

        return SampleSet(
            classes=classes, samples=samples, load=load, content=content, source="made"
        )

    return make


@pytest.fixture
def scene():
    """Return a function that makes a smooth image of its own for each number."""
    from scipy.ndimage import gaussian_filter

    def make(number, size=64):
        noise = np.random.default_rng(number).standard_normal((size, size))
        smooth = gaussian_filter(noise, size / 16, mode="wrap")
        scaled = (smooth - smooth.min()) / (smooth.max() - smooth.min())
        return np.rint(scaled * 255).astype(np.uint8)

    return make
