"""Voxel values as the integers that a DICOM file stores.

Values that are integers already are kept; others use the whole range of the type through a
rescale slope. The integers match the slope as the file holds it, in 16 characters.

Source: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 (modality transformation).
"""

import numpy as np
from numpy.typing import NDArray

from aegle.dicom.attributes import decimal
from aegle.domain.errors import InputError
from aegle.domain.volume import Volume

_INT16 = np.iinfo(np.int16)
_UINT16 = np.iinfo(np.uint16)


def quantise(volume: Volume, *, is_ct: bool) -> tuple[NDArray[np.int16], float]:
    """Return integers and the factor that turns them back into values.

    Args:
        volume: What to store.
        is_ct: Keep whole Hounsfield units, as scanners do.

    Raises:
        InputError: Values are not numbers.
    """
    values = _finite(volume.values)
    largest = float(np.abs(values).max())
    fits = largest <= _INT16.max
    if fits and (is_ct or bool(np.all(np.rint(values) == values))):
        return np.rint(values).astype(np.int16), 1.0
    # The file holds the slope in 16 characters; integers must match that number.
    slope = float(decimal(largest / (_INT16.max - 1)))
    return np.rint(values / np.float32(slope)).astype(np.int16), slope


def as_unsigned(values: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float]:
    """Return unsigned integers and the factor that turns them back into values.

    Raises:
        InputError: Values are negative or not numbers.
    """
    lowest, highest = float(_finite(values).min()), float(values.max())
    if lowest >= 0 and highest <= _UINT16.max and bool(np.all(np.rint(values) == values)):
        return values.astype("<u2"), 1.0
    if lowest < 0:
        raise InputError(
            f"A radiograph has a value of {lowest:g}; it must not be negative. Shift it first."
        )
    slope = float(decimal(highest / (_UINT16.max - 1)))
    return np.rint(values / slope).astype("<u2"), slope


def as_bytes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """Return colour values cut to 0 to 255, and the factor 1."""
    return np.rint(np.clip(_finite(values), 0, 255)).astype(np.uint8), 1.0


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not bool(np.isfinite(values).all()):
        raise InputError(
            "The image holds values that are not numbers (NaN or infinite), which DICOM cannot "
            "store. Replace them by a background value first."
        )
    return values
