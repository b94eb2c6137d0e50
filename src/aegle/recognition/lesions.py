"""Solid nodules and masses in the lungs on CT.

What is dense in the lung is vessel, wall or lesion. A lesion is compact: cut through wherever
it is thinner than about half its thickest place, what remains is as long as it is wide and
mostly borders on aerated lung. A vessel stays a long rod, a crossing of vessels a star.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass as record
from math import pi
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy import ndimage

from aegle.domain.codes import LUNGS, StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.measure import diameters, equivalent_diameter_mm
from aegle.imaging.morphology import (
    Mask,
    Spacing,
    Window,
    depth_mm,
    distance_mm,
    margin,
    parts,
    window,
)
from aegle.options import option

BORDER = 0.8
"""A lesion's border is sought up to this share of a voxel beyond where it is cut off."""
BALL = 1.3
"""Up to this ratio of the longest to the shortest axis a lesion is almost a ball."""
FULL_BALL = 0.85
"""Least share of its ellipsoid that what is almost a ball fills."""
TOUCHES_WALL = 0.03
"""A lesion touches the chest wall from this share of its surface on."""


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """What counts as a lesion in the lungs."""

    smallest_mm: Annotated[
        float, option("Smallest longest diameter of a lesion", unit="mm", ge=3, le=50)
    ] = 5.0
    voxel_diagonals: Annotated[
        float,
        option("Smallest equivalent diameter of a lesion, in diagonals of a voxel", ge=1, le=5),
    ] = 1.75
    solid_hu: Annotated[
        float,
        option(
            "Border between aerated lung and solid tissue, midway between both",
            unit="HU",
            ge=-700,
            le=-100,
        ),
    ] = -400.0
    neck: Annotated[
        float,
        option(
            "A lesion is cut off where it is thinner than this share of its thickest place",
            gt=0,
            lt=1,
        ),
    ] = 0.6
    most_elongated: Annotated[
        float, option("Greatest ratio of a lesion's longest to its middle axis", ge=1)
    ] = 1.7
    most_flat: Annotated[
        float, option("Greatest ratio of a lesion's longest to its shortest axis", ge=1)
    ] = 2.0
    least_aerated: Annotated[
        float,
        option("Least share of a lesion's surface that borders on aerated lung", ge=0, le=1),
    ] = 0.6
    most_attached: Annotated[
        float,
        option("Greatest share of a lesion's surface from which vessels go out", ge=0, le=1),
    ] = 0.1
    most_attached_ball: Annotated[
        float,
        option("The same for what is almost a ball, as no crossing of vessels is", ge=0, le=1),
    ] = 0.2
    least_full: Annotated[
        float,
        option("Least share of the ellipsoid of its axes that a lesion fills", ge=0, le=1),
    ] = 0.6
    bone_hu: Annotated[
        float,
        option("What is denser and touches the chest wall is rib or spine", unit="HU", ge=80),
    ] = 160.0


@record(frozen=True, eq=False)
class _Lungs:
    """The box around the lungs."""

    values: NDArray[np.float32]
    inside: Mask
    dense: Mask
    depths_mm: NDArray[np.float32]
    """How far each dense voxel lies from any that is not."""
    spacing_mm: Spacing


def candidates(
    ct: Volume, structures: StructureSet, *, options: CandidateOptions
) -> tuple[Structure, ...]:
    """Find solid lesions in the lungs.

    Args:
        ct: Radiodensities [HU].
        structures: Delineated organs on the grid of the CT; lungs are read, with vessels and
            lesions filled in.
        options: Sizes and shapes.

    Returns:
        Lesions, largest first, named ``lesion 1``, ``lesion 2``, ...; their border lies midway
        between their own radiodensity and that of the lung around them. None without lungs.

    Raises:
        QuantityError: The values are not radiodensities.
    """
    ct.require(Quantity.RADIODENSITY)
    masks = [s for s in structures if s.name in LUNGS and not s.is_empty]
    if not masks:
        return ()
    box, lungs = _lungs(ct, masks, options)
    found: list[Structure] = []
    for part, mask in _compact(lungs, options):
        start = tuple(outer.start + inner.start for outer, inner in zip(box, part, strict=True))
        lesion = _structure(mask, start, ct)
        if not lesion.is_empty and _is_large(lesion, options):
            found.append(lesion)
    found.sort(key=lambda lesion: (-lesion.volume_ml, lesion.start))
    return tuple(
        Structure(
            name=f"lesion {number}",
            box=lesion.box,
            start=lesion.start,
            grid=lesion.grid,
            type=StructureType.LESION,
        )
        for number, lesion in enumerate(found, start=1)
    )


