"""Masks out of the frames of a DICOM Segmentation.

Each frame is decoded on its own, one segment at a time, so that memory stays at one mask.

Sources: DICOM PS3.3 C.8.20.2 (binary, fractional, label map), C.7.6.16.2 (frame macros);
PS3.5 8.1.1 (packing of single bits).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from aegle.domain.errors import FileError, GeometryError
from aegle.domain.grid import Grid

Frame = NDArray[Any]

BACKGROUND = 0
"""Segment of a label map that is no structure."""

_CLOSE = 0.05
"""A frame may lie this part of a voxel beside the voxels of the image."""


@dataclass(frozen=True)
class Placement:
    """Where a frame lies on the grid of the image, and the segment it shows."""

    frame: int
    segment: int
    """``BACKGROUND`` in a label map, whose frames show all segments."""
    start: tuple[int, int, int]
    """Voxel index of its first pixel."""


def placements(segmentation: Dataset, grid: Grid) -> list[Placement]:
    """Return where the frames lie.

    Raises:
        FileError: Frames lack their position or segment.
        GeometryError: Frames do not lie on the voxels of the grid.
    """
    per_frame = segmentation.get("PerFrameFunctionalGroupsSequence") or ()
    shared = (segmentation.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    is_label_map = segmentation.get("SegmentationType") == "LABELMAP"
    found = []
    size = (1, int(segmentation.Rows), int(segmentation.Columns))
    try:
        for index, groups in enumerate(per_frame):
            segment = BACKGROUND
            if not is_label_map:
                identification = _group("SegmentIdentificationSequence", groups, shared)
                segment = int(identification.ReferencedSegmentNumber)
            found.append(Placement(index, segment, _start(groups, shared, size, grid)))
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise FileError(
            "The segmentation",
            f"does not say where its frames lie ({error}).",
            "Only segmentations of volumes with a position for each frame can be read.",
        ) from error
    return found


def masks(
    segmentation: Dataset, frames: list[Placement], grid: Grid
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Give number and mask, of the grid's shape, of each segment that has a voxel inside.

    Fractional segments are inside from half of their maximum on.

    Raises:
        FileError: The pixels cannot be decoded.
    """
    decode = _decoder(segmentation)
    kind = segmentation.get("SegmentationType")
    half = float(segmentation.get("MaximumFractionalValue") or 1) / 2
    for segment in segmentation.SegmentSequence:
        number = int(segment.SegmentNumber)
        if number == BACKGROUND:
            continue
        mask = np.zeros(grid.shape, dtype=np.bool_)
        for place in frames:
            if place.segment not in (BACKGROUND, number):
                continue
            pixels = decode(place.frame)
            inside = pixels == number if kind == "LABELMAP" else pixels >= half
            at, row, column = place.start
            rows, columns = inside.shape
            mask[at, row : row + rows, column : column + columns] |= inside
        if mask.any():
            yield number, mask


def _group(keyword: str, groups: Dataset, shared: Dataset) -> Dataset:
    """Return a functional group of a frame, its own or that of all frames."""
    sequence = groups.get(keyword) or shared.get(keyword)
    if not sequence:
        raise KeyError(keyword)
    found: Dataset = sequence[0]
    return found


def _start(
    groups: Dataset, shared: Dataset, size: tuple[int, int, int], grid: Grid
) -> tuple[int, int, int]:
    measures = _group("PixelMeasuresSequence", groups, shared)
    orientation = _group("PlaneOrientationSequence", groups, shared)
    directions = np.array(orientation.ImageOrientationPatient, dtype=np.float64)
    spacing_mm = np.array(measures.PixelSpacing, dtype=np.float64)
    position = _group("PlanePositionSequence", groups, shared)
    index = grid.to_indices(np.array(position.ImagePositionPatient, dtype=np.float64))
    start = np.rint(index).astype(int)
    # Small deviations count at the lever arm of the farthest pixel.
    is_aligned = (
        np.abs(directions - np.ravel([grid.axes[2], grid.axes[1]])).max() * max(size) <= _CLOSE
        and np.abs(spacing_mm / grid.spacing_mm[1:] - 1).max() * max(size) <= _CLOSE
        and np.abs(index - start).max() <= _CLOSE
    )
    if not is_aligned or start.min() < 0 or np.any(start + size > np.array(grid.shape)):
        raise GeometryError(
            "The segmentation does not lie on the voxels of the image: a frame of "
            f"{size[1]} x {size[2]} pixels begins at voxel {np.round(index, 2).tolist()} of a "
            f"grid of shape {grid.shape}. Choose the image it was made on, or resample it first."
        )
    return int(start[0]), int(start[1]), int(start[2])


def _decoder(segmentation: Dataset) -> Callable[[int], Frame]:
    """Return what gives the pixels of a frame by its index."""
    shape = (int(segmentation.Rows), int(segmentation.Columns))
    is_compressed = segmentation.file_meta.TransferSyntaxUID.is_encapsulated
    if int(segmentation.get("BitsAllocated", 0)) != 1 or is_compressed:
        return lambda index: _decoded(segmentation, index)
    content: bytes = segmentation.get("PixelData") or b""
    count = len(segmentation.get("PerFrameFunctionalGroupsSequence") or ())
    if len(content) * 8 < count * shape[0] * shape[1]:
        raise FileError(
            "The segmentation",
            f"holds {len(content)} bytes of pixels, too few for {count} frames.",
            "Ask for the file again; this one is cut off.",
        )
    return lambda index: _unpacked(content, index, shape)


def _unpacked(content: bytes, index: int, shape: tuple[int, int]) -> Frame:
    size = shape[0] * shape[1]
    first, last = index * size, (index + 1) * size
    part = np.frombuffer(content, np.uint8)[first // 8 : -(-last // 8)]
    bits = np.unpackbits(part, bitorder="little")[first % 8 : first % 8 + size]
    return bits.reshape(shape)


def _decoded(segmentation: Dataset, index: int) -> Frame:
    try:
        return pixel_array(segmentation, index=index)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FileError(
            "The segmentation",
            f"holds pixels that cannot be decoded ({error}).",
            "Ask for it uncompressed (explicit VR little endian).",
        ) from error
