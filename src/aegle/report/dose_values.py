"""Doses read from a plan's dose-volume curves, in the nominal case and over its scenarios."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.plan import DoseVolumeCurve, Metric, Plan


@dataclass(frozen=True, eq=False)
class Band:
    """Least and greatest volume at each dose over scenarios."""

    dose_gy: NDArray[np.float64]
    low_percent: NDArray[np.float64]
    high_percent: NDArray[np.float64]


def dose_at_volume(curve: DoseVolumeCurve, percent: float) -> float:
    """Return the highest dose that at least a part of a structure receives [Gy].

    The curve is taken as straight between its doses.

    Args:
        curve: Cumulative curve, falling with dose.
        percent: The part [%].
    """
    enough = np.flatnonzero(curve.volume_percent >= percent)
    if enough.size == 0:
        return math.nan
    last = int(enough[-1])
    if last + 1 == curve.dose_gy.size:
        return float(curve.dose_gy[last])
    over, under = curve.volume_percent[last : last + 2]
    low_gy, high_gy = curve.dose_gy[last : last + 2]
    return float(low_gy + (high_gy - low_gy) * (over - percent) / (over - under))


def volume_at_dose(curve: DoseVolumeCurve, dose_gy: float) -> float:
    """Return the part of a structure that receives at least a dose [%]."""
    return float(np.interp(dose_gy, curve.dose_gy, curve.volume_percent, right=0.0))


def nominal_dose_gy(plan: Plan, curve: DoseVolumeCurve, percent: float) -> float:
    """Return D_v from all voxels if a goal asked for it, else from the curve [Gy]."""
    exact = (
        result.value
        for result in plan.goals
        if result.goal.structure == curve.structure
        and result.goal.metric is Metric.DOSE_AT_VOLUME
        and result.goal.at == percent
    )
    return next(exact, dose_at_volume(curve, percent))


def in_scenarios(plan: Plan, structure: str) -> tuple[DoseVolumeCurve, ...]:
    """Return the curves of a structure in every scenario; none if the plan bears no errors."""
    return tuple(
        curve for case in plan.scenarios for curve in case.curves if curve.structure == structure
    )


def band(plan: Plan, structure: str) -> Band | None:
    """Return how far a structure's curve moves over the scenarios; none if there are none."""
    curves = in_scenarios(plan, structure)
    if not curves:
        return None
    longest = max(curves, key=lambda curve: curve.dose_gy[-1])
    volumes = [
        np.interp(longest.dose_gy, curve.dose_gy, curve.volume_percent, right=0.0)
        for curve in curves
    ]
    return Band(longest.dose_gy, np.min(volumes, axis=0), np.max(volumes, axis=0))
