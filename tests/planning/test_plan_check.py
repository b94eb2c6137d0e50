"""What a plan rests on: distances to the skin, silhouettes, grid, calibration and agreement."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam, Plan, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.beams import frame
from aegle.planning.gamma import GammaOptions
from aegle.planning.machine import machine
from aegle.planning.photon_plan import PhotonPlanOptions
from aegle.planning.plan_check import agreement, check, quality, silhouette, source_to_skin_mm
from aegle.planning.proton_plan import ProtonPlanOptions

SAD_MM = 1000.0


def beam(gantry=0.0, couch=0.0, collimator=0.0, isocentre=(0.0, 0.0, 0.0)):
    return Beam(
        gantry_deg=gantry,
        couch_deg=couch,
        collimator_deg=collimator,
        isocentre_mm=isocentre,
        beamlet_mm=5.0,
        positions_mm=np.zeros((1, 2)),
        weights=np.ones(1),
    )


def centred(shape, spacing_mm):
    first = [-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing_mm[::-1], strict=True)]
    return Grid(shape=shape, spacing_mm=spacing_mm, origin_mm=tuple(first))


GRID = centred((30, 60, 60), (4.0, 3.0, 3.0))
Z, Y, X = np.moveaxis(GRID.to_patient(np.stack(np.indices(GRID.shape), axis=-1)), -1, 0)[::-1]


def structure(name, mask, kind=StructureType.ORGAN):
    return Structure.of(name, mask, GRID, type=kind)


def ball(centre_mm, radius_mm, name="PTV"):
    away = np.hypot(np.hypot(X - centre_mm[0], Y - centre_mm[1]), Z - centre_mm[2])
    return structure(name, away < radius_mm, StructureType.TARGET)


BODY = structure("body", np.hypot(X, Y) < 75, StructureType.EXTERNAL)


@pytest.mark.parametrize(
    ("gantry", "isocentre", "expected_mm"),
    [
        # A box of 40 rows by 20 columns of 3 mm: its faces lie 60 mm and 30 mm from its middle.
        (0, (0, 0, 0), 940),
        (180, (0, 0, 0), 940),
        (90, (0, 0, 0), 970),
        (270, (0, 0, 0), 970),
        # An isocentre 20 mm to the front has 40 mm of box before it, one to the left 10 mm less.
        (0, (0, -20, 0), 960),
        (90, (10, 0, 0), 980),
        (270, (10, 0, 0), 960),
    ],
)
def test_distance_to_the_skin_of_a_box(gantry, isocentre, expected_mm):
    mask = np.zeros(GRID.shape, bool)
    mask[:, 10:50, 20:40] = True

    found = source_to_skin_mm(structure("body", mask), frame(beam(gantry, 0, 0, isocentre), SAD_MM))

    assert found == pytest.approx(expected_mm, abs=0.26)


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 359), st.floats(-30, 30))
def test_distance_to_the_skin_of_a_cylinder_is_the_same_from_all_around(gantry, height_mm):
    found = source_to_skin_mm(BODY, frame(beam(gantry, 0, 0, (0, 0, height_mm)), SAD_MM))

    # Voxels of 3 mm put the border within 2 mm of the circle of 75 mm.
    assert found == pytest.approx(SAD_MM - 75, abs=2.2)


def test_a_beam_beside_the_body_has_no_distance_to_the_skin():
    assert source_to_skin_mm(BODY, frame(beam(isocentre=(89, 0, 0)), SAD_MM)) is None


@pytest.mark.parametrize("towards_mm", [0.0, 60.0])
def test_silhouette_of_a_ball_is_a_disc_that_grows_towards_the_source(towards_mm):
    """A ball of radius r at distance s from the source covers r SAD / sqrt(s² - r²)."""
    seen = silhouette(ball((0, -towards_mm, 0), 30), frame(beam(), SAD_MM))

    distance_mm = SAD_MM - towards_mm
    radius_mm = 30 * SAD_MM / np.sqrt(distance_mm**2 - 30**2)
    area_mm2 = np.count_nonzero(seen.mask) * seen.step_mm**2
    assert area_mm2 == pytest.approx(np.pi * radius_mm**2, rel=0.05)


def middle_of(seen):
    rows, columns = np.nonzero(seen.mask)
    x, y = seen.first_mm
    return x + seen.step_mm * columns.mean(), y + seen.step_mm * rows.mean()


def test_silhouette_from_the_front_has_the_left_at_the_right_and_the_head_up():
    seen = silhouette(ball((24, 0, 16), 12), frame(beam(), SAD_MM))

    assert middle_of(seen) == pytest.approx((24, 16), abs=1.0)


@settings(deadline=None, max_examples=15)
@given(st.floats(0, 359), st.floats(-40, 40), st.floats(-90, 90))
def test_silhouette_lies_where_the_middle_is_projected(gantry, couch, collimator):
    aimed = frame(beam(gantry, couch, collimator, (5.0, -4.0, 3.0)), SAD_MM)
    target = ball((24, -10, 16), 14)

    seen = silhouette(target, aimed)

    assert middle_of(seen) == pytest.approx(
        tuple(aimed.project(np.array(target.centroid_mm))), abs=1.5
    )


def dose_of(values):
    return Volume(values=np.asarray(values, np.float32), grid=GRID, quantity=Quantity.ABSORBED_DOSE)


def plan_of(values, target):
    return Plan(
        prescription=Prescription(target=target.name, dose_gy=60, fractions=30),
        machine="Generic 6 MV",
        beams=(beam(), beam(90)),
        dose=dose_of(values),
        structures=StructureSet((BODY, target)),
        curves=(),
        goals=(),
    )


def test_quality_of_a_dose_that_covers_nine_tenths_and_spills():
    """1000 voxels of target, 900 within the isodose of 1200: 900² / (1000 × 1200) = 0.675."""
    mask = np.zeros(GRID.shape, bool)
    mask[10:20, 10:20, 10:20] = True
    values = np.zeros(GRID.shape)
    values[8:20, 10:20, 10:20] = 60
    values[19, 10:20, 10:20] = 40
    values[8, 10:20, 10:20] = 60
    values[7, 10:20, 10:20] = 60

    found = quality(dose_of(values), structure("PTV", mask), prescribed_gy=60)

    assert found.conformity == pytest.approx(0.675)
    # Half the dose is reached by those 1200 and the 100 of 40 Gy.
    assert found.gradient == pytest.approx(1300 / 1200)
    # D2 = D50 = 60 Gy, D98 = 40 Gy.
    assert found.homogeneity == pytest.approx(20 / 60)


def test_a_dose_that_misses_has_no_measure_of_fall_or_evenness():
    found = quality(dose_of(np.zeros(GRID.shape)), ball((0, 0, 0), 20), prescribed_gy=60)

    assert (found.conformity, found.homogeneity, found.gradient) == (0, None, None)


def test_check_tells_grid_calibration_and_every_beam():
    made = plan_of(np.full(GRID.shape, 61.0), ball((0, 0, 0), 20))

    found = check(made, options=PhotonPlanOptions(dose_grid_mm=6.0))

    # Blocks of CT voxels nearest to 6 mm: 2 of 4 mm and 2 of 3 mm.
    assert found.dose_grid_mm == (8.0, 6.0, 6.0)
    assert found.sad_mm == 1000
    assert "0.01 Gy" in str(found.calibration)
    # 6 MV has its maximum between 13 and 17 mm deep.
    assert 13 <= machine("generic_6mv").reference_depth_mm <= 17
    assert f"{machine('generic_6mv').reference_depth_mm:.1f} mm" in str(found.calibration)
    assert [b.ssd_mm for b in found.beams] == pytest.approx([925, 925], abs=2.2)


def test_protons_have_their_own_calibration():
    made = plan_of(np.full(GRID.shape, 61.0), ball((0, 0, 0), 20))

    found = check(made, options=ProtonPlanOptions())

    assert found.sad_mm == 10000
    assert "per proton" in str(found.calibration)


def test_without_an_outline_the_skin_is_not_known():
    made = plan_of(np.full(GRID.shape, 61.0), ball((0, 0, 0), 20))
    bare = replace(made, structures=StructureSet(tuple(made.structures)[1:]))

    assert [b.ssd_mm for b in check(bare, options=PhotonPlanOptions()).beams] == [None, None]


@pytest.mark.parametrize(("percent", "gamma", "passed"), [(1.0, 2.0, 0.0), (4.0, 0.5, 100.0)])
def test_two_even_doses_differ_by_their_dose_alone(percent, gamma, passed):
    """61.2 Gy against 60 Gy is 2 % more: gamma is 2 at 1 % and one half at 4 %."""
    target = ball((0, 0, 0), 20)
    first, second = (plan_of(np.full(GRID.shape, dose), target) for dose in (60.0, 61.2))
    options = GammaOptions(dose_percent=percent, distance_mm=1.0, most_points=50)

    found = agreement(first, second, options=options)

    assert found.mean == pytest.approx(gamma, abs=1e-4)
    assert (found.pass_percent, found.judged) == (passed, 50)
    assert found.grid == GRID
