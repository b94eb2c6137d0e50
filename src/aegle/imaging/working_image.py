"""Images made ready for comparison: evenly spaced, smoothed to that spacing, within [0, 1].

An image keeps the axes of its own grid. The background, air or empty space around the patient,
is told apart, since its noise says nothing about where the patient lies.
"""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from aegle.domain.grid import Grid, Points
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.displacement import sample

WINDOW_HU = (-1000.0, 600.0)
AIR_HU = -930.0
"""Mean radiodensity above which something other than air is there; even emphysema lies above."""
BRIGHTEST = 0.995
"""Share of voxels below the signal that counts as 1."""
BACKGROUND = 0.05
"""Signal below which there is background."""
SEEN_MM = 8.0
"""Scale at which background is told from the patient."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WorkingImage:
    """An image on an evenly spaced grid."""

    values: Tensor
    """Shape ``grid.shape``, within [0, 1]."""
    seen: Tensor
    """1 where the patient is, 0 in the background, same shape."""
    grid: Grid

    @property
    def is_flat(self) -> bool:
        """Whether the image is one slice."""
        return self.grid.shape[0] == 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands out."""
        return bool(self.seen.sum() == 0) or float(self.values.std()) < 1e-3


def working_image(
    volume: Volume, spacing_mm: float, *, device: torch.device, mask: NDArray[np.bool_] | None
) -> WorkingImage:
    """Return an image at a spacing, smoothed where that is coarser than its own.

    Args:
        volume: Any quantity, any grid; of one slice it stays one.
        spacing_mm: Distance of voxels along all axes [mm].
        device: Where tensors lie.
        mask: What counts, shape ``volume.grid.shape``; None: what is not background.
    """
    grid = evenly_spaced(volume.grid, spacing_mm)
    values = shrunk(_normalised(volume), volume.grid, grid)
    if mask is None:
        seen = _seen(values, volume.quantity, grid)
    else:
        seen = shrunk(mask.astype(np.float32), volume.grid, grid) >= 0.5
    return WorkingImage(
        values=torch.from_numpy(values).to(device),
        seen=torch.from_numpy(seen.astype(np.float32)).to(device),
        grid=grid,
    )


def evenly_spaced(grid: Grid, spacing_mm: float) -> Grid:
    """Return a grid over the same extent with voxels as nearly cubic as fit whole."""
    shape = [
        1 if n == 1 else max(4, round(n * s / spacing_mm))
        for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    spacing = [n * s / m for n, s, m in zip(grid.shape, grid.spacing_mm, shape, strict=True)]
    first = [0.5 * (a / b - 1) for a, b in zip(spacing, grid.spacing_mm, strict=True)]
    return replace(
        grid,
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        origin_mm=tuple(grid.to_patient(np.array(first)).tolist()),
    )


def _normalised(volume: Volume) -> NDArray[np.float32]:
    values = np.nan_to_num(volume.values, posinf=0.0, neginf=0.0)
    if volume.quantity is Quantity.RADIODENSITY:
        low, high = WINDOW_HU
    else:
        low, high = (float(q) for q in np.quantile(values.ravel()[::5], (0.001, BRIGHTEST)))
        low = min(low, max(0.0, low))
    if not high > low:
        return np.zeros_like(values)
    return ((values.clip(low, high) - low) / (high - low)).astype(np.float32)


def shrunk(values: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Return values on another grid of the same axes and extent, smoothed if it is coarser."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(source.spacing_mm[::-1])
    sigmas = [
        0.5 * max(0.0, b - a) for a, b in zip(source.spacing_mm, target.spacing_mm, strict=True)
    ]
    if max(sigmas) > 0.05:
        variances = [max(s, 1e-3) ** 2 for s in reversed(sigmas)]
        image = sitk.DiscreteGaussian(image, variances, 16, 0.01, True)
    first = source.to_indices(np.asarray(target.origin_mm)) * source.spacing_mm
    sampled = sitk.Resample(
        image,
        target.shape[::-1],
        sitk.Transform(),
        sitk.sitkLinear,
        first[::-1].tolist(),
        target.spacing_mm[::-1],
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        0.0,
        sitk.sitkFloat32,
        True,
    )
    return np.asarray(sitk.GetArrayFromImage(sampled))


def _seen(values: NDArray[np.float32], quantity: Quantity, grid: Grid) -> NDArray[np.bool_]:
    low, high = WINDOW_HU
    least = (AIR_HU - low) / (high - low) if quantity is Quantity.RADIODENSITY else BACKGROUND
    sizes = [max(1, round(SEEN_MM / s)) if n > 1 else 1 for n, s in _axes(grid)]
    return np.asarray(ndimage.uniform_filter(values, sizes, mode="nearest") > least)


def _axes(grid: Grid) -> list[tuple[int, float]]:
    return list(zip(grid.shape, grid.spacing_mm, strict=True))


def index_matrix(fixed: Grid, moving: Grid, matrix: Points) -> Points:
    """Return the 4×4 from voxel indices of one grid to those of another through a motion."""
    return np.asarray(np.linalg.inv(_index_to_mm(moving)) @ matrix @ _index_to_mm(fixed))


def _index_to_mm(grid: Grid) -> Points:
    step = np.eye(4)
    step[:3, :3] = np.asarray(grid.axes).T * np.asarray(grid.spacing_mm)
    step[:3, 3] = grid.origin_mm
    return step


def moved(image: WorkingImage, grid: Grid, matrix: Points) -> tuple[Tensor, Tensor]:
    """Return an image on another grid through a motion, and where it was acquired.

    Args:
        image: The moving image.
        grid: The grid of the fixed image.
        matrix: 4×4, LPS of fixed to LPS of moving [mm].

    Returns:
        Values and a mask (1 inside the field of view and the patient), shape ``grid.shape``.
    """
    like = image.values
    to_index = torch.from_numpy(index_matrix(grid, image.grid, matrix)).to(like)
    steps = [torch.arange(n, dtype=like.dtype, device=like.device) for n in grid.shape]
    z, y, x = torch.meshgrid(*steps, indexing="ij")
    indices = torch.stack([row[0] * z + row[1] * y + row[2] * x + row[3] for row in to_index[:3]])
    both = sample(torch.stack([image.values, image.seen]), indices)
    within = torch.ones_like(z)
    for axis, count in enumerate(image.grid.shape):
        within *= (indices[axis] >= -0.5) & (indices[axis] <= count - 0.5)
    return both[0], within * (both[1] >= 0.5)
