"""What tasks that configure themselves share: how long is trained, and from which weights."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from aegle.learning.assignment import Assignment, Loss, SourceMaker, TrainingOptions
from aegle.learning.model import ModelFacts
from aegle.learning.transfer import Arrangement, TransferOptions, arrange, start
from aegle.workflow.learning.building import network_of
from aegle.workflow.learning.materials import Materials
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.recipe import Recipe

UPDATES_PER_EPOCH = 50
"""Between two checkpoints, at least."""


RESTORING_IMAGES = 64
"""Training images on which the statistics of batch normalisation are measured."""


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

    @property
    def transfer(self) -> Mapping[str, Any]:
        """Options of transfer that the rules set, where weights are given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Lesson:
    """What one task adds to a training."""

    source: SourceMaker
    """Cuts batches out of the data."""
    loss: Loss
    changes: str
    """What the source does to images."""
    channels: int
    """Channels that the network takes."""


def lesson_of(
    materials: Materials, part: Part, recipe: Recipe, decided: Decided, lesson: Lesson
) -> tuple[Assignment, ModelFacts, TrainingOptions]:
    """Return what is to be learned, what is known of the model before, and how it is trained."""
    cases = materials.where(part.training)
    options, updates = course_of(recipe, decided, len(cases))

    def shown() -> Tensor:
        plain = lesson.source(torch.device("cpu"), torch.contiguous_format, options.seed)
        return plain.still(cases[:: -(-len(cases) // RESTORING_IMAGES)]).images

    network, arrangement = begun(recipe, decided, options.seed, materials.cache, shown)
    assignment = Assignment(
        network=network,
        data=materials.data,
        training=np.resize(cases, options.batch * updates),
        validation=materials.where(part.tuning),
        loss=lesson.loss,
        mean=(),
        deviation=(),
        groups=arrangement.groups if arrangement else None,
        before_epoch=arrangement.before_epoch if arrangement else None,
        prepare_mode=arrangement.prepare_mode if arrangement else None,
        source=lesson.source,
        changes=lesson.changes,
    )
    facts = ModelFacts(
        name=recipe.model.name,
        task=recipe.model.task,
        network=decided.network,
        network_settings=decided.settings,
        classes=materials.samples.classes,
        channels=lesson.channels,
        extras={"configuration": dict(materials.plan.configuration)},
    )
    return assignment, facts, options


def course_of(recipe: Recipe, decided: Decided, images: int) -> tuple[TrainingOptions, int]:
    """Return how a network is trained, and the updates of an epoch.

    The rules decide where the recipe does not say otherwise. An epoch has
    ``UPDATES_PER_EPOCH`` updates, or as many more as it takes to see each image once.
    """
    updates = max(min(UPDATES_PER_EPOCH, decided.steps), -(-images // decided.batch))
    ruled = {"batch": decided.batch, "epochs": max(1, round(decided.steps / updates))}
    return _ruled(recipe.train, TrainingOptions(), {**ruled, **decided.training}), updates


def begun(
    recipe: Recipe, decided: Decided, seed: int, cache: Path, shown: Callable[[], Tensor]
) -> tuple[nn.Module, Arrangement | None]:
    """Return the network with its first weights, and what of them changes how fast.

    Args:
        recipe: Names the weights; how they are adapted where the rules should not decide.
        decided: The configuration.
        seed: Of weights that are new.
        cache: Folder for downloaded weights.
        shown: Gives training images as the network sees them, to put batch normalisation back.
    """
    network = network_of(decided.network, decided.settings, seed)
    if not recipe.transfer.weights:
        return network, None
    options = _ruled(recipe.transfer, TransferOptions(), decided.transfer)
    start(network, options, cache)
    images = shown() if options.batch_norm == "restore" else None
    return network, arrange(network, options, images)


def _ruled(given: Any, usual: Any, ruled: Mapping[str, Any]) -> Any:
    """Return options as given, at their usual values as the rules say."""
    plain, default = asdict(given), asdict(usual)
    said = {name: value for name, value in plain.items() if value != default[name]}
    return type(usual)(**{**default, **ruled, **said})
