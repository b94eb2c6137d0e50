"""Organs of the trunk on CT by classical image processing.

Body, lungs, airways, bone and the spinal canal are told apart by radiodensity, shape and
place. Any part of the body may be in view: what is not there is left out.
"""

from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.codes import StructureType
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.imaging.morphology import Mask
from aegle.options import option
from aegle.recognition.airways import airways
from aegle.recognition.body import body
from aegle.recognition.bones import bones, canal
from aegle.recognition.lungs import lungs
from aegle.recognition.scan import AxialScan

AROUND_CHEST_MM = 60.0
"""The spinal canal is followed so far above and below the lungs."""


@dataclass(frozen=True, kw_only=True)
class ClassicalOptions:
    """Radiodensities and sizes by which organs are told apart on CT."""

    skin_hu: Annotated[
        float, option("Border between room air and skin", unit="HU", ge=-900, le=0)
    ] = -300.0
    lung_hu: Annotated[
        float,
        option(
            "Border between lung and soft tissue, midway between both", unit="HU", ge=-800, le=-200
        ),
    ] = -430.0
    bone_hu: Annotated[
        float, option("Border between soft tissue and bone", unit="HU", ge=80, le=500)
    ] = 200.0
    closing_mm: Annotated[
        float,
        option(
            "Radius of the ball rolled along the lung surface to include vessels and lesions",
            unit="mm",
            gt=0,
            le=40,
        ),
    ] = 9.0
    smallest_lung_ml: Annotated[
        float, option("Smallest piece of air that counts as a lung", unit="mL", gt=0)
    ] = 40.0


def segment(ct: Volume, *, options: ClassicalOptions) -> StructureSet:
    """Delineate body, lungs, airways, bone and spinal canal.

    Args:
        ct: Radiodensities [HU] on any grid, oblique or in any order of axes.
        options: Thresholds and sizes.

    Returns:
        Structures on the grid of the CT, named after ``codes.BODY_PARTS``: ``body``,
        ``lung_right``, ``lung_left``, ``airways``, ``bone``, ``spinal_cord`` (the whole spinal
        canal), as far as they are in view. :func:`notices` says what is not.

    Raises:
        QuantityError: The values are not radiodensities.
    """
    outline = body(ct, options.skin_hu)
    if not outline.any():
        return StructureSet(())
    scan = AxialScan.of(ct)
    outer = scan.coarse.sampled(outline)
    found = [scan.structure("body", outline, type=StructureType.EXTERNAL)]
    airspaces = _airspaces(scan, outer, options)
    found += airspaces
    found += _hard_parts(scan, outer, options, _levels(scan, airspaces))
    return StructureSet(tuple(found))


def notices(structures: StructureSet) -> tuple[Text, ...]:
    """Say what :func:`segment` did not find, and how its result is to be read."""
    if "body" not in structures:
        return (Text("No patient in the field of view of the CT."),)
    said = []
    seen = [name for name in ("lung_right", "lung_left") if name in structures]
    if not seen:
        said.append(Text("No lungs in the field of view of the CT."))
    elif len(seen) == 1:
        side = "right" if seen == ["lung_right"] else "left"
        said.append(Text("Only the {side} lung is in the field of view.", {"side": side}))
    if "spinal_cord" in structures:
        said.append(Text("The spinal cord is delineated as the whole spinal canal."))
    return tuple(said)


def _airspaces(scan: AxialScan, outer: Mask, options: ClassicalOptions) -> list[Structure]:
    """Delineate lungs and airways."""
    air = outer & (scan.coarse.values < options.lung_hu)
    tree = airways(scan, air, options.smallest_lung_ml)
    found = lungs(
        scan,
        air,
        tree,
        closing_mm=options.closing_mm,
        smallest_ml=options.smallest_lung_ml,
    )
    if not found:
        return []
    in_lung = np.logical_or.reduce([lung.air for lung in found.values()])
    lumen = scan.outlined(tree, np.zeros_like(tree), options.lung_hu, below=True)
    lumen &= scan.coarse.refined(tree | ~in_lung)
    structures = []
    taken = lumen.copy()
    for name, lung in found.items():
        fine = scan.outlined(lung.whole, lung.whole & ~lung.air, options.lung_hu, below=True)
        fine &= ~taken
        taken |= fine
        structures.append(scan.structure(name, fine))
    if tree.any():
        structures.append(scan.structure("airways", lumen))
    return structures


def _hard_parts(
    scan: AxialScan, outer: Mask, options: ClassicalOptions, levels: slice
) -> list[Structure]:
    """Delineate bone, and the spinal canal between some levels."""
    blocks = bones(scan, outer, options.bone_hu)
    if not blocks.any():
        return []
    inner = canal(scan, blocks, levels)
    blocks &= ~inner
    solid = blocks & (scan.coarse.values < options.bone_hu)
    fine = scan.outlined(blocks, solid, options.bone_hu, below=False)
    found = [scan.structure("bone", fine)]
    if inner.any():
        found.append(scan.structure("spinal_cord", scan.coarse.refined(inner) & ~fine))
    return found


def _levels(scan: AxialScan, lungs: list[Structure]) -> slice:
    """Return the coarse slices of the chest; none without lungs."""
    masks = [scan.order.apply(lung.mask) for lung in lungs if lung.name.startswith("lung")]
    if not masks:
        return slice(0, 0)
    reach = np.flatnonzero(np.logical_or.reduce(masks).any(axis=(1, 2))) // scan.coarse.blocks[0]
    margin = round(AROUND_CHEST_MM / scan.spacing_mm[0])
    return slice(max(int(reach[0]) - margin, 0), int(reach[-1]) + margin + 1)
