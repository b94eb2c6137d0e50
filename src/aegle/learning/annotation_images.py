"""Images and masks with where they lie: pictures count in pixels, volumes in mm (LPS)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError, GeometryError
from aegle.domain.grid import Grid
from aegle.learning.annotations import PlacedImage
from aegle.learning.image_decoding import (
    PICTURE_ENDINGS,
    VOLUME_ENDINGS,
    Pixels,
    decode,
    ending,
    picture,
    picture_size,
    volume_grid,
    volume_with_grid,
)
from aegle.learning.image_sources import Decoders

TOLERANCE = 0.05
"""Corners of a mask may lie so many voxels from those of its image: headers are rounded."""
_LOSSY = (".jpg", ".jpeg")
_COLOURS = 3

Read = Callable[[str], bytes]
Numbers = NDArray[np.int64]


def placed(
    names: Sequence[str], read: Read, decoders: Decoders, *, channels_per_file: int = 1
) -> PlacedImage:
    """Return an image with where it lies.

    Args:
        names: Its files, one per channel; one file of a colour picture holds three.
        read: Gives the bytes of a file.
        decoders: What reads further kinds of files, by ending.
        channels_per_file: Volumes along the fourth axis of one file.

    Raises:
        FileError: A file is damaged or of an unknown kind.
        GeometryError: Its channels lie on different grids.
    """
    parts = [_placed(name, read(name), decoders, channels_per_file) for name in names]
    first = parts[0]
    for name, part in zip(names, parts, strict=True):
        if not lies_on(part.grid, first.grid):
            raise GeometryError(
                f"'{name}' lies on another grid ({shown(part.grid)}) than '{names[0]}' "
                f"({shown(first.grid)}); bring all channels of an image to one grid."
            )
    if len(parts) == 1:
        return first
    values = np.concatenate([part.values for part in parts])
    return PlacedImage(values=values, grid=first.grid, is_picture=first.is_picture)


def _placed(name: str, content: bytes, decoders: Decoders, channels: int) -> PlacedImage:
    kind = ending(name, tuple(decoders))
    if kind in VOLUME_ENDINGS and kind not in decoders:
        stored, grid = volume_with_grid(name, content, channels=channels)
        return PlacedImage(values=stored.astype(np.float32), grid=grid, is_picture=False)
    return of_pixels(decode(name, content, decoders))


def grid_of(name: str, content: bytes, decoders: Decoders, *, channels_per_file: int = 1) -> Grid:
    """Return where the voxels of an image lie; values are read only if the header does not say.

    Raises:
        FileError: The file is damaged or of an unknown kind.
    """
    kind = ending(name, tuple(decoders))
    if kind in decoders:
        return of_pixels(decode(name, content, decoders)).grid
    if kind in VOLUME_ENDINGS:
        return volume_grid(name, content, channels=channels_per_file)
    return _counted(picture_size(name, content))


def of_pixels(pixels: Pixels) -> PlacedImage:
    """Return pixels without a known place: (row, column), with 3 colours, or slices of rows."""
    values = pixels.astype(np.float32)
    if values.ndim == 3 and values.shape[-1] == _COLOURS:
        values = np.ascontiguousarray(np.moveaxis(values, -1, 0))[:, None]
    elif values.ndim == 3:
        values = values[None]
    else:
        values = values[None, None]
    return PlacedImage(
        values=values, grid=_counted(values.shape[1:]), is_picture=values.shape[1] == 1
    )


def _counted(shape: tuple[int, ...]) -> Grid:
    """Return a grid that counts in pixels."""
    slices, rows, columns = shape
    return Grid(shape=(slices, rows, columns), spacing_mm=(1.0, 1.0, 1.0))


def mask_numbers(name: str, content: bytes) -> tuple[Numbers, Grid]:
    """Return the numbers of a mask (slice, row, column) and where they lie.

    A picture of two values counts 0 and 1: black and white, or dark and light where it was
    compressed with loss. Entries of a palette are numbers.

    Raises:
        FileError: The file is damaged, in colour, or holds values that are no whole numbers.
    """
    kind = ending(name)
    if kind in VOLUME_ENDINGS:
        stored, grid = volume_with_grid(name, content)
        return _whole(name, stored[0]), grid
    if kind not in PICTURE_ENDINGS:
        known = ", ".join((*PICTURE_ENDINGS, *VOLUME_ENDINGS))
        raise FileError(name, f"files ending in '{kind}' are not read as masks.", f"Give {known}.")
    pixels = picture(name, content, keeps_palette=True)
    if pixels.ndim == 3 and pixels.shape[-1] == _COLOURS:
        pixels = _grey(name, pixels)
    numbers = _whole(name, pixels)
    if kind in _LOSSY:
        numbers = (numbers > 127).astype(np.int64)
    numbers = numbers.reshape(-1, *numbers.shape[-2:])
    return _counted_from_one(numbers, pixels.dtype), _counted(numbers.shape)


def _grey(name: str, pixels: Pixels) -> Pixels:
    if ending(name) not in _LOSSY and not (pixels == pixels[..., :1]).all():
        raise FileError(
            name, "it is a mask in colours.", "Give one number per class in one channel."
        )
    return pixels[..., 0]


def _whole(name: str, values: Pixels) -> Numbers:
    with np.errstate(invalid="ignore"):
        numbers: Numbers = np.asarray(values).astype(np.int64)
    if not np.issubdtype(values.dtype, np.integer) and not np.array_equal(numbers, values):
        raise FileError(
            name, "it holds values that are no whole numbers.", "Give a mask of class numbers."
        )
    return numbers


def _counted_from_one(numbers: Numbers, kind: np.dtype[np.generic]) -> Numbers:
    """Return 0 and 1 for black and white."""
    if numbers.max(initial=0) not in {(1 << 8 * kind.itemsize) - 1, 255}:
        return numbers
    is_set = numbers != 0
    return is_set.astype(np.int64) if (numbers[is_set] == numbers.max()).all() else numbers


def lies_on(mask: Grid, image: Grid) -> bool:
    """Return whether two grids put every voxel at the same place, up to rounded headers."""
    return mask.is_same_as(image, tolerance_mm=TOLERANCE * min(image.spacing_mm))


def shown(grid: Grid) -> str:
    """Return a grid in words of a message."""
    spacing = " x ".join(f"{step:.4g}" for step in grid.spacing_mm)
    origin = ", ".join(f"{part:.4g}" for part in grid.origin_mm)
    return f"shape {grid.shape}, spacing {spacing} mm, origin ({origin})"


def require_on(name: str, mask: Grid, image: Grid) -> None:
    """Refuse a mask that lies elsewhere than its image.

    Raises:
        GeometryError: They do not share shape, spacing, origin and axes.
    """
    if lies_on(mask, image):
        return
    why = "" if mask.shape != image.shape else " (their axes may differ too)"
    raise GeometryError(
        f"'{name}' lies on another grid ({shown(mask)}) than its image ({shown(image)}){why}; "
        "resample the mask to the image's grid."
    )
