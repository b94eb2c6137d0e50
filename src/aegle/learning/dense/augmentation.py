"""What happens to patches in training, drawn once per patch: image and labels move together.

A change says first which window of the image it needs, so that no more is read and moved than the
patch takes. Lengths are turned and stretched in mm: content of volumes with thick slices keeps its
shape.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aegle.learning.affine import rotation
from aegle.learning.dense.augment_options import DenseAugmentOptions as DenseAugmentOptions
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.intensity import Shading, draw_shading, shaded

Shape = tuple[int, int, int]

THICK = 3.0
"""Slices further apart than so many times the distance of pixels are not turned into each
other."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Change:
    """What happens to one patch."""

    patch: Shape
    linear: NDArray[np.float64] | None
    """From an offset in the patch to one in the image, (3, 3), slice, row, column [voxel]; None
    if nothing is turned or stretched."""
    mirror: tuple[int, ...]
    """Axes that are mirrored afterwards, 0 to 2."""
    bend: NDArray[np.float32] | None
    """Further offsets in the image at a few places of the patch, (3, slice, row, column)."""
    shading: Shading

    @property
    def reach(self) -> tuple[float, float, float]:
        """Return the voxels that are needed on either side of the patch's centre."""
        half = (np.array(self.patch) - 1) / 2
        if self.linear is not None:
            half = np.abs(self.linear) @ half
        if self.bend is not None:
            half = half + np.abs(self.bend).max(axis=(1, 2, 3))
        return float(half[0]), float(half[1]), float(half[2])

    @property
    def is_still(self) -> bool:
        """Whether the patch is cut out as it is."""
        return self.linear is None and self.bend is None


def dense_augment(
    options: DenseAugmentOptions, configuration: Configuration
) -> "DenseAugmentation":
    """Return the changes that options describe, for the voxels of a configuration."""
    usual = configuration.axes == 2 or configuration.mirrors
    wanted = (options.mirror_slices, options.mirror_rows, options.mirror_columns)
    mirrors = [axis for axis, one in enumerate(wanted) if (usual if one is None else one)]
    return DenseAugmentation(
        options=options,
        axes=configuration.axes,
        spacing_mm=configuration.spacing_mm,
        mirrors=tuple(mirrors),
    )


