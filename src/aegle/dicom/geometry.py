"""From planes in space to a regular grid, or to the reason why there is none.

Slices are ordered by their position along the normal of the planes, never by number. The grid
is exact to ``position_tolerance_mm``: slices that lie elsewhere are refused, or moved by
interpolation if that is chosen.

Source: DICOM PS3.3 C.7.6.2.1.1 (image position and orientation).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aegle.dicom.image_options import ImageOptions, choice
from aegle.dicom.planes import Plane
from aegle.domain.errors import GantryTiltError, GeometryError, SliceSpacingError
from aegle.domain.grid import Grid
from aegle.domain.text import Text

Points = NDArray[np.float64]

MAX_GROWTH = 20
"""Interpolation may make at most this many slices of one."""
_ORTHONORMAL = 1e-3
_SAME_PLACE_MM = 0.01
"""A slice this near to where one is wanted is taken as it is."""

DOUBLES_DROPPED = "{count} doubled slice(s) dropped; the first at each position is kept."
TILT_CORRECTED = (
    "Gantry tilt of {degrees:.2f}° corrected: slices were shifted by up to {shift_mm:.1f} mm "
    "within their planes by linear interpolation."
)
SPACING_CORRECTED = (
    "{found} slices with distances from {least_mm:.2f} to {most_mm:.2f} mm were interpolated "
    "linearly to {made} slices every {spacing_mm:.3f} mm."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Stack:
    """Planes in order of position, and what must be done to put them on a regular grid."""

    planes: tuple[Plane, ...]
    grid: Grid
    """Of the result."""
    distances_mm: Points
    """Along the normal, from the first plane."""
    shifts: Points | None = None
    """Row and column index in the grid of each plane's first pixel; None if all are (0, 0)."""
    is_interpolated: bool = False
    """Whether the slices of the grid lie between the planes."""
    notices: tuple[Text, ...] = ()


def axes_of(plane: Plane, name: str) -> Points:
    """Return unit vectors along increasing slice, row and column index, as rows.

    Raises:
        GeometryError: The plane's directions are not perpendicular unit vectors.
    """
    along_row, along_column = np.reshape(plane.orientation, (2, 3))
    products = np.array([[along_row @ along_row, along_row @ along_column], [0, 0]])
    products[1] = products[0, 1], along_column @ along_column
    if not np.allclose(products, np.eye(2), atol=_ORTHONORMAL):
        raise GeometryError(
            f"{name}: the directions of rows and columns {plane.orientation} are not perpendicular "
            "unit vectors. Export the series again from the system it came from."
        )
    if not np.allclose(products, np.eye(2), rtol=0, atol=1e-9):
        along_row, along_column = _perpendicular(along_row, along_column)
    return np.stack([np.cross(along_row, along_column), along_column, along_row]) + 0.0


def _perpendicular(one: Points, other: Points) -> tuple[Points, Points]:
    """Return the nearest perpendicular unit vectors; both share what is to be moved."""
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    between, across = one + other, one - other
    between, across = between / np.linalg.norm(between), across / np.linalg.norm(across)
    return (between + across) / np.sqrt(2), (between - across) / np.sqrt(2)


def arrange(planes: Sequence[Plane], *, name: str, options: ImageOptions) -> Stack:
    """Order planes of one size and orientation into a stack.

    Args:
        planes: All with a place, of equal size, orientation and pixel spacing.
        name: What messages call the series.
        options: Which corrections may be made.

    Raises:
        GantryTiltError: The planes are sheared, and correction was not chosen.
        SliceSpacingError: Slices are missing, doubled or uneven, and correction was not chosen.
        GeometryError: The planes form no stack, or their pixels have no size.
    """
    _require_spacing(planes[0], name)
    axes = axes_of(planes[0], name)
    positions = np.array([p.position_mm for p in planes])
    along = positions @ axes[0]
    order = np.argsort(along, kind="stable")
    kept, notices = _without_doubles(along[order], name, options)
    order = order[kept]
    stack = _plain_stack([planes[i] for i in order], positions[order], axes, name)
    stack = replace(stack, notices=notices)
    stack = _with_tilt(stack, positions[order], name, options)
    return _with_spacing(stack, name, options)


def _require_spacing(plane: Plane, name: str) -> None:
    if not min(plane.spacing_mm) > 0:
        row_mm, column_mm = plane.spacing_mm
        raise GeometryError(
            f"{name}: its pixel spacing of {row_mm:g} × {column_mm:g} mm is not above 0. Export "
            "the series again from the system it came from."
        )