def smallest_found_mm(grid: Grid, options: CandidateOptions) -> float:
    """Return the equivalent diameter below which no lesion is looked for on a grid [mm].

    A cut through a vessel that is only a few voxels large looks like a small ball. On made
    patients with voxels from 1.9 mm to 5 mm none was larger than 1.7 voxel diagonals.
    """
    return max(options.smallest_mm, _resolved_mm(grid, options))


def _resolved_mm(grid: Grid, options: CandidateOptions) -> float:
    """Return the equivalent diameter that the voxels of a grid resolve [mm]."""
    return options.voxel_diagonals * math.hypot(*grid.spacing_mm)


def _is_large(lesion: Structure, options: CandidateOptions) -> bool:
    if equivalent_diameter_mm(lesion) < _resolved_mm(lesion.grid, options):
        return False
    size = diameters(lesion)
    return (
        size.longest_mm >= options.smallest_mm and size.perpendicular_mm >= options.smallest_mm / 2
    )


def _structure(mask: Mask, start: tuple[int, ...], ct: Volume) -> Structure:
    trimmed = window(mask)
    first = [int(edge + side.start) for edge, side in zip(start, trimmed, strict=True)]
    return Structure(
        name="lesion",
        box=mask[trimmed],
        start=(first[0], first[1], first[2]) if mask.any() else (0, 0, 0),
        grid=ct.grid,
        type=StructureType.LESION,
    )


def _lungs(ct: Volume, masks: list[Structure], options: CandidateOptions) -> tuple[Window, _Lungs]:
    inside = np.zeros(ct.grid.shape, dtype=np.bool_)
    for mask in masks:
        inside[mask.window] |= mask.box
    box = window(inside, (1, 1, 1))
    values = ct.values[box]
    dense = inside[box] & (values > options.solid_hu)
    spacing_mm = ct.grid.spacing_mm
    lungs = _Lungs(values, inside[box], dense, depth_mm(dense, spacing_mm), spacing_mm)
    return box, lungs


def _compact(lungs: _Lungs, options: CandidateOptions) -> Iterator[tuple[Window, Mask]]:
    """Yield the box and mask of every compact dense part, thickest first."""
    taken = np.zeros(lungs.dense.shape, dtype=np.bool_)
    for centre in _thickest_places(lungs, options.smallest_mm):
        if taken[centre]:
            continue
        part = _around(centre, lungs)
        beyond_mm = _beyond_neck(centre, part, lungs, options.neck)
        if beyond_mm is None:
            continue
        blob = lungs.dense[part] & (beyond_mm <= 0.5 * min(lungs.spacing_mm))
        taken[part] |= blob
        if _is_compact(blob, part, lungs, options):
            yield part, _outlined(blob, beyond_mm, part, lungs)


def _thickest_places(lungs: _Lungs, smallest_mm: float) -> list[tuple[int, int, int]]:
    """Return where dense tissue is locally thickest, the very thickest place first."""
    deep = lungs.depths_mm >= max(0.4 * smallest_mm, min(lungs.spacing_mm))
    peak = ndimage.maximum_filter(lungs.depths_mm, size=3) == lungs.depths_mm
    places = np.argwhere(deep & peak)
    depths_mm = lungs.depths_mm[tuple(places.T)]
    order = np.argsort(-depths_mm, kind="stable")
    return [(int(a), int(b), int(c)) for a, b, c in places[order]]


def _around(centre: tuple[int, int, int], lungs: _Lungs) -> Window:
    """Return a box around a thick place, wide enough to tell a rod from a ball."""
    reach = margin(3.0 * float(lungs.depths_mm[centre]) + 3.0, lungs.spacing_mm)
    a, b, c = (
        slice(max(middle - far, 0), min(middle + far + 1, size))
        for middle, far, size in zip(centre, reach, lungs.dense.shape, strict=True)
    )
    return a, b, c


