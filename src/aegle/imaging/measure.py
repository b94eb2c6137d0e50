"""Diameters, values and sizes of delineated structures.

A diameter is taken on one slice of the structure's own grid, along straight lines between
points of its border. The border is where the fraction of a voxel inside the structure falls
through one half: for a bare mask that is midway between an inner and an outer voxel, which
on discs and ellipses has the least bias of the border conventions for masks (voxel centres
are too short, voxel corners too long).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.finding import Diameters, Position, Statistics
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Volume
from aegle.imaging.morphology import depth_mm, distance_mm
from aegle.imaging.resample import resample_structure

Plane = NDArray[np.float64]
"""Positions ``[..., 2]`` on a slice: along row and column index [mm]."""

LEAST_CONTRAST = 5.0
"""A border is sharp if the step across it is so many times the spread of what lies around."""
_SAME_LENGTH_MM = 1e-6
_IN_PLANE = np.zeros((3, 3, 3), dtype=np.bool_)
_IN_PLANE[1] = True
# Corners of a cell of four voxels, in order around it: (row, column).
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))


@dataclass(frozen=True, eq=False)
class _Part:
    """One connected part of a structure on one slice, with a rim of outer voxels."""

    slice_index: int
    corner: tuple[int, int]
    """Row and column on the grid of ``fraction[0, 0]``."""
    fraction: NDArray[np.float64]
    """Share of each voxel inside; at least one half exactly where the part is."""
    spacing_mm: tuple[float, float]

    def place(self, points_mm: Plane, grid: Grid) -> tuple[Position, ...]:
        """Return the LPS positions of points on the slice [mm]."""
        cells = points_mm / self.spacing_mm + self.corner
        indices = np.column_stack([np.full(len(cells), self.slice_index), cells])
        return tuple((float(x), float(y), float(z)) for x, y, z in grid.to_patient(indices))


def diameters(structure: Structure, fraction: NDArray[np.floating] | None = None) -> Diameters:
    """Return the longest in-plane diameter and the longest chord perpendicular to it.

    The longest diameter is the greatest distance between two border points of one connected
    part on one slice; it may leave the part where that is concave. Parts that do not touch on
    a slice are measured apart: the gap between them is no tumour (RECIST 1.1, 4.3.2). The
    perpendicular chord lies inside the same part on the same slice; cavities enclosed on the
    slice count as inside.

    Args:
        structure: What to measure, on the grid of its image.
        fraction: Share of each voxel inside [0 to 1], shape ``structure.grid.shape``; read
            only beside the structure. Voxels of the structure count as at least one half,
            others as less. Without it the mask alone is measured.

    Returns:
        Lengths [mm], end points as LPS positions [mm] and the slice.

    Raises:
        InputError: The structure is empty.
        GeometryError: ``fraction`` has another shape than the grid.
    """
    if structure.is_empty:
        raise InputError(f"'{structure.name}' is empty, so it has no diameter.")
    if fraction is not None and fraction.shape != structure.grid.shape:
        raise GeometryError(
            f"The fractions for '{structure.name}' have shape {fraction.shape}, "
            f"its grid {structure.grid.shape}."
        )
    part, axes_mm = _longest(structure, fraction)
    segments_mm = _border(part)
    chords_mm = [_perpendicular_chord(segments_mm, axis_mm) for axis_mm in axes_mm]
    widest = int(np.argmax([np.linalg.norm(chord[1] - chord[0]) for chord in chords_mm]))
    long_mm, short_mm = axes_mm[widest], chords_mm[widest]
    long_ends = part.place(long_mm, structure.grid)
    short_ends = part.place(short_mm, structure.grid)
    return Diameters(
        longest_mm=float(np.linalg.norm(long_mm[1] - long_mm[0])),
        perpendicular_mm=float(np.linalg.norm(short_mm[1] - short_mm[0])),
        longest_ends_mm=(long_ends[0], long_ends[1]),
        perpendicular_ends_mm=(short_ends[0], short_ends[1]),
        slice_index=part.slice_index,
        width_mm=_width_mm(segments_mm, long_mm),
    )


def equivalent_diameter_mm(structure: Structure) -> float:
    """Return the diameter of the sphere that has the structure's volume [mm]."""
    return float((6000.0 * structure.volume_ml / pi) ** (1 / 3))


