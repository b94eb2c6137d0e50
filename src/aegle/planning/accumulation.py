"""Doses of several days added up on one anatomy.

Energy and mass transfer carries the energy that was deposited in each piece of tissue, and its
mass, to where that piece lies on the reference CT; dose there is energy over mass. It is worked
out from the reference side: a voxel is cut into parts, each part is followed to the voxel of the
day's CT in which it lies, and the volume that it takes there is the Jacobian determinant of the
alignment. Summed over all parts this is the sum over the day's CT, so that energy is neither made
nor lost where the alignment keeps mass.

Direct mapping reads the day's dose where each voxel's middle lies. It is what most systems do; it
conserves nothing, and says so.

Sources: Siebers JV, Zhong H. An energy transfer method for 4D Monte Carlo dose calculation. Med
Phys 2008;35:4096-4105, doi:10.1118/1.2968215; Heath E, Seuntjens J. A direct voxel tracking method
for four-dimensional Monte Carlo dose calculations in deforming anatomy. Med Phys 2006;33:434-445,
doi:10.1118/1.2163252.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.ndimage import map_coordinates

from aegle.domain.adaptation import AccumulatedDose
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.registration import Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.density import relative_density

Floats = NDArray[np.float64]

KG_PER_ML = 1e-3
"""Of water; tissue has its density relative to water."""
VOXELS_AT_ONCE = 400_000


@validated(frozen=True, kw_only=True)
class AccumulationOptions:
    """How doses of several days are added up."""

    mapping: Annotated[
        Literal["energy-mass", "direct"],
        option(
            "energy-mass carries energy and mass and conserves both; direct reads the dose at the "
            "middle of each voxel and conserves nothing",
            source="Siebers and Zhong 2008, doi:10.1118/1.2968215",
        ),
    ] = "energy-mass"
    parts: Annotated[
        int, option("Parts of a voxel along each side that are followed by themselves", ge=1, le=5)
    ] = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Delivery:
    """What was given while the patient looked as one CT shows them."""

    dose: Volume
    """Of these fractions together [Gy], on the grid of ``ct``."""
    ct: Volume
    """Of the day [HU]."""
    alignment: Registration | None
    """Of the CT of the day (moving) to the reference CT (fixed); None: it is the reference CT."""


def accumulate(
    deliveries: Sequence[Delivery], reference: Volume, *, options: AccumulationOptions
) -> AccumulatedDose:
    """Add up doses of several days on the anatomy of a reference CT.

    Args:
        deliveries: Doses, each on its own CT.
        reference: The CT on which the sum is wanted [HU].
        options: How dose is carried.

    Raises:
        QuantityError: A CT does not hold HU or a dose not Gy.
        GeometryError: A dose lies on another grid than its CT.
        InputError: There is nothing to add, or an alignment failed.
    """
    reference.require(Quantity.RADIODENSITY)
    if not deliveries:
        raise InputError("There is no dose to add up; give at least one.")
    total = np.zeros(reference.grid.shape)
    given_j = 0.0
    notices = []
    for number, one in enumerate(deliveries, 1):
        _require_fit(one, reference, number)
        given_j += deposited_j(one.dose, one.ct)
        total += _carried(one, reference.grid, options)
        if one.alignment is not None and one.alignment.verdict is Verdict.DOUBTFUL:
            notices.append(
                Text(
                    "The alignment of dose {number} is doubtful ({reason}); the sum is no better.",
                    {"number": number, "reason": str(one.alignment.reason)},
                )
            )
    conserves = options.mapping == "energy-mass"
    if not conserves:
        notices.append(Text("Doses were mapped directly, which conserves neither energy nor mass."))
    dose = Volume(
        values=total.astype(np.float32), grid=reference.grid, quantity=Quantity.ABSORBED_DOSE
    )
    return AccumulatedDose(
        dose=dose,
        given_j=given_j,
        arrived_j=deposited_j(dose, reference),
        conserves_energy=conserves,
        notices=tuple(notices),
    )


def deposited_j(dose: Volume, ct: Volume) -> float:
    """Return the energy that a dose deposits in what a CT shows [J].

    Mass is the density relative to water of :mod:`aegle.planning.density` times the voxel volume.

    Args:
        dose: [Gy], on the grid of ``ct``.
        ct: [HU].
    """
    mass_kg = relative_density(ct.values) * np.float64(ct.grid.voxel_volume_ml * KG_PER_ML)
    return float(np.sum(dose.values * mass_kg, dtype=np.float64))


def _require_fit(one: Delivery, reference: Volume, number: int) -> None:
    one.dose.require(Quantity.ABSORBED_DOSE)
    one.ct.require(Quantity.RADIODENSITY)
    if not one.dose.grid.is_same_as(one.ct.grid):
        raise GeometryError(
            f"Dose {number} and its CT lie on different grids; resample the dose first."
        )
    if one.alignment is None and not one.ct.grid.is_same_as(reference.grid):
        raise InputError(
            f"Dose {number} was given on another CT than the reference; align both first."
        )
    if one.alignment is not None and one.alignment.verdict is Verdict.FAILED:
        raise InputError(
            f"The alignment of dose {number} failed ({one.alignment.reason}); its dose cannot be "
            "added. Leave it out, or align the CTs by other means."
        )


def _carried(one: Delivery, grid: Grid, options: AccumulationOptions) -> Floats:
    if one.alignment is None:
        return one.dose.values.astype(np.float64)
    if options.mapping == "direct":
        return _direct(one, one.alignment, grid)
    return _energy_over_mass(one, one.alignment, grid, options.parts)


def _direct(one: Delivery, alignment: Registration, grid: Grid) -> Floats:
    result = np.zeros(grid.shape)
    for start, end in _slabs(grid.shape[0], grid.shape[1] * grid.shape[2]):
        points_mm = grid.to_patient(_indices(start, end, grid, 1, rim=0))
        result[start:end] = _read(one.dose, alignment.to_moving(points_mm), order=1)
    return result


def _energy_over_mass(one: Delivery, alignment: Registration, grid: Grid, parts: int) -> Floats:
    """Return the energy that reaches each voxel over the mass that does; 0 where none does."""
    density = Volume(
        values=relative_density(one.ct.values), grid=one.ct.grid, quantity=Quantity.SIGNAL
    )
    result = np.zeros(grid.shape)
    for start, end in _slabs(grid.shape[0], grid.shape[1] * grid.shape[2] * parts**3):
        found_mm = alignment.to_moving(grid.to_patient(_indices(start, end, grid, parts, rim=1)))
        volume = _volumes(found_mm)
        mass = _read(density, found_mm, order=0) * volume
        energy = _read(one.dose, found_mm, order=0) * mass
        joined = (end - start, parts, grid.shape[1], parts, grid.shape[2], parts)
        inside = tuple(slice(1, -1) for _ in range(3))
        energy, mass = (x[inside].reshape(joined).sum(axis=(1, 3, 5)) for x in (energy, mass))
        np.divide(energy, mass, out=result[start:end], where=mass > 0)
    return result


def _slabs(slices: int, points_per_slice: int) -> Iterator[tuple[int, int]]:
    depth = max(1, VOXELS_AT_ONCE // points_per_slice)
    for start in range(0, slices, depth):
        yield start, min(slices, start + depth)


def _indices(start: int, end: int, grid: Grid, parts: int, *, rim: int) -> Floats:
    """Return where the middles of parts of voxels lie, with a rim of further parts around."""
    spans = ((start, end), (0, grid.shape[1]), (0, grid.shape[2]))
    axes = [
        (np.arange(-rim, (last - first) * parts + rim) + 0.5) / parts - 0.5 + first
        for first, last in spans
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _volumes(points_mm: Floats) -> Floats:
    """Return the volume that each part takes where it was followed to, up to a common factor."""
    along = [np.gradient(points_mm, axis=axis) for axis in range(3)]
    volumes: Floats = np.abs(np.linalg.det(np.stack(along, axis=-2)))
    return volumes


def _read(volume: Volume, points_mm: Floats, *, order: int) -> Floats:
    """Return values at places, of the voxel (order 0) or linear (1); 0 outside the image."""
    indices = np.moveaxis(volume.grid.to_indices(points_mm), -1, 0)
    outside = np.zeros(indices.shape[1:], np.bool_)
    for index, count in zip(indices, volume.grid.shape, strict=True):
        outside |= (index < -0.5) | (index > count - 0.5)
    found: Floats = map_coordinates(
        volume.values, indices, np.float64, order=order, mode="nearest", prefilter=False
    )
    return np.where(outside, 0.0, found)
