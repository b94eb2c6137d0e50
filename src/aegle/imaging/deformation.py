"""A deformation between two images that a motion has brought near each other."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aegle.domain.grid import Grid, Points
from aegle.domain.registration import DisplacementField, RegistrationQuality
from aegle.domain.structure import Structure
from aegle.imaging.discrete_search import discrete_search
from aegle.imaging.displacement import determinant, inverted, smooth, warp
from aegle.imaging.gauss_newton import Level, refined
from aegle.imaging.mind import mind_ssc
from aegle.imaging.motion_search import compared
from aegle.imaging.working_image import WorkingImage, moved, shrunk

BLOCK = 4
"""Voxels of the coarse search's blocks."""
NOISE = 0.03
"""Deviation below which local contrast counts as noise, of the range [0, 1]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Deformation:
    """A displacement, its inverse and what can be said of them."""

    displacement: DisplacementField
    inverse: DisplacementField
    quality: RegistrationQuality


def deformed(
    fixed: WorkingImage,
    moving: WorkingImage,
    matrix: Points,
    *,
    reach_mm: float,
    stiffness: float,
    is_one_kind: bool,
    allow_folds: bool,
    sliding: Structure | None,
) -> Deformation:
    """Return the deformation after a motion.

    Args:
        fixed: The fixed image.
        moving: The moving image, at a like spacing.
        matrix: The motion, 4×4, LPS of fixed to LPS of moving [mm].
        reach_mm: Largest displacement of the coarse search [mm].
        stiffness: Weight of smoothness.
        is_one_kind: Whether values of both images mean the same.
        allow_folds: Whether folds are left as they are.
        sliding: A part that slides along the rest.
    """
    brought, seen = moved(moving, fixed.grid, matrix)
    here, there = mind_ssc(fixed.values), mind_ssc(brought)
    spacing_mm = min(fixed.grid.spacing_mm[1:])
    guess = discrete_search(
        here, there, block=BLOCK, reach=max(1, round(reach_mm / (BLOCK * spacing_mm)))
    )
    inside = None if sliding is None else _part(sliding, fixed)
    found = refined(
        here,
        there,
        guess.displacement,
        levels=(
            Level(shrink=4, stiffness=stiffness, steps=5, sweeps=30),
            Level(shrink=2, stiffness=stiffness, steps=6, sweeps=40),
            Level(shrink=1, stiffness=stiffness, steps=3, sweeps=20),
        ),
        inside=inside,
        allow_folds=allow_folds,
    )
    if is_one_kind:
        found = refined(
            local_contrast(fixed.values),
            local_contrast(brought),
            found,
            levels=(Level(shrink=1, stiffness=stiffness, steps=4, sweeps=20),),
            inside=inside,
            allow_folds=allow_folds,
        )
    voxel_mm = float(np.mean(fixed.grid.spacing_mm))
    return finished(
        fixed, moving, matrix, found, disagreement_mm=float(guess.disagreement.median()) * voxel_mm
    )


def local_contrast(values: Tensor) -> Tensor:
    """Return values less their local mean, over their local deviation, shape (1, ...).

    Squared differences of these fall as local correlation rises.
    """
    mean = smooth(values[None])
    variance = (smooth(values[None].square()) - mean.square()).clamp_(min=0)
    return (values[None] - mean) / (variance + NOISE**2).sqrt()


def _part(structure: Structure, image: WorkingImage) -> Tensor:
    mask = structure.mask.astype(np.float32)
    return torch.from_numpy(shrunk(mask, structure.grid, image.grid)).to(image.values)


def finished(
    fixed: WorkingImage,
    moving: WorkingImage,
    matrix: Points,
    displacement: Tensor,
    *,
    disagreement_mm: float = 0.0,
) -> Deformation:
    """Return a displacement [voxels of fixed] with its inverse, in mm, and its quality."""
    back = inverted(displacement)
    missed = back + warp(displacement, back)
    volumes = determinant(displacement)
    brought, seen = moved(moving, fixed.grid, matrix)
    values, shown = warp(torch.stack([brought, seen]), displacement)
    alike = compared(
        mind_ssc(fixed.values), mind_ssc(values), fixed.seen * (shown >= 0.5), fixed, moving
    )
    spacing = torch.tensor(fixed.grid.spacing_mm).to(missed)[:, None, None, None]
    quality = RegistrationQuality(
        agreement=alike.agreement,
        overlap=alike.overlap,
        folded_percent=100.0 * float((volumes <= 0).double().mean()),
        least_determinant=float(volumes.min()),
        inverse_consistency_mm=float((missed * spacing).square().sum(0).sqrt().mean()),
        disagreement_mm=disagreement_mm,
    )
    return Deformation(
        displacement=_field(displacement, fixed.grid),
        inverse=_field(back, fixed.grid),
        quality=quality,
    )


def _field(displacement: Tensor, grid: Grid) -> DisplacementField:
    along_mm = displacement.cpu().numpy() * np.asarray(grid.spacing_mm)[:, None, None, None]
    vectors_mm = np.einsum("azyx,ad->zyxd", along_mm, np.asarray(grid.axes))
    return DisplacementField(vectors_mm=vectors_mm.astype(np.float32), grid=grid)
