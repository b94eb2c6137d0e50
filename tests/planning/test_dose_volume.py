"""Dose-volume metrics against their definitions and cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import (
    CurveOptions,
    DoseAtVolumeOptions,
    VolumeAtDoseOptions,
    curve,
    dose_at_volume,
    doses_inside,
    evaluate,
    maximum_dose,
    mean_dose,
    volume_at_dose,
)

GRID = Grid(shape=(1, 1, 101), spacing_mm=(2.0, 2.0, 2.0))
WHOLE = Structure.of("target", np.ones(GRID.shape, bool), GRID)
doses_of_voxels = st.lists(st.floats(0, 80, width=32), min_size=1, max_size=40)


def dose(values, quantity=Quantity.ABSORBED_DOSE, grid=GRID) -> Volume:
    return Volume(
        values=np.broadcast_to(np.float32(values), grid.shape), grid=grid, quantity=quantity
    )


def line(doses_gy, spacing_mm=1.0):
    grid = Grid(shape=(1, 1, len(doses_gy)), spacing_mm=(spacing_mm,) * 3)
    return dose([[doses_gy]], grid=grid), Structure.of("o", np.ones(grid.shape, bool), grid)


RAMP = dose(np.linspace(0, 100, 101))


@pytest.mark.parametrize("percent", [2, 50, 95, 98])
def test_ramp_from_0_to_100_gy_gives_the_complement(percent):
    result = dose_at_volume(RAMP, WHOLE, options=DoseAtVolumeOptions(volume_percent=percent))

    assert result == pytest.approx(100 - percent, abs=1e-4)


@given(doses_of_voxels, st.floats(0.1, 99.9))
def test_dv_is_the_highest_dose_that_the_volume_receives(doses_gy, percent):
    given_dose, structure = line(doses_gy)

    result = dose_at_volume(
        given_dose, structure, options=DoseAtVolumeOptions(volume_percent=percent)
    )

    assert np.mean(given_dose.values >= result) >= percent / 100
    assert np.mean(given_dose.values > result) < percent / 100


@given(doses_of_voxels, st.floats(0, 80))
def test_vd_is_the_part_that_receives_at_least_the_dose(doses_gy, at_gy):
    given_dose, structure = line(doses_gy)

    result = volume_at_dose(given_dose, structure, options=VolumeAtDoseOptions(dose_gy=at_gy))

    assert result == pytest.approx(100 * np.mean(np.float32(doses_gy) >= at_gy))


def test_the_dose_itself_counts_in_vd():
    assert volume_at_dose(dose(20), WHOLE, options=VolumeAtDoseOptions(dose_gy=20)) == 100


@pytest.mark.parametrize(
    ("spacing_mm", "covered"),
    [
        pytest.param(1.0, 30, id="30 voxels of 1 mm³ are 0.03 cm³"),
        pytest.param(2.0, 4, id="four voxels of 8 mm³ are the first to reach 0.03 cm³"),
        pytest.param(4.0, 1, id="a single voxel of 64 mm³ is more"),
    ],
)
def test_maximum_is_the_highest_dose_in_003_cm3(spacing_mm, covered):
    given_dose, structure = line(np.arange(100.0), spacing_mm)

    assert maximum_dose(given_dose, structure) == 100 - covered


def test_maximum_of_a_tiny_structure_is_what_all_of_it_receives():
    given_dose, structure = line([5.0, 7.0], 1.0)

    assert maximum_dose(given_dose, structure) == 5


def test_mean():
    assert mean_dose(RAMP, WHOLE) == pytest.approx(50)


@given(doses_of_voxels, st.floats(0.05, 5))
def test_curve_is_exact_at_each_of_its_doses(doses_gy, step_gy):
    given_dose, structure = line(doses_gy)

    result = curve(given_dose, structure, options=CurveOptions(step_gy=step_gy))

    expected = [100 * np.mean(np.float32(doses_gy) >= d) for d in result.dose_gy]
    np.testing.assert_allclose(result.volume_percent, expected)
    assert result.volume_percent[0] == 100
    assert result.volume_percent[-1] == 0
    assert np.all(np.diff(result.dose_gy) > 0)
    assert result.volume_ml == pytest.approx(len(doses_gy) / 1000)
    assert result.mean_gy == pytest.approx(np.mean(np.float32(doses_gy)), abs=1e-5)


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal(structure="target", metric=Metric.MEAN_DOSE, at_most=50), 50, True),
        (Goal(structure="target", metric=Metric.MEAN_DOSE, at_most=49), 50, False),
        (Goal(structure="target", metric=Metric.MAXIMUM_DOSE, at_most=97), 97, True),
        (Goal(structure="target", metric=Metric.DOSE_AT_VOLUME, at=95, at_least=5), 5, True),
        (Goal(structure="target", metric=Metric.DOSE_AT_VOLUME, at=95, at_least=6), 5, False),
        (
            Goal(structure="target", metric=Metric.VOLUME_AT_DOSE, at=20, at_most=80),
            100 * 81 / 101,
            False,
        ),
    ],
)
def test_goals(goal, value, met):
    (result,) = evaluate([goal], RAMP, StructureSet((WHOLE,)))

    assert result.value == pytest.approx(value, abs=1e-4)
    assert result.is_met is met
    assert result.goal is goal


def test_a_limit_met_to_the_precision_of_a_voxel_is_met():
    # 60 Gy times a scale factor comes back from 32-bit numbers as 59.999996.
    goal = Goal(structure="target", metric=Metric.MEAN_DOSE, at_least=60.0)

    (result,) = evaluate([goal], dose(59.999996), StructureSet((WHOLE,)))

    assert result.is_met


@pytest.mark.parametrize(
    ("volume", "structure", "error"),
    [
        (dose(60, Quantity.RADIODENSITY), WHOLE, QuantityError),
        (dose(60), Structure.of("e", np.zeros(GRID.shape, bool), GRID), InputError),
        (
            dose(60),
            Structure.of(
                "o", np.ones((1, 1, 101), bool), Grid(shape=(1, 1, 101), spacing_mm=(1, 1, 1))
            ),
            GeometryError,
        ),
    ],
    ids=["not a dose", "empty structure", "different grid"],
)
def test_refuses(volume, structure, error):
    with pytest.raises(error):
        dose_at_volume(volume, structure, options=DoseAtVolumeOptions())


def test_a_goal_for_a_missing_structure_names_it():
    goal = Goal(structure="heart", metric=Metric.MEAN_DOSE, at_most=26)

    with pytest.raises(InputError, match="'heart'"):
        evaluate([goal], RAMP, StructureSet((WHOLE,)))


def sphere_in_a_gradient(grid_of, positions_of, *, radius_mm=20.0, gy_per_mm=1.0):
    """A sphere at the origin in a dose of 50 Gy that rises towards the patient's left."""
    grid = grid_of((23, 23, 23), (2.0, 2.0, 2.0))
    x, y, z = positions_of(grid)
    inside = x**2 + y**2 + z**2 <= radius_mm**2
    return dose(50 + gy_per_mm * x, grid=grid), Structure.of("sphere", inside, grid)


