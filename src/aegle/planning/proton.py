"""Proton dose by pencil beams, one per spot and energy.

    D = Z(d) · [(1 - w) N(r; σ₁² + σ₀²) + w N(r; σ₂² + σ₀²)]    or    Z(d) · N(r; σ² + σ₀²)

with d the water-equivalent depth of the voxel along its own ray, r its distance from the axis
of the spot, Z the dose of one energy integrated over the plane, N the normal distribution in
two dimensions, σ, σ₁ and σ₂ the widths that water adds and σ₀ that of the beam in air and behind
the range shifter.

Method: Hong L, Goitein M, Bucciolini M, et al. Phys Med Biol 1996;41:1305-1330,
doi:10.1088/0031-9155/41/8/005, with a second Gaussian for what nuclear reactions send far
(Pedroni E, Scheib S, Böhringer T, et al. Phys Med Biol 2005;50:541-561,
doi:10.1088/0031-9155/50/3/011).

Heterogeneity changes the depth of a voxel; widths are those of water at that depth.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import ProtonBeam
from aegle.options import option
from aegle.planning.beams import frame
from aegle.planning.influence import StoredDose
from aegle.planning.pencil_beam import Medium
from aegle.planning.proton_machine import GY_PER_TABULATED, DepthTable, ProtonMachine
from aegle.planning.range_shifter import added_width_mm
from aegle.planning.ray_trace import Window, trace
from aegle.planning.reach import reached

AIR_STOPPING_POWER = 0.0011
"""Of air relative to water, as matRad's tables take it."""
DIVERGENCE_ALLOWANCE = 1.1
"""Distances on the isocentre plane are at most so much larger than at the voxel."""
BISECTIONS = 40

Floats = NDArray[np.float64]


@validated(frozen=True, kw_only=True)
class ProtonOptions:
    """How proton dose is calculated."""

    lateral_share: Annotated[
        float,
        option(
            "Part of the dose in a plane that is kept around a spot; the rest is put back by a "
            "factor",
            ge=0.9,
            le=0.9999,
        ),
    ] = 0.995
    halo: Annotated[
        bool,
        option(
            "Two Gaussians, the second for what nuclear reactions send far; about five times "
            "the time and memory of one"
        ),
    ] = False
    rbe: Annotated[
        float,
        option(
            "Relative biological effectiveness, a constant factor on the dose",
            source="ICRU Report 78: 1.1",
            ge=1,
            le=2,
        ),
    ] = 1.1


@dataclass(frozen=True, eq=False)
class _Field:
    """The voxels that a beam reaches, as its spots see them, by ascending depth."""

    points: Tensor
    crossings: Tensor
    """u and v of each voxel's ray on the isocentre plane, shape (point, 2) [mm]."""
    scale: Tensor
    """Distance from the source over the distance of the axis, shape (point,)."""
    depth_mm: Tensor
    """Water crossed, range shifter and air included, shape (point,)."""
    surface_mm: Tensor
    """Distance from the source at which each voxel's ray reaches the body, (point,)."""
    sad_mm: float


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Voxels near each ray, ray after ray, by ascending depth."""

    voxel: Tensor
    squared_mm2: Tensor
    """Squared distance of the voxel from the ray."""
    ends: list[int]

    def stretch(self, ray: int, last: int) -> slice:
        """Return where the pairs of a ray with the first ``last`` voxels are."""
        first, end = self.ends[ray], self.ends[ray + 1]
        return slice(first, first + int(torch.searchsorted(self.voxel[first:end], last)))


@dataclass(frozen=True, eq=False)
class _Layer:
    """One energy: its table and its spots."""

    table: DepthTable
    added_mm2: Floats
    """Squares of the widths that water adds, shape (Gaussian, depth)."""
    shares: Floats
    """Part of the dose that each Gaussian holds, shape (Gaussian, depth)."""
    widths_mm2: Floats
    """Squared width in air and of the range shifter at the machine's air distances."""
    spots: NDArray[np.int64]

    def reach_mm2(self, width_mm2: float, share: float) -> Floats:
        """Return the squared radius that holds a share of the dose in the plane.

        Args:
            width_mm2: Squared width of the beam where it enters the body.
            share: Of the dose, below 1.

        Returns:
            At the table's depths, by bisection.
        """
        squared = self.added_mm2 + width_mm2
        low, high = np.zeros_like(squared[0]), -2 * np.log1p(-share) * squared.max(axis=0)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            outside = (self.shares * np.exp(-middle / (2 * squared))).sum(axis=0)
            too_near = outside > 1 - share
            low, high = np.where(too_near, middle, low), np.where(too_near, high, middle)
        return np.asarray(high)


def proton_dose(
    patient: Medium, beam: ProtonBeam, machine: ProtonMachine, *, options: ProtonOptions
) -> StoredDose:
    """Return the map from a beam's weights [10⁶ protons] to RBE-weighted dose [Gy].

    Raises:
        OptionError: The machine lacks an energy of the beam.
        InputError: The beam has no spots, or its range shifter stops the protons.
        GeometryError: The beam misses the body.
    """
    return _stored(patient, beam, machine, options, with_let=False)


