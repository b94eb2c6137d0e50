"""Images unlike those that a model was trained on are told from its own."""

import numpy as np
import pytest
import torch

from aegle.domain.errors import InputError
from aegle.learning.applicability import (
    describe,
    energy,
    features_and_logits,
    fit,
    kept_with,
    notices,
    of_model,
)
from aegle.learning.model import Model, ModelFacts, load, save
from aegle.learning.networks.plain import small_cnn


def drawn(seed, count=400, features=40):
    """A normal distribution with five wide directions."""
    draws = np.random.default_rng(seed)
    scale = np.where(np.arange(features) < 5, 10.0, 1.0)
    return draws.normal(size=(count, features)) * scale


def test_the_distance_of_own_images_is_one_per_feature():
    """Mean of a squared Mahalanobis distance over its dimensions (chi-squared law)."""
    found = describe(drawn(0, 4000), components=5)

    assert found.distance(drawn(1, 4000)).mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(found.variances[:5], 100, rtol=0.1)
    assert found.variances[5] == pytest.approx(1, rel=0.05)


def test_own_images_pass_and_others_do_not():
    alarms = []
    for seed in range(10):
        found = fit(drawn(seed), np.zeros((400, 2)), np.arange(400) % 5)
        alarms.append((found.distance(drawn(100 + seed)) > found.limit).mean())

    assert np.mean(alarms) <= 0.05
    assert np.mean(alarms) >= 0.005
    # Twice the spread in the narrow directions only.
    other = drawn(7) * np.where(np.arange(40) < 5, 1, 2)
    assert (found.distance(other) > found.limit).mean() > 0.95


def test_energy_by_hand():
    assert energy(np.log([[1.0, 3.0]]))[0] == pytest.approx(-np.log(4))


def test_a_model_keeps_what_it_is_applicable_to(tmp_path):
    torch.manual_seed(0)
    facts = ModelFacts(name="made 1", task="classify", network="small-cnn", classes=("a", "b"))
    model = Model(facts=facts, network=small_cnn(dropout=0.0))
    draws = np.random.default_rng(0)
    own = draws.integers(100, 140, (80, 1, 16, 16)).astype(np.uint8)
    other = draws.integers(0, 255, (3, 1, 16, 16)).astype(np.uint8)
    features, logits = features_and_logits(model, own)
    np.testing.assert_allclose(logits, model.logits_of(own), atol=1e-5)
    weights = model.network.state_dict()
    last = next(k for k in weights if k.startswith("head") and k.endswith("weight"))
    by_hand = features @ weights[last].numpy().T + weights[last[:-6] + "bias"].numpy()
    np.testing.assert_allclose(by_hand, logits, atol=1e-4)

    assert notices(model, own[:1]) == (None,)
    assert of_model(model) is None
    found = fit(features, logits, np.arange(80) % 5)
    again = load(save(kept_with(model, found), tmp_path / "made.safetensors"))
    assert of_model(again).limit == found.limit
    said = notices(again, np.concatenate([own[:20], other]))
    assert sum(one is not None for one in said[:20]) <= 3
    assert all(str(one).startswith("Not applicable to this image") for one in said[20:])


def test_few_images_describe_nothing():
    with pytest.raises(InputError, match="do not tell"):
        describe(drawn(0, 10))
