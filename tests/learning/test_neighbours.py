"""Training images that a model finds most like a new one."""

import numpy as np
import pytest
import torch

from aegle.domain.errors import InputError
from aegle.learning import applicability
from aegle.learning.model import Model, ModelFacts, load, save
from aegle.learning.neighbours import kept_with, nearest
from aegle.learning.networks.plain import small_cnn

DRAWS = np.random.default_rng(0)
OWN = DRAWS.integers(60, 200, (80, 1, 16, 16)).astype(np.uint8)


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    facts = ModelFacts(name="made 1", task="classify", network="small-cnn", classes=("a", "b"))
    return Model(facts=facts, network=small_cnn(dropout=0.0))


@pytest.fixture(scope="module")
def model(plain, tmp_path_factory):
    found = applicability.fit(*applicability.features_and_logits(plain, OWN), np.arange(80) % 5)
    names = [f"image {i}" for i in range(80)]
    complete = kept_with(applicability.kept_with(plain, found), OWN, names, np.arange(80) % 2)
    return load(save(complete, tmp_path_factory.mktemp("model") / "m.safetensors"))


def test_an_image_of_the_training_is_nearest_to_itself(model):
    for number in (3, 58):
        first, second, third = nearest(model, OWN[number : number + 1])[0]

        assert (first.name, first.category) == (f"image {number}", "ab"[number % 2])
        assert first.distance < 0.02  # stored in half precision
        assert first.distance < second.distance <= third.distance


def test_distances_are_in_deviations_of_the_training_images(model):
    """Two draws of one distribution lie sqrt(2) deviations apart in each direction."""
    every = [n.distance for i in range(80) for n in nearest(model, OWN[i : i + 1], 80)[0][1:]]

    assert np.sqrt(np.mean(np.square(every))) == pytest.approx(np.sqrt(2), rel=0.05)


def test_a_model_without_places_has_no_neighbours(plain):
    assert nearest(plain, OWN[:2]) == ((), ())


def test_places_need_directions_and_a_name_for_each_image(plain, model):
    with pytest.raises(InputError, match="does not say what it is applicable to"):
        kept_with(plain, OWN, ["x"] * 80, [0] * 80)
    with pytest.raises(InputError, match="80 images, 79 names"):
        kept_with(model, OWN, ["x"] * 79, [0] * 80)
