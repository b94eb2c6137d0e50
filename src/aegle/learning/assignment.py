"""What is to be learned, how, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from aegle.learning.augmentation import Augment
from aegle.learning.batches import Source
from aegle.learning.prepared import PreparedSet
from aegle.learning.samples import Sample
from aegle.learning.schedule import Group
from aegle.options import option


@checked(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained."""

    epochs: Annotated[int, option("Passes over the training images", ge=1, le=10_000)] = 20
    batch: Annotated[int, option("Images per step", ge=1, le=4096)] = 32
    accumulate: Annotated[int, option("Steps whose gradients are summed into one update", ge=1)] = 1
    optimiser: Annotated[Literal["adamw", "adam", "sgd"], option("Optimiser, fused")] = "adamw"
    rate: Annotated[float, option("Highest learning rate", gt=0, le=10)] = 1e-3
    weight_decay: Annotated[
        float,
        option(
            "Decay of weights, biases and scales excepted: decoupled with adamw, a penalty with "
            "sgd, none with adam",
            ge=0,
            le=1,
        ),
    ] = 0.01
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
        """Return the mean loss of normalised images (image, channel, ...).

        Args:
            network: In training or in evaluation mode.
            images: Shape (image, channel, row, column) or with slices before rows.
            labels: Class indices (image,), or shares of classes (image, class) if images
                were mixed; labels of every pixel or voxel, or boxes, for such tasks.
        """


class LearningData(Protocol):
    """Images that are learned from, however they are kept."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Whom the images are of, in order."""

    @property
    def dimensions(self) -> int:
        """Axes of a batch of images: 4 for pictures, 5 for volumes."""

    def digest(self) -> str:
        """Return what the images are known by when a training is gone on with."""


SourceMaker = Callable[[torch.device, torch.memory_format, int], Source]
"""Makes the source of batches for a device, an order in memory and a seed."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one pass gave."""

    number: int
    """From 1 on."""
    training_loss: float
    validation_loss: float | None
    rate: float
    """At the last step."""
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
    data: LearningData
    training: NDArray[np.int64]
    """Indices of training images; an image that is named several times comes as often in each
    epoch."""
    validation: NDArray[np.int64]
    """Indices of validation images; may be empty."""
    loss: Loss
    mean: tuple[float, ...]
    """Subtracted from values in [0, 1], per channel of the network; with more than one, a single
    channel of the images is repeated."""
    deviation: tuple[float, ...]
    augment: Augment | None = None
    groups: tuple[Group, ...] | None = None
    """Parameters (``params``) with their share of the rate (``rate``) and other settings of the
    optimiser by name; None for all parameters at the full rate."""
    before_epoch: Callable[[int], None] | None = None
    """Told the number of each epoch, from 1 on, before it begins; may switch ``requires_grad``.
    What it does depends on the number alone, since a training may be gone on with."""
    prepare_mode: Callable[[nn.Module], None] | None = None
    """Called whenever the network was put in training mode, for parts that stay as they are."""
    source: SourceMaker | None = None
    """What cuts batches out of the data; None for whole images with a class each."""
    changes: str = ""
    """What the source does to images, where it is given; another training does something else."""

    @property
    def labelled(self) -> PreparedSet:
        """The data where they are whole images with a class each."""
        assert isinstance(self.data, PreparedSet)
        return self.data
