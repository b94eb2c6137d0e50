"""The patient's outer contour on CT, without table, mattress and loose covers."""

import numpy as np

from aegle.domain.volume import Volume
from aegle.imaging.morphology import (
    Mask,
    grown,
    largest,
    opened,
    parts,
    reached,
    shrunk,
    without_holes,
)
from aegle.recognition.scan import AxialScan

BLOCK_MM = 3.0
THINNEST_PART_MM = 8.0
"""What is thinner than this and hangs on by less is taken for table or cover."""
WIDEST_OPENING_MM = 7.0
"""Air that is reached only through narrower gaps counts as inside (nostrils, skin folds)."""
LEAST_SHARE = 0.2
"""A second part (the other leg) belongs to the patient from this share of the first on."""
ROOM_AIR_HU = -930.0
"""Air at the edge of the image is outside the patient if half of it is thinner than this."""


def body(ct: Volume, skin_hu: float) -> Mask:
    """Return the patient with all air inside, in axial order; empty if there is only air.

    Args:
        ct: Radiodensities [HU].
        skin_hu: Radiodensity at the skin [HU].
    """
    scan = AxialScan.of(ct, BLOCK_MM)
    tissue = _without_table(scan.coarse.values > skin_hu, scan)
    if not tissue.any():
        return np.zeros(scan.grid.shape, dtype=np.bool_)
    blocks = without_holes(largest(~_outside(tissue, scan), share=LEAST_SHARE))
    inner_air = blocks & (scan.coarse.values <= skin_hu)
    return scan.outlined(blocks, inner_air, skin_hu, below=False)


def _without_table(tissue: Mask, scan: AxialScan) -> Mask:
    radius_mm = THINNEST_PART_MM / 2
    thick = largest(opened(tissue, radius_mm, scan.spacing_mm), share=LEAST_SHARE)
    return tissue & grown(thick, scan.step_mm, scan.spacing_mm)


def _outside(tissue: Mask, scan: AxialScan) -> Mask:
    """Return the air around the patient."""
    radius_mm = WIDEST_OPENING_MM / 2
    wide = shrunk(~tissue, radius_mm, scan.spacing_mm)
    labels, sizes = parts(wide)
    at_edge = np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()])
    around = np.zeros(wide.shape, dtype=np.bool_)
    for number in np.unique(at_edge[at_edge > 0]):
        inside = labels == number
        if np.median(scan.coarse.values[inside]) < ROOM_AIR_HU or sizes[number] < 100:
            around |= inside
    rim_mm = radius_mm + scan.step_mm
    return ~tissue & grown(around, rim_mm, scan.spacing_mm) & ~_inner(tissue, around)


def _inner(tissue: Mask, around: Mask) -> Mask:
    """Return air that touches no air around the patient."""
    return ~tissue & ~reached(~tissue, around)
