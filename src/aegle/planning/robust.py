"""Plans that hold when the patient lies, breathes or attenuates otherwise than the CT says.

A scenario is one such case: the patient is shifted, every density is scaled, or tissue has moved
with breathing. It only changes the coordinates and depths of a beam's voxels, so to the optimiser
scenarios are further voxels of the same map.

Sources: Fredriksson A, Forsgren A, Hårdemark B. Med Phys 2011;38:1672-84, doi:10.1118/1.3556559
(worst case); Unkelbach J, et al. Phys Med Biol 2018;63:22TR02, doi:10.1088/1361-6560/aae659
(review); Rockafellar RT, Uryasev S. J Risk 2000;2:21-41 (conditional value at risk).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from aegle.domain.plan import Beam
from aegle.options import option
from aegle.planning.influence import DoseMap
from aegle.planning.pencil_beam import Medium, Phase

POWER = 8.0
"""Of the power mean that stands for the largest value: smooth, and at least 76 % of it for nine
scenarios."""


@validated(frozen=True, kw_only=True)
class RobustOptions:
    """Which errors and phases a plan has to bear, and how they are weighed."""

    robust: Annotated[
        Literal["nominal", "expected", "worst", "cvar"],
        option(
            "nominal: as the CT says; expected: the mean of the objective over errors and phases "
            "of breathing, these by their time; worst: its largest value; cvar: the mean of its "
            "worst part"
        ),
    ] = "nominal"
    setup_mm: Annotated[
        float, option("Shift of the patient along each axis, both ways", unit="mm", ge=0, le=30)
    ] = 5.0
    range_percent: Annotated[
        float, option("Scaling of all densities, both ways", unit="%", ge=0, le=20)
    ] = 3.0
    tail: Annotated[
        float, option("Part of the scenarios whose mean counts for cvar", gt=0, le=1)
    ] = 0.35


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One error of set-up or range, or one phase of breathing."""

    name: str
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the patient, LPS [mm]."""
    density: float = 1.0
    """Factor on every density."""
    phase: int = 0
    """Of the patient's phases of breathing; 0: the reference."""
    weight: float = 1.0
    """Against other scenarios; that of a phase is its part of the time."""

    def beam(self, planned: Beam) -> Beam:
        """Return a beam as the shifted patient sees it."""
        x, y, z = np.subtract(planned.isocentre_mm, self.shift_mm).tolist()
        return replace(planned, isocentre_mm=(x, y, z))

    def patient(self, planned: Medium) -> Medium:
        """Return the patient in this phase with scaled densities."""
        if self.phase:
            planned = planned.phases[self.phase].medium
        if self.density == 1.0:
            return planned
        field = replace(planned.density, values=planned.density.values * self.density)
        return replace(planned, density=field)


def scenarios(options: RobustOptions, phases: Sequence[Phase] = ()) -> tuple[Scenario, ...]:
    """Return the errors and phases that count, the nominal case first.

    Six shifts, one along each axis and direction, and two scalings of range: nine cases in all
    where neither error is zero. Errors occur in the reference phase.
    """
    found = breathed(phases) or [Scenario(name="nominal")]
    if options.robust == "nominal":
        return tuple(found[:1])
    for axis, sign in product(range(3 if options.setup_mm else 0), (-1, 1)):
        shift_mm = [0.0, 0.0, 0.0]
        shift_mm[axis] = sign * options.setup_mm
        x, y, z = shift_mm
        name = f"{'xyz'[axis]} {sign * options.setup_mm:+g} mm"
        found.append(Scenario(name=name, shift_mm=(x, y, z)))
    for sign in (-1, 1) if options.range_percent else ():
        percent = sign * options.range_percent
        found.append(Scenario(name=f"density {percent:+g} %", density=1 + percent / 100))
    return tuple(found)


def breathed(phases: Sequence[Phase]) -> list[Scenario]:
    """Return a scenario for each phase of breathing, the reference first."""
    return [
        Scenario(name=f"phase {one.name}", phase=number, weight=one.share)
        for number, one in enumerate(phases)
    ]


def borne(
    nominal: DoseMap,
    beam: Beam,
    patient: Medium,
    looked_at: Tensor,
    *,
    errors: Sequence[Scenario],
    dose_of: Callable[[Medium, Beam], DoseMap],
) -> DoseMap:
    """Return the map of a beam to some voxels in all scenarios, one scenario after the other.

    Args:
        nominal: The map to all voxels without error, which comes first.
        beam: As planned.
        patient: As planned.
        looked_at: True for each voxel of the medium to keep, shape (voxel,).
        errors: The other scenarios.
        dose_of: Works out a beam for a patient.
    """
    seen = nominal.at(looked_at)
    if not errors:
        return seen
    others = [dose_of(case.patient(patient), case.beam(beam)).at(looked_at) for case in errors]
    return seen.with_cases(others, int(looked_at.sum()))


def combined(
    values: Sequence[Tensor], options: RobustOptions, weights: Sequence[float] | None = None
) -> Tensor:
    """Return one objective from those of all scenarios, each ≥ 0.

    Args:
        values: One for each scenario.
        options: How they are weighed.
        weights: Of the scenarios; without, all weigh the same. The worst case knows none.
    """
    each = torch.stack(list(values))
    shares = torch.tensor(weights or [1.0] * len(each)).to(each)
    shares = shares / shares.sum()
    if options.robust in {"nominal", "expected"}:
        return each @ shares
    if options.robust == "cvar":
        ordered, order = each.sort(descending=True)
        upto = shares[order].cumsum(0)
        counted = (options.tail - (upto - shares[order])).clamp(min=0).minimum(shares[order])
        return ordered @ counted / counted.sum()
    largest = each.detach().amax().clamp(min=torch.finfo(each.dtype).tiny)
    mean: Tensor = (each / largest).pow(POWER).mean().pow(1 / POWER) * largest
    return mean
