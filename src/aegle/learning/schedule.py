"""The course of the learning rate, and the optimiser that follows it."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aegle.domain.errors import OptionError

MOMENTUM = 0.9
"""Nesterov momentum of ``sgd``."""

Group = Mapping[str, Any]
"""Parameters under ``params``, their share of the rate under ``rate``, other settings by name."""


def rate_share(step: int, *, steps: int, warm_up: float, schedule: str) -> float:
    """Return the learning rate of a step as a share of the highest one.

    The rate rises in a straight line over the warm-up and reaches its height at the first step
    after it; the cosine falls from there to 0 at the end of all steps (Loshchilov 2017).

    Args:
        step: Counted from 0.
        steps: Steps in all.
        warm_up: Share of the steps in which the rate rises.
        schedule: ``cosine`` or ``constant``.
    """
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def make_optimiser(
    name: str, groups: Iterable[Group], *, weight_decay: float
) -> torch.optim.Optimizer:
    """Return a fused optimiser over groups of parameters.

    Weights are decayed unless they are vectors (biases, scales of normalisation) or their group
    says otherwise; ``adam`` has no decay.

    Args:
        name: ``adamw``, ``adam`` or ``sgd``.
        groups: Parameters with their share of the rate.
        weight_decay: Decay of groups that do not say otherwise.

    Raises:
        OptionError: A parameter occurs in two groups, or no group has any.
    """
    decay = 0.0 if name == "adam" else weight_decay
    parts = [part for group in groups for part in _split(group, decay)]
    _check(parts)
    if name == "sgd":
        return _sgd(parts)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(parts, lr=1.0, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of a rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def optimiser_memory(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimiser remembers of each parameter, by number and name."""
    return {
        f"{number}/{name}": value
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_memory(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what it remembered, in the order in memory of its parameters."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    memory: dict[int, dict[str, Tensor]] = {}
    for place, tensor in tensors.items():
        number, _, name = place.partition("/")
        like = parameters[int(number)]
        value = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
        memory.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": memory})


def _split(group: Group, decay: float) -> list[dict[str, Any]]:
    """Return the decayed and the undecayed part of a group."""
    rest = {name: value for name, value in group.items() if name not in {"params", "rate"}}
    rest["share"] = float(group.get("rate", 1.0))
    parameters = _listed(group["params"])
    if "weight_decay" in rest:
        return [rest | {"params": parameters}]
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    parts = [
        rest | {"params": matrices, "weight_decay": decay},
        rest | {"params": vectors, "weight_decay": 0.0},
    ]
    return [part for part in parts if part["params"]]


def _sgd(parts: list[dict[str, Any]]) -> torch.optim.SGD:
    """Return SGD at rest: torch's fused kind fails where only some parameters have a velocity."""
    optimiser = torch.optim.SGD(parts, lr=1.0, momentum=MOMENTUM, nesterov=True, fused=True)
    for part in parts:
        for parameter in part["params"]:
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def _listed(parameters: Any) -> list[nn.Parameter]:
    return [parameters] if isinstance(parameters, nn.Parameter) else list(parameters)


def _check(parts: list[dict[str, Any]]) -> None:
    parameters = [parameter for part in parts for parameter in part["params"]]
    if not parameters:
        raise OptionError("No group of parameters holds any; there is nothing to train.")
    if len({id(parameter) for parameter in parameters}) != len(parameters):
        raise OptionError("A parameter occurs in two groups; each belongs in one.")
