"""The C-shape of AAPM TG-119, nine beams 40° apart, prescribed 50 Gy to 95 % of the target.

Goals of the easy and the hard variant: Ezzell GA et al. Med Phys 2009;36:5359-73,
doi:10.1118/1.3238104. The limits on the core here are tighter: what a good optimiser reaches.
"""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume
from aegle.planning.photon_plan import PhotonPlanOptions, plan

BEAMS = tuple(40.0 * number for number in range(9))


@pytest.fixture(scope="module")
def phantom(shared_data):
    found = np.load(shared_data("rt", "reference", "tg119_ct_structures.npz"))
    grid = Grid(
        shape=found["hu"].shape,
        spacing_mm=tuple(found["spacing_xyz"][::-1].tolist()),
        origin_mm=tuple(found["origin_xyz"].tolist()),
    )
    core, target = found["mask_Core"], found["mask_OuterTarget"]
    body = found["mask_BODY"] | core | target
    structures = StructureSet(
        (
            Structure.of("BODY", body, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV", target & ~core, grid, type=StructureType.TARGET),
            Structure.of("Core", core, grid),
        )
    )
    hu = found["hu"].astype(np.float32)
    return Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY), structures


def planned(phantom, *, core_gy, priority=2, **options):
    """Return D95 and D10 of the target and D10 of the core [Gy], and the plan."""
    ct, structures = phantom
    goal = Goal(
        structure="Core",
        metric=Metric.DOSE_AT_VOLUME,
        at=10.0,
        at_most=core_gy,
        priority=priority,
    )
    asked = Prescription(target="PTV", dose_gy=50.0, fractions=25, goals=(goal,))
    chosen = PhotonPlanOptions(gantry_deg=BEAMS, **{"delivery": "fluence"} | options)
    made = plan(ct, structures, asked, options=chosen)

    def dose_gy(name, percent):
        at = DoseAtVolumeOptions(volume_percent=percent)
        return dose_at_volume(made.dose, structures[name], options=at)

    return (dose_gy("PTV", 95), dose_gy("PTV", 10), dose_gy("Core", 10)), made


def test_easy_plan_spares_the_core(phantom):
    (d95_gy, d10_gy, core_gy), _ = planned(phantom, core_gy=16.0)

    assert d95_gy == pytest.approx(50.0, abs=0.01)
    assert d10_gy <= 55.0
    assert core_gy <= 19.0


def test_apertures_cost_less_than_a_gray(phantom):
    (_, d10_gy, core_gy), _ = planned(phantom, core_gy=16.0)
    (d95_gy, cut_d10_gy, cut_core_gy), made = planned(
        phantom, core_gy=16.0, delivery="step-and-shoot"
    )

    assert d95_gy == pytest.approx(50.0, abs=0.01)
    assert cut_d10_gy - d10_gy <= 1.0
    assert cut_core_gy - core_gy <= 1.0
    assert all(beam.apertures for beam in made.beams)


def test_hard_plan_puts_the_core_first(phantom):
    (d95_gy, d10_gy, core_gy), _ = planned(
        phantom, core_gy=6.6, priority=1, tissue_weight=0.02, iterations=800, tolerance=1e-7
    )

    assert d95_gy == pytest.approx(50.0, abs=0.01)
    assert d10_gy <= 55.0
    assert core_gy <= 11.5
