"""What tasks that configure themselves share: how long is trained, and from which weights."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from aegle.learning.assignment import TrainingOptions
from aegle.learning.transfer import Arrangement, TransferOptions, arrange, start
from aegle.workflow.learning.building import network_of
from aegle.workflow.learning.recipe import Recipe

UPDATES_PER_EPOCH = 50
"""Between two checkpoints, at least."""


class Decided(Protocol):
    """What every configuration says."""

    @property
    def network(self) -> str:
        """Name in the catalogue."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the network is built with."""

    @property
    def batch(self) -> int:
        """Images of a step."""

    @property
    def steps(self) -> int:
        """Updates of a whole training."""

    @property
    def training(self) -> Mapping[str, Any]:
        """Options of training that the rules set."""


def course_of(recipe: Recipe, decided: Decided, images: int) -> tuple[TrainingOptions, int]:
    """Return how a network is trained, and the updates of an epoch.

    The rules decide where the recipe does not say otherwise. An epoch has at least
    ``UPDATES_PER_EPOCH`` updates, and as many as it takes to see each image once.
    """
    usual, given = asdict(TrainingOptions()), asdict(recipe.train)
    said = {name: value for name, value in given.items() if value != usual[name]}
    updates = max(UPDATES_PER_EPOCH, -(-images // decided.batch))
    ruled = {"batch": decided.batch, "epochs": max(1, round(decided.steps / updates))}
    return TrainingOptions(**{**usual, **ruled, **decided.training, **said}), updates


def begun(
    recipe: Recipe, decided: Decided, seed: int, cache: Path
) -> tuple[nn.Module, Arrangement | None]:
    """Return the network with its first weights, and what of them changes how fast."""
    network = network_of(decided.network, decided.settings, seed)
    start(network, recipe.transfer, cache)
    if recipe.transfer == TransferOptions():
        return network, None
    return network, arrange(network, recipe.transfer)
