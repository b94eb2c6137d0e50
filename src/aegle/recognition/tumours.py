"""Lesions that rules of shape find in the lungs, joined with what a network takes for tumour.

The rules draw exact borders around what stands alone in the lung, and tell it from vessels. What
broadly touches chest wall or mediastinum they miss or cut off; there the network's outline
counts.
"""

from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.codes import LUNGS, StructureType
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.morphology import (
    Mask,
    Spacing,
    Window,
    grown,
    margin,
    opened,
    parts,
    shrunk,
    window,
)
from aegle.options import option
from aegle.recognition.lesions import CandidateOptions, candidates

BORDER_MM = 2.5
"""Within this distance of the network's border the radiodensity decides, towards the lung."""
LEAST_AERATED = 0.1
"""Least share of what lies around a tumour of the lung that is aerated lung."""
MUCH_LARGER = 1.6
"""A network's lesion replaces one by the rules from this ratio of volumes on: it was cut off."""
VESSEL_MM = 5.0
"""What no ball of this radius fits into is taken off what the network sees: vessels, mostly."""
LEAST_THICKNESS = 0.35
"""Least radius of a ball that fits into a tumour, as a part of that of the ball of its volume."""
SOLID_HU = (-150.0, 140.0)
"""The median radiodensity of a solid tumour, with contrast medium or without."""


@dataclass(frozen=True, kw_only=True)
class LesionOptions(CandidateOptions):
    """What counts as a lesion in the lungs, and who looks for it."""

    finder: Annotated[
        Literal["both", "rules", "network"],
        option(
            "rules: by radiodensity and shape; network: by the network for chest CT; both: by "
            "rules, and by the network what they miss or cut off"
        ),
    ] = "both"
    smallest_network_mm: Annotated[
        float,
        option(
            "Smallest equivalent diameter of a lesion that the network alone finds",
            unit="mm",
            ge=3,
            le=50,
        ),
    ] = 10.0


@record(frozen=True, eq=False)
class _Scene:
    ct: Volume
    lungs: Mask
    """The lungs with vessels and lesions filled in."""
    options: LesionOptions


def find_lesions(
    ct: Volume, organs: StructureSet, tumours: Mask | None, *, options: LesionOptions
) -> tuple[Structure, ...]:
    """Find solid lesions in the lungs and at their border.

    Args:
        ct: Radiodensities [HU].
        organs: Delineated organs on the grid of the CT; the lungs are read.
        tumours: Where a network sees tumour, shape of the grid; None if none was asked.
        options: Sizes, shapes, and who looks.

    Returns:
        Lesions, largest first, named ``lesion 1``, ``lesion 2``, ...; none without lungs.

    Raises:
        QuantityError: The values are not radiodensities.
    """
    ct.require(Quantity.RADIODENSITY)
    by_rules = candidates(ct, organs, options=options)
    if tumours is None or options.finder == "rules":
        return by_rules
    lungs = np.zeros(ct.grid.shape, dtype=np.bool_)
    for organ in organs:
        if organ.name in LUNGS:
            lungs[organ.window] |= organ.box
    seen = _seen(_Scene(ct, lungs, options), tumours)
    if options.finder == "network":
        return _named(seen)
    return _named(_joined(list(by_rules), seen))


def _seen(scene: _Scene, tumours: Mask) -> list[Structure]:
    """Return what the network takes for tumour and may be one, each with its border drawn."""
    spacing_mm, voxel_ml = scene.ct.grid.spacing_mm, scene.ct.grid.voxel_volume_ml
    least_ml = np.pi / 6 * scene.options.smallest_network_mm**3 / 1000
    thick = opened(tumours, VESSEL_MM, spacing_mm)
    labels, sizes = parts(thick)
    found = []
    for number in np.flatnonzero(sizes * voxel_ml >= 0.5 * least_ml):
        part = labels == number
        if not _is_massive(part, sizes[number] * voxel_ml, spacing_mm):
            continue
        lesion = _drawn(scene, part)
        if lesion is not None and lesion.volume_ml >= least_ml:
            found.append(lesion)
    return found


def _is_massive(mask: Mask, volume_ml: float, spacing_mm: Spacing) -> bool:
    """Return whether a ball fits in that is not small beside the ball of the volume.

    Vessels and walls of bronchi branch; tumours do less.
    """
    radius_mm = float(np.cbrt(3000 * volume_ml / (4 * np.pi)))
    return bool(shrunk(mask, LEAST_THICKNESS * radius_mm, spacing_mm).any())


def _drawn(scene: _Scene, mask: Mask) -> Structure | None:
    """Return a lesion with its border towards the lung drawn by radiodensity; None if it is none.

    Towards soft tissue the network's border stays: there is nothing else to go by.
    """
    spacing_mm = scene.ct.grid.spacing_mm
    box = window(mask, margin(3 * BORDER_MM, spacing_mm))
    inside, values, lungs = mask[box], scene.ct.values[box], scene.lungs[box]
    solid = values > scene.options.solid_hu
    if not SOLID_HU[0] <= float(np.median(values[inside])) <= SOLID_HU[1]:
        return None
    near = grown(inside, BORDER_MM, spacing_mm)
    rim = near & ~inside
    if np.count_nonzero(rim & lungs & ~solid) < LEAST_AERATED * np.count_nonzero(rim):
        return None
    exact = (inside | (near & lungs)) & solid
    kept, sizes = parts(exact)
    if not sizes.any():
        return None
    return _structure(kept == sizes.argmax(), box, scene.ct)


def _structure(mask: Mask, box: Window, ct: Volume) -> Structure:
    tight = window(mask)
    start = [outer.start + inner.start for outer, inner in zip(box, tight, strict=True)]
    return Structure(
        name="lesion",
        box=mask[tight],
        start=(start[0], start[1], start[2]),
        grid=ct.grid,
        type=StructureType.LESION,
    )


def _joined(by_rules: list[Structure], seen: list[Structure]) -> list[Structure]:
    """Return every lesion once: by the rules, or by the network where they missed or cut it."""
    kept = by_rules
    for lesion in seen:
        same = [other for other in kept if _shared(lesion, other) > 0]
        if lesion.volume_ml >= MUCH_LARGER * sum(other.volume_ml for other in same):
            kept = [other for other in kept if other not in same] + [lesion]
    return kept


def _shared(one: Structure, other: Structure) -> int:
    """Return the voxels that two structures on one grid share."""
    first = np.maximum(one.start, other.start)
    last = np.minimum(np.add(one.start, one.box.shape), np.add(other.start, other.box.shape))
    if np.any(first >= last):
        return 0
    return int(np.count_nonzero(_cut(one, first, last) & _cut(other, first, last)))


def _cut(part: Structure, first: NDArray[np.int_], last: NDArray[np.int_]) -> Mask:
    """Return a structure's mask between two voxels of its grid."""
    ends = zip(first - part.start, last - part.start, strict=True)
    return np.asarray(part.box[tuple(slice(int(low), int(high)) for low, high in ends)])


def _named(lesions: list[Structure]) -> tuple[Structure, ...]:
    """Return lesions, largest first, by number."""
    ordered = sorted(lesions, key=lambda lesion: (-lesion.volume_ml, lesion.start))
    return tuple(
        replace(lesion, name=f"lesion {number}") for number, lesion in enumerate(ordered, start=1)
    )
