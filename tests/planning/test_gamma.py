"""Gamma against closed forms and against pymedphys 0.41 on an analytic case."""

import numpy as np
import pytest
import torch

from aegle.domain.errors import InputError, OptionError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.options import read
from aegle.planning import gamma_lookup
from aegle.planning.gamma import GammaOptions, gamma, sphere

SPACING = (2.5, 3.0, 2.0)
SHAPE = (7, 8, 9)
# Voxels whose gamma pymedphys gave, and that of all inner voxels together.
VOXELS = ((3, 3, 3), (2, 4, 5), (4, 2, 2), (3, 5, 4), (1, 3, 3), (5, 4, 4))
INNER = (slice(1, -1),) * 3


def dose(values, spacing_mm=SPACING, origin_mm=(0.0, 0.0, 0.0), **facts):
    grid = Grid(shape=values.shape, spacing_mm=spacing_mm, origin_mm=origin_mm, **facts)
    return Volume(values=np.float32(values), grid=grid, quantity=Quantity.ABSORBED_DOSE)


def positions(shape=SHAPE, spacing_mm=SPACING, origin_mm=(0.0, 0.0, 0.0)):
    """Return slice, row and column position of every voxel [mm]."""
    axes = [
        start + step * np.arange(count)
        for start, step, count in zip(origin_mm[::-1], spacing_mm, shape, strict=True)
    ]
    return np.meshgrid(*axes, indexing="ij")


def bump(z, y, x, peak=60.0, centre=(8.0, 10.0, 7.0)):
    squares = (
        (position - middle) ** 2 / width
        for position, middle, width in zip((z, y, x), centre, (80, 60, 50), strict=True)
    )
    return peak * np.exp(-sum(squares))


def moved(z, y, x):
    return bump(z, y, x, 61.0, (8.6, 9.5, 7.7))


def ramp(axis, gradient, *, shift=0.0, shape=(9, 9, 9), spacing_mm=(2.0, 2.0, 2.0)):
    return dose(50 + gradient * positions(shape, spacing_mm)[axis] + shift, spacing_mm)


