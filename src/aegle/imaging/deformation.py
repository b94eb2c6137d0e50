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
from aegle.imaging.plain_field import plainest
from aegle.imaging.working_image import WorkingImage, moved, shrunk

BLOCK = 4
"""Voxels of the coarse search's blocks."""
CONTRAST_WEIGHT = 0.1
"""Of local contrast beside self-similarity, for images of one kind."""
VALUE_WEIGHT = 3.0
"""Of values beside self-similarity, for CT. Chosen on one breathing lung, where density changes
with the breath: contrast at 0.1, 0.5 and 1.5 leaves 1.303, 1.300 and 1.325 mm, values at 3, 5
and 10 leave 1.295, 1.317 and 1.407 mm."""
NOISE = 0.03
"""Deviation below which local contrast counts as noise, of the range [0, 1]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Deformation:
    """A displacement, its inverse and what can be said of them."""

    displacement: DisplacementField
    inverse: DisplacementField
    quality: RegistrationQuality


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a deformation is searched."""

    reach_mm: float
    """Largest displacement of the coarse search [mm]."""
    stiffness: float
    """Weight of smoothness over that of the images."""
    is_one_kind: bool
    """Whether values of both images mean the same."""
    is_ct: bool = False
    """Whether they are radiodensities, which compare without a local scale."""
    is_masked: bool = False
    """Whether only what the fixed image's mask shows counts."""
    allow_folds: bool = False
    """Whether folds are left as they are."""


def deformed(
    fixed: WorkingImage,
    moving: WorkingImage,
    matrix: Points,
    *,
    course: Course,
    sliding: Structure | None = None,
) -> Deformation:
    """Return the deformation after a motion.

    Args:
        fixed: The fixed image.
        moving: The moving image, at a like spacing.
        matrix: The motion, 4×4, LPS of fixed to LPS of moving [mm].
        course: How it is searched.
        sliding: A part that slides along the rest.
    """
    brought, _ = moved(moving, fixed.grid, matrix)
    here, there = mind_ssc(fixed.values), mind_ssc(brought)
    descriptor = here
    block_mm = BLOCK * min(fixed.grid.spacing_mm[1:])
    reach = max(1, round(course.reach_mm / block_mm))
    guess = discrete_search(here, there, block=BLOCK, reach=reach)
    further = {
        "weight": fixed.seen if course.is_masked else None,
        "inside": None if sliding is None else _part(sliding, fixed),
    }
    coarse = (
        Level(shrink=4, stiffness=course.stiffness, steps=5, sweeps=30),
        Level(shrink=2, stiffness=course.stiffness, steps=5, sweeps=30),
    )
    fine: tuple[Level, ...] = (Level(shrink=1, stiffness=course.stiffness, steps=3, sweeps=15),)
    if course.is_one_kind and course.is_ct:
        fine = (
            Level(shrink=2, stiffness=course.stiffness, steps=2, sweeps=20),
            Level(shrink=1, stiffness=course.stiffness, steps=2, sweeps=12),
        )
    folds = course.allow_folds
    found = refined((here, there), guess.displacement, levels=coarse, allow_folds=folds, **further)
    alike = _same_meaning((fixed.values, brought), course)
    if alike is not None:
        weight = VALUE_WEIGHT if course.is_ct else CONTRAST_WEIGHT
        here = torch.cat([here, weight * alike[0]])
        there = torch.cat([there, weight * alike[1]])
    found = refined((here, there), found, levels=fine, allow_folds=folds, **further)
    voxel_mm = float(np.mean(fixed.grid.spacing_mm))
    if alike is not None and sliding is None:
        found = plainest(brought, descriptor, alike, found, seen=fixed.seen, voxel_mm=voxel_mm)
    return finished(
        fixed, moving, matrix, found, disagreement_mm=float(guess.disagreement.median()) * voxel_mm
    )


def _same_meaning(images: tuple[Tensor, Tensor], course: Course) -> tuple[Tensor, Tensor] | None:
    """Return values that mean the same in both images, shape (1, ...), if there are any."""
    if not course.is_one_kind:
        return None
    here, there = (i[None] if course.is_ct else local_contrast(i) for i in images)
    return here, there


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
