"""Batches of pictures with boxes, changed in the same way for the same seed, epoch and step."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor

from aegle.learning.affine import normalised, warp
from aegle.learning.batches import Batch, Part, normalise, scaled
from aegle.learning.detection.boxes import moved, within
from aegle.learning.detection.prepared import BoxSet
from aegle.options import option

_ORDER, _CHANGE, _DRAW = range(16, 19)
"""What randomness is for; each use has its own stream, also apart from those of others."""
NOTHING = -1.0
"""Class of the rows that fill up a picture's boxes."""
LEAST_SHARE = 0.4
"""Of its area that a box keeps at the edge of a changed picture to stay an object."""


@checked(frozen=True, kw_only=True)
class BoxAugmentOptions:
    """What is done to pictures and boxes in training."""

    mirror: Annotated[bool, option("Mirror left and right, half of the time")] = True
    flip: Annotated[bool, option("Mirror top and bottom, half of the time")] = True
    turn_deg: Annotated[
        float, option("Largest turn; boxes grow around what is turned", unit="°", ge=0, le=45)
    ] = 6.0
    zoom: Annotated[float, option("Largest factor of size, up or down", ge=1, le=4)] = 1.35
    shift: Annotated[float, option("Largest shift, in sides of the picture", ge=0, le=0.5)] = 0.12
    contrast: Annotated[
        float, option("Largest change of contrast, as a factor less 1", ge=0, le=1)
    ] = 0.3
    brightness: Annotated[
        float, option("Largest change of brightness, in deviations", ge=0, le=2)
    ] = 0.4
    colour: Annotated[
        float, option("Largest change of one channel against the others, in deviations", ge=0, le=1)
    ] = 0.15


@dataclass(frozen=True, eq=False, kw_only=True)
class BoxSource:
    """A source of batches (see ``batches.Source``) of pictures with boxes.

    Labels have shape (picture, box, 5): class, left, top, right, bottom edge [pixel]; rows of
    class -1 fill up.
    """

    data: BoxSet
    device: torch.device
    layout: torch.memory_format
    seed: int
    augment: BoxAugmentOptions

    def order(self, images: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return images in the order of an epoch."""
        return self._generator(_ORDER, epoch).permutation(images)

    def draws(self, epoch: int, update: int, part: int) -> int:
        """Return the seed of the network's own randomness for a part."""
        return int(self._generator(_DRAW, epoch, update, part).integers(2**62))

    def still(self, images: NDArray[np.int64]) -> Batch:
        """Return pictures as they are, for validation."""
        return self._batch(self._values(images), [self._rows(int(image)) for image in images])

    def changed(self, images: NDArray[np.int64], part: Part) -> Batch:
        """Return a part of an update's pictures with the changes of training."""
        mine = images[part.start : part.stop]
        draws = [
            self._generator(_CHANGE, part.epoch, part.update, position)
            for position in range(part.start, part.stop)
        ]
        size = self.data.configuration.size
        moves = [self._move(generator) for generator in draws]
        linear = np.stack([move[0] for move in moves])
        shift = np.stack([move[1] for move in moves])
        pictures = warp(
            self._values(mine), normalised(linear, shift, (size, size)), outside="zeros"
        )
        rows = []
        for image, (one_linear, one_shift) in zip(mine, moves, strict=True):
            given = self._rows(int(image))
            boxes = moved(given[:, 1:], one_linear, one_shift, size)
            cut, is_seen = within(boxes, size, least_share=LEAST_SHARE)
            rows.append(np.concatenate((given[:, :1], cut), axis=1)[is_seen])
        return self._batch(self._shaded(pictures, draws), rows)

    def _move(
        self, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        options, size = self.augment, self.data.configuration.size
        angle = math.radians(options.turn_deg) * generator.uniform(-1, 1)
        zoom = options.zoom ** generator.uniform(-1, 1)
        signs = generator.random(2) < 0.5
        mirrored = np.diag(
            [
                -1.0 if signs[0] and options.mirror else 1.0,
                -1.0 if signs[1] and options.flip else 1.0,
            ]
        )
        turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shift = generator.uniform(-1, 1, 2) * options.shift * size
        return zoom * turned @ mirrored, shift

    def _shaded(self, pictures: Tensor, draws: list[np.random.Generator]) -> Tensor:
        """Return normalised pictures with other contrast, brightness and colour."""
        options, channels = self.augment, pictures.shape[1]
        factors, sums = [], []
        for generator in draws:
            factors.append(1 + options.contrast * generator.uniform(-1, 1))
            common = options.brightness * generator.uniform(-1, 1)
            sums.append(common + options.colour * generator.uniform(-1, 1, channels))
        factor = torch.tensor(factors, dtype=torch.float32).view(-1, 1, 1, 1)
        added = torch.tensor(np.array(sums), dtype=torch.float32).view(-1, channels, 1, 1)
        return pictures * factor + added

    def _values(self, images: NDArray[np.int64]) -> Tensor:
        configuration = self.data.configuration
        pictures = scaled(self.data.values[images])
        return normalise(pictures, configuration.mean, configuration.deviation)

    def _rows(self, image: int) -> NDArray[np.float32]:
        classes = self.data.box_classes[image].astype(np.float32)[:, None]
        return np.concatenate((classes, self.data.boxes[image]), axis=1)

    def _batch(self, pictures: Tensor, rows: list[NDArray[np.float32]]) -> Batch:
        most = max(1, *(len(row) for row in rows)) if rows else 1
        labels = np.full((len(rows), most, 5), NOTHING, np.float32)
        for place, row in enumerate(rows):
            labels[place, : len(row)] = row
        ordered = pictures.contiguous(memory_format=self.layout)
        return Batch(
            images=ordered.to(self.device, non_blocking=True),
            labels=torch.from_numpy(labels).to(self.device, non_blocking=True),
        )

    def _generator(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *stream))
