"""Where proton spots are placed: on a lattice across the target, in layers through it.

Each ray of the lattice that sees the target, or is next to one that does, gets a spot in every
energy layer whose Bragg peak lies between the depths at which the ray enters and leaves the
target, and a margin around them.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.ndimage import maximum_filter

from aegle.domain.errors import InputError
from aegle.domain.plan import Beam, ProtonBeam
from aegle.domain.structure import Structure
from aegle.options import option
from aegle.planning.beams import frame
from aegle.planning.pencil_beam import Medium
from aegle.planning.proton_machine import ProtonMachine
from aegle.planning.ray_trace import Window, trace
from aegle.planning.reach import reached

Floats = NDArray[np.float64]


@validated(frozen=True, kw_only=True)
class SpotOptions:
    """How densely spots fill the target and how far they reach beyond it."""

    spacing_mm: Annotated[
        float, option("Distance of spots on the isocentre plane", unit="mm", ge=1, le=20)
    ] = 5.0
    margin_spots: Annotated[
        int, option("Spots added around the target's outline for the penumbra", ge=0, le=5)
    ] = 1
    layer_mm: Annotated[
        float, option("Least distance of Bragg peaks in water", unit="mm", ge=0.5, le=20)
    ] = 3.0
    depth_margin_mm: Annotated[
        float, option("Water before and behind the target with peaks", unit="mm", ge=0, le=30)
    ] = 3.0
    range_shifter_mm: Annotated[
        float,
        option("Water-equivalent thickness of the range shifter", unit="mm", ge=0, le=150),
    ] = 0.0


@dataclass(frozen=True, eq=False)
class _Depths:
    """Between which depths each ray of a lattice wants peaks; rays without target want none."""

    first: NDArray[np.int64]
    """Lattice place of the first ray."""
    near_mm: Floats
    far_mm: Floats


def place_spots(
    patient: Medium,
    target: Structure,
    angles_deg: tuple[float, float],
    machine: ProtonMachine,
    *,
    options: SpotOptions,
) -> ProtonBeam:
    """Fill a target with spots of one unit each, isocentre in its centre.

    Args:
        patient: What the protons cross.
        target: On any grid.
        angles_deg: Gantry and couch, IEC 61217.
        machine: Its energies.
        options: Spacing and margins.

    Raises:
        InputError: The target is empty, deeper than the machine reaches, or shallower than its
            least energy and no range shifter is there.
        GeometryError: Part of the body lies behind the source.
    """
    if target.is_empty:
        raise InputError(f"'{target.name}' is empty; delineate the target before planning.")
    gantry_deg, couch_deg = angles_deg
    aim = Beam(
        gantry_deg=gantry_deg,
        couch_deg=couch_deg,
        isocentre_mm=target.centroid_mm,
        beamlet_mm=options.spacing_mm,
        positions_mm=np.zeros((0, 2)),
        weights=np.zeros(0),
    )
    depths = _depths(patient, target, aim, machine, options)
    layers = _layers(depths, target, machine, options)
    positions, energies = [], []
    for number in layers:
        peak_mm = machine.peaks_mm[number]
        wanted = (depths.near_mm <= peak_mm) & (peak_mm <= depths.far_mm)
        places = np.argwhere(wanted) + depths.first
        positions.append(places * options.spacing_mm)
        energies.append(np.full(len(places), machine.energies_mev[number]))
    return ProtonBeam(
        gantry_deg=gantry_deg,
        couch_deg=couch_deg,
        isocentre_mm=aim.isocentre_mm,
        beamlet_mm=options.spacing_mm,
        positions_mm=np.concatenate(positions),
        weights=np.ones(sum(map(len, positions))),
        energies_mev=np.concatenate(energies),
        range_shifter_mm=options.range_shifter_mm,
        sad_mm=machine.sad_mm,
        nozzle_to_axis_mm=machine.nozzle_to_axis_mm,
    )


def _depths(
    patient: Medium,
    target: Structure,
    aim: Beam,
    machine: ProtonMachine,
    options: SpotOptions,
) -> _Depths:
    aimed = frame(aim, machine.sad_mm)
    voxels = np.ravel_multi_index(
        tuple((np.argwhere(target.box) + np.asarray(target.start)).T), target.grid.shape
    )
    everywhere = ((-np.inf, -np.inf), (np.inf, np.inf))
    _, places = reached(target.grid, voxels, aimed, everywhere)
    side_mm = max(patient.grid.coarse.spacing_mm)
    low, high = places[:, :2].min(axis=0) - side_mm, places[:, :2].max(axis=0) + side_mm
    field_mm = ((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
    _, seen = reached(patient.grid.coarse, patient.voxels, aimed, field_mm)
    if not len(seen):
        raise InputError(f"'{target.name}' lies outside the body; check both outlines.")
    rays = trace(patient.density, aimed, Window.around(seen))
    local = torch.from_numpy(places).to(patient.density.values)
    water_mm = rays.depth_at(local).to("cpu", torch.float64).numpy() + options.range_shifter_mm
    cells = np.rint(places[:, :2] / options.spacing_mm).astype(int)
    margin = options.margin_spots
    first = cells.min(axis=0) - margin
    far = np.full(cells.max(axis=0) - first + 1 + margin, -np.inf)
    near = far.copy()
    np.maximum.at(far, tuple((cells - first).T), water_mm + options.depth_margin_mm)
    np.maximum.at(near, tuple((cells - first).T), options.depth_margin_mm - water_mm)
    side = 2 * margin + 1
    return _Depths(first, -maximum_filter(near, side), maximum_filter(far, side))


def _layers(
    depths: _Depths, target: Structure, machine: ProtonMachine, options: SpotOptions
) -> list[int]:
    """Choose energies from the deepest peak upwards, at least ``layer_mm`` apart."""
    peaks_mm = machine.peaks_mm
    margin_mm = options.depth_margin_mm
    shallow_mm, deep_mm = depths.near_mm.min() + margin_mm, depths.far_mm.max() - margin_mm
    if deep_mm > peaks_mm[-1]:
        raise InputError(
            f"'{target.name}' reaches {deep_mm:.0f} mm of water deep, '{machine.name}' only "
            f"{peaks_mm[-1]:.0f} mm; choose another gantry angle."
        )
    if shallow_mm < peaks_mm[0] - margin_mm:
        raise InputError(
            f"'{target.name}' begins {shallow_mm:.0f} mm of water deep, the least energy of "
            f"'{machine.name}' peaks at {peaks_mm[0]:.0f} mm; add a range shifter of at least "
            f"{peaks_mm[0] - shallow_mm:.0f} mm."
        )
    chosen: list[int] = []
    for number in range(len(peaks_mm) - 1, -1, -1):
        is_wanted = shallow_mm - margin_mm <= peaks_mm[number] <= deep_mm + margin_mm
        is_apart = not chosen or peaks_mm[chosen[-1]] - peaks_mm[number] >= options.layer_mm
        if is_wanted and is_apart:
            chosen.append(number)
    return chosen
