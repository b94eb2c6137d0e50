"""Affine maps of images, drawn at random and carried out in one interpolation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class AffineRanges:
    """How far images are moved; see ``AugmentationOptions``."""

    rotation: float = 0.0
    """Largest angle [rad]."""
    scale: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    mirror: bool = False
    flip: bool = False


def sample_affine(
    ranges: AffineRanges, count: int, shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw one affine map per image, as ``normalised`` gives them.

    Args:
        ranges: How far.
        count: Number of images.
        shape: (row, column) or (slice, row, column).
        generator: All randomness.
    """
    axes = len(shape)
    planes = [(0, 1)] if axes == 2 else [(0, 1), (0, 2), (1, 2)]
    linear = np.broadcast_to(np.eye(axes), (count, axes, axes))
    for plane in planes:
        angles = ranges.rotation * generator.uniform(-1, 1, count)
        linear = rotation(angles, plane, axes) @ linear
    for first, second in planes:
        shear = np.broadcast_to(np.eye(axes), (count, axes, axes)).copy()
        shear[:, first, second] = ranges.shear * generator.uniform(-1, 1, count)
        linear = linear @ shear
    factors = 1 + ranges.scale * generator.uniform(-1, 1, (count, 1))
    factors = np.repeat(factors, axes, axis=1)
    for axis, wanted in enumerate((ranges.mirror, ranges.flip)):
        drawn = generator.random(count) < 0.5
        factors[:, axis] *= np.where(drawn & wanted, -1, 1)
    shift = ranges.shift * generator.uniform(-1, 1, (count, axes)) * np.array(shape[::-1])
    return normalised(linear * factors[:, None, :], shift, shape)


def rotation(angles: NDArray[np.float64], plane: tuple[int, int], axes: int) -> NDArray[np.float64]:
    """Return rotations, (image, axis, axis); axes x to the right, y downwards, z.

    Args:
        angles: One per image [rad]; a positive one in the plane (x, y) turns the picture
            counter-clockwise as it is seen.
        plane: The two axes that are turned.
        axes: 2 or 3.
    """
    first, second = plane
    matrices = np.broadcast_to(np.eye(axes), (len(angles), axes, axes)).copy()
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, first, second] = np.sin(angles)
    matrices[:, second, first] = -np.sin(angles)
    return matrices


def normalised(
    linear: NDArray[np.float64], shift: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return where each position of the result comes from, for ``affine_grid``.

    Args:
        linear: What moves content about the centre, (image, axis, axis), axes x, y(, z) [pixel].
        shift: What moves it afterwards, (image, axis) [pixel].
        shape: (row, column) or (slice, row, column).

    Returns:
        (image, axis, axis + 1), in half sizes of the image.
    """
    half = np.array(shape[::-1]) / 2
    back = np.linalg.inv(linear)
    offset = -np.einsum("nij,nj->ni", back, shift)
    scaled = back * half[None, None, :] / half[None, :, None]
    return np.concatenate([scaled, (offset / half)[:, :, None]], axis=2)


def warp(images: Tensor, maps: NDArray[np.float64], *, outside: str = "reflection") -> Tensor:
    """Return images moved by affine maps, linearly interpolated.

    Args:
        images: Shape (image, channel, row, column) or with slices before rows.
        maps: From ``normalised``; images with the identity come back as they are.
        outside: What lies beyond the edges: ``reflection`` of the image, or ``zeros``.
    """
    still = np.eye(maps.shape[1], maps.shape[2])
    moved = np.flatnonzero((maps != still).any(axis=(1, 2)))
    if not len(moved):
        return images
    chosen = images if len(moved) == len(images) else images[moved]
    warped = functional.grid_sample(
        chosen,
        _positions(torch.from_numpy(maps[moved]).to(chosen), chosen.shape[2:]),
        mode="bilinear",
        padding_mode=outside,
        align_corners=False,
    )
    if len(moved) == len(images):
        return warped
    result = images.clone()
    result[moved] = warped
    return result


def _positions(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """Return where each pixel comes from, (image, row, column, axis), as ``affine_grid`` does.

    A sum of one term per axis takes a twentieth of ``affine_grid``'s time.
    """
    axes = len(shape)
    result = maps[:, :, -1].view(-1, *[1] * axes, axes)
    for axis, size in enumerate(reversed(shape)):
        centres = (2 * torch.arange(size, device=maps.device, dtype=maps.dtype) + 1) / size - 1
        lengths = [1] * axes
        lengths[axes - 1 - axis] = size
        term = centres.view(1, *lengths, 1) * maps[:, :, axis].view(-1, *[1] * axes, axes)
        result = result + term
    return result
