"""Dose as the frames of an RT Dose: integers, a scaling, and offsets along the slice normal.

Source: DICOM PS3.3 C.8.8.3 (RT dose), C.8.8.3.2 (grid frame offset vector).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag

from aegle.dicom import attributes
from aegle.dicom.attributes import decimal, decimals
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume

_UINT16_MAX = np.iinfo(np.uint16).max
_GRID_FRAME_OFFSETS = Tag(0x3004000C)
_REGULAR_MM = 0.01
"""Frame offsets may deviate by this from even spacing [mm]."""


def volume_of(dataset: Dataset, name: object) -> Volume:
    """Return the dose of an RT Dose [Gy], slices in order along their normal.

    Args:
        dataset: The object.
        name: What messages call it.

    Raises:
        FileError: Attributes are missing or damaged.
        GeometryError: Slices are not evenly spaced.
    """
    try:
        scaling = float(dataset.DoseGridScaling)
        stored = pixel_array(dataset).astype(np.float64)
        offsets_mm = np.atleast_1d(np.array(dataset.get("GridFrameOffsetVector") or 0.0, float))
        origin_mm = np.array(dataset.ImagePositionPatient, dtype=np.float64)
        directions = np.array(dataset.ImageOrientationPatient, dtype=np.float64)
        spacing_mm = np.array(dataset.PixelSpacing, dtype=np.float64)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(name, f"is damaged ({error}).", "Export the dose again.") from error
    normal = np.cross(directions[:3], directions[3:])
    if offsets_mm[0] != 0:
        # The other convention lists z coordinates instead of distances along the normal.
        offsets_mm = (offsets_mm - offsets_mm[0]) * normal[2]
    values = stored.reshape(-1, *stored.shape[-2:]) * scaling
    if len(offsets_mm) > 1 and offsets_mm[1] < 0:
        origin_mm = origin_mm + offsets_mm[-1] * normal
        offsets_mm, values = offsets_mm[::-1] - offsets_mm[-1], values[::-1]
    if len(offsets_mm) != len(values):
        raise FileError(
            name,
            f"has {len(values)} frames but {len(offsets_mm)} frame offsets.",
            "Export the dose again.",
        )
    thickness_mm = float(dataset.get("SliceThickness") or spacing_mm[0])
    grid = Grid(
        shape=(values.shape[0], values.shape[1], values.shape[2]),
        spacing_mm=(
            _even_step(offsets_mm, thickness_mm),
            float(spacing_mm[0]),
            float(spacing_mm[1]),
        ),
        origin_mm=_triple(origin_mm),
        axes=(_triple(normal), _triple(directions[3:]), _triple(directions[:3])),
    )
    return Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.ABSORBED_DOSE)


def _even_step(offsets_mm: NDArray[np.float64], single_mm: float) -> float:
    """Return the distance of slices; ``single_mm`` if there is only one."""
    if len(offsets_mm) == 1:
        return single_mm
    step_mm = float(offsets_mm[-1]) / (len(offsets_mm) - 1)
    even_mm = step_mm * np.arange(len(offsets_mm))
    if not np.allclose(offsets_mm, even_mm, rtol=0, atol=_REGULAR_MM):
        raise GeometryError(
            "The slices of the dose are not evenly spaced; export it on a regular grid."
        )
    return step_mm


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = map(float, vector)
    return x, y, z


def along_normal(dose: Volume) -> tuple[Grid, NDArray[np.float32]]:
    """Return grid and values with slices in order along their normal, as frame offsets count."""
    grid = dose.grid
    slices, rows, columns = (np.array(axis) for axis in grid.axes)
    if np.dot(np.cross(columns, rows), slices) > 0:
        return grid, dose.values
    last = grid.to_patient(np.array([grid.shape[0] - 1.0, 0.0, 0.0]))
    flipped = replace(
        grid,
        origin_mm=_triple(last),
        axes=(_triple(-slices), grid.axes[1], grid.axes[2]),
    )
    return flipped, dose.values[::-1]


def attributes_of(grid: Grid, values: NDArray[np.float32]) -> dict[str, Any]:
    """Return the attributes that hold a dose [Gy] and its place.

    Args:
        grid: Slices in order along their normal, as :func:`along_normal` gives it.
        values: Absorbed dose [Gy], shape of the grid.

    Raises:
        InputError: Values are negative or not numbers.
    """
    highest_gy = float(values.max())
    if not np.isfinite(highest_gy) or float(values.min()) < 0:
        raise InputError("The dose has negative values or values that are not numbers.")
    # The file holds the scaling in 16 characters; the integers must match that number.
    scaling = float(decimal(highest_gy / (_UINT16_MAX - 1) if highest_gy > 0 else 1.0))
    stored = np.rint(values / np.float64(scaling)).clip(0, _UINT16_MAX)
    pixels = stored.astype("<u2").tobytes()
    offsets_mm = np.arange(grid.shape[0]) * grid.spacing_mm[0]
    return {
        "ImagePositionPatient": attributes.position(grid, 0),
        "ImageOrientationPatient": attributes.orientation(grid),
        "PixelSpacing": decimals(grid.spacing_mm[1:]),
        "SliceThickness": decimal(grid.spacing_mm[0]),
        "NumberOfFrames": grid.shape[0],
        "FrameIncrementPointer": _GRID_FRAME_OFFSETS,
        "GridFrameOffsetVector": decimals(offsets_mm),
        "Rows": grid.shape[1],
        "Columns": grid.shape[2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "DoseUnits": "GY",
        "DoseType": "PHYSICAL",
        "DoseSummationType": "PLAN",
        "DoseGridScaling": decimal(scaling),
        "PixelData": pixels,
    }
