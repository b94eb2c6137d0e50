"""Random patches of prepared images, the same for the same seed, epoch and step.

What a patch shows follows from the seed, the epoch, the update and its position in the update
alone, so several processes cut the patches of one, and a training that goes on cuts those that it
would have cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegle.learning.batches import Batch, Part
from aegle.learning.dense.augmentation import Change, changed
from aegle.learning.dense.prepared import DenseSet

Shape = tuple[int, int, int]

_ORDER, _CUT, _DRAW, _STILL, _TURN = range(4, 9)
"""What randomness is for; each use has its own stream, also apart from those of ``batches``."""


class DenseAugment(Protocol):
    """Draws what is done to patches in training: image and labels move together."""

    def draw(self, patch: Shape, generator: np.random.Generator) -> Change:
        """Return what happens to a patch.

        Args:
            patch: Slices, rows and columns.
            generator: Of this one patch.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchSource:
    """A source of batches (see ``batches.Source``) that cuts patches out of images.

    Images come as (image, channel, row, column) or with slices before rows. With them come
    labels, (image, row, column) or with slices; for objects, what ``distances.object_targets``
    gives, (image, 2, ...).

    Where a patch reaches beyond its image, pictures are mirrored at their edge; volumes go on
    with 0, as background.
    """

    data: DenseSet
    device: torch.device
    layout: torch.memory_format
    seed: int
    augment: DenseAugment | None = None
    targets: Callable[[Tensor], Tensor] | None = None
    """Turns labels into what the loss takes; not for objects, whose targets are prepared."""

    def order(self, images: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return images in the order of an epoch."""
        return self._generator(_ORDER, epoch).permutation(images)

    def draws(self, epoch: int, update: int, part: int) -> int:
        """Return the seed of the network's own randomness for a part."""
        return int(self._generator(_DRAW, epoch, update, part).integers(2**62))

    def still(self, images: NDArray[np.int64]) -> Batch:
        """Return one fixed patch of each image, unchanged, for validation.

        It lies on a labelled voxel, the same for every seed.
        """
        return self._batch([self._fixed(int(number)) for number in images])

    def changed(self, images: NDArray[np.int64], part: Part) -> Batch:
        """Return random patches of a part of an update's images, augmented.

        Args:
            images: All images of the update.
            part: Which of them are wanted.
        """
        on_label = self._on_label(len(images), part)
        return self._batch(
            [
                self._random(
                    int(images[position]),
                    bool(on_label[position]),
                    self._generator(_CUT, part.epoch, part.update, position),
                )
                for position in range(part.start, part.stop)
            ]
        )

    def _on_label(self, count: int, part: Part) -> NDArray[np.bool_]:
        """Return which patches of an update are placed on a label: their share, spread evenly."""
        share = self.data.configuration.foreground_share
        start = self._generator(_TURN, part.epoch, part.update).random()
        counted = np.floor(start + share * np.arange(count + 1))
        is_chosen: NDArray[np.bool_] = np.diff(counted) > 0
        return is_chosen

    def _fixed(self, number: int) -> "_Patch":
        generator = np.random.default_rng((_STILL, number))
        start = self._start(number, True, generator)
        return self._window(number, start, np.add(start, self.data.configuration.patch))

    def _random(self, number: int, on_label: bool, generator: np.random.Generator) -> "_Patch":
        patch = self.data.configuration.patch
        start = self._start(number, on_label, generator)
        if self.augment is None:
            return self._window(number, start, np.add(start, patch))
        change = self.augment.draw(patch, generator)
        middle = np.add(start, (np.array(patch) - 1) / 2)
        first = np.floor(middle - change.reach).astype(int)
        last = np.ceil(middle + change.reach).astype(int)
        window = self._window(number, first, last + 1)
        slices, rows, columns = (middle - first).tolist()
        channels = len(self.data.configuration.scaling)
        return changed(*window, (slices, rows, columns), change, channels)

    def _start(
        self, number: int, on_label: bool, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the first voxel of a patch that lies within the image, as far as it fits.

        A patch on a label has the voxel in its middle half, along every axis.
        """
        patch = np.array(self.data.configuration.patch)
        free = np.array(self.data.shape(number)) - patch
        start = generator.integers(0, np.maximum(free, 0) + 1)
        chance, where = generator.random(2)
        within = generator.uniform(0.25, 0.75, 3)
        places = self.data.places(number) if on_label else {}
        if places:
            voxels = list(places.values())[int(chance * len(places))]
            voxel = voxels[int(where * len(voxels))]
            start = np.floor(voxel + 0.5 - within * patch).astype(np.int64)
            start = start.clip(0, np.maximum(free, 0))
        first: NDArray[np.int64] = np.where(free < 0, -(-free // 2), start)
        return first

    def _window(self, number: int, start: NDArray[np.int64], stop: NDArray[np.int64]) -> "_Patch":
        """Return values and labels between two voxels, which may lie outside of the image."""
        sizes = self.data.shape(number)
        inside = tuple(
            slice(int(min(max(0, a), size - 1)), int(max(1, min(b, size))))
            for a, b, size in zip(start, stop, sizes, strict=True)
        )
        margins = [
            (span.start - int(a), int(b) - span.stop)
            for a, b, span in zip(start, stop, inside, strict=True)
        ]
        values = self.data.image(number)[:, *inside].astype(np.float32)
        labels = self.data.labels(number)[inside]
        if self.data.objects:
            distance = self.data.distance(number)[inside]
            values = np.concatenate([values, distance[None].astype(np.float32)])
        if any(before or after for before, after in margins):
            mode = "symmetric" if self.data.configuration.axes == 2 else "constant"
            values = _padded(values, [(0, 0), *margins], mode)
            labels = _padded(labels, margins, mode)
        return values, labels

    def _batch(self, patches: list["_Patch"]) -> Batch:
        values = torch.from_numpy(np.stack([value for value, _ in patches]))
        labels = torch.from_numpy(np.stack([label for _, label in patches]))
        if self.data.configuration.axes == 2:
            values, labels = values[:, :, 0], labels[:, 0]
        channels = len(self.data.configuration.scaling)
        targets = labels if self.targets is None else self.targets(labels)
        if self.data.objects:
            inside = labels.clamp(-1, 1).float()
            targets = torch.stack([inside, values[:, channels]], dim=1)
        images = values[:, :channels].contiguous(memory_format=self.layout)
        return Batch(
            images=images.to(self.device, non_blocking=True),
            labels=targets.to(self.device, non_blocking=True),
        )

    def _generator(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *stream))


_Patch = tuple[NDArray[np.float32], NDArray[np.int16]]
"""Values, (channel, slice, row, column), the distance of objects last; and labels."""


def _padded(values: NDArray[Any], margins: list[tuple[int, int]], mode: Any) -> NDArray[Any]:
    return np.pad(values, margins, mode=mode)