# pymedphys.gamma 0.41.0 (numba 0.68.1, numpy 2.4.6) with lower_percent_dose_cutoff=10,
# interp_fraction=10, max_gamma=2. The rim is left out: whether a point on the face of the grid
# lies inside depends on its rounding.
@pytest.mark.parametrize(
    ("tolerances", "origin_mm", "stretch", "expected", "judged", "mean"),
    [
        pytest.param(
            {"dose_percent": 2, "distance_mm": 1},
            (0.0, 0.0, 0.0),
            (1.0, 1.0, 1.0),
            (0.595067, 0.1000122, 0.1001074, 0.4181416, 0.7004216, 0.4001696),
            209,
            0.5442649,
            id="global, same grid",
        ),
        pytest.param(
            {"dose_percent": 3, "distance_mm": 2, "local": True},
            (0.0, 0.0, 0.0),
            (1.0, 1.0, 1.0),
            (0.3235122, 0.1245421, 0.1126435, 0.3001044, 0.4011168, 0.2002646),
            209,
            0.3210448,
            id="local, same grid",
        ),
        pytest.param(
            {"dose_percent": 2, "distance_mm": 1},
            (-1.0, -1.0, -1.0),
            (0.8, 0.9, 1.1),
            (1.1691757, 0.1571775, 0.2002547, 0.5002185, 0.9003419, 2.0),
            209,
            0.8134871,
            id="global, other grid",
        ),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_pymedphys(tolerances, origin_mm, stretch, expected, judged, mean, dtype):
    spacing_mm = tuple(s * f for s, f in zip(SPACING, stretch, strict=True))
    reference = dose(bump(*positions()))
    evaluated = dose(moved(*positions(SHAPE, spacing_mm, origin_mm)), spacing_mm, origin_mm)

    result = gamma(reference, evaluated, options=GammaOptions(**tolerances), dtype=dtype)

    found = [result.values[voxel] for voxel in VOXELS]
    np.testing.assert_allclose(found, expected, atol=3e-6)
    assert np.count_nonzero(np.isfinite(result.values[INNER])) == judged
    assert np.nanmean(result.values[INNER]) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("scale", [0.99, 1.0, 1.015])
def test_of_a_scaled_even_dose_is_the_scale_over_the_tolerance(scale):
    even = np.full((4, 4, 4), 50.0)

    result = gamma(dose(even), dose(scale * even), options=GammaOptions(dose_percent=1))

    np.testing.assert_allclose(result.values, abs(scale - 1) / 0.01, atol=1e-4)
    assert result.judged == even.size


# The least of (shift - g r)² / T² + r² / d² over r is shift² / (T² + g² d²), at r = shift here:
# a sphere of the search, whose pole lies on the column axis.
def test_of_a_shifted_ramp_along_columns_is_the_closed_form():
    reference, evaluated = ramp(2, 0.5), ramp(2, 0.5, shift=0.6)

    result = gamma(
        reference,
        evaluated,
        options=GammaOptions(dose_percent=1, distance_mm=2, normalisation_gy=100.0),
        dtype=torch.float64,
    )

    np.testing.assert_allclose(result.values[..., 1:-1], 0.6 / np.sqrt(2), rtol=1e-5)


# Where no sphere or no point of it is in the best place, the search stays above the closed form,
# by no more than a step of a tenth allows.
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [-0.7, 0.45])
def test_of_a_shifted_ramp_along_any_axis_lies_just_above_the_closed_form(axis, shift):
    spacing_mm = (2.0, 3.0, 4.0)
    pair = (ramp(axis, 0.5, shift=s, spacing_mm=spacing_mm) for s in (0.0, shift))

    result = gamma(
        *pair, options=GammaOptions(dose_percent=1, distance_mm=2, normalisation_gy=100.0)
    )

    inner = np.moveaxis(result.values, axis, 0)[1:-1]
    closed = abs(shift) / np.sqrt(2)
    assert inner.min() >= closed * (1 - 1e-5)
    assert inner.max() <= closed * 1.04


def test_local_tolerance_follows_each_points_own_dose():
    values = np.full((3, 3, 3), 100.0)
    values[0] = 20.0
    reference, evaluated = dose(values, (9.0, 9.0, 9.0)), dose(values + 0.5, (9.0, 9.0, 9.0))

    whole, own = (
        gamma(reference, evaluated, options=GammaOptions(dose_percent=2, local=local))
        for local in (False, True)
    )

    assert whole.values[0, 1, 1] == pytest.approx(0.25, abs=1e-4)
    # Towards the next slice the dose rises by 80 Gy in 9 mm; below it is beyond the grid.
    assert own.values[2, 1, 1] == pytest.approx(0.25, abs=1e-4)
    assert own.values[0, 1, 1] == pytest.approx(0.5 / 0.4, abs=1e-4)


def test_doses_below_the_cutoff_are_not_judged_but_the_cutoff_itself_is():
    values = np.full((2, 2, 2), 100.0)
    values[0, 0, 0], values[1, 1, 1] = 9.99, 10.0

    result = gamma(dose(values), dose(values), options=GammaOptions(cutoff_percent=10))

    assert np.isnan(result.values[0, 0, 0])
    assert result.values[1, 1, 1] == 0
    assert result.judged == 7


def test_pass_rate_counts_gamma_of_exactly_1_and_searches_up_to_the_limit():
    even = np.full((2, 2, 2), 100.0)
    factors = np.ones((2, 2, 2))
    factors[0] = [[1.01, 1.02], [1.05, 0.9]]
    options = GammaOptions(dose_percent=1, distance_mm=0.001, max_gamma=3)

    result = gamma(dose(even), dose(factors * even), options=options)

    np.testing.assert_allclose(result.values[0], [[1, 2], [3, 3]], rtol=1e-3)
    assert result.pass_percent == pytest.approx(100 * 5 / 8)


def test_where_the_evaluated_dose_does_not_reach_nothing_is_judged():
    values = bump(*positions())
    half = dose(values[:, :, :4])

    result = gamma(dose(values), half, options=GammaOptions(cutoff_percent=0, max_gamma=1))

    assert np.isfinite(result.values[:, :, :4]).all()
    assert np.isnan(result.values[:, :, 4:]).all()


def test_points_that_interpolate_by_themselves_find_the_same(monkeypatch):
    reference = dose(bump(*positions()))
    evaluated = dose(moved(*positions(origin_mm=(0.7, -0.4, 0.9))), origin_mm=(0.7, -0.4, 0.9))
    options = GammaOptions(dose_percent=2, distance_mm=2)
    shared = gamma(reference, evaluated, options=options, dtype=torch.float64)

    monkeypatch.setattr(
        gamma_lookup,
        "SharedLook",
        lambda values, voxels, lattice, reach_mm: gamma_lookup.SingleLook(values, voxels, lattice),
    )
    single = gamma(reference, evaluated, options=options, dtype=torch.float64)

    assert not np.array_equal(shared.values, moved(*positions()))
    np.testing.assert_allclose(single.values, shared.values, atol=1e-6)


def test_a_reference_on_every_second_voxel_finds_the_same():
    shape, fine = (13, 15, 17), (1.25, 1.5, 1.0)
    evaluated = dose(moved(*positions(shape, fine)), fine)
    all_points = gamma(
        dose(bump(*positions(shape, fine)), fine), evaluated, options=GammaOptions()
    ).values

    some_points = gamma(dose(bump(*positions())), evaluated, options=GammaOptions()).values

    # The peak lies on a voxel of one grid alone, so the tolerance differs a little.
    np.testing.assert_allclose(some_points, all_points[::2, ::2, ::2], atol=0.02)


def test_axes_of_the_grids_may_differ():
    values, other = bump(*positions()), moved(*positions())
    turned = dose(
        other.transpose(2, 0, 1),
        (SPACING[2], SPACING[0], SPACING[1]),
        axes=((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    )

    straight = gamma(dose(values), dose(other), options=GammaOptions())
    through_turned = gamma(dose(values), turned, options=GammaOptions())

    np.testing.assert_allclose(through_turned.values, straight.values, atol=1e-5)


def test_blocks_of_any_size_give_the_same(monkeypatch):
    pair = dose(bump(*positions())), dose(moved(*positions()))
    whole = gamma(*pair, options=GammaOptions())

    monkeypatch.setattr(gamma_lookup, "LARGEST_BLOCK", 50)
    blocks = gamma(*pair, options=GammaOptions())

    np.testing.assert_allclose(blocks.values, whole.values, atol=1e-5)


def test_stopping_once_passed_keeps_the_pass_rate():
    pair = dose(bump(*positions())), dose(moved(*positions()))

    full, quick = (
        gamma(*pair, options=GammaOptions(stop_once_passed=stop)) for stop in (False, True)
    )

    assert quick.pass_percent == full.pass_percent
    assert 0 < full.pass_percent < 100
    assert quick.mean > full.mean


def test_a_part_of_the_points_has_the_gamma_of_all():
    pair = dose(bump(*positions())), dose(moved(*positions()))
    full = gamma(*pair, options=GammaOptions()).values

    some = gamma(*pair, options=GammaOptions(most_points=40, seed=3))
    again = gamma(*pair, options=GammaOptions(most_points=40, seed=3))

    drawn = np.isfinite(some.values)
    assert some.judged == 40
    np.testing.assert_allclose(some.values[drawn], full[drawn], atol=1e-5)
    np.testing.assert_array_equal(some.values, again.values)


@pytest.mark.parametrize("radius_mm", [0.0, 0.3, 2.0])
def test_points_of_a_sphere_leave_no_gap(radius_mm):
    step_mm = 0.3
    points = sphere(radius_mm, step_mm)
    directions = np.random.default_rng(0).normal(size=(200, 3))
    wanted = radius_mm * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    nearest = np.linalg.norm(wanted[:, None] - points, axis=-1).min(axis=1)

    np.testing.assert_allclose(np.linalg.norm(points, axis=1), radius_mm, atol=1e-12)
    assert nearest.max() <= step_mm / np.sqrt(2)


@pytest.mark.parametrize(
    ("reference", "evaluated", "error"),
    [
        (dose(np.zeros((2, 2, 2))), dose(np.ones((2, 2, 2))), InputError),
        (dose(np.ones((2, 2, 2))), dose(np.ones((2, 2, 2)), origin_mm=(99, 0, 0)), InputError),
        (
            dose(np.ones((2, 2, 2))),
            Volume(
                values=np.ones((2, 2, 2), np.float32),
                grid=Grid(shape=(2, 2, 2), spacing_mm=SPACING),
                quantity=Quantity.RADIODENSITY,
            ),
            QuantityError,
        ),
    ],
    ids=["no dose", "elsewhere", "not a dose"],
)
def test_refuses(reference, evaluated, error):
    with pytest.raises(error):
        gamma(reference, evaluated, options=GammaOptions())


def test_a_normalisation_above_every_dose_leaves_no_point():
    with pytest.raises(InputError, match="lower the cutoff"):
        gamma(
            dose(np.ones((2, 2, 2))),
            dose(np.ones((2, 2, 2))),
            options=GammaOptions(normalisation_gy=100.0),
        )


def test_options_out_of_bounds_are_refused():
    with pytest.raises(OptionError, match="distance_mm"):
        read(GammaOptions, {"distance_mm": 0})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_the_same():
    pair = dose(bump(*positions())), dose(moved(*positions()))

    here, there = (
        gamma(*pair, options=GammaOptions(), device=device, dtype=torch.float64)
        for device in ("cpu", "cuda")
    )

    np.testing.assert_allclose(there.values, here.values, atol=1e-6)