def statistics(volume: Volume, structure: Structure, name: str) -> Statistics:
    """Describe the voxel values inside a structure.

    A structure on another grid is carried over through patient space, voxel by nearest voxel;
    one too small to hold a voxel centre is read at the voxel nearest to its centroid.

    Args:
        volume: The image to read.
        structure: Where to read; its grid may differ from the image's.
        name: Name of the image, repeated in the result.

    Returns:
        Mean, population standard deviation (as IBSI), minimum and maximum [unit of the image].

    Raises:
        InputError: The structure is empty.
        GeometryError: The structure lies outside the image.
    """
    if structure.is_empty:
        raise InputError(f"'{structure.name}' is empty, so it has no values.")
    if not structure.grid.is_same_as(volume.grid):
        structure = carried_over(structure, volume.grid, name)
    inside = volume.values[structure.window][structure.box]
    mean = float(inside.mean(dtype=np.float64))
    # In pieces, since a body of a hundred million voxels in double precision is large.
    pieces = np.array_split(inside, 1 + inside.size // 1_000_000)
    spread = sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in pieces)
    return Statistics(
        image=name,
        unit=volume.quantity.value,
        mean=mean,
        deviation=float(np.sqrt(spread / inside.size)),
        minimum=float(inside.min()),
        maximum=float(inside.max()),
    )


def border_fractions(volume: Volume, structure: Structure) -> NDArray[np.float32] | None:
    """Estimate the share of every voxel inside a structure that the image shows sharply.

    Where a lesion borders on other tissue, a voxel's value tells how much of it is inside.

    Args:
        volume: The image on which the structure is delineated.
        structure: What to measure, on the grid of the image.

    Returns:
        Shares [0 to 1] for :func:`diameters`, shape ``structure.grid.shape``, valid in and
        around the structure; None if its surroundings are not uniform enough to tell.

    Raises:
        GeometryError: Image and structure lie on different grids.
    """
    if not structure.grid.is_same_as(volume.grid):
        raise GeometryError(
            f"'{structure.name}' and the image lie on different grids; resample the mask first."
        )
    box = tuple(slice(max(side.start - 5, 0), side.stop + 5) for side in structure.window)
    inside, values = structure.mask[box], volume.values[box]
    depth = depth_mm(inside, structure.grid.spacing_mm)
    step_mm = max(structure.grid.spacing_mm)
    away = distance_mm(inside, structure.grid.spacing_mm)
    around = values[(away > 1.5 * step_mm) & (away <= 4 * step_mm)]
    if structure.is_empty or not around.size:
        return None
    outer = float(np.median(around))
    inner = float(np.median(values[depth >= 0.6 * depth.max()]))
    deviation = 1.4826 * float(np.median(np.abs(around - outer)))
    if abs(inner - outer) < LEAST_CONTRAST * max(deviation, 1e-6):
        return None
    fraction = np.zeros(structure.grid.shape, dtype=np.float32)
    fraction[box] = np.clip((values - outer) / (inner - outer), 0, 1)
    return fraction


def carried_over(structure: Structure, grid: Grid, name: str) -> Structure:
    """Return a structure on another grid, at least the voxel nearest to its centroid.

    Raises:
        GeometryError: It lies outside the grid of the image of that name.
    """
    carried = resample_structure(structure, grid)
    if not carried.is_empty:
        return carried
    nearest = np.rint(grid.to_indices(np.asarray(structure.centroid_mm))).astype(int)
    if np.any(nearest < 0) or np.any(nearest >= grid.shape):
        raise GeometryError(
            f"'{structure.name}' lies outside the image '{name}', so it has no values there."
        )
    start = (int(nearest[0]), int(nearest[1]), int(nearest[2]))
    return Structure(name=structure.name, box=np.ones((1, 1, 1), bool), start=start, grid=grid)


