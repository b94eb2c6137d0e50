"""What training to outline makes small: a plain mean over images, as in ``learning.losses``."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.learning.assignment import Loss

IGNORED = -1
"""Label of voxels that nothing is learned from."""
SMOOTHING = 1.0
"""Voxels added to both parts of the Dice coefficient, which keeps its slope bounded."""
FALLING = 0.5
"""What each coarser output counts, as a share of the finer one."""
BEND = 0.1
"""Error of the distance up to which it counts by its square."""


def outline_loss(*, dice: float = 1.0) -> Loss:
    """Return cross-entropy plus one minus the soft Dice coefficient of classes, per image.

    The cross-entropy is the mean over the image's voxels that are not ignored. The Dice
    coefficient is the mean over the classes that occur in the image, background excepted: an image
    without any class has the cross-entropy alone. A network that gives several outputs in
    training, from fine to coarse, is measured by all of them against the labels nearest to their
    voxels; each output counts half as much as the finer one.

    Args:
        dice: Weight of the part of the Dice coefficient.

    Returns:
        A loss for labels (image, row, column) or (image, slice, row, column), whole numbers, -1
        where nothing is known, and logits (image, class, ...) with the background first.
    """
    return _Outline(dice)


def object_loss(*, dice: float = 1.0, distance: float = 1.0) -> Loss:
    """Return what a network that parts objects makes small, per image.

    Binary cross-entropy and soft Dice of the foreground, and the smooth absolute error of the
    distance, all over the voxels that are not ignored.

    Args:
        dice: Weight of the part of the Dice coefficient.
        distance: Weight of the error of the distance.

    Returns:
        A loss for what ``distances.object_targets`` gives, and outputs (image, 2, ...): the logit
        of the foreground and the distance.
    """
    return _Objects(dice, distance)


class _Deep:
    """The weighted mean over outputs from fine to coarse."""

    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        outputs = network(images)
        if isinstance(outputs, Tensor):
            outputs = [outputs]
        weights = [FALLING**level for level in range(len(outputs))]
        total = torch.zeros((), device=images.device)
        for weight, output in zip(weights, outputs, strict=True):
            wanted = nearest(labels, output.shape[2:])
            total = total + weight / sum(weights) * self.each(output.float(), wanted).mean()
        return total

    def each(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image."""
        raise NotImplementedError


class _Outline(_Deep):
    """Cross-entropy and Dice of classes."""

    def __init__(self, dice: float) -> None:
        self.dice = dice

    def each(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image."""
        logs = functional.log_softmax(output, dim=1).flatten(2)
        labels = labels.flatten(1).long()
        known = (labels != IGNORED).to(logs.dtype)
        index = labels.clamp(min=0)
        chosen = logs.gather(1, index[:, None])[:, 0]
        entropy = -(chosen * known).sum(1) / known.sum(1).clamp(min=1)
        if not self.dice:
            return entropy
        none = torch.zeros_like(logs[:, :, 0])
        right = none.scatter_add(1, index, chosen.exp() * known)
        counts = none.scatter_add(1, index, known)
        shares = torch.matmul(logs.exp(), known[:, :, None])[:, :, 0]
        overlap = (2 * right + SMOOTHING) / (shares + counts + SMOOTHING)
        occurs = (counts > 0)[:, 1:]
        missed = ((1 - overlap[:, 1:]) * occurs).sum(1) / occurs.sum(1).clamp(min=1)
        return entropy + self.dice * missed


class _Objects(_Deep):
    """Foreground and distance of objects."""

    def __init__(self, dice: float, distance: float) -> None:
        self.dice, self.distance = dice, distance

    def each(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image."""
        output, labels = output.flatten(2), labels.flatten(2)
        logit, inside = output[:, 0], labels[:, 0]
        known = (inside != IGNORED).float()
        inside = inside.clamp(min=0)
        count = known.sum(1).clamp(min=1)
        entropy = functional.binary_cross_entropy_with_logits(logit, inside, reduction="none")
        share = logit.sigmoid() * known
        overlap = (2 * (share * inside).sum(1) + SMOOTHING) / (
            share.sum(1) + inside.sum(1) + SMOOTHING
        )
        error = functional.smooth_l1_loss(output[:, 1], labels[:, 1], reduction="none", beta=BEND)
        parts = (entropy + self.distance * error) * known
        return parts.sum(1) / count + self.dice * (1 - overlap)


def nearest(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Return labels at the voxels nearest to those of a coarser output.

    Args:
        labels: (image, ..., slice, row, column) or without slices.
        shape: Of the output, without images and channels.
    """
    for axis, size in enumerate(shape, labels.ndim - len(shape)):
        have = labels.shape[axis]
        if have != size:
            centres = ((torch.arange(size, device=labels.device) + 0.5) * have / size).long()
            labels = labels.index_select(axis, centres)
    return labels