def _plain_stack(planes: Sequence[Plane], positions: Points, axes: Points, name: str) -> Stack:
    first = planes[0]
    distances = (positions - positions[0]) @ axes[0]
    if len(planes) > 1:
        between_mm = round(float(distances[-1]) / (len(planes) - 1), 9)
    else:
        between_mm = first.between_mm or first.thickness_mm or 0.0
    if between_mm <= 0:
        raise SliceSpacingError(
            f"{name}: a single slice whose thickness is not stated has no volume. "
            "Read it as a planar image."
        )
    grid = Grid(
        shape=(len(planes), first.rows, first.columns),
        spacing_mm=(between_mm, first.spacing_mm[0], first.spacing_mm[1]),
        origin_mm=_triple(positions[0]),
        axes=(_triple(axes[0]), _triple(axes[1]), _triple(axes[2])),
    )
    return Stack(planes=tuple(planes), grid=grid, distances_mm=distances)


def _without_doubles(
    along: Points, name: str, options: ImageOptions
) -> tuple[NDArray[np.intp], tuple[Text, ...]]:
    """Return the indices to keep."""
    gaps = np.diff(along)
    tolerance = _tolerance(gaps, options)
    is_double = np.concatenate([[False], gaps <= tolerance])
    count = int(is_double.sum())
    if count and options.doubled == "refuse":
        where = along[is_double][0]
        raise SliceSpacingError(
            f"{name}: {count} of {along.size} slices lie where another does (the first at "
            f"{where:.2f} mm along the normal). Select one acquisition, or choose "
            f"{choice('doubled=keep-first')}."
        )
    notices = (Text(DOUBLES_DROPPED, {"count": count}),) if count else ()
    return np.flatnonzero(~is_double), notices


def _tolerance(gaps: Points, options: ImageOptions) -> float:
    apart = gaps[gaps > options.position_tolerance_mm / 10]
    typical = float(np.median(apart)) if apart.size else 0.0
    return min(options.position_tolerance_mm, 0.1 * typical)


def _with_tilt(stack: Stack, positions: Points, name: str, options: ImageOptions) -> Stack:
    """Check that the planes lie straight behind each other."""
    grid = stack.grid
    in_plane = (positions - positions[0]) @ np.array(grid.axes)[1:].T
    tolerance = min(options.position_tolerance_mm, 0.1 * min(grid.spacing_mm[1:]))
    # Positions are stored with few decimals, so a long stack may lean by that much.
    if np.abs(in_plane).max(initial=0.0) <= 2 * tolerance:
        return stack
    lean = (stack.distances_mm @ in_plane) / (stack.distances_mm @ stack.distances_mm)
    degrees = float(np.degrees(np.arctan(np.linalg.norm(lean))))
    if np.abs(in_plane - np.outer(stack.distances_mm, lean)).max() > 2 * tolerance:
        raise GeometryError(
            f"{name}: its slices are shifted against each other without order, by up to "
            f"{np.abs(in_plane).max():.2f} mm. They belong to different acquisitions; select one."
        )
    if options.tilt == "refuse":
        raise GantryTiltError(
            f"{name}: its slices are sheared by a gantry tilt of {degrees:.2f} degrees. Choose "
            f"{choice('tilt=resample')} to move them onto a perpendicular grid by interpolation."
        )
    return _unsheared(stack, in_plane / np.array(grid.spacing_mm[1:]), degrees)


def _unsheared(stack: Stack, shifts: Points, degrees: float) -> Stack:
    """Return the stack on the perpendicular grid that holds every plane."""
    grid = stack.grid
    low = np.floor(shifts.min(axis=0) + 1e-6)
    extra = np.ceil(shifts.max(axis=0) - 1e-6) - low
    shape = (grid.shape[0], grid.shape[1] + int(extra[0]), grid.shape[2] + int(extra[1]))
    moved_mm = np.abs(shifts * np.array(grid.spacing_mm[1:])).max()
    notice = Text(TILT_CORRECTED, {"degrees": degrees, "shift_mm": float(moved_mm)})
    return replace(
        stack,
        grid=replace(grid, shape=shape, origin_mm=_triple(grid.to_patient(np.array([0, *low])))),
        shifts=shifts - low,
        notices=(*stack.notices, notice),
    )


