"""What a counterfactual changes is what the class rests on, and no more than it takes."""

import numpy as np
import pytest
import torch
from torch import nn

from aegle.diagnosis.explain.counterfactual import counterfactuals
from aegle.domain.errors import InputError
from aegle.learning.model import Model, ModelFacts
from aegle.learning.networks.autoencoders import narrow_autoencoder
from aegle.learning.preparation import PreparationOptions

SIDE, CODE = 32, 12
LIMIT = 0.45
"""Mean brightness of the spot from which the model says lesion."""


class SpotReader(nn.Module):
    """A classifier whose logit is linear in the brightness of one square."""

    def forward(self, images):
        spot = images[:, 0, 8:16, 8:16].mean(dim=(1, 2))
        lead = 20 * (spot - LIMIT)
        return torch.stack([-lead / 2, lead / 2], dim=1)


def facts(task, **rest):
    return ModelFacts(
        name=task,
        task=task,
        network="small-cnn",
        preparation=PreparationOptions(size=SIDE),
        mean=(0.0,),
        deviation=(1.0,),
        **rest,
    )


@pytest.fixture(scope="module")
def pictures():
    """Pictures with a spot of any brightness, a slope of any direction, and noise."""
    random = np.random.default_rng(0)
    row, column = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    made = []
    for _ in range(120):
        image = 0.3 + 0.15 * (random.normal() * row + random.normal() * column)
        image[8:16, 8:16] += random.uniform(0, 0.4)
        made.append(image + random.normal(0, 0.01, image.shape))
    return np.clip(np.array(made)[:, None], 0, 1)


@pytest.fixture(scope="module")
def classifier():
    return Model(facts=facts("classify", classes=("none", "lesion")), network=SpotReader())


@pytest.fixture(scope="module")
def autoencoder(pictures):
    network = narrow_autoencoder(code=CODE, size=SIDE)
    network.start_from(torch.from_numpy(pictures.astype(np.float32)))
    return Model(facts=facts("reconstruct"), network=network)


@pytest.fixture(scope="module")
def found(classifier, autoencoder, pictures):
    values = np.round(pictures[:30] * 255).astype(np.uint8)
    return values, counterfactuals(classifier, autoencoder, values)


def test_another_class_is_the_likeliest_in_the_end(found):
    _, made = found

    assert all(one.is_changed for one in made)
    # Where neither spot nor slope is there, nothing but noise is left to be like.
    assert sum(one.is_drawn for one in made) > 25


def test_the_spot_is_brought_just_past_the_limit(found):
    values, made = found

    for before, one in zip(values, made, strict=True):
        was, now = (v[0, 8:16, 8:16].mean() / 255 for v in (before, one.image))
        assert (was > LIMIT) != (now > LIMIT)
        # One step changes the whole picture by 0.002, the spot by a few times that.
        assert abs(now - LIMIT) < 0.03


def test_the_change_lies_in_the_spot(found):
    _, made = found
    inside = np.zeros((SIDE, SIDE), bool)
    inside[7:17, 7:17] = True
    shares = [np.abs(o.change[inside]).mean() / np.abs(o.change).mean() for o in made]

    # Evenly spread, the share would be 1.
    assert np.median(shares) > 5


def test_the_probabilities_are_those_of_the_images(found, classifier):
    values, made = found

    np.testing.assert_array_equal(
        np.stack([one.before for one in made]), classifier.probabilities_of(values)
    )
    changed = np.stack([one.image for one in made])
    np.testing.assert_allclose(
        np.stack([one.after for one in made]), classifier.probabilities_of(changed), atol=1e-6
    )


def test_an_image_unlike_all_that_the_autoencoder_knows_is_said_to_be(classifier, autoencoder):
    noise = np.random.default_rng(1).integers(0, 256, (1, 1, SIDE, SIDE), np.uint8)

    (one,) = counterfactuals(classifier, autoencoder, noise)

    assert not one.is_drawn


def test_what_is_no_autoencoder_is_refused(classifier):
    values = np.zeros((1, 1, SIDE, SIDE), np.uint8)

    with pytest.raises(InputError, match="needs an autoencoder"):
        counterfactuals(classifier, classifier, values)
