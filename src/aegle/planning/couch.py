"""Beams that pass through the couch before they reach the patient.

Dose is calculated with nothing outside the body's outline, so what lies between source and patient
attenuates the beam in truth and not in the plan. How much water it stands for follows from the
water-equivalent depth of the target with and without it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.planning.beams import frame
from aegle.planning.density import relative_density
from aegle.planning.dose_grid import DoseGrid
from aegle.planning.ray_trace import DensityField, Window, radiological_depth

LEAST_DENSITY = 0.1
"""Thinner things (blankets, mattress foam) attenuate hardly at all and are passed over."""
GRID_MM = 4.0
NOTED_MM = 3.0
"""Water-equivalent thickness that is worth a word: about 1.5 % of a beam of 6 MV."""
ATTENUATION_PER_MM = 0.005
"""Of 6 MV photons in water, about (matRad generic machine: 0.005066 / mm)."""
MOST_POINTS = 2000


def through_couch(
    ct: Volume, body: Structure, target: Structure, beams: Sequence[Beam], sad_mm: float
) -> tuple[Text, ...]:
    """Say which beams pass through what lies outside the body on the way to the target.

    Args:
        ct: Planning CT, couch included [HU].
        body: Outline of the patient.
        target: What the beams are aimed at.
        beams: Beams with their weights.
        sad_mm: Distance of the source from the axis [mm].
    """
    thickness_mm = couch_mm(ct, body, target, beams, sad_mm)
    crossed = [(b, mm) for b, mm in zip(beams, thickness_mm, strict=True) if mm >= NOTED_MM]
    if not crossed:
        return ()
    most_mm = max(mm for _, mm in crossed)
    return (
        Text(
            "Beams at gantry {angles} pass through the couch or what else lies outside the body. "
            "The plan leaves it out, so their dose in the target is too high, by up to about "
            "{percent:.0f} % ({most_mm:.0f} mm of water).",
            {
                "angles": ", ".join(f"{beam.gantry_deg:g}°" for beam, _ in crossed),
                "percent": 100 * (1 - np.exp(-ATTENUATION_PER_MM * most_mm)),
                "most_mm": most_mm,
            },
        ),
    )


def couch_mm(
    ct: Volume, body: Structure, target: Structure, beams: Sequence[Beam], sad_mm: float
) -> list[float]:
    """Return the water that lies outside the body before the target, for each beam [mm].

    It is the mean over the target's voxels, drawn at most 2000 of them.
    """
    outside = _outside(ct, body)
    if not outside.any() or target.is_empty:
        return [0.0] * len(beams)
    grid = DoseGrid.of(ct.grid, GRID_MM)
    field = DensityField(torch.from_numpy(grid.mean(outside)), grid.coarse)
    voxels = np.argwhere(target.box) + np.asarray(target.start)
    step = -(-len(voxels) // MOST_POINTS)
    places_mm = ct.grid.to_patient(voxels[::step].astype(np.float64))
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in ct.grid.shape]), -1).reshape(-1, 3)
    corners_mm = ct.grid.to_patient(corners.astype(np.float64))
    return [_mean_mm(field, beam, sad_mm, places_mm, corners_mm) for beam in beams]


def _mean_mm(
    field: DensityField,
    beam: Beam,
    sad_mm: float,
    places_mm: NDArray[np.float64],
    corners_mm: NDArray[np.float64],
) -> float:
    aimed = frame(beam, sad_mm)
    heights_mm = (places_mm - aimed.isocentre_mm) @ aimed.axes[2]
    points = np.column_stack([aimed.project(places_mm), heights_mm])
    top_mm = min(float(((corners_mm - aimed.isocentre_mm) @ aimed.axes[2]).max()), 0.9 * sad_mm)
    edge = np.vstack([points, [*points[0, :2], top_mm]])
    depth_mm = radiological_depth(
        field, aimed, Window.around(edge), torch.from_numpy(points).to(field.values)
    )
    return float(depth_mm.mean())


def _outside(ct: Volume, body: Structure) -> NDArray[np.float32]:
    """Return the densities of what lies outside the body and is no air."""
    density = relative_density(ct.values)
    density[density < LEAST_DENSITY] = 0
    # Voxels beside the outline are its own blurred rim.
    density[binary_dilation(body.mask)] = 0
    return density
