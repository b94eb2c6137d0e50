"""From prepared images to the batches of a step; what comes when follows from the seed alone."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aegle.learning.augmentation import Augment, SampledAugment

_ORDER, _CHANGE, _MIX, _DRAW = range(4)
"""What randomness is for; each use has its own stream."""

Item = TypeVar("Item")


class Source(Protocol):
    """Gives the batches of a training; what comes when follows from the seed alone."""

    def order(self, images: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return images in the order of an epoch."""

    def draws(self, epoch: int, update: int, part: int) -> int:
        """Return the seed of the network's own randomness (dropout, noise) for a part."""

    def still(self, images: NDArray[np.int64]) -> "Batch":
        """Return images as they are, for validation."""

    def changed(self, images: NDArray[np.int64], part: "Part") -> "Batch":
        """Return a part of an update's images with the changes of training."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Feed:
    """Where images come from and what is done to them before the network sees them."""

    values: NDArray[np.uint8]
    labels: NDArray[np.int64]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    device: torch.device
    augment: Augment | None = None
    classes: int = 0
    mix: float = 0.0
    seed: int = 0
    layout: torch.memory_format = torch.contiguous_format
    """Order in memory that the network takes images in."""

    def order(self, images: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return images in the order of an epoch."""
        return self._generator(_ORDER, epoch).permutation(images)

    def draws(self, epoch: int, update: int, part: int) -> int:
        """Return the seed of the network's own randomness (dropout, noise) for a part."""
        return int(self._generator(_DRAW, epoch, update, part).integers(2**62))

    def still(self, images: NDArray[np.int64]) -> "Batch":
        """Return images as they are, for validation."""
        pictures = normalise(scaled(self.values[images]), self.mean, self.deviation)
        return self._batch(pictures, torch.from_numpy(self.labels[images]))

    def changed(self, images: NDArray[np.int64], part: "Part") -> "Batch":
        """Return a part of an update's images with the changes of training.

        Args:
            images: All images of the update.
            part: Which of them are wanted.
        """
        mine = images[part.start : part.stop]
        pictures = scaled(self.values[mine])
        if self.augment is not None:
            pictures = self._augmented(pictures, len(images), part)
        pictures = normalise(pictures, self.mean, self.deviation)
        labels = torch.from_numpy(self.labels[mine])
        if self.mix:
            pictures, labels = self._mixed(pictures, labels, part)
        return self._batch(pictures, labels)

    def _augmented(self, pictures: Tensor, count: int, part: "Part") -> Tensor:
        assert self.augment is not None
        generator = self._generator(_CHANGE, part.epoch, part.update)
        if isinstance(self.augment, SampledAugment):
            return self.augment.part(pictures, generator, count=count, start=part.start)
        return self.augment(
            pictures, self._generator(_CHANGE, part.epoch, part.update, part.number)
        )

    def _mixed(self, pictures: Tensor, labels: Tensor, part: "Part") -> tuple[Tensor, Tensor]:
        """Return images mixed with each other, and their shares of classes (Zhang 2018)."""
        generator = self._generator(_MIX, part.epoch, part.update, part.number)
        shares = torch.from_numpy(generator.beta(self.mix, self.mix, len(pictures))).float()
        partners = torch.from_numpy(generator.permutation(len(pictures)))
        targets = functional.one_hot(labels, self.classes).float()
        return mixed(pictures, pictures[partners], shares), mixed(
            targets, targets[partners], shares
        )

    def _batch(self, pictures: Tensor, labels: Tensor) -> "Batch":
        ordered = pictures.contiguous(memory_format=self.layout)
        return Batch(
            images=ordered.to(self.device, non_blocking=True),
            labels=labels.to(self.device, non_blocking=True),
        )

    def _generator(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *stream))


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Normalised images with what is to be said of them."""

    images: Tensor
    labels: Tensor
    """Class indices, or shares of classes where images were mixed; labels of every pixel or
    voxel, or boxes, where the task asks for them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The images of an update that one process takes in one step."""

    epoch: int
    update: int
    number: int
    start: int
    stop: int
    weight: float
    """What its mean loss counts in the mean over the whole update."""


def updates_of(images: NDArray[np.int64], *, size: int) -> list[NDArray[np.int64]]:
    """Return images in groups of equal size, give or take one, that are at most ``size``."""
    return np.array_split(images, max(1, -(-len(images) // size)))


def parts_of(images: int, *, epoch: int, update: int, parts: int) -> list[Part]:
    """Return an update of so many images in parts of equal size, give or take one.

    A part that would have no image gets the first one, with weight 0.
    """
    borders = [round(images * number / parts) for number in range(parts + 1)]
    return [
        Part(
            epoch=epoch,
            update=update,
            number=number,
            start=start if stop > start else 0,
            stop=stop if stop > start else 1,
            weight=(stop - start) / images,
        )
        for number, (start, stop) in enumerate(pairwise(borders))
    ]


def scaled(values: NDArray[np.uint8]) -> Tensor:
    """Return stored values as numbers in [0, 1]."""
    return torch.from_numpy(np.require(values, requirements=("C", "W"))).float().div_(255)


def normalise(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Return images in [0, 1] less the mean over the deviation; one channel becomes several."""
    shape = (1, -1, *[1] * (images.ndim - 2))
    return (images - torch.tensor(mean).view(shape)) / torch.tensor(deviation).view(shape)


def mixed(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Return shares of the first plus what is left of the second."""
    return torch.lerp(second, first, shares.view(-1, *[1] * (first.ndim - 1)))


def memory_format(dimensions: int) -> torch.memory_format:
    """Return the order in memory that convolutions are fastest with: channels last."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return formats.get(dimensions, torch.contiguous_format)


NARROWEST = 16
"""With fewer filters, the backward pass of convolutions in channels-last order writes beyond its
memory on several threads (torch 2.13 on processors with AVX-512)."""


def layout_of(network: nn.Module, dimensions: int) -> torch.memory_format:
    """Return the order in memory that is fastest and safe to train a network in."""
    wide = [p.shape[0] >= NARROWEST for p in network.parameters() if p.ndim == dimensions]
    return memory_format(dimensions) if all(wide) else torch.contiguous_format


def ahead(tasks: Sequence[Callable[[], Item]]) -> Iterator[Item]:
    """Yield the results of tasks in order; the next is worked on while one is used."""
    with ThreadPoolExecutor(max_workers=1) as worker:
        waiting = None
        for task in tasks:
            coming = worker.submit(task)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
