"""From the bytes of a file to pixels: pictures, volumes, and what else a decoder is given for."""

import importlib
import io
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError

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
        return _picture(name, content)
    if kind in VOLUME_ENDINGS:
        return volume(name, content)[0]
    known = ", ".join((*PICTURE_ENDINGS, *VOLUME_ENDINGS, *decoders))
    raise FileError(name, f"files ending in '{kind}' are not read as images.", f"Give {known}.")


def _picture(name: str, content: bytes) -> Pixels:
    from PIL import Image, ImageSequence

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as picture:
            warnings.simplefilter("ignore")
            frames = getattr(picture, "n_frames", 1)
            _require_size(name, picture.width * picture.height * frames, MAX_PIXELS)
            arrays = [_pixels(frame) for frame in ImageSequence.Iterator(picture)]
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


def _pixels(frame: Any) -> Pixels:
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
    sitk: Any = importlib.import_module("SimpleITK")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"volume{ending(name)}"
        path.write_bytes(content)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            _require_volume(name, reader)
            image = sitk.DICOMOrient(_three_dimensional(reader.Execute(), sitk), "LPS")
        except RuntimeError as error:
            raise FileError(
                name, f"it cannot be read as a volume ({_last_line(error)}).", "Check the file."
            ) from error
    x, y, z = (float(step) for step in image.GetSpacing())
    values: Pixels = sitk.GetArrayFromImage(image)
    return values, (z, y, x)


def _require_volume(name: str, reader: Any) -> None:
    size = reader.GetSize()
    _require_size(name, int(np.prod(size, dtype=object)), MAX_VOXELS)
    is_scalar = reader.GetNumberOfComponents() == 1
    if not is_scalar or len(size) < 3 or any(length != 1 for length in size[3:]):
        raise FileError(
            name,
            f"it has size {tuple(size)} with {reader.GetNumberOfComponents()} value(s) each.",
            "Give one scalar volume per file.",
        )


def _three_dimensional(image: Any, sitk: Any) -> Any:
    while image.GetDimension() > 3:
        image = sitk.Extract(image, [*image.GetSize()[:-1], 0])
    return image


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
