"""The torso at given positions: how far each voxel lies from wall, lungs, heart and abdomen."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aegle.domain.grid import Grid
from aegle.phantoms import mediastinum
from aegle.phantoms.abdomen import height_above_diaphragm
from aegle.phantoms.breathing import Motion
from aegle.phantoms.canvas import Canvas
from aegle.phantoms.chest_wall import wall
from aegle.phantoms.lesions import COURSES
from aegle.phantoms.shapes import (
    Axes,
    Ellipsoid,
    Field,
    Segment,
    Tube,
    smooth_overlap,
    smooth_union,
)
from aegle.phantoms.skeleton import Spine, spine

FAR_MM = 30.0
"""Distances beyond this are not worked out."""

_FAT_PADS = (
    Ellipsoid.turned((-2, -64, 36), (15, 26, 66), first=(1, 0, 0), second=(0, 1, -0.15)),
    Ellipsoid.turned((-26, -62, -76), (26, 22, 17), first=(1, 0, 0)),
    Ellipsoid.turned((66, -56, -84), (24, 20, 15), first=(0.9, 0.3, 0)),
    Ellipsoid.turned((12, 22, -84), (26, 24, 26), first=(1, 0, 0)),
    Ellipsoid.turned((10, -86, -40), (34, 17, 44), first=(1, 0, 0)),
)
_NODE = next(course for course in COURSES if course.name == "lymph_node")
_NODE_BED = Ellipsoid.turned(_NODE.centre_mm, (16.5, 14, 15), first=(0.7, -0.7, 0))


@dataclass(frozen=True)
class Place:
    """Reference positions of a slab of voxels and their distances [mm]."""

    at: Axes
    index: np.ndarray
    beyond_cage: Field
    radius: Field
    above_diaphragm: Field


def place(at: Axes, seed: int, girth: float = 1.0) -> Place:
    """Look up where positions lie in the chest wall and against the diaphragm.

    Args:
        at: Reference positions [mm].
        seed: Of the chest wall.
        girth: Thickness of what lies on the rib cage against the model's; ``radius`` is what it
            would be in the model.
    """
    chest = wall(seed)
    index = chest.index(at.x, at.y, at.z)
    radius = np.hypot(at.x, at.y)
    beyond = radius - chest.cage.ravel()[index]
    if girth != 1:
        radius = radius - np.maximum(beyond, 0) * np.float32(1 - 1 / girth)
    return Place(
        at,
        index,
        beyond,
        radius,
        height_above_diaphragm(at.x, at.y, at.z),
    )


def moved(tubes: Iterable[Tube], motion: Motion) -> tuple[Segment, ...]:
    """Return the pieces of tubes where they lie at a visit."""
    known = tuple(tubes)
    if not known:
        return ()
    points = motion.from_reference(np.concatenate([tube.points for tube in known]))
    ends = np.cumsum([len(tube.points) for tube in known])[:-1]
    return tuple(
        segment
        for tube, part in zip(known, np.split(points, ends), strict=True)
        for segment in Tube(part, tube.radii).segments()
    )


def mediastinal_tubes(
    motion: Motion, gullet: Iterable[Tube] | None = None
) -> tuple[tuple[Segment, float], ...]:
    """Return the tubes around which the lungs bend, with the fat around each [mm].

    Args:
        motion: Where they lie at the visit.
        gullet: Instead of the model's, in reference positions.
    """
    groups = (
        (mediastinum.airways()[:3], 3.5),
        (mediastinum.aorta(), 2.2),
        (mediastinum.great_vessels(), 2.6),
        (mediastinum.oesophagus() if gullet is None else gullet, 2.0),
    )
    return tuple((s, fat) for tubes, fat in groups for s in moved(tubes, motion))


def tube_field(canvas: Canvas, tubes: Iterable[tuple[Segment, float]]) -> Field:
    """Return the distance from the nearest mediastinal tube, rounded where they meet [mm]."""
    field = np.full(canvas.grid.shape, FAR_MM, dtype=np.float32)
    for segment, fat_mm in tubes:
        window = canvas.window(*segment.bounds(fat_mm + 14))
        if all(s.start < s.stop for s in window):
            distance = segment.distance(canvas.axes_of(window)) - np.float32(fat_mm)
            field[window] = smooth_union(field[window], distance, 7)
    return field


@dataclass(frozen=True)
class Chest:
    """Signed distances [mm] of what fills the chest."""

    right_lung: Field
    left_lung: Field
    middle: tuple[slice, slice, slice]
    """The part of the slab that heart and spine are worked out for."""
    heart: mediastinum.Heart
    spine: Spine


def chest(where: Place, tubes: Field) -> Chest:
    """Return how far positions lie from lungs, heart and spine; lungs fill what is left."""
    at = where.at
    middle = _middle(at)
    inner = Axes(at.x[middle], at.y[middle], at.z[middle])
    organs = mediastinum.heart(inner)
    column = spine(inner.x, inner.y, inner.z)
    central = smooth_union(tubes[middle], organs.outer - 4, 9)
    central = smooth_union(central, column.hull - 4, 9)
    for pad in (*_FAT_PADS, _NODE_BED):
        if _comes_near(pad, inner):
            central = smooth_union(central, pad.distance(inner), 8)
    between = tubes.copy()
    between[middle] = central
    room = smooth_overlap(where.beyond_cage + 1.5, -between, 7)
    room = smooth_overlap(room, -where.above_diaphragm, 3)
    plane = at.x + 2 - 0.03 * (at.y + 60)
    right = _under_apex(room, at, (-45.0, 6.0, 127.0))
    left = _under_apex(room, at, (44.0, 9.0, 123.0))
    return Chest(
        np.maximum(right, plane + 1.5), np.maximum(left, 1.5 - plane), middle, organs, column
    )


def _middle(at: Axes) -> tuple[slice, slice, slice]:
    """Return the columns that may hold heart, spine or the fat around them."""
    across = at.x.reshape(-1, at.x.shape[-1])[0]
    first, last = np.searchsorted(across, (-110, 135))
    return slice(None), slice(None), slice(int(first), int(last))


def _comes_near(shape: Ellipsoid, at: Axes) -> bool:
    reach = max(shape.half_axes) + 10
    return bool(at.z.min() < shape.centre[2] + reach and at.z.max() > shape.centre[2] - reach)


def _under_apex(room: Field, at: Axes, apex: tuple[float, float, float]) -> Field:
    squared = np.square(at.x - apex[0]) + np.square(at.y - apex[1])
    over = (at.z - apex[2] + 36 * squared / (squared + np.float32(2500))) * np.float32(0.95)
    return smooth_overlap(room, np.asarray(over, dtype=np.float32), 8)


@dataclass(frozen=True, eq=False)
class LungMap:
    """Coarse map of the lungs in reference positions, to grow vessels in."""

    canvas: Canvas
    right: Field
    left: Field


@lru_cache(maxsize=4)
def lung_map(seed: int) -> LungMap:
    """Map the lungs of a made patient at visit 0 in steps of 4 mm."""
    grid = Grid(shape=(75, 60, 80), spacing_mm=(4, 4, 4), origin_mm=(-158, -118, -148))
    canvas = Canvas.blank(grid, with_uptake=False)
    x, y, z = Motion().reference_axes(*canvas.axes)
    shape = grid.shape
    at = Axes(*(np.ascontiguousarray(np.broadcast_to(a, shape)) for a in (x, y, z)))
    found = chest(place(at, seed), tube_field(canvas, mediastinal_tubes(Motion())))
    return LungMap(canvas, found.right_lung, found.left_lung)
