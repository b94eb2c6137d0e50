"""What a physicist checks of a plan besides its doses: how they came about and how well they fit.

Lengths on the isocentre plane run along the axes of the turned collimator, IEC 61217.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.grid import Grid
from aegle.domain.text import Text


@dataclass(frozen=True, eq=False, kw_only=True)
class Silhouette:
    """A structure as a beam sees it, on the isocentre plane."""

    mask: NDArray[np.bool_]
    """Where rays meet the structure, shape (row, column): along beam y and x."""
    first_mm: tuple[float, float]
    """Beam x and y of the middle of ``mask[0, 0]`` [mm]."""
    step_mm: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", read_only(self.mask, np.bool_))


@dataclass(frozen=True, eq=False, kw_only=True)
class BeamCheck:
    """Where a beam meets the patient."""

    ssd_mm: float | None
    """Distance from the source to the outline of the body along the axis; none: it misses."""
    target: Silhouette


@dataclass(frozen=True, kw_only=True)
class PlanQuality:
    """How well a dose fits its target; none: it has no measure."""

    conformity: float | None
    """Paddick 2000: 1 where the prescribed isodose is the target."""
    homogeneity: float | None
    """ICRU Report 83: (D2 - D98) / D50, 0 where the target's dose is even."""
    gradient: float | None
    """Paddick and Lippitz 2006: volume of half the prescribed dose over that of the whole."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PlanCheck:
    """What a plan rests on."""

    calibration: Text
    data_source: str
    """Where the beam data come from."""
    sad_mm: float
    """Distance from the source to the axis."""
    algorithm: Text
    dose_grid_mm: tuple[float, float, float]
    """Spacing along slice, row and column on which dose was calculated."""
    limits: tuple[Text, ...]
    """What the algorithm leaves out."""
    quality: PlanQuality
    beams: tuple[BeamCheck, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class GammaMap:
    """How far a second dose lies from a first one (Low 1998), at each voxel of the first."""

    values: NDArray[np.float32]
    """Shape of the grid; NaN where not judged."""
    grid: Grid
    dose_percent: float
    distance_mm: float
    is_local: bool
    """Whether the dose tolerance is relative to each voxel's dose, not to the highest."""
    cutoff_percent: float
    """Voxels below this part of the highest dose are not judged."""
    judged: int
    pass_percent: float
    mean: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(self.values, np.float32))
