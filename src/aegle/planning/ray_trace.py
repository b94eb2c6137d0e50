"""Radiological depth: how much water the rays of a beam have crossed.

Densities are sampled on a grid that diverges from the source like the rays do: planes
perpendicular to the beam axis, each scaled by its distance from the source. Along a ray the
sampled density is summed with the trapezoidal rule.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from aegle.domain.errors import GeometryError
from aegle.domain.grid import Grid
from aegle.planning.beams import BeamFrame

SKIN_DENSITY = 0.05
"""Relative density at which the axis of a beam has reached the body."""
SLAB_PLANES = 64
"""Planes sampled at a time, which bounds the memory."""
SKIN_STEP_MM = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DensityField:
    """Relative density that can be sampled anywhere; zero outside the body and the grid."""

    values: Tensor
    """Shape ``grid.shape``."""
    grid: Grid

    def sample(self, local_mm: Tensor, beam: BeamFrame) -> Tensor:
        """Return the density at positions given in the axes of a beam, linear between voxels.

        Args:
            local_mm: Beam x, y and z relative to the isocentre [mm], shape (..., 3).
            beam: The coordinate system.
        """
        origin, steps = _unit_map(self.grid, beam)
        unit = local_mm.reshape(-1, 3) @ _like(steps, local_mm).T + _like(origin, local_mm)
        sampled = functional.grid_sample(
            self.values[None, None], unit.view(1, 1, 1, -1, 3), align_corners=False
        )
        return sampled.view(local_mm.shape[:-1])


@dataclass(frozen=True, eq=False)
class Window:
    """The part of the isocentre plane and the heights that matter."""

    low_mm: tuple[float, float, float]
    """Least u, v on the isocentre plane, and z towards the source [mm]."""
    high_mm: tuple[float, float, float]

    @classmethod
    def around(cls, places_mm: Floats) -> "Window":
        """Return the least window that holds places of shape (place, 3) [mm]."""
        (a, b, c), (d, e, f) = places_mm.min(axis=0).tolist(), places_mm.max(axis=0).tolist()
        return cls((a, b, c), (d, e, f))


@dataclass(frozen=True, eq=False)
class Trace:
    """Densities and water-equivalent depths along the rays of a beam."""

    density: Tensor
    """Relative densities, shape (z, v, u); z falls away from the source."""
    depth_mm: Tensor
    """Water-equivalent depth, same shape [mm]."""
    first_mm: tuple[float, float, float]
    """u, v and z of the first place [mm]."""
    step_mm: float
    """Spacing of u and v; z falls by half of it."""
    sad_mm: float

    def depth_at(self, points: Tensor) -> Tensor:
        """Return the water-equivalent depth of points [mm], linear between the places.

        Args:
            points: u and v on the isocentre plane and z towards the source, (point, 3) [mm].
        """
        planes, rows, columns = self.depth_mm.shape
        sizes = points.new_tensor([columns, rows, planes])
        steps = points.new_tensor([self.step_mm, self.step_mm, -self.step_mm / 2])
        unit = (2 * (points - points.new_tensor(self.first_mm)) / steps + 1) / sizes - 1
        sampled = functional.grid_sample(
            self.depth_mm[None, None],
            unit.view(1, 1, 1, -1, 3),
            align_corners=False,
            padding_mode="border",
        )
        return sampled.view(-1)

    def surface_at(self, crossings: Tensor) -> Tensor:
        """Return the distance from the source at which rays reach the body [mm].

        Args:
            crossings: u and v of the rays on the isocentre plane, shape (ray, 2) [mm].

        Returns:
            Shape (ray,), that of the nearest traced ray. A ray that misses the body takes that
            of the nearest one that does not.

        Raises:
            GeometryError: All traced rays miss the body.
        """
        reached = self.density > SKIN_DENSITY
        hit = reached.any(0)
        if not hit.any():
            raise GeometryError("The beam misses the body; place the isocentre inside it.")
        # Half a voxel lies between the first sample inside and the surface, on average.
        z = self.first_mm[2] - (self.step_mm / 2) * (reached.to(torch.uint8).argmax(0) - 0.5)
        nearest = distance_transform_edt(
            ~hit.cpu().numpy(), return_distances=False, return_indices=True
        )
        rows, columns = torch.from_numpy(nearest).long().to(z.device)
        filled = z[rows, columns]
        last = crossings.new_tensor([filled.shape[1] - 1, filled.shape[0] - 1])
        first = crossings.new_tensor(self.first_mm[:2])
        places = ((crossings - first) / self.step_mm).round().clamp(min=0)
        column, row = torch.minimum(places, last).long().T
        obliquity = torch.sqrt(1 + crossings.square().sum(-1) / self.sad_mm**2)
        return (self.sad_mm - filled[row, column].to(crossings)) * obliquity


def trace(field: DensityField, beam: BeamFrame, window: Window) -> Trace:
    """Follow the rays of a beam through a window."""
    step_mm = min(field.grid.spacing_mm)
    like = field.values
    u, v = (
        torch.arange(low, high + step_mm, step_mm, dtype=like.dtype, device=like.device)
        for low, high in zip(window.low_mm[:2], window.high_mm[:2], strict=True)
    )
    # Voxels reach farther out than their centres, on which planes lie where grids are parallel.
    rim_mm = step_mm * float(np.ceil(max(field.grid.spacing_mm) / step_mm))
    top, bottom = window.high_mm[2] + rim_mm, window.low_mm[2]
    z = torch.arange(top, bottom - step_mm, -step_mm / 2, dtype=like.dtype, device=like.device)
    slabs = [
        _slab(field, beam, u, v, z[first : first + SLAB_PLANES])
        for first in range(0, z.numel(), SLAB_PLANES)
    ]
    density = torch.cat(slabs)
    obliquity = torch.sqrt(1 + (u**2 + v[:, None] ** 2) / beam.sad_mm**2)
    depth = density.cumsum(0).sub_(density, alpha=0.5).sub_(density[:1].clone(), alpha=0.5)
    depth *= obliquity * (step_mm / 2)
    return Trace(density, depth, (float(u[0]), float(v[0]), float(z[0])), step_mm, beam.sad_mm)


def radiological_depth(
    field: DensityField, beam: BeamFrame, window: Window, points: Tensor
) -> Tensor:
    """Return the water-equivalent depth of points.

    Args:
        field: Relative densities.
        beam: The coordinate system.
        window: Must hold all points.
        points: u and v on the isocentre plane and z towards the source, shape (point, 3) [mm].

    Returns:
        Depth along the ray from the source [mm], shape (point,).
    """
    return trace(field, beam, window).depth_at(points)


def source_to_surface_mm(field: DensityField, beam: BeamFrame, window: Window) -> float:
    """Return the distance from the source to the body along the beam axis [mm].

    Raises:
        GeometryError: The axis misses the body.
    """
    z = torch.arange(
        window.high_mm[2],
        window.low_mm[2],
        -SKIN_STEP_MM,
        dtype=field.values.dtype,
        device=field.values.device,
    )
    on_axis = torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], dim=-1)
    reached = torch.nonzero(field.sample(on_axis, beam) > SKIN_DENSITY)
    if reached.numel() == 0:
        raise GeometryError("The beam axis misses the body; place the isocentre inside it.")
    return beam.sad_mm - float(z[int(reached[0])])


def _slab(field: DensityField, beam: BeamFrame, u: Tensor, v: Tensor, z: Tensor) -> Tensor:
    scale = ((beam.sad_mm - z) / beam.sad_mm)[:, None, None]
    places = u.new_empty(z.numel(), v.numel(), u.numel(), 3)
    places[..., 0] = u * scale
    places[..., 1] = v[:, None] * scale
    places[..., 2] = z[:, None, None]
    return field.sample(places, beam)


def _unit_map(grid: Grid, beam: BeamFrame) -> tuple[Floats, Floats]:
    """Return origin and matrix from beam axes [mm] to column, row, slice in [-1, 1]."""
    inverse = np.asarray(grid.axes) / np.asarray(grid.spacing_mm)[:, None]
    centre = grid.to_indices(beam.isocentre_mm)
    scale = 2 / np.asarray(grid.shape)
    origin = (2 * centre + 1) / np.asarray(grid.shape) - 1
    matrix = scale[:, None] * (inverse @ beam.axes.T)
    return origin[::-1].copy(), matrix[::-1].copy()


def _like(array: Floats, like: Tensor) -> Tensor:
    return torch.from_numpy(array).to(like)