def _longest(
    structure: Structure, fraction: NDArray[np.floating] | None
) -> tuple[_Part, list[Plane]]:
    """Return the part with the longest diameter, and its end points; several if they tie."""
    best: _Part | None = None
    axes_mm: list[Plane] = []
    longest_mm = -np.inf
    for bound_mm, part in _parts(structure, fraction):
        if bound_mm < longest_mm:
            break
        hull_mm = _hull(_outermost(part))
        apart_mm = np.linalg.norm(hull_mm[:, None] - hull_mm[None], axis=-1)
        if apart_mm.max() <= longest_mm + _SAME_LENGTH_MM:
            continue
        longest_mm = apart_mm.max()
        tied = np.argwhere(np.triu(apart_mm) >= longest_mm - _SAME_LENGTH_MM)
        best, axes_mm = part, [hull_mm[pair] for pair in tied[:16]]
    assert best is not None
    return best, axes_mm


def _parts(
    structure: Structure, fraction: NDArray[np.floating] | None
) -> Iterator[tuple[float, _Part]]:
    """Yield every part with an upper bound of its diameter [mm], greatest bound first."""
    labels, _ = ndimage.label(structure.box, structure=_IN_PLANE)
    boxes = ndimage.find_objects(labels)
    spacing_mm = structure.grid.spacing_mm[1:]
    sizes = np.array([[b[1].stop - b[1].start, b[2].stop - b[2].start] for b in boxes])
    bounds_mm = np.linalg.norm(sizes * spacing_mm, axis=1)
    if fraction is not None:
        # With fractions the border may lie up to one voxel outside on either side.
        bounds_mm = np.linalg.norm((sizes + 1) * spacing_mm, axis=1)
    for index in np.argsort(-bounds_mm, kind="stable"):
        depth, rows, columns = boxes[index]
        inside = np.pad(labels[depth.start, rows, columns] == index + 1, 1)
        corner = (rows.start + structure.start[1] - 1, columns.start + structure.start[2] - 1)
        where = (depth.start + structure.start[0], *corner)
        filled = ndimage.binary_fill_holes(inside)
        shares = _shares(filled, fraction, where)
        yield float(bounds_mm[index]), _Part(where[0], corner, shares, spacing_mm)


def _shares(
    inside: NDArray[np.bool_],
    fraction: NDArray[np.floating] | None,
    where: tuple[int, int, int],
) -> NDArray[np.float64]:
    """Return the fractions of one part, made to agree with its mask."""
    if fraction is None:
        return inside.astype(np.float64)
    rows, columns = (
        np.clip(np.arange(first, first + size), 0, limit - 1)
        for first, size, limit in zip(where[1:], inside.shape, fraction.shape[1:], strict=True)
    )
    given = np.asarray(fraction[where[0]][np.ix_(rows, columns)], dtype=np.float64)
    # A neighbour above one half that the mask leaves out belongs to something else, and tells
    # nothing about where this part ends.
    outer = np.where(given < 0.5, given, 0.0)
    beyond = np.ones(inside.shape, dtype=np.bool_)
    on_grid = [
        (np.arange(first, first + size) >= 0) & (np.arange(first, first + size) < limit)
        for first, size, limit in zip(where[1:], inside.shape, fraction.shape[1:], strict=True)
    ]
    beyond[np.ix_(*on_grid)] = False
    return np.where(inside, np.maximum(given, 0.5), np.where(beyond, 0.0, outer))


