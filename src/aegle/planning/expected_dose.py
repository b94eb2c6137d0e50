"""Which dose-volume curves earlier patients make likely for a new one.

Each voxel of the new patient's structure takes the mean dose of those voxels of the same structure
in earlier patients whose surroundings are most alike (nearest neighbours; widths count by their
spread over the earlier patients). The curve of these doses is then corrected by what the method
misses in the earlier patients themselves, each seen with the others only: by the median of their
residuals, at each volume. The interval comes from the ranks of the same residuals.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as options_dataclass
from scipy.spatial import KDTree

from aegle.domain.arrays import read_only
from aegle.domain.errors import InputError
from aegle.domain.structure import StructureSet
from aegle.options import option
from aegle.planning.experience import (
    VOLUMES_PERCENT,
    Library,
    Surroundings,
    Treated,
    compared,
    curve_of,
    surroundings,
)
from aegle.planning.geometry_features import PrescribedDose

Floats = NDArray[np.float64]


@options_dataclass(frozen=True, kw_only=True)
class ExpectationOptions:
    """How earlier patients are asked."""

    neighbours: Annotated[
        int, option("Alike voxels of earlier patients whose mean dose a voxel takes", ge=1, le=1000)
    ] = 30
    interval_percent: Annotated[
        float, option("Least part of patients that the interval is to hold", unit="%", gt=0, lt=100)
    ] = 80.0
    least_patients: Annotated[
        int, option("Earlier patients that a structure needs to be compared", ge=3)
    ] = 3


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A dose and its interval [Gy]."""

    dose_gy: float
    low_gy: float
    high_gy: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedCurve:
    """The dose-volume curve that earlier patients make likely, and its interval."""

    structure: str
    volume_ml: float
    is_target: bool
    volume_percent: Floats
    """Descending, shape (volume,) [%]."""
    dose_gy: Floats
    """Dose that at least that volume receives, ascending, shape (volume,) [Gy]."""
    low_gy: Floats
    high_gy: Floats
    mean: Expected
    patients: int
    """Earlier patients with that structure."""
    interval_percent: float
    """Part of patients that the interval holds, if the new one is like the earlier ones: the
    ranks used, of one more than there are patients. With few patients less than was asked."""
    alike: tuple[tuple[str, float], ...]
    """Earlier patients by the part of the alike voxels that they gave [%], most first."""
    is_unlike: bool
    """Whether the structure lies farther from all that is known than each earlier one did."""

    def __post_init__(self) -> None:
        for name in ("volume_percent", "dose_gy", "low_gy", "high_gy"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))

    def at(self, volume_percent: float) -> Expected:
        """Return D_v, linear between the volumes of the curve.

        Raises:
            InputError: The volume is not within 0 and 100 %.
        """
        if not 0 <= volume_percent <= 100:
            raise InputError(f"D_v is known for 0 to 100 % of a volume, not {volume_percent:g} %.")
        dose, low, high = (
            float(np.interp(-volume_percent, -self.volume_percent, gy))
            for gy in (self.dose_gy, self.low_gy, self.high_gy)
        )
        return Expected(dose_gy=dose, low_gy=low, high_gy=high)

    def at_volume_ml(self, volume_ml: float) -> Expected:
        """Return the dose that at least an absolute volume receives; all of a smaller structure."""
        return self.at(min(100.0, 100 * volume_ml / self.volume_ml))


@dataclass(frozen=True, eq=False, kw_only=True)
class Expectation:
    """What earlier patients make likely for a new one."""

    curves: tuple[ExpectedCurve, ...]
    unknown: tuple[str, ...]
    """Structures that too few earlier patients have."""

    def __getitem__(self, structure: str) -> ExpectedCurve:
        for curve in self.curves:
            if curve.structure == structure:
                return curve
        if structure in self.unknown:
            raise InputError(f"Too few earlier patients have a structure like '{structure}'.")
        raise InputError(f"'{structure}' was not compared with earlier patients.")


