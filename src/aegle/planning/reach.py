"""Which voxels a beam reaches, and where its rays to them cross the isocentre plane."""

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import GeometryError
from aegle.domain.grid import Grid
from aegle.planning.beams import BeamFrame

Pair = tuple[float, float]


def reached(
    grid: Grid,
    voxels: NDArray[np.int64],
    beam: BeamFrame,
    field_mm: tuple[Pair, Pair],
    displaced_mm: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the voxels whose rays cross a rectangle of the isocentre plane.

    Args:
        grid: Where the voxels lie.
        voxels: Flat indices on the grid.
        beam: The coordinate system.
        field_mm: Least and greatest u and v of the rectangle [mm].
        displaced_mm: LPS displacement of each voxel's tissue, shape (voxel, 3) [mm].

    Returns:
        Which of ``voxels`` are reached, shape (point,), and their u and v on the isocentre
        plane and z towards the source, shape (point, 3) [mm].

    Raises:
        GeometryError: A voxel lies at or behind the source.
    """
    x, y, z = _local(grid, voxels, beam)
    if displaced_mm is not None:
        x, y, z = np.stack([x, y, z]) + beam.axes @ displaced_mm.T
    from_source = beam.sad_mm - z
    if from_source.min() <= 0:
        raise GeometryError("Part of the body lies behind the source; check isocentre and units.")
    u, v = x * beam.sad_mm / from_source, y * beam.sad_mm / from_source
    (low_u, low_v), (high_u, high_v) = field_mm
    points = np.flatnonzero((u > low_u) & (u < high_u) & (v > low_v) & (v < high_v))
    return points, np.stack([u[points], v[points], z[points]], axis=-1)


def _local(
    grid: Grid, voxels: NDArray[np.int64], beam: BeamFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return voxel positions along the three axes of a beam, relative to the isocentre [mm]."""
    indices = np.unravel_index(voxels, grid.shape)
    origin = beam.axes @ (np.asarray(grid.origin_mm) - beam.isocentre_mm)
    steps = beam.axes @ (np.asarray(grid.axes).T * np.asarray(grid.spacing_mm))
    x, y, z = (
        (start + sum(np.arange(n)[i] * s for n, i, s in zip(grid.shape, indices, row, strict=True)))
        for start, row in zip(origin, steps, strict=True)
    )
    return x, y, z
