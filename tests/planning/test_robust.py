"""Errors of set-up and range move beams and densities, and plans made for them bear them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aegle.domain.codes import StructureType
from aegle.domain.plan import Beam, Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.fluence import Task, curves_in_scenarios
from aegle.planning.influence import total
from aegle.planning.photon_plan import PhotonPlanOptions, photons, plan
from aegle.planning.robust import RobustOptions, Scenario, borne, combined, scenarios


def values(*numbers):
    return [torch.tensor(float(number), dtype=torch.float64) for number in numbers]


def test_nine_scenarios_are_nominal_six_shifts_and_two_ranges():
    found = scenarios(RobustOptions(robust="worst", setup_mm=3, range_percent=2))

    assert len(found) == 9
    assert {one.shift_mm for one in found if one.density == 1} == {
        (0, 0, 0),
        *((s, 0, 0) for s in (-3, 3)),
        *((0, s, 0) for s in (-3, 3)),
        *((0, 0, s) for s in (-3, 3)),
    }
    assert sorted(one.density for one in found)[:: len(found) - 1] == [0.98, 1.02]


def test_a_patient_shifted_one_way_sees_the_beam_shifted_the_other_way():
    beam = Beam(
        gantry_deg=0,
        couch_deg=0,
        isocentre_mm=(1, 2, 3),
        beamlet_mm=5,
        positions_mm=[[0, 0]],
        weights=[1],
    )

    assert Scenario(name="", shift_mm=(4, 0, -5)).beam(beam).isocentre_mm == (-3, 2, 8)


@pytest.mark.parametrize(
    ("robust", "expected"), [("expected", 2.5), ("cvar", 3.5), ("nominal", 2.5)]
)
def test_objectives_are_combined(robust, expected):
    found = combined(values(1, 2, 3, 4), RobustOptions(robust=robust, tail=0.5))

    assert float(found) == pytest.approx(expected)


def test_worst_case_is_near_the_largest_and_smooth():
    options = RobustOptions(robust="worst")
    start = torch.tensor([0.2, 1.0, 0.9], dtype=torch.float64, requires_grad=True)

    assert 0.76 <= float(combined([*start.detach()], options)) <= 1.0
    assert torch.autograd.gradcheck(lambda v: combined([*v], options), start)
    assert float(combined(values(0, 0), options)) == 0


@pytest.fixture(scope="module")
def water(grid_of, positions_of):
    """A water cylinder with a small ball to treat, close to a cord."""
    grid = grid_of((30, 50, 50), (4.0, 4.0, 4.0))
    x, y, z = positions_of(grid)
    body = np.hypot(x, y) < 90
    ball = np.linalg.norm(np.stack([x, y, z]), axis=0) < 16
    cord = np.hypot(x, y - 40) < 8
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    structures = StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("CTV", ball, grid, type=StructureType.TARGET),
            Structure.of("Spinal-Cord", cord, grid),
        )
    )
    goal = Goal(structure="Spinal-Cord", metric=Metric.MAXIMUM_DOSE, at_most=30.0)
    asked = Prescription(target="CTV", dose_gy=50.0, fractions=25, goals=(goal,))
    return Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY), structures, asked


NOMINAL = PhotonPlanOptions(
    delivery="fluence",
    gantry_deg=(0.0, 72.0, 144.0, 216.0, 288.0),
    dose_grid_mm=4.0,
    iterations=40,
    setup_mm=5.0,
)


def test_one_map_of_all_scenarios_gives_what_each_gives_alone(water):
    ct, structures, _ = water
    radiation = photons(replace(NOMINAL, robust="worst"))
    patient = radiation.patient(ct, structures["body"])
    beam = radiation.opened(patient, structures["CTV"], (30.0, 0.0))
    cases = scenarios(radiation.options)
    chance = torch.Generator().manual_seed(0)
    looked_at = torch.rand(len(patient.voxels), generator=chance) < 0.2
    weights = (0.5 + torch.rand(len(beam.weights), generator=chance)).requires_grad_()
    count = int(looked_at.sum())
    probe = torch.rand(len(cases), count, generator=chance)

    nominal = radiation.dose(patient, beam)
    joined = borne(nominal, beam, patient, looked_at, errors=cases[1:], dose_of=radiation.dose)
    found = total([joined], [weights], len(cases) * count).view(len(cases), count)
    alone = torch.stack(
        [
            total(
                [radiation.dose(case.patient(patient), case.beam(beam)).at(looked_at)],
                [weights],
                count,
            )
            for case in cases
        ]
    )

    # Kernels are those of the nominal source-to-surface distance.
    apart = (found - alone).detach().abs().max()
    assert float(apart) <= 5e-4 * float(alone.detach().max())
    moved = (alone[0] - alone[1:]).detach().abs().amax(1)
    assert float(moved.min()) >= 5e-3 * float(alone.detach().max())
    (gradient,) = torch.autograd.grad((found * probe).sum(), weights)
    (expected,) = torch.autograd.grad((alone * probe).sum(), weights)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=0)


def worst_d95_gy(made):
    covered = []
    for scenario in made.scenarios:
        (curve,) = [c for c in scenario.curves if c.structure == "CTV"]
        covered.append(float(np.interp(-95, -curve.volume_percent, curve.dose_gy)))
    return min(covered)


def test_a_robust_plan_keeps_the_target_covered_where_a_nominal_one_does_not(water):
    ct, structures, asked = water
    robust = replace(NOMINAL, robust="worst")
    # The nominal plan is judged in the same scenarios: its fluence, none of their optimisation.
    borne = plan(ct, structures, asked, options=robust)
    nominal = plan(ct, structures, asked, options=NOMINAL)
    judged = plan_in_scenarios(ct, structures, asked, nominal)

    assert len(borne.scenarios) == 9
    assert nominal.scenarios == ()
    assert worst_d95_gy(borne) - worst_d95_gy(judged) >= 0.03 * asked.dose_gy


def plan_in_scenarios(ct, structures, asked, made):
    options = replace(NOMINAL, robust="worst")
    radiation = photons(options)
    task = Task(radiation.patient(ct, structures["body"]), structures, asked, radiation)
    found = curves_in_scenarios(task, made.beams, made.dose, [structures["CTV"]])
    return replace(made, scenarios=found)
