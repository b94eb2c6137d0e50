from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from aegle.domain.errors import InputError, OptionError
from aegle.domain.grid import Grid
from aegle.learning.annotations import PlacedImage
from aegle.learning.dense.configuration import ChannelScaling, Configuration
from aegle.learning.dense.inference import InferenceOptions, outline, probabilities
from aegle.learning.model import Model, ModelFacts

EXACT = InferenceOptions(precision="float32", threads=1)


def threshold(*limits, axes=3):
    """A network that says class k where the value lies between its limits."""
    kind = nn.Conv3d if axes == 3 else nn.Conv2d
    network = kind(1, len(limits) + 1, 1)
    with torch.no_grad():
        # Class k wins over k - 1 from limit k on: lines whose slopes grow by one.
        network.weight[:, 0].copy_(torch.arange(len(limits) + 1.0).view(-1, *[1] * axes))
        network.bias.copy_(torch.tensor([0.0, *(-np.cumsum(limits))]))
    return network


def model_of(network, *, task="segment", axes=3, **changes):
    configuration = Configuration(
        **{
            "axes": axes,
            "spacing_mm": (2.0, 2.0, 2.0),
            "scaling": (ChannelScaling(scheme="ct", low=-10, high=10, mean=0, deviation=1),),
            "patch": (8, 8, 8) if axes == 3 else (1, 16, 16),
            "batch": 2,
            "network": "unet",
            "settings": {},
            "steps": 1,
            "foreground_share": 0.5,
            "image_order": 3,
        }
        | changes
    )
    extras = {"configuration": asdict(configuration)}
    facts = ModelFacts(name="fake 1", task=task, network="unet", extras=extras)
    return Model(facts=facts, network=network)


def image_of(values, spacing_mm=(2.0, 2.0, 2.0), *, is_picture=False):
    grid = Grid(shape=values.shape, spacing_mm=spacing_mm)
    return PlacedImage(values=values[None].astype(np.float32), grid=grid, is_picture=is_picture)


def test_voxels_get_the_class_of_their_value():
    values = np.random.default_rng(0).uniform(-3, 3, (12, 10, 15))

    found = outline(model_of(threshold(-1, 1)), image_of(values), options=EXACT)

    np.testing.assert_array_equal(found, np.digitize(values.astype(np.float32), [-1, 1]))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("mirrors", ["option", "configuration"])
def test_mirror_images_are_looked_at_where_either_asks_for_it(mirrors):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = threshold(0)
            self.looks = 0

        def forward(self, tiles):
            self.looks += tiles.device.type != "meta"
            return self.inner(tiles)

    values = np.random.default_rng(0).uniform(-3, 3, (8, 8, 8))
    network = Counting()
    model = model_of(network, mirrors=mirrors == "configuration")
    options = InferenceOptions(precision="float32", mirrors=mirrors == "option")

    found = outline(model, image_of(values), options=options)

    np.testing.assert_array_equal(found, values > 0)
    assert network.looks == 8


def test_pictures_are_outlined_pixel_by_pixel():
    values = np.random.default_rng(0).uniform(-3, 3, (1, 40, 21))
    model = model_of(threshold(0, axes=2), axes=2, spacing_mm=(1, 1, 1))

    found = outline(model, image_of(values, (1, 1, 1), is_picture=True), options=EXACT)

    np.testing.assert_array_equal(found, values > 0)


def test_probabilities_are_on_the_grid_of_the_network_and_sum_to_one():
    values = np.random.default_rng(0).uniform(-3, 3, (12, 10, 15))
    image = image_of(values, (4.0, 2.0, 1.0))

    found = probabilities(model_of(threshold(-1, 1)), image, options=EXACT)

    assert found.shape == (3, 24, 10, 8)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)


def test_the_probability_is_the_softmax_of_the_scores():
    values = np.random.default_rng(0).uniform(-3, 3, (8, 8, 8))

    found = probabilities(model_of(threshold(1)), image_of(values), options=EXACT)

    np.testing.assert_allclose(found[1], 1 / (1 + np.exp(1 - values)), atol=1e-5)


def test_objects_that_touch_are_parted_on_the_grid_of_the_image():
    rows, columns = np.indices((40, 60))
    centres = [(19.5, 17), (19.5, 36)]
    depth = [1 - np.hypot(rows - y, columns - x) / 11 for y, x in centres]
    values = np.max(depth, axis=0)[None]
    network = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([40.0, 1.0]).view(2, 1, 1, 1))
        network.bias.zero_()
    model = model_of(network, task="instances", axes=2, spacing_mm=(1.0, 2.0, 2.0))

    found = outline(model, image_of(values, (1, 1, 1), is_picture=True), options=EXACT)

    assert found.shape == (1, 40, 60)
    assert found.max() == 2
    for number, mine in ((1, depth[0] > np.maximum(depth[1], 0)), (2, depth[1] > depth[0])):
        overlap = np.mean((found[0] == number)[mine & (values[0] > 0)])
        assert overlap > 0.9
    inside = probabilities(model, image_of(values, (1, 1, 1), is_picture=True), options=EXACT)
    assert inside.shape == (2, 1, 20, 30)


def test_a_coarse_model_says_where_to_look():
    values = np.full((40, 40, 40), -5.0)
    values[10:16, 12:20, 5:9] = 5
    values[30:34, 30:34, 30:34] = -1
    fine = model_of(threshold(-3))
    coarse = model_of(threshold(3), spacing_mm=(4.0, 4.0, 4.0))
    options = InferenceOptions(precision="float32", margin_mm=8.0)

    found = outline(fine, image_of(values), options=options, coarse=coarse)

    assert found[11:15, 13:19, 6:8].all()
    assert not found[30:34, 30:34, 30:34].any()
    assert outline(fine, image_of(values), options=options)[30:34, 30:34, 30:34].all()


def test_the_same_image_gives_the_same_bytes():
    values = np.random.default_rng(0).uniform(-3, 3, (20, 18, 15))
    model, image = model_of(threshold(-1, 1)), image_of(values, (3.0, 1.0, 2.5))

    first, second = (outline(model, image, options=InferenceOptions()) for _ in range(2))

    assert first.tobytes() == second.tobytes()


def test_a_model_that_does_not_outline_is_refused():
    model = Model(
        facts=ModelFacts(name="classifier 1", task="classify", network="small-cnn"),
        network=nn.Linear(1, 1),
    )

    with pytest.raises(InputError, match="'classifier 1' does not outline"):
        outline(model, image_of(np.zeros((4, 4, 4))), options=EXACT)


def test_too_little_memory_is_said_before_anything_is_computed():
    network = nn.Sequential(nn.Conv3d(1, 400, 1), nn.Conv3d(400, 2, 1))
    model = model_of(network, patch=(48, 48, 48))
    options = InferenceOptions(memory_mb=64, precision="float32")

    with pytest.raises(OptionError, match="64 MB are too little"):
        outline(model, image_of(np.zeros((4, 4, 4))), options=options)