def _crossing(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where one half lies on the way from a first to a second voxel [0 to 1]."""
    return np.asarray((0.5 - first) / (second - first))


def _outermost(part: _Part) -> Plane:
    """Return the first and last border point of every row and column: all that a hull needs."""
    points = []
    for shares, swap in ((part.fraction, False), (part.fraction.T, True)):
        inside = shares >= 0.5
        lines = np.flatnonzero(inside.any(axis=1))
        first = inside[lines].argmax(axis=1)
        last = inside.shape[1] - 1 - inside[lines, ::-1].argmax(axis=1)
        before = first - _crossing(shares[lines, first], shares[lines, first - 1])
        after = last + _crossing(shares[lines, last], shares[lines, last + 1])
        for along in (before, after):
            points.append(np.column_stack([along, lines] if swap else [lines, along]))
    return np.asarray(np.concatenate(points) * part.spacing_mm)


def _hull(points_mm: Plane) -> Plane:
    try:
        return np.asarray(points_mm[ConvexHull(points_mm).vertices])
    except QhullError:
        return points_mm


def _border(part: _Part) -> NDArray[np.float64]:
    """Return the border as segments, shape (segment, end, 2) [mm].

    In every cell of four voxels the border joins the points where one half is crossed on the
    cell's sides; where two diagonal voxels are inside, they stay joined.
    """
    rows, columns = part.fraction.shape
    corners = [part.fraction[r : rows - 1 + r, c : columns - 1 + c].ravel() for r, c in _CORNERS]
    inside = np.stack([corner >= 0.5 for corner in corners])
    mixed = np.flatnonzero(inside.any(axis=0) & ~inside.all(axis=0))
    shares = np.stack([corner[mixed] for corner in corners])
    origin = np.column_stack(np.unravel_index(mixed, (rows - 1, columns - 1)))
    sides = [_side_points(shares, origin, side) for side in range(4)]
    crossed = np.stack([inside[k, mixed] != inside[(k + 1) % 4, mixed] for k in range(4)])
    segments = []
    for first in range(4):
        for second in range(first + 1, 4):
            joined = crossed[first] & crossed[second] & (crossed.sum(axis=0) == 2)
            segments.append(np.stack([sides[first], sides[second]], axis=1)[joined])
    saddle = crossed.all(axis=0)
    first_inside = inside[0, mixed]
    for a, b, chosen in ((0, 1, first_inside), (2, 3, first_inside), (3, 0, ~first_inside)):
        segments.append(np.stack([sides[a], sides[b]], axis=1)[saddle & chosen])
    segments.append(np.stack([sides[1], sides[2]], axis=1)[saddle & ~first_inside])
    return np.asarray(np.concatenate(segments) * part.spacing_mm)


def _side_points(shares: NDArray[np.float64], origin: NDArray[np.intp], side: int) -> Plane:
    start, end = np.asarray(_CORNERS[side]), np.asarray(_CORNERS[(side + 1) % 4])
    with np.errstate(divide="ignore", invalid="ignore"):
        along = _crossing(shares[side], shares[(side + 1) % 4])
    return np.asarray(origin + start + np.nan_to_num(along)[:, None] * (end - start))


def _perpendicular_chord(segments_mm: NDArray[np.float64], axis_mm: Plane) -> Plane:
    """Return the ends of the longest chord inside the border, perpendicular to an axis.

    Between two neighbouring corners of the border the length of a chord changes linearly, so
    the longest one passes a corner, or comes as close to it as one likes.
    """
    direction = (axis_mm[1] - axis_mm[0]) / np.linalg.norm(axis_mm[1] - axis_mm[0])
    normal = np.array([-direction[1], direction[0]])
    along, across = segments_mm @ direction, segments_mm @ normal
    corners = np.unique(along.round(9))
    nudge = 1e-7 * max(1.0, float(np.ptp(corners)))
    lines = np.concatenate([corners - nudge, corners + nudge])
    middle = float((axis_mm @ direction).mean())
    runs = [_longest_run(line, along, across) for line in lines]
    # Of equally long chords the one nearest to the middle of the axis is what people draw.
    _, line, low, high = max(runs, key=lambda run: (round(run[0], 5), -abs(run[1] - middle)))
    return np.asarray([line * direction + low * normal, line * direction + high * normal])


def _width_mm(segments_mm: NDArray[np.float64], axis_mm: Plane) -> float:
    """Return the extent of a border at right angles to an axis [mm]."""
    direction = (axis_mm[1] - axis_mm[0]) / np.linalg.norm(axis_mm[1] - axis_mm[0])
    return float(np.ptp(segments_mm @ np.array([-direction[1], direction[0]])))


def _longest_run(
    line: float, along: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return length, place, lower and upper end of the longest run inside on one line."""
    cut = (along[:, 0] < line) != (along[:, 1] < line)
    if not cut.any():
        return (-1.0, line, 0.0, 0.0)
    share = (line - along[cut, 0]) / (along[cut, 1] - along[cut, 0])
    ends = np.sort(across[cut, 0] + share * (across[cut, 1] - across[cut, 0])).reshape(-1, 2)
    widest = int(np.argmax(ends[:, 1] - ends[:, 0]))
    low, high = ends[widest]
    return (float(high - low), line, float(low), float(high))
