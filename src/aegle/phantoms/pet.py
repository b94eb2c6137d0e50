"""A low-count PET of a made patient: coarse, blurred and grainy."""

import numpy as np
from scipy import ndimage

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.phantoms.shapes import Field

STEP_MM = 4.0
_RESOLUTION_MM = 6.0
"""Full width at half maximum of the scanner."""
_COUNTS_PER_SUV = 45.0
"""Counts in a voxel of uptake 1 g/mL before the reconstruction's smoothing."""


def pet_of(suv: Field, grid: Grid, *, seed: tuple[int, ...]) -> Volume:
    """Return what a PET scanner shows of an uptake.

    Args:
        suv: True uptake [g/mL] on the CT grid.
        grid: The CT grid, axial.
        seed: Seeds of the noise.

    Returns:
        Uptake [g/mL] on a grid of 4 mm with the same middle as the CT.
    """
    sigma_mm = _RESOLUTION_MM / 2.355 * 0.85
    blurred = ndimage.gaussian_filter(suv, [sigma_mm / step for step in grid.spacing_mm])
    extent = [n * step for n, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    shape = tuple(int(size // STEP_MM) for size in extent)
    origin = grid.centre_mm - STEP_MM * (np.asarray(shape[::-1]) - 1) / 2
    coarse = Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(STEP_MM,) * 3,
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
    )
    first = grid.to_indices(np.asarray(coarse.origin_mm))
    sampled = ndimage.affine_transform(
        blurred,
        STEP_MM / np.asarray(grid.spacing_mm),
        offset=first,
        output_shape=coarse.shape,
        order=1,
        mode="nearest",
    )
    counts = np.random.default_rng(seed).poisson(np.maximum(sampled, 0.02) * _COUNTS_PER_SUV)
    shown = ndimage.gaussian_filter(counts.astype(np.float32), 0.45) / np.float32(_COUNTS_PER_SUV)
    return Volume(values=shown, grid=coarse, quantity=Quantity.STANDARDISED_UPTAKE)
