"""A trained network with all that is needed to use it, in one safetensors file.

The file holds the weights; its metadata hold the facts as JSON under the key ``aegle``. Nothing
in it is executed when it is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aegle.learning.preparation import PreparationOptions

Task = Literal["classify", "reconstruct", "anomaly"]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """All that is known of a model besides its weights; plain data, kept as JSON."""

    name: str
    """Name with version, e.g. ``radiograph-pneumonia 1``."""
    task: Task
    network: str
    """Name in the catalogue, kind ``network``."""
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    preparation: PreparationOptions = field(default_factory=PreparationOptions)
    channels: int = 1
    """Channels that the network takes; one prepared channel is repeated."""
    mean: tuple[float, ...] = (0.5,)
    """Subtracted from values in [0, 1], per channel."""
    deviation: tuple[float, ...] = (0.5,)
    """Divided by, per channel."""
    flips: bool = False
    """Whether the mean of the image and its mirror image is taken."""
    temperature: float = 1.0
    """Logits are divided by it before softmax."""
    modalities: tuple[str, ...] = ()
    """DICOM modalities that it is made for; empty for any."""
    body_parts: tuple[str, ...] = ()
    """DICOM body parts examined that it is made for; empty for any."""
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    """Data sets with citation."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Scores with their intervals, by name."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What only this task needs, such as the limit of an anomaly score."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A trained network that can be used."""

    facts: ModelFacts
    network: nn.Module
    digest: str = ""
    """SHA-256 of the file it came from."""

    def probabilities(self, pixels: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
        """Return calibrated class probabilities of images as stored, shape (image, class)."""
        raise NotImplementedError


def save(model: Model, path: Path) -> Path:
    """Write a model whole or not at all."""
    raise NotImplementedError


def load(path: Path) -> Model:
    """Read a model.

    Raises:
        FileError: The file is damaged, no model of ours, or its weights do not fit its network.
    """
    raise NotImplementedError
