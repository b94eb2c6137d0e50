"""What earlier patients make likely, on made patients whose doses are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import evaluate, mean_dose
from aegle.planning.expected_dose import ExpectationOptions, expect
from aegle.planning.experience import Library, remember
from aegle.planning.photon_plan import PhotonPlanOptions, plan
from aegle.planning.starting_goals import (
    StartingGoalOptions,
    starting_goals,
    with_starting_goals,
)

EVERY_VOXEL = ExpectationOptions(neighbours=1000)


@pytest.fixture(scope="module")
def patient_with(grid_of, positions_of):
    """Return a function that gives targets and organs, and a dose that falls with the distance."""
    grid = grid_of((21, 31, 31), (3.0, 3.0, 3.0))
    x, y, z = positions_of(grid)

    def patient(organ_mm, radius_mm=18.0, prescribed_gy=60.0, organ="cord"):
        target_mm = np.sqrt(x**2 + y**2 + z**2)
        inside = np.sqrt((x - organ_mm) ** 2 + y**2 + z**2) <= 9
        structures = StructureSet(
            (
                Structure.of("PTV", target_mm <= radius_mm, grid, type=StructureType.TARGET),
                Structure.of(organ, inside & (target_mm > radius_mm), grid),
            )
        )
        fall = np.exp(-np.maximum(target_mm - radius_mm, 0) / 15)
        dose = Volume(
            values=(prescribed_gy * fall).astype(np.float32),
            grid=grid,
            quantity=Quantity.ABSORBED_DOSE,
        )
        return structures, dose

    return patient


def remembered(name, structures, dose, prescribed_gy=60.0):
    return remember(name, structures, dose, {"PTV": prescribed_gy})


@pytest.fixture(scope="module")
def library(patient_with):
    places = (22, 24, 26, 28, 30, 32, 34)
    return Library(tuple(remembered(f"{mm} mm", *patient_with(mm)) for mm in places))


def test_dose_follows_from_where_the_organ_lies(library, patient_with):
    for organ_mm in (25.0, 29.0, 33.0):
        structures, dose = patient_with(organ_mm)

        found = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())["cord"]

        true_gy = np.sort(dose.values[structures["cord"].mask])[::-1]
        assert found.mean.dose_gy == pytest.approx(true_gy.mean(), abs=1.0)
        assert found.at(50).dose_gy == pytest.approx(np.median(true_gy), abs=1.5)
        assert found.patients == 7


def test_the_nearest_earlier_patients_give_the_most(library, patient_with):
    structures, _ = patient_with(32.0)

    found = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())["cord"]

    assert {name for name, _ in found.alike[:3]} == {"30 mm", "32 mm", "34 mm"}
    assert sum(part for _, part in found.alike) == pytest.approx(100)


def test_doses_scale_with_the_prescription(library, patient_with):
    structures, _ = patient_with(27.0)

    first, second = (
        expect(library, structures, {"PTV": gy}, options=ExpectationOptions())["cord"]
        for gy in (30.0, 60.0)
    )

    np.testing.assert_allclose(2 * first.dose_gy, second.dose_gy, rtol=1e-6)
    np.testing.assert_allclose(2 * first.high_gy, second.high_gy, rtol=1e-6)
    assert 2 * first.mean.low_gy == pytest.approx(second.mean.low_gy)


def even(patient_with, doses_gy):
    """Earlier patients built alike, each with one dose all over."""
    structures, dose = patient_with(28.0)
    found = []
    for number, gy in enumerate(doses_gy):
        same = replace(dose, values=np.full(dose.grid.shape, gy, np.float32))
        found.append(remembered(str(number), structures, same))
    return structures, Library(tuple(found))


# Asked for all voxels, the method gives the mean c of the doses c_i; without patient j it gives
# (m c - c_j) / (m - 1), so that the residuals are m / (m - 1) (c_j - c).
@settings(deadline=None, max_examples=8)
@given(st.lists(st.floats(20, 70), min_size=3, max_size=9))
def test_correction_and_interval_follow_the_residuals_of_the_others(patient_with, doses_gy):
    doses_gy = np.float32(doses_gy).astype(float)
    structures, library = even(patient_with, doses_gy)

    found = expect(library, structures, {"PTV": 60.0}, options=EVERY_VOXEL)["cord"]

    m, mean = len(doses_gy), doses_gy.mean()
    residuals = np.sort(m / (m - 1) * (doses_gy - mean))
    expected = mean + np.median(residuals)
    np.testing.assert_allclose(found.dose_gy, expected, rtol=1e-4)
    np.testing.assert_allclose(found.low_gy, max(0, mean + residuals[0]), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.high_gy, mean + residuals[-1], rtol=1e-4)
    assert found.mean.high_gy == pytest.approx(mean + residuals[-1], rel=1e-4)
    assert found.interval_percent == pytest.approx(100 * (m - 1) / (m + 1))


@pytest.mark.parametrize(
    ("patients", "asked", "held"), [(4, 80, 60), (9, 80, 80), (14, 80, 100 * 13 / 15), (19, 80, 80)]
)
def test_interval_holds_what_was_asked_if_there_are_patients_enough(
    patient_with, patients, asked, held
):
    structures, library = even(patient_with, np.linspace(20, 50, patients))
    options = ExpectationOptions(neighbours=5, interval_percent=asked)

    found = expect(library, structures, {"PTV": 60.0}, options=options)["cord"]

    assert found.interval_percent == pytest.approx(held)


def test_curves_are_monotone_and_lie_in_their_intervals(library, patient_with):
    structures, _ = patient_with(23.0, radius_mm=21.0)

    for found in expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions()).curves:
        assert np.all(np.diff(found.dose_gy) >= 0)
        assert np.all(found.low_gy <= found.dose_gy)
        assert np.all(found.dose_gy <= found.high_gy)
        assert found.mean.low_gy <= found.mean.dose_gy <= found.mean.high_gy


def test_a_place_that_nobody_had_is_flagged(library, patient_with):
    usual, _ = patient_with(27.0)
    unusual, _ = patient_with(27.0, radius_mm=6.0)

    for structures, is_unlike in ((usual, False), (unusual, True)):
        found = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())
        assert found["cord"].is_unlike is is_unlike


def test_structures_that_nobody_had_are_named(library, patient_with):
    structures, _ = patient_with(27.0, organ="Larynx")

    found = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())

    assert found.unknown == ("Larynx",)
    assert [c.structure for c in found.curves] == ["PTV"]
    with pytest.raises(InputError, match=r"Too few earlier patients .* 'Larynx'"):
        found["Larynx"]
    with pytest.raises(InputError, match="'heart' was not compared"):
        found["heart"]


def test_refuses_what_cannot_be_compared(library, patient_with):
    structures, _ = patient_with(27.0)
    other = Grid(shape=(3, 3, 3), spacing_mm=(3.0, 3.0, 3.0))
    mixed = StructureSet((*structures, Structure.of("rectum", np.ones((3, 3, 3), bool), other)))
    few = Library(library.patients[:2])

    with pytest.raises(InputError, match="None of PTV, cord is known from at least 3 of 2"):
        expect(few, structures, {"PTV": 60.0}, options=ExpectationOptions())
    with pytest.raises(GeometryError, match="'rectum' lies on another grid"):
        expect(library, mixed, {"PTV": 60.0}, options=ExpectationOptions())
    with pytest.raises(InputError, match="'PTV70'"):
        expect(library, structures, {"PTV70": 70.0}, options=ExpectationOptions())
    found = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())
    with pytest.raises(InputError, match="101 %"):
        found["cord"].at(101)


@pytest.fixture(scope="module")
def same(patient_with):
    """A new patient like three earlier ones, and the dose that all had."""
    structures, dose = patient_with(27.0)
    earlier = tuple(remembered(str(n), structures, dose) for n in range(3))
    found = expect(Library(earlier), structures, {"PTV": 60.0}, options=ExpectationOptions())
    return structures, dose, found


def test_goals_are_what_the_same_patients_received(same):
    structures, dose, expectation = same

    goals = starting_goals(expectation, options=StartingGoalOptions())

    assert [(g.structure, g.metric, g.at) for g in goals] == [
        ("PTV", Metric.DOSE_AT_VOLUME, 95.0),
        ("PTV", Metric.DOSE_AT_VOLUME, 2.0),
        ("cord", Metric.MAXIMUM_DOSE, None),
        ("cord", Metric.MEAN_DOSE, None),
        ("cord", Metric.DOSE_AT_VOLUME, 20.0),
        ("cord", Metric.DOSE_AT_VOLUME, 50.0),
    ]
    for result in evaluate(goals, dose, structures):
        limit = result.goal.at_most if result.goal.at_least is None else result.goal.at_least
        assert result.value == pytest.approx(limit, rel=0.02)
    assert "3 earlier patients" in goals[3].source


def test_aim_chooses_the_end_of_the_interval(library, patient_with):
    structures, _ = patient_with(27.0)
    expectation = expect(library, structures, {"PTV": 60.0}, options=ExpectationOptions())
    mean = expectation["cord"].mean

    for aim, limit_gy in (
        ("demanding", mean.low_gy),
        ("expected", mean.dose_gy),
        ("lenient", mean.high_gy),
    ):
        goals = starting_goals(expectation, options=StartingGoalOptions(aim=aim))
        (found,) = (g for g in goals if g.metric is Metric.MEAN_DOSE)
        assert found.at_most == limit_gy


def test_limits_stay_above_the_least(same):
    *_, expectation = same

    goals = starting_goals(expectation, options=StartingGoalOptions(least_gy=59.0))

    assert {g.at_most for g in goals if g.structure == "cord"} == {59.0}


def test_only_goals_that_ask_for_more_are_added():
    def mean(structure, at_most):
        return Goal(structure=structure, metric=Metric.MEAN_DOSE, at_most=at_most)

    def covered(at, at_least):
        return Goal(structure="PTV", metric=Metric.DOSE_AT_VOLUME, at=at, at_least=at_least)

    own = (mean("cord", 20.0), mean("heart", 20.0), covered(95.0, 60.0))
    asked = Prescription(target="PTV", dose_gy=60.0, fractions=30, goals=own)
    added = (mean("cord", 15.0), mean("lungs", 30.0), covered(98.0, 55.0))
    left_out = (mean("heart", 20.0), covered(95.0, 59.0))

    found = with_starting_goals(asked, (*left_out, *added))

    assert found.goals == (*own, *added)
    assert found.dose_gy == 60.0


@pytest.fixture(scope="module")
def water(grid_of, positions_of):
    """A cylinder of water with a target and an organ beside it, to plan on."""
    grid = grid_of((24, 56, 56), (4.0, 4.0, 4.0))
    x, y, z = positions_of(grid)
    body = np.hypot(x, y) < 100
    structures = StructureSet(
        (
            Structure.of("body", body, grid, type=StructureType.EXTERNAL),
            Structure.of("PTV", x**2 + y**2 + z**2 < 20**2, grid, type=StructureType.TARGET),
            Structure.of("organ", (x - 42) ** 2 + y**2 + z**2 < 18**2, grid),
        )
    )
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    return Volume(values=hu, grid=grid, quantity=Quantity.RADIODENSITY), structures


def test_an_organ_that_others_were_spared_is_spared(water):
    ct, structures = water
    options = PhotonPlanOptions(delivery="fluence", dose_grid_mm=4.0, iterations=25)
    limit = Goal(structure="organ", metric=Metric.MEAN_DOSE, at_most=9.0, priority=1)
    bare = Prescription(target="PTV", dose_gy=60.0, fractions=30)
    spared = plan(ct, structures, replace(bare, goals=(limit,)), options=options)
    earlier = [remembered(str(n), structures, spared.dose) for n in range(3)]

    found = expect(Library(tuple(earlier)), structures, {"PTV": 60.0}, options=ExpectationOptions())
    goals = starting_goals(found, options=StartingGoalOptions())
    without = plan(ct, structures, bare, options=options)
    started = plan(ct, structures, with_starting_goals(bare, goals), options=options)

    mean_gy = [mean_dose(p.dose, structures["organ"]) for p in (spared, without, started)]
    assert mean_gy[0] < 0.8 * mean_gy[1]
    assert mean_gy[2] < 0.85 * mean_gy[1]
