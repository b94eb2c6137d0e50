"""How the values of a patch change in training: blur, noise, brightness, contrast, gamma, detail.

Values are those that the network sees, of deviation about 1. Means are taken on one thread, so
that the result does not depend on their number.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aegle.learning.dense.augment_options import DenseAugmentOptions

REACH = 3.0
"""Standard deviations after which the blur is cut off."""
_FLAT = 1e-6
"""Patches whose values differ by less are left as they are."""


@dataclass(frozen=True, kw_only=True)
class Shading:
    """What happens to the values of one patch."""

    noise: float = 0.0
    """Standard deviation."""
    noise_seed: int = 0
    blur: float = 0.0
    """Standard deviation [voxel]."""
    brightness: float = 0.0
    """Added."""
    contrast: float = 1.0
    """Factor on the distance from the mean of each channel."""
    coarse: float = 1.0
    """Factor of the distance of voxels."""
    gamma: float = 1.0
    """Exponent of values between the least and the greatest of each channel."""


def draw_shading(options: DenseAugmentOptions, generator: np.random.Generator) -> Shading:
    """Draw what happens to the values of a patch; every kind is drawn, wanted or not."""
    chances = generator.random(6)
    even = generator.uniform(-1, 1, 3)
    positive = generator.random(3)
    seed = int(generator.integers(2**62))

    def when(kind: int, share: float, value: float, otherwise: float) -> float:
        return float(value) if chances[kind] < share else otherwise

    return Shading(
        noise=when(0, options.noise_share, options.noise * positive[0], 0.0),
        noise_seed=seed,
        blur=when(1, options.blur_share, options.blur * positive[1], 0.0),
        brightness=when(2, options.brightness_share, options.brightness * even[0], 0.0),
        contrast=when(3, options.contrast_share, 1 + options.contrast * even[1], 1.0),
        coarse=when(4, options.coarse_share, 1 + (options.coarse - 1) * positive[2], 1.0),
        gamma=when(5, options.gamma_share, float(np.exp(options.gamma * even[2])), 1.0),
    )


def shaded(image: NDArray[np.float32], how: Shading) -> NDArray[np.float32]:
    """Return a patch with other values.

    Args:
        image: (channel, slice, row, column); not changed.
        how: What happens.
    """
    result = np.array(image, np.float32, order="C")
    if how.noise > 0:
        draw = np.random.default_rng(how.noise_seed)
        result += np.float32(how.noise) * draw.standard_normal(result.shape, np.float32)
    if how.blur > 0:
        result = _blurred(result, how.blur)
    if how.brightness != 0:
        result += np.float32(how.brightness)
    if how.contrast != 1:
        mean = _means(result)
        result = (result - mean) * np.float32(how.contrast) + mean
    if how.coarse > 1:
        result = _coarse(result, how.coarse)
    return _with_gamma(result, how.gamma) if how.gamma != 1 else result


def _means(image: NDArray[np.float32]) -> NDArray[np.float32]:
    means: NDArray[np.float32] = image.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    return means


def _blurred(image: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Return an image convolved with a normal distribution; edge values go on outside.

    Pictures are blurred within their slice.
    """
    reach = max(1, int(REACH * deviation + 0.5))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    result = image
    for axis in range(1, 4):
        size = image.shape[axis]
        if size == 1:
            continue
        margins = [(reach, reach) if other == axis else (0, 0) for other in range(4)]
        padded = torch.from_numpy(np.pad(result, margins, mode="edge"))
        total = padded.narrow(axis, 0, size) * float(weights[0])
        for start in range(1, len(weights)):
            total.add_(padded.narrow(axis, start, size), alpha=float(weights[start]))
        result = total.numpy()
    return result


def _coarse(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Return an image as its nearest voxels on a coarser grid show it, interpolated linearly."""
    shape = image.shape[1:]
    fewer = tuple(max(1, round(size / factor)) for size in shape)
    # Volumes of one slice are interpolated as pictures, which is faster.
    flat = shape[0] == 1
    given = torch.from_numpy(image[:, 0] if flat else image)[None]
    few = functional.interpolate(given, size=fewer[flat:], mode="nearest-exact")
    result = functional.interpolate(
        few, size=shape[flat:], mode="bilinear" if flat else "trilinear", align_corners=False
    )
    interpolated: NDArray[np.float32] = result[0].numpy().reshape(image.shape)
    return interpolated


def _with_gamma(image: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Return an image with another gamma, and the mean and deviation of each channel as before."""
    axes = (1, 2, 3)
    least = image.min(axis=axes, keepdims=True)
    span = image.max(axis=axes, keepdims=True) - least
    bent = ((image - least) / np.maximum(span, _FLAT)) ** np.float32(gamma)
    before, after = image.std(axis=axes, keepdims=True), bent.std(axis=axes, keepdims=True)
    factor = before / np.maximum(after, _FLAT)
    result = (bent - _means(bent)) * factor + _means(image)
    return np.where(span > _FLAT, result, image).astype(np.float32)
