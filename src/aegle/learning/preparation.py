"""How an image of any size becomes what a network takes: one definition for training and use."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.errors import InputError
from aegle.learning.equalisation import equalise
from aegle.learning.foreground import foreground
from aegle.options import option

VERSION = "2"
"""Changes whenever the same image would be prepared to other values; part of every cache key."""
LUMA = np.array((0.299, 0.587, 0.114), np.float32)
"""Shares of red, green and blue in brightness: ITU-R BT.601."""
Channels = NDArray[np.float32]
"""Shape (channel, row, column) or (channel, slice, row, column)."""


@dataclass(frozen=True, kw_only=True)
class PreparationOptions:
    """How pixels are brought to one size and scale."""

    size: Annotated[
        int, option("Rows and columns after preparation", unit="pixel", ge=8, le=1024)
    ] = 224
    crop: Annotated[
        Literal["none", "foreground"],
        option("Cut the image to its foreground (Otsu on the smoothed image, largest part) first"),
    ] = "none"
    fit: Annotated[
        Literal["stretch", "pad"], option("Fill the square by stretching, or by padding with black")
    ] = "stretch"
    low_percentile: Annotated[
        float,
        option("Values at or below this percentile of the image become 0", unit="%", ge=0, lt=50),
    ] = 0.5
    high_percentile: Annotated[
        float, option("Values at or above this percentile become 1", unit="%", gt=50, le=100)
    ] = 99.5
    equalise: Annotated[
        float,
        option(
            "Weight of contrast-limited adaptive histogram equalisation against the image",
            ge=0,
            le=1,
        ),
    ] = 0.0
    colour: Annotated[bool, option("Keep red, green and blue apart")] = False


def prepare(pixels: NDArray[np.generic], *, options: PreparationOptions) -> NDArray[np.uint8]:
    """Return an image at the size and scale that a network takes.

    In this order: crop, resize (linear, antialiased; slices too, to the same size), percentiles
    of the resized image, equalisation, padding. Voxels count as cubes.

    Args:
        pixels: As stored: (row, column), (row, column, 3) or (slice, row, column).
        options: Size, crop and scaling.

    Returns:
        (channel, row, column) for pictures, (channel, slice, row, column) for volumes; 0 to 255.
        One channel, or three with ``colour``.

    Raises:
        InputError: A pixel is infinite or not a number, or the image has no two different values.
    """
    image = _channels(pixels, options)
    if options.crop == "foreground":
        image = image[:, *foreground(_grey(image))]
    image = _resized(image, _inner_shape(image.shape[1:], options))
    image = _scaled(image, options)
    if options.equalise > 0:
        image = _equalised(image, options.equalise)
    if options.fit == "pad":
        image = _padded(image, options.size)
    return np.rint(image * 255).astype(np.uint8)


def _channels(pixels: NDArray[np.generic], options: PreparationOptions) -> Channels:
    """Return the pixels as numbers with their channels first."""
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == len(LUMA)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InputError(
            f"An image of shape {pixels.shape} is neither a picture nor a volume. Give (row, "
            "column), (row, column, 3) or (slice, row, column)."
        )
    if not np.isfinite(pixels).all():
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise InputError(f"{bad} pixels are infinite or not a number. Replace them first.")
    if pixels.min() == pixels.max():
        raise InputError(
            f"All pixels are {pixels.flat[0]}: the image is empty. Leave it out or replace it."
        )
    image = np.asarray(pixels, np.float32)
    if is_colour:
        image = np.moveaxis(image, -1, 0)
        return image if options.colour else _grey(image)[None]
    return np.repeat(image[None], 3 if options.colour else 1, axis=0)


def _grey(image: Channels) -> Channels:
    if len(image) == 1:
        return np.asarray(image[0])
    return np.asarray(np.tensordot(LUMA, image, axes=1))


def _inner_shape(shape: tuple[int, ...], options: PreparationOptions) -> tuple[int, ...]:
    """Return the size of the image within the square or cube."""
    if options.fit == "stretch":
        return (options.size,) * len(shape)
    factor = options.size / max(shape)
    return tuple(max(1, round(length * factor)) for length in shape)


def _resized(image: Channels, shape: tuple[int, ...]) -> Channels:
    """Return the image at another size, each output pixel a weighted mean of all it covers."""
    from torch import from_numpy
    from torch.nn.functional import interpolate

    values = from_numpy(np.ascontiguousarray(image))
    channels, *slices = values.shape[:-2]
    if image.shape[-2:] != shape[-2:]:
        planes = values.reshape(1, -1, *values.shape[-2:])
        values = interpolate(planes, shape[-2:], mode="bilinear", antialias=True)
        values = values.reshape(channels, *slices, *shape[-2:])
    if slices and slices[0] != shape[0]:
        columns = values.reshape(1, channels, slices[0], -1)
        size = (shape[0], columns.shape[-1])
        values = interpolate(columns, size, mode="bilinear", antialias=True)
        values = values.reshape(channels, *shape)
    return np.asarray(values.numpy())


def _scaled(image: Channels, options: PreparationOptions) -> Channels:
    """Return values from 0 to 1; the same scale for all channels."""
    low, high = np.percentile(image, (options.low_percentile, options.high_percentile))
    if not low < high:
        low, high = image.min(), image.max()
    if not low < high:
        raise InputError(
            f"At {image.shape[-1]} pixels across all pixels are equal: nothing of the image is "
            "left. Leave it out or prepare it larger."
        )
    scaled: Channels = np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)
    return scaled


def _equalised(image: Channels, weight: float) -> Channels:
    """Return the image mixed with its equalised self; hues stay."""
    grey = _grey(image)
    planes = grey.reshape(-1, *grey.shape[-2:])
    flat = np.stack([equalise(plane) for plane in planes]).reshape(grey.shape)
    mixed = grey + weight * (flat - grey)
    if len(image) == 1:
        return np.clip(mixed, 0, 1)[None]
    return np.clip(image * (mixed / np.maximum(grey, 1 / 255)), 0, 1)


def _padded(image: Channels, size: int) -> Channels:
    missing = [size - length for length in image.shape[1:]]
    return np.pad(image, ((0, 0), *((gap // 2, gap - gap // 2) for gap in missing)))