def _beyond_neck(
    centre: tuple[int, int, int], part: Window, lungs: _Lungs, neck: float
) -> NDArray[np.float32] | None:
    """Return how far each voxel lies outside the part cut off at its necks; None for a rod.

    Zero and less inside [mm]: a ball of the neck's radius, rolled inside the dense part around
    its thick place, covers it.
    """
    depths_mm = lungs.depths_mm[part]
    radius_mm = neck * float(lungs.depths_mm[centre])
    labels, _ = parts(depths_mm > radius_mm, touching=True)
    seed = tuple(middle - side.start for middle, side in zip(centre, part, strict=True))
    core = labels == labels[seed]
    if _leaves(core, part, lungs.dense.shape):
        return None
    return np.asarray(distance_mm(core, lungs.spacing_mm) - radius_mm)


def _leaves(core: Mask, part: Window, shape: tuple[int, ...]) -> bool:
    """Return whether a mask runs out of its box (elsewhere than at the edge of the lungs)."""
    for axis, side in enumerate(part):
        if side.start > 0 and np.take(core, 0, axis=axis).any():
            return True
        if side.stop < shape[axis] and np.take(core, -1, axis=axis).any():
            return True
    return False


def _is_compact(blob: Mask, part: Window, lungs: _Lungs, options: CandidateOptions) -> bool:
    longest, middle, shortest = _half_axes_mm(blob, lungs.spacing_mm)
    size_mm3 = np.count_nonzero(blob) * float(np.prod(lungs.spacing_mm))
    full = size_mm3 / (4 / 3 * pi * longest * middle * shortest)
    if full < options.least_full:
        return False
    if longest > options.most_elongated * middle or longest > options.most_flat * shortest:
        return False
    aerated, walled = _shares_of_surface(blob, part, lungs)
    is_ball = longest <= BALL * shortest and full >= FULL_BALL
    attached = options.most_attached_ball if is_ball else options.most_attached
    if aerated < options.least_aerated or 1 - aerated - walled > attached:
        return False
    median_hu = float(np.median(lungs.values[part][blob]))
    return walled < TOUCHES_WALL or median_hu < options.bone_hu


def _half_axes_mm(blob: Mask, spacing_mm: Spacing) -> tuple[float, float, float]:
    """Return the half-axes of the ellipsoid with the same second moments, longest first [mm]."""
    points_mm = np.argwhere(blob) * spacing_mm
    # A voxel is itself a small box, which keeps a single one from having no size.
    spread = np.cov(points_mm.T, bias=True) if len(points_mm) > 1 else np.zeros((3, 3))
    moments = np.linalg.eigvalsh(spread + np.diag(np.square(spacing_mm) / 12))
    short, middle, long = np.sqrt(5 * moments)
    return float(long), float(middle), float(short)


def _shares_of_surface(blob: Mask, part: Window, lungs: _Lungs) -> tuple[float, float]:
    """Return which shares of a blob's voxel faces border on aerated lung and on the chest wall."""
    outside = ~lungs.inside[part]
    air = ~outside & ~lungs.dense[part]
    areas_mm2 = np.zeros(3)
    for axis, step_mm in enumerate(lungs.spacing_mm):
        face_mm2 = float(np.prod(lungs.spacing_mm)) / step_mm
        for way in (1, -1):
            beside = np.roll(blob, way, axis=axis) & ~blob
            counts = [np.count_nonzero(beside & kind) for kind in (True, air, outside)]
            areas_mm2 += face_mm2 * np.array(counts)
    total, aerated, walled = areas_mm2
    return float(aerated / total), float(walled / total)


def _outlined(blob: Mask, beyond_mm: NDArray[np.float32], part: Window, lungs: _Lungs) -> Mask:
    """Draw the border midway between the lesion and the lung around it."""
    values = lungs.values[part]
    away_mm = distance_mm(blob, lungs.spacing_mm)
    step_mm = max(lungs.spacing_mm)
    around = lungs.inside[part] & ~lungs.dense[part] & (away_mm > step_mm) & (away_mm < 10.0)
    depths_mm = lungs.depths_mm[part]
    inner = blob & (depths_mm >= 0.6 * depths_mm[blob].max())
    if not around.any():
        return blob
    midway_hu = (float(np.median(values[inner])) + float(np.median(values[around]))) / 2
    near = beyond_mm <= BORDER * min(lungs.spacing_mm)
    labels, _ = parts(near & lungs.inside[part] & (values > midway_hu))
    kept = np.unique(labels[blob & (labels > 0)])
    return np.asarray(ndimage.binary_fill_holes(np.isin(labels, kept[kept > 0])))
