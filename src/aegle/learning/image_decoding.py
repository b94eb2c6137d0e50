"""From the bytes of a file to pixels: pictures, volumes, and what else a decoder is given for."""

import importlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError
from aegle.domain.grid import Grid

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
VOLUME_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Files that hold header and values both."""
MAX_PIXELS = 1 << 28
MAX_VOXELS = 1 << 30
"""Larger images are refused before they are read."""

Pixels = NDArray[np.generic]


def ending(name: str, endings: tuple[str, ...] = ()) -> str:
    """Return the ending of a file's name in small letters: ``.png``, ``.nii.gz``."""
    small = name.lower()
    known = (*VOLUME_ENDINGS, *PICTURE_ENDINGS, *endings)
    fitting = [one for one in known if small.endswith(one)]
    return max(fitting, key=len) if fitting else Path(small).suffix


def is_image(name: str, endings: tuple[str, ...] = ()) -> bool:
    """Return whether a file is taken for an image by its name; ``endings`` are further ones."""
    return ending(name, endings) in (*VOLUME_ENDINGS, *PICTURE_ENDINGS, *endings)


def decode(name: str, content: bytes, decoders: Mapping[str, Callable[[bytes], Pixels]]) -> Pixels:
    """Return the pixels of a file.

    Args:
        name: Its name; the ending says how it is read.
        content: Its bytes.
        decoders: What reads other endings.

    Returns:
        (row, column), (row, column, 3) or (slice, row, column), in the number format as stored.
        Volumes are turned to LPS first: slices to the head, rows to the back, columns to the left.

    Raises:
        FileError: The file is damaged, too large or of an unknown kind.
    """
    kind = ending(name, tuple(decoders))
    if kind in decoders:
        return decoders[kind](content)
    if kind in PICTURE_ENDINGS:
        return picture(name, content)
    if kind in VOLUME_ENDINGS:
        return volume(name, content)[0]
    known = ", ".join((*PICTURE_ENDINGS, *VOLUME_ENDINGS, *decoders))
    raise FileError(name, f"files ending in '{kind}' are not read as images.", f"Give {known}.")


def picture(name: str, content: bytes, *, keeps_palette: bool = False) -> Pixels:
    """Return the pixels of a picture, (row, column) or (row, column, 3), pages before that.

    Args:
        name: For messages.
        content: Its bytes.
        keeps_palette: Whether pixels of a palette stay numbers of its entries, as masks mean them.

    Raises:
        FileError: The file is damaged or too large.
    """
    from PIL import Image, ImageSequence

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as opened:
            warnings.simplefilter("ignore")
            frames = getattr(opened, "n_frames", 1)
            _require_size(name, opened.width * opened.height * frames, MAX_PIXELS)
            arrays = [_pixels(frame, keeps_palette) for frame in ImageSequence.Iterator(opened)]
    except FileError:
        raise
    # Pillow's readers raise almost anything on damaged files.
    except Exception as error:
        raise FileError(
            name, f"it cannot be read as a picture ({_last_line(error)}).", "Check the file."
        ) from error
    if len({array.shape for array in arrays}) > 1 or (len(arrays) > 1 and arrays[0].ndim > 2):
        raise FileError(name, "its pages differ, or are in colour.", "Split it into files.")
    return np.stack(arrays) if len(arrays) > 1 else arrays[0]


