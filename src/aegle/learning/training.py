"""The training loop."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from aegle.learning.prepared import PreparedSet
from aegle.options import option


@checked(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained."""

    epochs: Annotated[int, option("Passes over the training images", ge=1, le=10_000)] = 20
    batch: Annotated[int, option("Images per step", ge=1, le=4096)] = 32
    accumulate: Annotated[int, option("Steps whose gradients are summed into one update", ge=1)] = 1
    optimiser: Annotated[Literal["adamw", "adam", "sgd"], option("Optimiser, fused")] = "adamw"
    rate: Annotated[float, option("Highest learning rate", gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, option("Decoupled weight decay", ge=0, le=1)] = 0.01
    warm_up: Annotated[
        float, option("Share of the steps in which the rate rises from 0", ge=0, lt=1)
    ] = 0.05
    schedule: Annotated[
        Literal["cosine", "constant"], option("Course of the rate after warm-up")
    ] = "cosine"
    average: Annotated[
        float, option("Decay per step of the running mean of the weights; 0 for none", ge=0, lt=1)
    ] = 0.0
    patience: Annotated[
        int,
        option(
            "Epochs without a better validation loss after which training ends; 0 for never", ge=0
        ),
    ] = 0
    label_smoothing: Annotated[
        float, option("Share of the target given to all classes", ge=0, lt=1)
    ] = 0.0
    mix: Annotated[
        float, option("Beta parameter of mixing pairs of images (mixup); 0 for none", ge=0)
    ] = 0.0
    class_weights: Annotated[bool, option("Weigh classes by the inverse of their frequency")] = (
        False
    )
    clip: Annotated[float, option("Largest norm of the gradient; 0 for no limit", ge=0)] = 0.0
    precision: Annotated[
        Literal["float32", "bfloat16"], option("Number format of the forward pass (autocast)")
    ] = "float32"
    seed: Annotated[int, option("Start of all randomness", ge=0)] = 0


class Loss(Protocol):
    """What is minimised: one number for a batch."""

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of normalised images (image, channel, ...) with class indices."""


Augment = Callable[[Tensor, np.random.Generator], Tensor]
"""Changes a batch of images in [0, 1]; all randomness comes from the generator."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass gave."""

    number: int
    training_loss: float
    validation_loss: float | None
    rate: float
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Course:
    """What training gave, epoch by epoch; the network holds the chosen weights."""

    network: nn.Module
    epochs: tuple[Epoch, ...]
    best: int
    """Number of the epoch whose weights were kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Assignment:
    """What is to be learned from what."""

    network: nn.Module
    data: PreparedSet
    training: NDArray[np.int64]
    """Indices of training images."""
    validation: NDArray[np.int64]
    """Indices of validation images; may be empty."""
    loss: Loss
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augment: Augment | None = None


def train(
    assignment: Assignment,
    *,
    options: TrainingOptions,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Course:
    """Train a network, or go on with a training that was stopped.

    Args:
        assignment: Network, images, loss.
        options: How.
        folder: Where checkpoints (safetensors and JSON) and the loss picture are kept; the
            last whole checkpoint is gone on with, bit for bit on the CPU.
        progress: Told of the steps done and the steps in all.

    Raises:
        InputError: The loss is not a finite number.
    """
    raise NotImplementedError
