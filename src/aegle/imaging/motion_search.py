"""Rigid and affine motion between two images of any kind.

From many starts (turns about the middle, with the shift that fits edges best) the most alike
are refined by Gauss-Newton steps on self-similarity features, coarse to fine. Voxels that fit
badly count less, so that what changed or is not rigid does not pull.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from aegle.domain.grid import Grid, Points
from aegle.imaging.displacement import gradient
from aegle.imaging.gauss_newton import normal_equations, times
from aegle.imaging.mind import mind_ssc
from aegle.imaging.working_image import WorkingImage, moved

LEAST_OVERLAP = 0.25
"""Share of the smaller patient part that must be shared for a start to count fully."""
COARSE_MM = 10.0
FINER_MM = (6.0, 4.0, 3.0)
AFFINE_FROM_MM = 4.0
STEPS = 20
REFINED = 3
"""Starts that are refined before the best is chosen."""
CONVINCING = 0.75
"""Merit from which no turned starts are tried."""
SETTLED = 0.003
"""A step smaller than this share of a voxel at the rim of the image ends a level."""


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How alike two images are under a motion."""

    agreement: float
    """Concordance of their self-similarity where both show the patient: 1 alike, 0 unrelated."""
    overlap: float
    """Share of the smaller patient part that both show."""

    @property
    def merit(self) -> float:
        """Agreement, less where a sliver alone agrees."""
        return self.agreement * min(1.0, self.overlap / LEAST_OVERLAP)


def likeness(fixed: WorkingImage, moving: WorkingImage, matrix: Points) -> Likeness:
    """Compare two images through a motion."""
    values, seen = moved(moving, fixed.grid, matrix)
    return compared(mind_ssc(fixed.values), mind_ssc(values), fixed.seen * seen, fixed, moving)


def compared(
    here: Tensor, there: Tensor, both: Tensor, fixed: WorkingImage, moving: WorkingImage
) -> Likeness:
    """Compare features where both images show the patient."""
    smaller_ml = min(float(i.seen.sum()) * i.grid.voxel_volume_ml for i in (fixed, moving))
    shared = float(both.sum())
    if shared < 8 or smaller_ml <= 0:
        return Likeness(agreement=0.0, overlap=0.0)
    a, b = here[:, both > 0], there[:, both > 0]
    spread = a.var(1).sum() + b.var(1).sum() + (a.mean(1) - b.mean(1)).square().sum()
    apart = (a - b).square().sum(0).mean()
    return Likeness(
        agreement=float(1 - apart / spread) if float(spread) > 0 else 0.0,
        overlap=min(1.0, shared * fixed.grid.voxel_volume_ml / smaller_ml),
    )


def motion_between(
    at: Callable[[float], tuple[WorkingImage, WorkingImage]],
    *,
    is_affine: bool,
    finest_mm: float,
    largest_turn_degree: float,
) -> Points:
    """Return the motion between two images, searched coarse to fine.

    Args:
        at: Gives both images at a spacing [mm].
        is_affine: Whether stretch and shear are free too.
        finest_mm: Spacing of the last step [mm].
        largest_turn_degree: Turn about each axis that is searched [degree].

    Returns:
        4×4, LPS of fixed to LPS of moving [mm].
    """
    coarse = at(COARSE_MM)
    best, merit = _best_of(coarse, starts(*coarse, turns_degree=(0.0,)))
    if merit < CONVINCING and largest_turn_degree > 0:
        turns = (-largest_turn_degree, 0.0, largest_turn_degree)
        turned, turned_merit = _best_of(coarse, starts(*coarse, turns_degree=turns))
        if turned_merit > merit:
            best = turned
    spacings_mm = [s for s in FINER_MM if s > 1.2 * finest_mm] + [finest_mm]
    for spacing_mm in spacings_mm:
        free = is_affine and spacing_mm <= AFFINE_FROM_MM
        best = refined_motion(*at(spacing_mm), best, is_affine=free, steps=STEPS)
    return best


def _best_of(
    images: tuple[WorkingImage, WorkingImage], motions: list[Points]
) -> tuple[Points, float]:
    """Return the most alike of some motions after refining the most promising, and its merit."""
    merits = [likeness(*images, motion).merit for motion in motions]
    promising = np.argsort(merits, kind="stable")[::-1][:REFINED]
    refined = [refined_motion(*images, motions[i], is_affine=False, steps=STEPS) for i in promising]
    after = [likeness(*images, motion).merit for motion in refined]
    best = int(np.argmax(after))
    return refined[best], after[best]


def starts(
    fixed: WorkingImage, moving: WorkingImage, *, turns_degree: tuple[float, ...]
) -> list[Points]:
    """Return motions from which to search: each turn with the shifts that may fit, and none."""
    middle = _middle(fixed)
    shift = _middle(moving) - middle
    found = [np.eye(4)]
    angles = [(a, b, c) for a, b, c in product(turns_degree, repeat=3)]
    if fixed.is_flat:
        normal = np.asarray(fixed.grid.axes)[0]
        turned = [Rotation.from_rotvec(normal * a, degrees=True) for a in turns_degree]
    else:
        turned = [Rotation.from_euler("xyz", a, degrees=True) for a in angles]
    for turn in turned:
        motion = np.eye(4)
        motion[:3, :3] = turn.as_matrix()
        motion[:3, 3] = middle + shift - motion[:3, :3] @ middle
        found.append(motion)
        further = _edge_shift(fixed, moving, motion)
        found.append(further)
    return found


def _middle(image: WorkingImage) -> Points:
    index = torch.nonzero(image.seen).double().mean(0).cpu().numpy()
    return image.grid.to_patient(index)