def picture_size(name: str, content: bytes) -> tuple[int, int, int]:
    """Return pages, rows and columns of a picture; no pixel is read.

    Raises:
        FileError: The file is damaged or too large.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as opened:
            warnings.simplefilter("ignore")
            pages = int(getattr(opened, "n_frames", 1))
            size = (pages, opened.height, opened.width)
    # Pillow's readers raise almost anything on damaged files.
    except Exception as error:
        raise FileError(
            name, f"it cannot be read as a picture ({_last_line(error)}).", "Check the file."
        ) from error
    _require_size(name, size[0] * size[1] * size[2], MAX_PIXELS)
    return size


def _pixels(frame: Any, keeps_palette: bool) -> Pixels:
    if keeps_palette and frame.mode == "P":
        return np.array(frame)
    if frame.mode in ("1", "LA", "La"):
        frame = frame.convert("L")
    if frame.mode not in ("L", "F") and not frame.mode.startswith("I"):
        frame = frame.convert("RGB")
    return np.array(frame)


def _require_size(name: str, count: int, limit: int) -> None:
    if count > limit:
        raise FileError(name, f"it declares {count} pixels.", "Give a smaller image.")


def volume(name: str, content: bytes) -> tuple[Pixels, tuple[float, float, float]]:
    """Return the values of a volume (slice, row, column) and its spacing [mm] in that order.

    Raises:
        FileError: The file is damaged, too large or not a scalar volume.
    """
    values, grid = volume_with_grid(name, content)
    return values[0], grid.spacing_mm


def volume_with_grid(name: str, content: bytes, *, channels: int = 1) -> tuple[Pixels, Grid]:
    """Return the values of a volume (channel, slice, row, column) and where they lie.

    The axes are turned to LPS as far as permuting and mirroring can; oblique ones stay oblique.

    Args:
        name: Its ending says how it is read.
        content: Its bytes.
        channels: How many volumes a file with a fourth axis holds.

    Raises:
        FileError: The file is damaged, too large or holds another number of volumes.
        GeometryError: Its axes are not perpendicular.
    """
    sitk: Any = importlib.import_module("SimpleITK")
    with _opened(name, content, channels, sitk) as reader:
        parts = [
            sitk.DICOMOrient(part, "LPS")
            for part in _three_dimensional(reader.Execute(), sitk, channels)
        ]
    arrays = [sitk.GetArrayViewFromImage(part) for part in parts]
    first = parts[0]
    grid = _grid(first.GetSize(), first.GetSpacing(), first.GetOrigin(), first.GetDirection())
    return np.stack(arrays), grid


def volume_grid(name: str, content: bytes, *, channels: int = 1) -> Grid:
    """Return where the voxels of a volume lie, as :func:`volume_with_grid` does; no value is read.

    Raises:
        FileError: The file is damaged, too large or holds another number of volumes.
        GeometryError: Its axes are not perpendicular.
    """
    sitk: Any = importlib.import_module("SimpleITK")
    with _opened(name, content, channels, sitk) as reader:
        size, steps = reader.GetSize()[:3], reader.GetSpacing()[:3]
        every = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2)
        axes = every[:3, :3]
        turn = sitk.DICOMOrientImageFilter()
        turn.SetDesiredCoordinateOrientation("LPS")
        voxel = sitk.Image(1, 1, 1, sitk.sitkUInt8)
        voxel.SetDirection(axes.ravel().tolist())
        turn.Execute(voxel)
        order, mirrored = list(turn.GetPermuteOrder()), np.array(turn.GetFlipAxes())
        size, steps, axes = np.array(size)[order], np.array(steps)[order], axes[:, order]
        lever = np.where(mirrored, size - 1, 0) * steps
        origin = np.array(reader.GetOrigin()[:3]) + axes @ lever
    return _grid(size.tolist(), steps, origin, (axes * np.where(mirrored, -1, 1)).ravel())


@contextmanager
def _opened(name: str, content: bytes, channels: int, sitk: Any) -> Iterator[Any]:
    """Give an ITK reader that has read the header of a volume."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"volume{ending(name)}"
        path.write_bytes(content)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            _require_volume(name, reader, channels)
            yield reader
        except RuntimeError as error:
            raise FileError(
                name, f"it cannot be read as a volume ({_last_line(error)}).", "Check the file."
            ) from error


def _grid(size: Any, spacing_mm: Any, origin_mm: Any, direction: Any) -> Grid:
    """Return the grid of an ITK image, which is in LPS mm; the columns of its matrix are axes."""
    columns, rows, slices = size
    x, y, z = _triple(spacing_mm)
    of_x, of_y, of_z = np.reshape(direction, (3, 3)).T
    return Grid(
        shape=(slices, rows, columns),
        spacing_mm=(z, y, x),
        origin_mm=_triple(origin_mm),
        axes=(_triple(of_z), _triple(of_y), _triple(of_x)),
    )


def _triple(vector: Any) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in vector)
    return x, y, z


def _require_volume(name: str, reader: Any, channels: int) -> None:
    size = reader.GetSize()
    _require_size(name, int(np.prod(size, dtype=object)), MAX_VOXELS)
    is_scalar = reader.GetNumberOfComponents() == 1
    if not is_scalar or len(size) < 3 or int(np.prod(size[3:])) != channels:
        wanted = "one scalar volume" if channels == 1 else f"{channels} scalar volumes"
        raise FileError(
            name,
            f"it has size {tuple(size)} with {reader.GetNumberOfComponents()} value(s) each.",
            f"Give {wanted} per file.",
        )


def _three_dimensional(image: Any, sitk: Any, channels: int) -> list[Any]:
    """Return the volumes along the further axes of an image."""
    if image.GetDimension() == 3:
        return [image]
    while image.GetDimension() > 4:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0])
    size = [*image.GetSize()[:3], 0]
    return [sitk.Extract(image, size, [0, 0, 0, index]) for index in range(channels)]


def _last_line(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        # Pillow's own words name an object in memory.
        return "its first bytes are those of no known format"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