def _with_spacing(stack: Stack, name: str, options: ImageOptions) -> Stack:
    """Check that the planes are evenly spaced."""
    distances = stack.distances_mm
    if distances.size < 2:
        return stack
    even = np.linspace(0.0, distances[-1], distances.size)
    gaps = np.diff(distances)
    if np.abs(distances - even).max() <= _tolerance(gaps, options):
        return stack
    typical = float(np.median(gaps))
    if options.spacing == "refuse":
        raise SliceSpacingError(_uneven(name, distances, typical, _tolerance(gaps, options)))
    count = round(float(distances[-1]) / typical) + 1
    if count > MAX_GROWTH * distances.size:
        raise SliceSpacingError(
            f"{name}: its slice distances from {gaps.min():.2f} to {gaps.max():.2f} mm are too "
            "uneven to be interpolated. Select one acquisition."
        )
    between_mm = round(float(distances[-1]) / (count - 1), 9)
    facts = {
        "found": int(distances.size),
        "made": count,
        "least_mm": float(gaps.min()),
        "most_mm": float(gaps.max()),
        "spacing_mm": between_mm,
    }
    grid = replace(
        stack.grid,
        shape=(count, *stack.grid.shape[1:]),
        spacing_mm=(between_mm, *stack.grid.spacing_mm[1:]),
    )
    notices = (*stack.notices, Text(SPACING_CORRECTED, facts))
    return replace(stack, grid=grid, is_interpolated=True, notices=notices)


def _uneven(name: str, distances: Points, typical: float, tolerance: float) -> str:
    gaps = np.diff(distances)
    steps = gaps / typical
    whole = np.rint(steps)
    remedy = (
        f"Get the missing files, or choose {choice('spacing=resample')} to interpolate linearly "
        "onto a regular grid."
    )
    if np.all(np.abs(steps - whole) * typical <= 2 * tolerance) and whole.min() >= 1:
        first = int(np.argmax(whole > 1))
        return (
            f"{name}: {int((whole - 1).sum())} slice(s) are missing; slices lie every "
            f"{typical:.2f} mm, but after slice {first + 1} of {distances.size} comes a gap of "
            f"{gaps[first]:.2f} mm. {remedy}"
        )
    return (
        f"{name}: slices are unevenly spaced, with distances from {gaps.min():.2f} to "
        f"{gaps.max():.2f} mm. {remedy}"
    )


def straightened(values: NDArray[np.float32], stack: Stack) -> NDArray[np.float32]:
    """Return the values of the planes on the grid of their stack.

    What no plane covers gets the lowest value of all planes.
    """
    if stack.shifts is not None:
        values = _shifted(values, stack.shifts, stack.grid.shape[1:])
    if stack.is_interpolated:
        values = _interpolated(values, stack)
    return values


def _shifted(
    values: NDArray[np.float32], shifts: Points, shape: tuple[int, int]
) -> NDArray[np.float32]:
    out = np.full((len(values), *shape), values.min(), np.float32)
    for plane, shift, target in zip(values, shifts, out, strict=True):
        rows, row_start = _slid(plane, float(shift[0]), axis=0)
        both, column_start = _slid(rows, float(shift[1]), axis=1)
        target[
            row_start : row_start + both.shape[0], column_start : column_start + both.shape[1]
        ] = both
    return out


def _slid(plane: NDArray[np.float32], shift: float, axis: int) -> tuple[NDArray[np.float32], int]:
    """Move a plane by a fraction of a pixel; return it with its first whole index."""
    nearest = round(shift)
    if abs(shift - nearest) < 1e-6:
        return plane, nearest
    start = int(np.ceil(shift))
    weight = np.float32(start - shift)
    moved = np.moveaxis(plane, axis, 0)
    moved = moved[:-1] * (1 - weight) + moved[1:] * weight
    return np.moveaxis(moved, 0, axis), start


def _interpolated(values: NDArray[np.float32], stack: Stack) -> NDArray[np.float32]:
    distances = stack.distances_mm
    count = stack.grid.shape[0]
    out = np.empty((count, *values.shape[1:]), np.float32)
    for index, wanted in enumerate(np.linspace(0.0, distances[-1], count)):
        nearest = int(np.argmin(np.abs(distances - wanted)))
        if abs(distances[nearest] - wanted) <= _SAME_PLACE_MM:
            out[index] = values[nearest]
            continue
        above = int(np.clip(np.searchsorted(distances, wanted), 1, distances.size - 1))
        below = above - 1
        weight = np.float32((wanted - distances[below]) / (distances[above] - distances[below]))
        out[index] = values[below] * (1 - weight) + values[above] * weight
    return out


def _triple(vector: Points) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z
