"""The gamma index: how far two doses lie apart, in dose and in distance at once.

Low DA et al. Med Phys 1998;25:656-661, doi:10.1118/1.598248. Around each voxel of the reference
the evaluated dose, linear between its voxels, is looked up on spheres of growing radius. Gamma is
the least sum in quadrature of dose difference and distance, each in units of its tolerance; the
search ends where the distance alone exceeds what was found.

The points on each sphere are those of pymedphys 0.41 (rings of equal distance about the column
axis, no two neighbours farther apart than a step), so that values agree point by point. Spheres
that are shared by all voxels cost little: as long as both grids have the same spacing, every
voxel interpolates with the same weights, and a matrix product looks up all points of one cell.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pydantic.dataclasses
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.gamma_lookup import Lattice, Look, lookup

ROUNDING = 1e-5
"""Gamma is known to this precision (32-bit doses), so a point passes up to 1 + this."""

Floats = NDArray[np.float64]


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True)
class GammaOptions:
    """Tolerances and search of the gamma index."""

    dose_percent: Annotated[float, option("Tolerance of dose", unit="%", gt=0)] = 1.0
    distance_mm: Annotated[float, option("Tolerance of distance", unit="mm", gt=0)] = 1.0
    local: Annotated[
        bool, option("Dose tolerance relative to each point's own dose, not to the normalisation")
    ] = False
    normalisation_gy: Annotated[
        float | None,
        option("Dose that percentages refer to; none: the reference's maximum", unit="Gy", gt=0),
    ] = None
    cutoff_percent: Annotated[
        float,
        option(
            "Reference doses below this are not judged", unit="% of normalisation", ge=0, lt=100
        ),
    ] = 10.0
    steps: Annotated[
        int,
        option(
            "Spheres per distance tolerance",
            source="Wendling 2007, doi:10.1118/1.2721657",
            ge=1,
            le=50,
        ),
    ] = 10
    max_gamma: Annotated[float, option("Gamma is searched and given up to this", ge=1, le=10)] = 2.0
    stop_once_passed: Annotated[
        bool, option("Leave a point once its gamma is below 1; pass rates alone need no more")
    ] = False
    most_points: Annotated[
        int | None, option("Judge at most so many points, drawn evenly; none: all", ge=1)
    ] = None
    seed: Annotated[int, option("Seed of that drawing", ge=0)] = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class GammaResult:
    """Gamma of every judged voxel of the reference."""

    values: NDArray[np.float32]
    """Shape of the reference; NaN where not judged."""
    options: GammaOptions
    normalisation_gy: float

    @property
    def judged(self) -> int:
        """Number of voxels with a gamma."""
        return int(np.count_nonzero(~np.isnan(self.values)))

    @property
    def pass_percent(self) -> float:
        """Part of the judged voxels whose gamma is at most 1 [%]."""
        return 100.0 * int(np.count_nonzero(self.values <= 1 + ROUNDING)) / self.judged

    @property
    def mean(self) -> float:
        """Mean gamma of the judged voxels."""
        return float(np.nanmean(self.values, dtype=np.float64))


def gamma(
    reference: Volume,
    evaluated: Volume,
    *,
    options: GammaOptions,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> GammaResult:
    """Compare two doses by the gamma index.

    Args:
        reference: Absorbed dose [Gy]; its voxels are judged.
        evaluated: Absorbed dose [Gy], on any grid in the same frame of reference.
        options: Tolerances and search.
        device: Where torch computes.
        dtype: Precision, ``torch.float32`` or ``torch.float64``.

    Returns:
        Gamma on the reference's grid, at most ``max_gamma``; NaN below the cutoff and where the
        evaluated dose does not reach.

    Raises:
        QuantityError: One of the volumes is not an absorbed dose.
        InputError: The reference has no dose, or no point is left to judge.
    """
    reference.require(Quantity.ABSORBED_DOSE)
    evaluated.require(Quantity.ABSORBED_DOSE)
    highest = float(reference.values.max())
    full_gy = options.normalisation_gy or highest
    if not (math.isfinite(full_gy) and highest > 0):
        raise InputError(f"The reference's maximum is {highest} Gy; gamma needs a positive dose.")
    points = _points(reference.values, full_gy, options)
    doses = torch.from_numpy(reference.values.reshape(-1)[points]).to(device, dtype)
    share = options.dose_percent / 100
    tolerance = share * doses if options.local else torch.full_like(doses, share * full_gy)

    voxels = np.stack(np.unravel_index(points, reference.values.shape), axis=-1)
    look = lookup(
        torch.tensor(evaluated.values, dtype=dtype, device=device),
        voxels,
        _lattice(reference, evaluated),
        options.max_gamma * options.distance_mm,
    )
    found = _search(look, doses, tolerance, options)
    values = np.full(reference.values.shape, np.nan, dtype=np.float32)
    values.reshape(-1)[points] = found.to("cpu", torch.float32).numpy()
    if np.isnan(values).all():
        raise InputError("The evaluated dose lies nowhere on the reference; check both positions.")
    return GammaResult(values=values, options=options, normalisation_gy=full_gy)


def _points(values: NDArray[np.float32], full_gy: float, options: GammaOptions) -> NDArray[np.intp]:
    """Return the flat indices of the voxels to judge."""
    points = np.flatnonzero(values >= options.cutoff_percent / 100 * full_gy)
    if points.size == 0:
        raise InputError(
            f"No reference dose reaches {options.cutoff_percent:g} % of {full_gy:g} Gy; "
            "lower the cutoff or the normalisation."
        )
    if options.most_points is None or points.size <= options.most_points:
        return points
    chance = np.random.default_rng(options.seed)
    return np.sort(chance.choice(points, options.most_points, replace=False))


def _lattice(reference: Volume, evaluated: Volume) -> Lattice:
    """Return how the voxels of the reference lie among those of the evaluated dose."""
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    found = evaluated.grid.to_indices(reference.grid.to_patient(corners))
    # Positions are known to far more than this part of a voxel.
    found = np.round(found, 9)
    spacing_mm = np.asarray(reference.grid.spacing_mm)
    return Lattice((found[1:] - found[0]).T, found[0], spacing_mm)


def _search(look: Look, doses: Tensor, tolerance: Tensor, options: GammaOptions) -> Tensor:
    """Return gamma of each point, NaN where nothing was found."""
    squared = torch.full_like(doses, torch.inf)
    left = torch.arange(doses.numel(), device=doses.device)
    for number in range(math.ceil(round(options.max_gamma * options.steps, 9))):
        apart = number / options.steps
        offsets_mm = sphere(apart * options.distance_mm, options.distance_mm / options.steps)
        known = squared[left]
        # What a point on this sphere must come within to lower gamma.
        reach = tolerance[left] * torch.sqrt(known - apart**2)
        nearest = look(left, doses[left], reach, offsets_mm)
        improved = (nearest / tolerance[left]).square() + apart**2
        squared[left] = torch.minimum(known, improved)
        end = max(apart, 1.0) if options.stop_once_passed else apart
        left = left[squared[left] > end**2]
        if left.numel() == 0:
            break
    most = options.max_gamma
    return torch.where(torch.isinf(squared), torch.nan, squared.sqrt().clamp(max=most))


def sphere(radius_mm: float, step_mm: float) -> Floats:
    """Return points on a sphere, shape (point, 3) [mm along slice, row and column].

    Rings lie at equal angles from the column axis; neither neighbouring rings nor the points of
    a ring are farther apart than ``step_mm``.
    """
    rings = math.ceil(math.pi * radius_mm / step_mm) + 1
    found = []
    for polar in np.linspace(0.0, math.pi, rings):
        ring_mm = radius_mm * math.sin(polar)
        around = math.ceil(round(2 * math.pi * ring_mm / step_mm, 9)) + 1
        turn = 2 * math.pi * np.arange(around) / around
        height_mm = np.full(around, radius_mm * math.cos(polar))
        found.append(np.stack([ring_mm * np.cos(turn), ring_mm * np.sin(turn), height_mm], axis=-1))
    return np.concatenate(found)