@dataclass(frozen=True, kw_only=True)
class DenseAugmentation:
    """Changes by options, for voxels of one spacing."""

    options: DenseAugmentOptions
    axes: int
    """2 for pictures, 3 for volumes."""
    spacing_mm: tuple[float, float, float]
    mirrors: tuple[int, ...] = ()
    """Axes that half of the patches are mirrored along, 0 to 2."""

    def draw(self, patch: Shape, generator: np.random.Generator) -> Change:
        """Draw what happens to a patch; every kind is drawn, wanted or not."""
        linear = self._linear(generator)
        drawn = generator.random(3) < 0.5
        first = 1 if self.axes == 2 else 0
        return Change(
            patch=patch,
            linear=linear,
            mirror=tuple(axis for axis in self.mirrors if drawn[axis] and axis >= first),
            bend=self._bend(patch, generator),
            shading=draw_shading(self.options, generator),
        )

    def _linear(self, generator: np.random.Generator) -> NDArray[np.float64] | None:
        options = self.options
        is_turned = generator.random() < options.rotation_share
        is_scaled = generator.random() < options.scale_share
        angles = np.deg2rad(options.rotation_deg) * generator.uniform(-1, 1, 3)
        factor = 1 + options.scale * generator.uniform(-1, 1)
        if not (is_turned or is_scaled):
            return None
        linear = np.eye(3)
        if is_turned:
            linear = self._turn(angles)
        if is_scaled:
            linear = linear / np.array([1 if self.axes == 2 else factor, factor, factor])
        return linear

    def _turn(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a rotation in mm, for offsets in voxels."""
        spacing = np.array(self.spacing_mm)
        is_thick = spacing[0] > THICK * spacing[1:].min()
        planes = [(1, 2)] if self.axes == 2 or is_thick else [(0, 1), (0, 2), (1, 2)]
        turn = np.eye(3)
        for angle, plane in zip(angles, planes, strict=False):
            turn = rotation(np.array([angle]), plane, 3)[0] @ turn
        turned: NDArray[np.float64] = turn * spacing[None, :] / spacing[:, None]
        return turned

    def _bend(self, patch: Shape, generator: np.random.Generator) -> NDArray[np.float32] | None:
        """Draw offsets on a coarse grid, between which they change smoothly."""
        is_bent = generator.random() < self.options.elastic_share
        seed = int(generator.integers(2**62))
        if not is_bent:
            return None
        knots = [min(size, 6) for size in patch]
        draw = np.random.default_rng(seed).standard_normal((3, *knots))
        if self.axes == 2:
            draw[0] = 0
        sizes = np.array(patch)[:, None, None, None]
        bend: NDArray[np.float32] = (draw * self.options.elastic * sizes).astype(np.float32)
        return bend


def changed(
    values: NDArray[np.float32],
    labels: NDArray[np.int16],
    centre: tuple[float, float, float],
    change: Change,
    channels: int,
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Return a patch as a change makes it.

    Args:
        values: The window that the change needs, (channel, slice, row, column), interpolated
            linearly.
        labels: The same window, (slice, row, column), taken from the nearest voxel.
        centre: Where the centre of the patch lies in the window [voxel].
        change: From :meth:`DenseAugmentation.draw`.
        channels: The first channels are the image; further ones are only moved.
    """
    if not change.is_still:
        positions = _positions(change, centre, labels.shape)
        values, labels = sampled(values, labels, positions)
    if change.mirror:
        values = np.flip(values, tuple(axis + 1 for axis in change.mirror))
        labels = np.flip(labels, change.mirror)
    image = shaded(values[:channels], change.shading)
    return np.concatenate([image, values[channels:]]), labels


def _positions(
    change: Change, centre: tuple[float, float, float], window: tuple[int, ...]
) -> list[Tensor]:
    """Return where each voxel of the patch lies in the window, per axis [voxel].

    Each is a sum of one term per axis of the patch.
    """
    linear = np.eye(3) if change.linear is None else change.linear
    offsets = [np.arange(size) - (size - 1) / 2 for size in change.patch]
    result = []
    for axis, (middle, size) in enumerate(zip(centre, window, strict=True)):
        slices, rows, columns = (
            torch.from_numpy((line * factor).astype(np.float32))
            for line, factor in zip(offsets, linear[axis], strict=True)
        )
        where = (slices + middle)[:, None, None] + rows[:, None] + columns
        if change.bend is not None:
            where = where + _bent(change.bend[axis], change.patch)
        result.append(where.clamp_(0, size - 1))
    return result


def _bent(bend: NDArray[np.float32], patch: Shape) -> Tensor:
    """Return the offsets of every voxel along one axis."""
    given = torch.from_numpy(bend)[None, None]
    return functional.interpolate(given, size=patch, mode="trilinear", align_corners=True)[0, 0]


def sampled(
    values: NDArray[np.float32], labels: NDArray[np.int16], positions: list[Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Return values and labels at positions within a window.

    Looking voxels up by number takes a third of the time of ``grid_sample`` for volumes, and the
    numbers serve values and labels.

    Args:
        values: (channel, slice, row, column), interpolated linearly.
        labels: (slice, row, column), from the nearest voxel.
        positions: Per axis, shape of the result [voxel], within the window.
    """
    steps = (labels.shape[1] * labels.shape[2], labels.shape[2], 1)
    axes = [axis for axis in range(3) if labels.shape[axis] > 1]
    first = torch.zeros(positions[0].shape, dtype=torch.int32)
    nearest = torch.zeros_like(first)
    shares = []
    for axis in axes:
        below = positions[axis].floor().clamp_(max=labels.shape[axis] - 2)
        share = positions[axis] - below
        start = below.int() * steps[axis]
        first += start
        nearest += start + (share >= 0.5).int() * steps[axis]
        shares.append(share.ravel())
    # A window that is a whole image is read-only, which torch does not take.
    values = np.require(values, requirements=("C", "W"))
    labels = np.require(labels, requirements=("C", "W"))
    flat = torch.from_numpy(values.reshape(len(values), -1))
    strides = [steps[axis] for axis in axes]
    found = _interpolated(flat, first.ravel(), strides, shares)
    shape = tuple(positions[0].shape)
    chosen = torch.from_numpy(labels.ravel()).index_select(0, nearest.ravel())
    return found.reshape(-1, *shape).numpy(), chosen.reshape(shape).numpy()


def _interpolated(flat: Tensor, first: Tensor, strides: list[int], shares: list[Tensor]) -> Tensor:
    """Return values between the corners of cells, along one axis after the other.

    Args:
        flat: (channel, voxel).
        first: Number of the first corner of each cell.
        strides: From one corner to the next, per axis.
        shares: Of the next corner, per axis.
    """
    if not strides:
        return flat.index_select(1, first)
    low = _interpolated(flat, first, strides[1:], shares[1:])
    high = _interpolated(flat, first + strides[0], strides[1:], shares[1:])
    return torch.lerp(low, high, shares[0])