# A plane at distance t from the centre cuts off the part (R - t)² (2 R + t) / (4 R³) of a sphere.
@pytest.mark.parametrize(("parts", "allowed_percent"), [(1, 3.9), (3, 1.3)])
@pytest.mark.parametrize("beyond_mm", [-13.0, -5.0, 0.0, 7.0, 15.0])
def test_linear_dose_over_a_sphere(grid_of, positions_of, parts, allowed_percent, beyond_mm):
    given_dose, sphere = sphere_in_a_gradient(grid_of, positions_of)
    part = (20 - beyond_mm) ** 2 * (40 + beyond_mm) / (4 * 20**3)

    volume = volume_at_dose(
        given_dose, sphere, options=VolumeAtDoseOptions(dose_gy=50 + beyond_mm, parts=parts)
    )
    back = dose_at_volume(
        given_dose, sphere, options=DoseAtVolumeOptions(volume_percent=100 * part, parts=parts)
    )

    assert volume == pytest.approx(100 * part, abs=allowed_percent)
    assert back == pytest.approx(50 + beyond_mm, abs=1.01 if parts == 1 else 0.4)


def test_parts_of_voxels_lie_at_their_own_places():
    values = np.zeros((3, 3, 3), np.float32)
    values[1, 1] = [10, 20, 40]
    grid = Grid(shape=(3, 3, 3), spacing_mm=(1, 1, 1))
    # The dose is even along slices and rows, so only columns count.
    values[:] = values[1, 1]
    mask = np.zeros(grid.shape, bool)
    mask[1, 1, 1] = True

    found = doses_inside(dose(values, grid=grid), Structure.of("o", mask, grid), parts=2)

    np.testing.assert_allclose(np.sort(found), [17.5] * 4 + [25.0] * 4)


def test_parts_along_slices_rows_and_columns_are_told_apart():
    grid = Grid(shape=(5, 6, 7), spacing_mm=(1, 1, 1))
    slices, rows, columns = np.indices(grid.shape)
    mask = (slices == 2) & (rows == 3) & (columns == 4)
    given_dose = dose(slices + 10.0 * rows + 100.0 * columns, grid=grid)

    found = doses_inside(given_dose, Structure.of("o", mask, grid), parts=2)

    places = [
        s + 10 * r + 100 * c for s in (1.75, 2.25) for r in (2.75, 3.25) for c in (3.75, 4.25)
    ]
    np.testing.assert_allclose(np.sort(found), np.sort(places), rtol=1e-6)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_an_even_dose_change_nothing(parts):
    assert mean_dose(dose(37.0), WHOLE, parts=parts) == pytest.approx(37.0)
    assert maximum_dose(dose(37.0), WHOLE, parts=parts) == pytest.approx(37.0)
    result = curve(dose(37.0), WHOLE, options=CurveOptions(step_gy=1.0, parts=parts))
    assert result.volume_percent[37] == 100
    assert result.volume_percent[38] == 0


def test_maximum_of_parts_still_covers_003_cm3():
    # 30 voxels of 1 mm³ are 240 parts; the dose rises by 1 Gy per voxel along the line.
    given_dose, structure = line(np.arange(100.0), 1.0)

    assert maximum_dose(given_dose, structure, parts=2) == pytest.approx(69.75)
