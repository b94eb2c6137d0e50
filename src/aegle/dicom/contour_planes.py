"""The contours of a structure, sorted into the slices of an image and filled.

A voxel is inside if its centre lies inside an odd number of the structure's contours in its
slice. A contour belongs to the nearest slice within half a slice distance. Of contours at
several heights in one slice, those nearest to its middle count.

Source: DICOM PS3.3 C.8.8.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from aegle.dicom.contours import rasterise
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError
from aegle.domain.grid import Grid, Points
from aegle.domain.structure import Structure
from aegle.domain.text import Text

CONTOUR_DATA = Tag(0x30060050)

_RISE = 0.5
"""A contour may rise this part of a slice distance and still counts as lying in one slice."""

_BEYOND = 1.0
"""A contour may reach this many voxels beyond the outermost voxel centres before it is said."""

_SAME_HEIGHT = 0.025
"""Contours no further apart than this part of a slice distance form one plane."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The contours of a structure at one height."""

    height: float
    """Slice index, not rounded."""
    polygons: list[Points]
    """(row, column) indices."""


def planes_of(
    name: str, contours: Iterable[Dataset], grid: Grid
) -> tuple[dict[int, Plane], list[Text]]:
    """Return the contours of each slice, and what was left out."""
    closed, skipped = _closed_contours(contours)
    planes: dict[int, Plane] = {}
    outside = cut = 0
    for indices in map(grid.to_indices, closed):
        height = float(indices[:, 0].mean())
        # Half a slice to each side, but each height in one slice only.
        nearest = int(np.floor(height + 0.5))
        if np.ptp(indices[:, 0]) > _RISE or not 0 <= nearest < grid.shape[0]:
            outside += 1
            continue
        cut += _is_cut(indices[:, 1:], grid)
        plane = planes.setdefault(nearest, Plane(height, []))
        if abs(plane.height - height) > _SAME_HEIGHT:
            is_nearer = abs(height - nearest) < abs(plane.height - nearest)
            skipped += len(plane.polygons) if is_nearer else 1
            if not is_nearer:
                continue
            plane = planes[nearest] = Plane(height, [])
        plane.polygons.append(indices[:, 1:])
    return planes, _notices(name, outside, skipped, cut)


def _is_cut(corners: Points, grid: Grid) -> bool:
    """Return whether a contour of (row, column) indices leaves the image."""
    last = np.asarray(grid.shape[1:]) - 1
    return bool(np.any((corners < -_BEYOND) | (corners > last + _BEYOND)))


def _closed_contours(contours: Iterable[Dataset]) -> tuple[list[Points], int]:
    """Return the points of each closed contour [mm], once each, and how many are not closed."""
    points, skipped = {}, 0
    for contour in contours:
        raw = _contour_data(contour)
        if contour.get("ContourGeometricType") in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR") and (
            raw.size >= 9 and raw.size % 3 == 0
        ):
            points[raw.tobytes()] = raw.reshape(-1, 3)
        else:
            skipped += 1
    return list(points.values()), skipped


def _contour_data(contour: Dataset) -> NDArray[np.float64]:
    if CONTOUR_DATA not in contour:
        return np.zeros(0)
    element = contour.get_item(CONTOUR_DATA)
    value = element.value if element is not None else None
    parts = value.strip(b" \0").split(b"\\") if isinstance(value, bytes) else value
    try:
        return np.array(parts or [], dtype=np.float64)
    except ValueError as error:
        raise FileError(
            "The structure set",
            f"holds contour data that are not numbers ({error}).",
            "Export the structures again.",
        ) from error


def _notices(name: str, outside: int, skipped: int, cut: int) -> list[Text]:
    notices = []
    if cut:
        notices.append(
            Text(
                "Structure '{name}': {count} contours reach beyond the edge of the image and were "
                "cut off there.",
                {"name": name, "count": cut},
            )
        )
    if outside:
        notices.append(
            Text(
                "Structure '{name}': {count} contours do not lie in a slice of the image and "
                "were left out.",
                {"name": name, "count": outside},
            )
        )
    if skipped:
        notices.append(
            Text(
                "Structure '{name}': {count} contours are not closed, or lie between slices "
                "beside a nearer one, and were left out.",
                {"name": name, "count": skipped},
            )
        )
    return notices


def filled(
    name: str, kind: StructureType, planes: dict[int, Plane], grid: Grid
) -> Structure | None:
    """Return the voxels inside the contours as a structure; None if there are none."""
    polygons = [(index, p) for index, plane in planes.items() for p in plane.polygons]
    corners = np.concatenate([p for _, p in polygons])
    low = np.clip(np.floor(corners.min(axis=0)), 0, None).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, None, grid.shape[1:]).astype(int)
    size = np.maximum(high - low, 0)
    first, last = min(planes), max(planes)
    inside = rasterise(
        [p - low for _, p in polygons],
        [index - first for index, _ in polygons],
        (last - first + 1, int(size[0]), int(size[1])),
    )
    return _placed(name, kind, inside, (first, int(low[0]), int(low[1])), grid)


def _placed(
    name: str,
    kind: StructureType,
    inside: NDArray[np.bool_],
    start: tuple[int, int, int],
    grid: Grid,
) -> Structure | None:
    if not inside.any():
        return None
    spans = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    box = inside[tuple(slice(s[0], s[-1] + 1) for s in spans)]
    a, b, c = (int(s[0]) + at for s, at in zip(spans, start, strict=True))
    return Structure(
        name=name, box=box.copy(), start=(a, b, c), grid=grid, type=kind, origin="RTSTRUCT"
    )