def _edge_shift(fixed: WorkingImage, moving: WorkingImage, motion: Points) -> Points:
    """Return a motion followed by the shift at which edges overlay best."""
    values, seen = moved(moving, fixed.grid, motion)
    here, there = _edges(fixed.values), _edges(values) * seen
    size = [2 * n for n in here.shape]
    overlay = torch.fft.irfftn(
        torch.fft.rfftn(here, size).conj() * torch.fft.rfftn(there, size), size
    )
    best = np.array(np.unravel_index(int(overlay.argmax()), size))
    steps = np.where(best > np.array(size) // 2, best - np.array(size), best)
    # Content at index i of fixed lies at i + steps of what was moved.
    shift = np.eye(4)
    shift[:3, 3] = fixed.grid.to_patient(steps) - fixed.grid.to_patient(np.zeros(3))
    return np.asarray(motion @ shift)


def _edges(values: Tensor) -> Tensor:
    squares = [gradient(values[None], axis)[0].square() for axis in (1, 2, 3)]
    edges = sum(squares[1:], squares[0]).sqrt()
    return edges - edges.mean()


def refined_motion(
    fixed: WorkingImage,
    moving: WorkingImage,
    matrix: Points,
    *,
    is_affine: bool,
    steps: int,
) -> Points:
    """Return a motion that fits the images better.

    Args:
        fixed: The fixed image.
        moving: The moving image, at a like spacing.
        matrix: Where to start, 4×4, LPS of fixed to LPS of moving [mm].
        is_affine: Whether stretch and shear are free too.
        steps: Most steps.
    """
    features = mind_ssc(fixed.values)
    still = torch.zeros_like(features[:3])
    place = _places_mm(fixed.grid, features)
    fields = _moves(place, is_affine=is_affine, is_flat=fixed.is_flat)
    spacing = torch.tensor(fixed.grid.spacing_mm).to(features)[:, None, None, None]
    reach_mm = float(place.square().sum(0).max().sqrt())
    settled_mm = SETTLED * min(fixed.grid.spacing_mm[1:])
    for _ in range(steps):
        values, seen = moved(moving, fixed.grid, matrix)
        there = mind_ssc(values)
        weight = fixed.seen * seen
        if float(weight.sum()) < 8 * len(fields):
            break
        apart = (features - there).square().sum(0)
        usual = apart[weight > 0].median().clamp_(min=1e-9)
        # Geman-McClure: what fits badly was never the same tissue.
        weight = weight / (1 + apart / usual).square()
        equations = normal_equations(features, there, still, weight)
        answer = _solved(equations.matrix, equations.side, [f / spacing for f in fields])
        change = _as_motion(answer, is_affine=is_affine, is_flat=fixed.is_flat)
        axes = np.eye(4)
        axes[:3, :3] = np.asarray(fixed.grid.axes).T
        axes[:3, 3] = fixed.grid.centre_mm
        matrix = matrix @ axes @ change @ np.linalg.inv(axes)
        moved_mm = np.abs(change - np.eye(4))
        if float(moved_mm[:3, 3].max() + reach_mm * moved_mm[:3, :3].max()) < settled_mm:
            break
    return matrix


def _places_mm(grid: Grid, like: Tensor) -> Tensor:
    """Return positions along the grid's axes from its middle, shape (3, ...) [mm]."""
    steps = [
        (torch.arange(n, dtype=like.dtype, device=like.device) - (n - 1) / 2) * s
        for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return torch.stack(torch.meshgrid(*steps, indexing="ij"))


def _moves(place: Tensor, *, is_affine: bool, is_flat: bool) -> list[Tensor]:
    """Return the displacement [mm] per unit of each parameter; see ``_as_motion``."""
    axes = (1, 2) if is_flat else (0, 1, 2)
    moves = []
    for axis in axes:
        shift = torch.zeros_like(place)
        shift[axis] = 1
        moves.append(shift)
    for i, j in _couples(is_affine=is_affine, is_flat=is_flat):
        move = torch.zeros_like(place)
        move[i] = place[j]
        if not is_affine:
            move[j] = -place[i]
        moves.append(move)
    return moves


def _couples(*, is_affine: bool, is_flat: bool) -> list[tuple[int, int]]:
    axes = (1, 2) if is_flat else (0, 1, 2)
    return [(i, j) for i in axes for j in axes if is_affine or i < j]


def _solved(matrix: Tensor, side: Tensor, moves: list[Tensor]) -> Points:
    """Return the parameters that solve all voxels' equations together."""
    flat = torch.stack([move.reshape(-1) for move in moves]).double()
    drawn = torch.stack([times(matrix, move).reshape(-1) for move in moves]).double()
    normal = (drawn @ flat.T).cpu().numpy()
    right = (flat @ side.reshape(-1).double()).cpu().numpy()
    normal = 0.5 * (normal + normal.T)
    ridge = 1e-6 * np.diag(np.diag(normal).clip(1e-12))
    return np.asarray(-np.linalg.solve(normal + ridge, right))


def _as_motion(answer: Points, *, is_affine: bool, is_flat: bool) -> Points:
    """Return parameters as a 4×4 along the grid's axes about its middle [mm]."""
    axes = [1, 2] if is_flat else [0, 1, 2]
    linear = np.zeros((3, 3))
    couples = _couples(is_affine=is_affine, is_flat=is_flat)
    for (i, j), value in zip(couples, answer[len(axes) :], strict=True):
        linear[i, j] = value
        if not is_affine:
            linear[j, i] = -value
    motion = np.eye(4)
    if is_affine:
        motion[:3, :3] += linear.clip(-0.2, 0.2)
    else:
        turn = np.array([linear[2, 1], linear[0, 2], linear[1, 0]])
        motion[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    motion[axes, 3] = answer[: len(axes)]
    return motion
