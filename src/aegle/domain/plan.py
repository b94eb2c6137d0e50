"""External-beam radiotherapy: what is prescribed, how it is given, what dose results.

Angles follow IEC 61217; dose is absorbed dose to the patient over all fractions [Gy].
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.errors import OptionError
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume

PRIORITIES = (1, 2, 3)
"""Of goals, the most important first."""


class Metric(Enum):
    """A dose-volume quantity (ICRU Report 83)."""

    DOSE_AT_VOLUME = "D"
    """D_v: highest dose that at least v % of the structure receives [Gy]."""
    VOLUME_AT_DOSE = "V"
    """V_d: part of the structure that receives at least d Gy [%]."""
    MEAN_DOSE = "mean"
    MAXIMUM_DOSE = "max"
    """D_0.03cm3: highest dose that at least 0.03 cm³ receives [Gy]."""
    EQUIVALENT_UNIFORM_DOSE = "gEUD"
    """Generalised equivalent uniform dose with an exponent a [Gy] (Niemierko 1999)."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A clinical goal: a metric of a structure and its limit."""

    structure: str
    metric: Metric
    at: float | None = None
    """v [%] of D_v, d [Gy] of V_d or the exponent a of gEUD; None for mean and maximum."""
    at_least: float | None = None
    at_most: float | None = None
    source: str = ""
    priority: int = 2
    """1: before others, 2: usual, 3: where it costs the others little."""
    is_constraint: bool = False
    """Whether the plan must keep it; without, the plan comes as near as other goals allow."""

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise OptionError(
                f"Goal for '{self.structure}': give at_least or at_most, one of them."
            )
        if self.priority not in PRIORITIES:
            raise OptionError(
                f"Goal for '{self.structure}': priority {self.priority} is none of 1, 2 and 3."
            )
        if (self.at is None) == (self.metric not in (Metric.MEAN_DOSE, Metric.MAXIMUM_DOSE)):
            raise OptionError(
                f"Goal for '{self.structure}': D, V and gEUD need 'at', mean and max must not have "
                "it."
            )
        if self.metric is Metric.EQUIVALENT_UNIFORM_DOSE and self.at == 0:
            raise OptionError(f"Goal for '{self.structure}': the exponent of gEUD must not be 0.")


@dataclass(frozen=True, kw_only=True)
class Prescription:
    """What the target is to receive, and the goals for everything else."""

    target: str
    """Name of the planning target volume."""
    dose_gy: float
    fractions: int
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Aperture:
    """One opening of a multileaf collimator and the monitor units given through it.

    Lengths lie on the isocentre plane, along the IEC beam limiting device axes [mm].
    """

    monitor_units: float
    """For all fractions together [MU]."""
    left_mm: NDArray[np.float64]
    """Tips of the leaves at negative x, shape (leaf pair,)."""
    right_mm: NDArray[np.float64]
    """Tips of the leaves at positive x; a pair is closed where both are equal."""
    borders_mm: NDArray[np.float64]
    """Beam y of the leaf sides, shape (leaf pair + 1,), ascending."""

    def __post_init__(self) -> None:
        for name in ("left_mm", "right_mm", "borders_mm"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))


@dataclass(frozen=True, eq=False, kw_only=True)
class Beam:
    """One field with its optimised fluence."""

    gantry_deg: float
    couch_deg: float
    isocentre_mm: tuple[float, float, float]
    """LPS [mm]."""
    beamlet_mm: float
    """Side of a square beamlet in the isocentre plane [mm]."""
    positions_mm: NDArray[np.float64]
    """Beamlet centres in the isocentre plane, shape (beamlet, 2): IEC beam x, y [mm]."""
    weights: NDArray[np.float64]
    """Fluence of each beamlet for all fractions together, shape (beamlet,) [MU]."""
    apertures: tuple[Aperture, ...] = ()
    """What a multileaf collimator forms, in order; their sum is ``weights``. None: the fluence
    is ideal."""
    collimator_deg: float = 0.0
    """IEC 61217; turns the axes on which ``positions_mm`` are given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions_mm", read_only(self.positions_mm, np.float64))
        object.__setattr__(self, "weights", read_only(self.weights, np.float64))

    def scaled(self, factor: float) -> "Beam":
        """Return the beam with all its monitor units multiplied."""
        apertures = tuple(
            replace(one, monitor_units=one.monitor_units * factor) for one in self.apertures
        )
        return replace(self, weights=self.weights * factor, apertures=apertures)


@dataclass(frozen=True, eq=False, kw_only=True)
class ProtonBeam(Beam):
    """One field of scanned proton spots.

    ``positions_mm`` are the spots' centres, ``beamlet_mm`` is their spacing and ``weights`` are
    millions of protons for all fractions together.
    """

    energies_mev: NDArray[np.float64]
    """Nominal energy of each spot, shape (spot,) [MeV]."""
    range_shifter_mm: float = 0.0
    """Water-equivalent thickness of the range shifter [mm]; 0 where there is none."""
    sad_mm: float
    """Distance from the virtual source to the isocentre [mm]."""
    nozzle_to_axis_mm: float
    """Distance from the exit of the nozzle to the isocentre [mm]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "energies_mev", read_only(self.energies_mev, np.float64))
        if self.energies_mev.shape != self.weights.shape:
            raise OptionError(
                f"Beam at gantry {self.gantry_deg:g}°: {self.energies_mev.size} energies for "
                f"{self.weights.size} spots; give one per spot."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class DoseVolumeCurve:
    """Cumulative dose-volume histogram of one structure."""

    structure: str
    dose_gy: NDArray[np.float64]
    """Shape (bin,), increasing [Gy]."""
    volume_percent: NDArray[np.float64]
    """Part of the structure that receives at least ``dose_gy`` [%], shape (bin,)."""
    volume_ml: float
    mean_gy: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "dose_gy", read_only(self.dose_gy, np.float64))
        object.__setattr__(self, "volume_percent", read_only(self.volume_percent, np.float64))


@dataclass(frozen=True, eq=False, kw_only=True)
class ScenarioCurves:
    """The dose-volume curves of a plan where patient or range differ from the planning CT."""

    name: str
    curves: tuple[DoseVolumeCurve, ...]


@dataclass(frozen=True, kw_only=True)
class GoalResult:
    """A goal and whether the plan meets it."""

    goal: Goal
    value: float
    """In Gy, or % for V_d."""
    is_met: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A treatment plan: what was asked, how it is given, and the dose that results."""

    prescription: Prescription
    machine: str
    beams: tuple[Beam, ...]
    dose: Volume
    """Absorbed dose over all fractions [Gy], on the planning image's grid."""
    structures: StructureSet
    """Target volumes made for planning (CTV, PTV) and those used, on the same grid."""
    curves: tuple[DoseVolumeCurve, ...]
    goals: tuple[GoalResult, ...]
    notices: tuple[Text, ...] = ()
    objective_values: tuple[float, ...] = ()
    """Value of the objective at each iteration of the optimiser."""
    scenarios: tuple[ScenarioCurves, ...] = ()
    """Where the plan was made to bear errors: the nominal case and each error."""
    rbe: float = 1.0
    """Constant relative biological effectiveness that the dose is weighted by; 1: absorbed dose."""
