"""The brain on an MR image of a head, roughly, without anything learned.

What is brighter than the dark skull and its fluid, thick, and largest in the middle of the head is
taken for the brain. Good enough to tell where change may be looked for, not to measure the brain.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aegle.domain.structure import Structure
from aegle.domain.volume import Volume
from aegle.imaging.morphology import closed, grown, largest, shrunk, without_holes

Mask = NDArray[np.bool_]

BRIGHT = 0.55
"""Of the median brightness deep in the head, above which tissue is brain rather than skull."""
NECK_MM = 9.0
"""Bridges between brain and scalp are thinner than twice this."""
BRAIN_ML = (500.0, 2200.0)
"""Volumes of brains; anything else is none."""


def brain_of(image: Volume) -> Structure | None:
    """Return the brain; None if there is nothing of its size.

    Args:
        image: MR of a head, with or without skull.
    """
    values = ndimage.gaussian_filter(
        image.values.astype(np.float32), [1.0 / step for step in image.grid.spacing_mm]
    )
    spacing_mm = image.grid.spacing_mm
    head = _head(values)
    if not head.any():
        return None
    deep = shrunk(head, 25.0, spacing_mm)
    if not deep.any():
        return None
    level = float(np.median(values[deep]))
    core = shrunk(head & (values > BRIGHT * level) & (values < 2.2 * level), NECK_MM, spacing_mm)
    if not core.any():
        return None
    brain = grown(largest(core), NECK_MM + 1.0, spacing_mm) & head
    brain = without_holes(closed(brain & (values > 0.3 * level), 6.0, spacing_mm))
    structure = Structure.of("brain", brain, image.grid)
    low, high = BRAIN_ML
    return structure if low <= structure.volume_ml <= high else None


def _head(values: NDArray[np.float32]) -> Mask:
    """Return what is no air, holes filled on each slice."""
    bright = values > 0.12 * np.percentile(values, 98)
    return np.stack([ndimage.binary_fill_holes(one) for one in largest(bright)])
