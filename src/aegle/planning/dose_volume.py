"""Dose-volume metrics of a delineated structure.

Definitions follow ICRU Report 83 (2010): D_v is the absorbed dose that at least v % of the
structure receives, V_d the part that receives at least d. Voxels count whole; partial volumes
are not weighted.
"""

import math
from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch.nn import functional

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import DoseVolumeCurve, Goal, GoalResult, Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.equivalent_dose import generalised_eud

MAXIMUM_DOSE_VOLUME_ML = 0.03
"""The highest dose counts where at least this volume receives it."""
RELATIVE_ROUNDING = 1e-6
"""Doses are kept with 24 significant bits; a goal met to this precision is met."""
PARTS_HELP = "Parts of a voxel along each side; the dose is linear between voxel centres"


@dataclass(frozen=True, kw_only=True)
class DoseAtVolumeOptions:
    """Options of D_v."""

    volume_percent: Annotated[
        float, option("Part of the structure that receives at least D_v", unit="%", gt=0, lt=100)
    ] = 95.0
    parts: Annotated[int, option(PARTS_HELP, ge=1, le=5)] = 1


@dataclass(frozen=True, kw_only=True)
class VolumeAtDoseOptions:
    """Options of V_d."""

    dose_gy: Annotated[float, option("Dose that counts", unit="Gy", ge=0)] = 20.0
    parts: Annotated[int, option(PARTS_HELP, ge=1, le=5)] = 1


@dataclass(frozen=True, kw_only=True)
class CurveOptions:
    """Options of a dose-volume curve."""

    step_gy: Annotated[float, option("Distance between the doses", unit="Gy", gt=0)] = 0.1
    parts: Annotated[int, option(PARTS_HELP, ge=1, le=5)] = 1


def dose_at_volume(dose: Volume, structure: Structure, *, options: DoseAtVolumeOptions) -> float:
    """Return D_v, the dose that at least ``volume_percent`` of a structure receives.

    Args:
        dose: Absorbed dose [Gy], shape (slice, row, column).
        structure: Mask on the same grid as the dose.
        options: The volume v [%], and into how many parts voxels are divided.

    Returns:
        D_v [Gy]. Voxels count whole; partial volumes are not weighted.

    Raises:
        QuantityError: ``dose`` is not an absorbed dose.
        GeometryError: Dose and structure lie on different grids.
        InputError: The structure is empty.
    """
    inside = doses_inside(dose, structure, parts=options.parts)
    # Interpolating between voxels would promise a dose that fewer than v % receive.
    covered = math.ceil(round(inside.size * options.volume_percent / 100, 9))
    return _highest(inside, max(covered, 1))


def volume_at_dose(dose: Volume, structure: Structure, *, options: VolumeAtDoseOptions) -> float:
    """Return V_d, the part of a structure that receives at least ``dose_gy`` [%].

    Raises:
        QuantityError, GeometryError, InputError: As for :func:`dose_at_volume`.
    """
    inside = doses_inside(dose, structure, parts=options.parts)
    return 100.0 * int(np.count_nonzero(inside >= options.dose_gy)) / inside.size


def mean_dose(dose: Volume, structure: Structure, *, parts: int = 1) -> float:
    """Return the mean dose of a structure [Gy].

    Raises:
        QuantityError, GeometryError, InputError: As for :func:`dose_at_volume`.
    """
    return float(doses_inside(dose, structure, parts=parts).mean(dtype=np.float64))


def maximum_dose(dose: Volume, structure: Structure, *, parts: int = 1) -> float:
    """Return D_0.03cm3, the highest dose that at least 0.03 cm³ of a structure receives [Gy].

    Of a smaller structure, the dose that all of it receives.

    Raises:
        QuantityError, GeometryError, InputError: As for :func:`dose_at_volume`.
    """
    inside = doses_inside(dose, structure, parts=parts)
    covered = math.ceil(round(MAXIMUM_DOSE_VOLUME_ML * parts**3 / dose.grid.voxel_volume_ml, 9))
    return _highest(inside, min(covered, inside.size))


def curve(dose: Volume, structure: Structure, *, options: CurveOptions) -> DoseVolumeCurve:
    """Return the cumulative dose-volume curve, exact at each of its doses.

    The curve starts at 0 Gy and ends at the first dose that no voxel reaches.

    Raises:
        QuantityError, GeometryError, InputError: As for :func:`dose_at_volume`.
    """
    inside = np.sort(doses_inside(dose, structure, parts=options.parts)).astype(np.float64)
    steps = int(inside[-1] / options.step_gy) + 2
    doses_gy = options.step_gy * np.arange(steps, dtype=np.float64)
    reached = inside.size - np.searchsorted(inside, doses_gy, side="left")
    return DoseVolumeCurve(
        structure=structure.name,
        dose_gy=doses_gy,
        volume_percent=100.0 * reached / inside.size,
        volume_ml=structure.volume_ml,
        mean_gy=float(inside.mean()),
    )