def expect(
    library: Library,
    structures: StructureSet,
    prescribed_gy: Mapping[str, float],
    *,
    options: ExpectationOptions,
) -> Expectation:
    """Return the dose-volume curves that earlier patients make likely.

    Args:
        library: The earlier patients; the new one must not be among them.
        structures: Targets and organs of the new patient, on one grid of axial slices.
        prescribed_gy: Dose of each target, by its name.
        options: How earlier patients are asked.

    Returns:
        One curve per target and organ that enough earlier patients have: organs are told by name,
        targets by their dose relative to the highest.

    Raises:
        InputError: A target is missing or empty, or no structure at all is known.
        GeometryError: Structures lie on different grids, or slices are not axial.
        OptionError: A prescribed dose is not positive.
    """
    chosen = compared(structures, prescribed_gy)
    prescribed = PrescribedDose(StructureSet(chosen), prescribed_gy)
    curves, unknown = [], []
    for structure in chosen:
        seen, _ = surroundings(structure, prescribed, prescribed_gy)
        earlier = library.like(seen)
        if len(earlier) < options.least_patients:
            unknown.append(structure.name)
            continue
        curves.append(_curve(seen, earlier, prescribed.highest_gy, options))
    if not curves:
        raise InputError(
            f"None of {', '.join(unknown)} is known from at least {options.least_patients} of "
            f"{len(library)} earlier patients; add patients, or name structures as they do."
        )
    return Expectation(curves=tuple(curves), unknown=tuple(unknown))


def _curve(
    seen: Surroundings,
    earlier: Sequence[tuple[str, Treated]],
    highest_gy: float,
    options: ExpectationOptions,
) -> ExpectedCurve:
    names = [name for name, _ in earlier]
    known = _Known([one for _, one in earlier], options.neighbours)
    everyone = list(range(len(earlier)))
    first, distance, givers = known.ask(seen, everyone)
    checks = [
        known.ask(one, [n for n in everyone if n != number])
        for number, (_, one) in enumerate(earlier)
    ]
    residuals = np.stack(
        [one.curve - check[0] for (_, one), check in zip(earlier, checks, strict=True)]
    )
    low, high, held = _ranks(len(earlier), options.interval_percent)
    bands = [np.median(residuals, axis=0), *np.sort(residuals, axis=0)[[low, high]]]
    # Doses below zero do not exist, and a curve never rises with the volume.
    dose, least, most = (
        highest_gy * np.maximum.accumulate(np.maximum(first + b, 0)) for b in bands
    )
    missed = np.sort(np.array([_mean(r) for r in residuals]))
    centre = _mean(dose)
    shift = highest_gy * (missed - np.median(missed))
    counted = Counter(np.asarray(names)[givers].tolist())
    return ExpectedCurve(
        structure=seen.name,
        volume_ml=seen.volume_ml,
        is_target=seen.level is not None,
        volume_percent=np.asarray(VOLUMES_PERCENT),
        dose_gy=dose,
        low_gy=least,
        high_gy=most,
        mean=Expected(
            dose_gy=centre,
            low_gy=max(0.0, centre + float(shift[low])),
            high_gy=centre + float(shift[high]),
        ),
        patients=len(earlier),
        interval_percent=held,
        alike=tuple((n, 100 * c / givers.size) for n, c in counted.most_common()),
        is_unlike=bool(distance > max(check[1] for check in checks)),
    )


class _Known:
    """The voxels of one structure in earlier patients, to find the most alike."""

    def __init__(self, earlier: Sequence[Treated], neighbours: int) -> None:
        self._neighbours = neighbours
        spread = np.concatenate([one.around for one in earlier]).std(axis=0, dtype=np.float64)
        # A width that is the same everywhere tells nothing apart.
        self._scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        self._places = [one.around * self._scale for one in earlier]
        self._doses = [one.dose for one in earlier]

    def ask(
        self, seen: Surroundings, allowed: Sequence[int]
    ) -> tuple[NDArray[np.float32], float, NDArray[np.int64]]:
        """Return the curve of mean doses, the mean distance, and who gave each alike voxel."""
        owners = np.concatenate([np.full(len(self._doses[n]), n) for n in allowed])
        doses = np.concatenate([self._doses[n] for n in allowed])
        tree = KDTree(np.concatenate([self._places[n] for n in allowed]))
        count = min(self._neighbours, len(doses))
        apart, found = tree.query(seen.around * self._scale, k=np.arange(1, count + 1))
        givers: NDArray[np.int64] = owners[found].reshape(-1)
        return curve_of(doses[found].mean(axis=1)), float(apart.mean()), givers


def _ranks(count: int, percent: float) -> tuple[int, int, float]:
    """Return which residuals, in order, bound the interval, and what part it holds [%].

    Of count + 1 values that may come in any order, the last lies between the r-th smallest and the
    r-th largest of the others with a probability of (count + 1 - 2 r) / (count + 1).
    """
    rank = max(1, int((count + 1) * (100 - percent) / 200 + 1e-9))
    return rank - 1, count - rank, 100 * (count + 1 - 2 * rank) / (count + 1)


def _mean(curve: NDArray[Any]) -> float:
    """Return the mean dose of a structure from its curve."""
    return float(np.trapezoid(curve, -np.asarray(VOLUMES_PERCENT))) / 100
