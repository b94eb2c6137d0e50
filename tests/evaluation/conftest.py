"""Made predictions."""

import numpy as np
import pytest

from aegle.domain.prediction import Predictions


@pytest.fixture(scope="session")
def made():
    """Return a function that makes predictions better than chance, with ties."""

    def make(count=120, *, classes=2, seed=0, per_group=3, gain=1.2, columns=None):
        generator = np.random.default_rng(seed)
        truth = generator.integers(0, classes, count)
        logits = generator.normal(size=(count, classes))
        logits[np.arange(count), truth] += gain
        raised = np.exp(logits.round(1))
        return Predictions(
            classes=("normal", "pneumonia", "tumour", "other")[:classes],
            names=tuple(f"image-{i}" for i in range(count)),
            truth=truth,
            probabilities=raised / raised.sum(axis=1, keepdims=True),
            groups=tuple(f"patient-{i // per_group}" for i in range(count)),
            columns=columns or {},
        )

    return make


@pytest.fixture(scope="session")
def two_class():
    """Return a function that makes predictions from truth and the probability of the last class."""

    def make(truth, stated, groups=None, names=None):
        stated = np.asarray(stated, np.float64)
        return Predictions(
            classes=("no", "yes"),
            names=tuple(names or (str(i) for i in range(stated.size))),
            truth=np.asarray(truth),
            probabilities=np.stack([1 - stated, stated], axis=1),
            groups=tuple(groups or (str(i) for i in range(stated.size))),
        )

    return make