def evaluate(
    goals: Iterable[Goal], dose: Volume, structures: StructureSet
) -> tuple[GoalResult, ...]:
    """Judge every goal, in order.

    Raises:
        InputError: A goal names a structure that is missing or empty.
        QuantityError, GeometryError: As for :func:`dose_at_volume`.
    """
    results = []
    for goal in goals:
        value = measure(goal, dose, structures[goal.structure])
        results.append(GoalResult(goal=goal, value=value, is_met=_is_met(goal, value)))
    return tuple(results)


def measure(goal: Goal, dose: Volume, structure: Structure) -> float:
    """Return the value that a goal limits [Gy, or % for V_d]."""
    if goal.metric is Metric.MEAN_DOSE:
        return mean_dose(dose, structure)
    if goal.metric is Metric.MAXIMUM_DOSE:
        return maximum_dose(dose, structure)
    assert goal.at is not None
    if goal.metric is Metric.EQUIVALENT_UNIFORM_DOSE:
        inside = torch.from_numpy(doses_inside(dose, structure).astype(np.float64))
        return float(generalised_eud(inside, goal.at))
    if goal.metric is Metric.VOLUME_AT_DOSE:
        return volume_at_dose(dose, structure, options=VolumeAtDoseOptions(dose_gy=goal.at))
    return dose_at_volume(dose, structure, options=DoseAtVolumeOptions(volume_percent=goal.at))


def doses_inside(dose: Volume, structure: Structure, *, parts: int = 1) -> NDArray[np.float32]:
    """Return the doses of a structure's voxels [Gy].

    Args:
        dose: Absorbed dose [Gy], shape (slice, row, column).
        structure: Mask on the same grid as the dose.
        parts: Into how many parts each voxel is divided along each side. Above 1 the dose is
            linear between voxel centres, and even beyond the outermost ones.

    Returns:
        Shape (voxel * parts³,), slice after slice.

    Raises:
        QuantityError: ``dose`` is not an absorbed dose.
        GeometryError: Dose and structure lie on different grids.
        InputError: The structure is empty.
    """
    dose.require(Quantity.ABSORBED_DOSE)
    if not structure.grid.is_same_as(dose.grid):
        raise GeometryError(
            f"'{structure.name}' and the dose lie on different grids; resample the mask first."
        )
    if structure.is_empty:
        raise InputError(f"'{structure.name}' is empty, so it has no dose.")
    if parts == 1:
        inside: NDArray[np.float32] = dose.values[structure.window][structure.box]
        return inside
    return np.concatenate([_divided(dose, structure, n, parts) for n in range(len(structure.box))])


def _divided(dose: Volume, structure: Structure, number: int, parts: int) -> NDArray[np.float32]:
    """Return the doses of all parts of the voxels in one slice of a structure's box."""
    (first, _, _), (_, rows, columns) = structure.start, structure.window
    near = [
        np.clip(np.arange(span.start - 1, span.stop + 1), 0, size - 1)
        for span, size in zip(
            (slice(first + number, first + number + 1), rows, columns),
            dose.grid.shape,
            strict=True,
        )
    ]
    around = torch.from_numpy(dose.values[np.ix_(*near)])
    fine = functional.interpolate(
        around[None, None], scale_factor=[float(parts)] * 3, mode="trilinear", align_corners=False
    )[0, 0]
    inner = fine[parts:-parts, parts:-parts, parts:-parts]
    mask = structure.box[number].repeat(parts, axis=0).repeat(parts, axis=1)
    found: NDArray[np.float32] = inner.numpy()[:, mask].reshape(-1)
    return found


def _highest(doses_gy: NDArray[np.float32], covered: int) -> float:
    """Return the highest dose that at least ``covered`` voxels receive."""
    return float(np.partition(doses_gy, -covered)[-covered])


def _is_met(goal: Goal, value: float) -> bool:
    if goal.at_least is not None:
        return value >= goal.at_least * (1 - RELATIVE_ROUNDING)
    assert goal.at_most is not None
    return value <= goal.at_most * (1 + RELATIVE_ROUNDING)
