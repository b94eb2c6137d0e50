"""Learning rate and optimiser against their formulas."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from aegle.domain.errors import OptionError
from aegle.learning.schedule import make_optimiser, rate_share, set_rate


@pytest.mark.parametrize(
    ("step", "share"),
    [
        pytest.param(0, 1 / 11, id="the first step is not idle"),
        pytest.param(4, 5 / 11, id="half of the rise"),
        pytest.param(10, 1.0, id="the height is reached after the warm-up"),
        pytest.param(40, 0.75, id="a third of the fall"),
        pytest.param(55, 0.5, id="half of the fall"),
        pytest.param(70, 0.25, id="two thirds of the fall"),
        pytest.param(99, 0.5 * (1 + math.cos(math.pi * 89 / 90)), id="the last step is small"),
    ],
)
def test_the_rate_rises_and_falls_as_a_cosine(step, share):
    assert rate_share(step, steps=100, warm_up=0.1, schedule="cosine") == pytest.approx(share)


def test_a_constant_rate_stays_after_the_warm_up():
    shares = [rate_share(s, steps=20, warm_up=0.2, schedule="constant") for s in range(20)]

    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 16)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_adamw_follows_its_formula(memory):
    """Loshchilov 2019, algorithm 2."""
    start = np.random.default_rng(0).normal(size=(4, 3, 2, 2))
    slopes = np.random.default_rng(1).normal(size=(3, 4, 3, 2, 2))
    weight = nn.Parameter(torch.tensor(start).float().contiguous(memory_format=memory))
    optimiser = make_optimiser("adamw", ({"params": [weight], "rate": 0.5},), weight_decay=0.1)
    expected, first, second, rate = start.copy(), 0.0, 0.0, 0.02
    for step, slope in enumerate(slopes, start=1):
        weight.grad = torch.tensor(slope).float().contiguous(memory_format=memory)
        set_rate(optimiser, 0.04)
        optimiser.step()
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        whole = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        expected = expected - rate * 0.1 * expected - rate * whole

    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_sgd_follows_nesterov():
    """Sutskever 2013 as in torch's documentation."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    optimiser = make_optimiser("sgd", ({"params": [weight]},), weight_decay=0.0)
    expected, velocity = np.array([[1.0, -2.0]]), 0.0
    for slope in (np.array([[0.5, 1.0]]), np.array([[-0.25, 2.0]])):
        weight.grad = torch.tensor(slope).float()
        set_rate(optimiser, 0.1)
        optimiser.step()
        velocity = 0.9 * velocity + slope
        expected = expected - 0.1 * (slope + 0.9 * velocity)

    np.testing.assert_allclose(weight.detach(), expected, rtol=1e-6)


def test_parameters_may_join_sgd_later():
    first, second = nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1, 1))
    optimiser = make_optimiser("sgd", ({"params": [first, second]},), weight_decay=0.0)
    set_rate(optimiser, 1.0)
    first.grad = torch.ones(1, 1)
    optimiser.step()
    second.grad = torch.ones(1, 1)
    optimiser.step()

    assert float(second.detach()) == pytest.approx(-1.9)
    assert float(first.detach()) == pytest.approx(-1.9 - (1 + 0.9 * 1.9))


def test_biases_and_scales_are_not_decayed():
    layer = nn.Linear(3, 2)
    optimiser = make_optimiser("adamw", ({"params": layer.parameters()},), weight_decay=0.3)

    decays = {
        tuple(p.shape): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]
    }

    assert decays == {(2, 3): 0.3, (2,): 0.0}


def test_a_group_keeps_its_own_settings():
    layer = nn.Linear(3, 2)
    groups = (
        {"params": [layer.weight], "rate": 0.1, "weight_decay": 0.0},
        {"params": [layer.bias]},
    )
    optimiser = make_optimiser("adam", groups, weight_decay=0.3)

    set_rate(optimiser, 2.0)

    assert [(g["lr"], g["weight_decay"]) for g in optimiser.param_groups] == [
        (pytest.approx(0.2), 0.0),
        (2.0, 0.0),
    ]


def test_adam_has_no_decay():
    layer = nn.Linear(3, 2)
    optimiser = make_optimiser("adam", ({"params": layer.parameters()},), weight_decay=0.3)

    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.0}


def test_a_parameter_in_two_groups_is_refused():
    layer = nn.Linear(3, 2)

    with pytest.raises(OptionError, match="two groups"):
        make_optimiser(
            "sgd", ({"params": [layer.weight]}, {"params": [layer.weight]}), weight_decay=0
        )


def test_nothing_to_train_is_refused():
    with pytest.raises(OptionError, match="nothing to train"):
        make_optimiser("sgd", ({"params": []},), weight_decay=0)