def proton_let_dose(
    patient: Medium, beam: ProtonBeam, machine: ProtonMachine, *, options: ProtonOptions
) -> StoredDose:
    """Return the map from weights to dose, without RBE, times LET [Gy keV/µm].

    Divided by the dose without RBE it gives the dose-averaged LET.

    Raises:
        OptionError: The machine lacks an energy of the beam.
        InputError: The beam has no spots, or its range shifter stops the protons.
        GeometryError: The beam misses the body.
    """
    return _stored(patient, beam, machine, options, with_let=True)


def _stored(
    patient: Medium,
    beam: ProtonBeam,
    machine: ProtonMachine,
    options: ProtonOptions,
    *,
    with_let: bool,
) -> StoredDose:
    if not beam.weights.size:
        raise InputError(f"The beam at gantry {beam.gantry_deg:g}° has no spots; place some.")
    layers = _layers(beam, machine, halo=options.halo)
    share = options.lateral_share
    widest = [layer.reach_mm2(layer.widths_mm2.max(), share).max() for layer in layers]
    field = _field(patient, beam, machine, float(np.sqrt(max(widest))) * DIVERGENCE_ALLOWANCE)
    factor = GY_PER_TABULATED / share * (1.0 if with_let else options.rbe)
    lookups = [_lookup(field, layer, machine, share) for layer in layers]
    reach_mm = max(float(lookup.reach_mm2.max()) for lookup in lookups) ** 0.5
    places, rays = np.unique(beam.positions_mm, axis=0, return_inverse=True)
    pairs = _pairs(field, places, reach_mm)
    parts = []
    for layer, lookup in zip(layers, lookups, strict=True):
        heights = lookup.let_kev_per_um[:, None] * factor if with_let else factor
        parts.append(_entries(pairs, rays[layer.spots], lookup.scaled(heights)))
    values, columns, counts = (torch.cat(list(part)) for part in zip(*parts, strict=True))
    order = np.concatenate([layer.spots for layer in layers])
    return _in_order(StoredDose(field.points, values, columns, _ends(counts)), order)


def _layers(beam: ProtonBeam, machine: ProtonMachine, *, halo: bool) -> tuple[_Layer, ...]:
    energies, members = np.unique(beam.energies_mev, return_inverse=True)
    layers = []
    for number, energy in enumerate(energies.tolist()):
        place = machine.number_of(energy)
        table, widths = machine.tables[place], machine.air_widths_mm[place]
        added = [
            added_width_mm(energy, beam.range_shifter_mm, float(gap))
            for gap in machine.air_distances_mm - (machine.sad_mm - machine.nozzle_to_axis_mm)
        ]
        widths_mm2 = widths**2 + np.square(added)
        added_mm2, shares = _gaussians(table, halo=halo)
        spots = np.flatnonzero(members == number)
        layers.append(_Layer(table, added_mm2, shares, widths_mm2, spots))
    return tuple(layers)


def _gaussians(table: DepthTable, *, halo: bool) -> tuple[Floats, Floats]:
    """Return squared widths and shares of the Gaussians, each shape (Gaussian, depth)."""
    if not halo:
        return table.single_mm[None] ** 2, np.ones_like(table.single_mm)[None]
    widths_mm = np.stack([table.narrow_mm, table.broad_mm])
    return widths_mm**2, np.stack([1 - table.broad_share, table.broad_share])


def _field(patient: Medium, beam: ProtonBeam, machine: ProtonMachine, margin_mm: float) -> _Field:
    aimed = frame(beam, machine.sad_mm)
    (low_u, low_v) = (beam.positions_mm.min(axis=0) - margin_mm).tolist()
    (high_u, high_v) = (beam.positions_mm.max(axis=0) + margin_mm).tolist()
    field_mm = ((low_u, low_v), (high_u, high_v))
    points, seen = reached(
        patient.grid.coarse, patient.voxels, aimed, field_mm, patient.displaced_mm
    )
    if not len(points):
        raise GeometryError(f"The beam at gantry {beam.gantry_deg:g}° misses the body.")
    like = patient.density.values
    local = torch.from_numpy(seen).to(like)
    rays = trace(patient.density, aimed, Window.around(seen))
    surface_mm = rays.surface_at(local[:, :2])
    in_air_mm = surface_mm - (machine.sad_mm - machine.nozzle_to_axis_mm)
    air_mm = AIR_STOPPING_POWER * (in_air_mm - machine.tabulated_air_mm)
    depth_mm, order = (rays.depth_at(local) + air_mm + beam.range_shifter_mm).sort()
    return _Field(
        points=torch.from_numpy(points).to(like.device)[order],
        crossings=local[order, :2].contiguous(),
        scale=(1 - local[:, 2] / machine.sad_mm)[order],
        depth_mm=depth_mm.clamp(min=0),
        surface_mm=surface_mm[order],
        sad_mm=machine.sad_mm,
    )


def _pairs(field: _Field, places_mm: Floats, reach_mm: float) -> _Pairs:
    """Find the voxels within reach of each ray.

    Args:
        field: The voxels.
        places_mm: Where rays cross the isocentre plane, shape (ray, 2).
        reach_mm: Greatest distance from the ray.
    """
    u, v = field.crossings.T.contiguous()
    scale2 = field.scale.square()
    near2 = (reach_mm / field.scale).square()
    voxels, squares, ends = [], [], [0]
    for a, b in places_mm.tolist():
        close = torch.nonzero((u - a).square() + (v - b).square() <= near2).squeeze(1)
        p, q = u[close], v[close]
        # The distance from a ray that is not parallel to the axis, exactly.
        turned = (p * b - q * a) / field.sad_mm
        away2 = (p - a).square() + (q - b).square() + turned.square()
        voxels.append(close)
        squares.append(scale2[close] * away2 / (1 + (a * a + b * b) / field.sad_mm**2))
        ends.append(ends[-1] + len(close))
    return _Pairs(torch.cat(voxels), torch.cat(squares), ends)


@dataclass(frozen=True, eq=False)
class _Lookup:
    """What one energy gives at each voxel as a function of the distance from the spot."""

    gaussians: Tensor
    """Heights, then -1 / (2σ²), of the Gaussians, shape (point, 2 Gaussians)."""
    reach_mm2: Tensor
    """Squared distance beyond which dose is dropped, shape (point,)."""
    let_kev_per_um: Tensor
    last: int
    """How many voxels, the shallowest first, lie within the range."""

    def scaled(self, factor: Tensor | float) -> "_Lookup":
        """Return the same with other heights."""
        heights, rates = self.gaussians.chunk(2, dim=1)
        gaussians = torch.cat([heights * factor, rates], dim=1)
        return _Lookup(gaussians, self.reach_mm2, self.let_kev_per_um, self.last)


def _lookup(field: _Field, layer: _Layer, machine: ProtonMachine, share: float) -> _Lookup:
    table, count = layer.table, len(layer.shares)
    depths = field.depth_mm[field.depth_mm <= table.depths_mm[-1]]
    surface_mm = field.surface_mm[: len(depths)]
    (air,) = _interpolated(machine.air_distances_mm, layer.widths_mm2[None], surface_mm)
    reach_mm2 = layer.reach_mm2(float(air.amax()), share)
    columns = [table.dose, table.let_kev_per_um, reach_mm2, *layer.shares, *layer.added_mm2**0.5]
    found = _interpolated(table.depths_mm, np.stack(columns), depths)
    (dose, let, reach), shares, added_mm = found[:3], found[3 : 3 + count], found[3 + count :]
    rates = -0.5 / (added_mm.square() + air)
    heights = -dose * shares * rates / torch.pi
    gaussians = torch.cat([heights, rates]).T.contiguous()
    return _Lookup(gaussians, reach, let, last=len(depths))


def _interpolated(places: Floats, columns: Floats, wanted: Tensor) -> Tensor:
    """Return columns, shape (column, place), linear at wanted places, (column, point)."""
    x = torch.from_numpy(places).to(wanted)
    y = torch.from_numpy(np.ascontiguousarray(columns.T)).to(wanted)
    below = (torch.searchsorted(x, wanted) - 1).clamp(0, len(x) - 2)
    share = ((wanted - x[below]) / (x[below + 1] - x[below])).clamp(0, 1)[:, None]
    return torch.lerp(y[below], y[below + 1], share).T


def _entries(
    pairs: _Pairs, rays: NDArray[np.int64], lookup: _Lookup
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the values of one energy's spots, their voxels, and how many each spot has."""
    stretches = [pairs.stretch(ray, lookup.last) for ray in rays.tolist()]
    voxel = torch.cat([pairs.voxel[s] for s in stretches])
    squared = torch.cat([pairs.squared_mm2[s] for s in stretches])
    kept = torch.nonzero(squared <= lookup.reach_mm2[voxel]).squeeze(1)
    voxel, squared = voxel[kept], squared[kept]
    heights, rates = lookup.gaussians[voxel].chunk(2, dim=1)
    values = (heights * torch.exp(rates * squared[:, None])).sum(1)
    limits = torch.tensor(np.cumsum([s.stop - s.start for s in stretches]), device=kept.device)
    upto = torch.searchsorted(kept, limits)
    return values, voxel.to(torch.int32), upto.diff(prepend=upto.new_zeros(1))


def _ends(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _in_order(stored: StoredDose, order: NDArray[np.int64]) -> StoredDose:
    """Bring beamlets, of which ``order`` says which spots they are, into the spots' order."""
    if np.array_equal(order, np.arange(order.size)):
        return stored
    rows = torch.from_numpy(np.argsort(order)).to(stored.ends.device)
    starts, counts = stored.ends[:-1][rows], stored.ends.diff()[rows]
    ends = _ends(counts)
    moves = (starts - ends[:-1]).repeat_interleave(counts)
    entries = torch.arange(len(moves), device=moves.device) + moves
    return StoredDose(stored.points, stored.values[entries], stored.columns[entries], ends)
