"""Goals that overlap makes impossible: a conflict is named where it is one, and only there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.conflicts import conflicts
from aegle.planning.dose_volume import evaluate

# 1000 voxels of 0.1 mL in a row.
GRID = Grid(shape=(1, 1, 1000), spacing_mm=(10.0, 10.0, 1.0))
D, V, MEAN, MAX, EUD = (
    Metric.DOSE_AT_VOLUME,
    Metric.VOLUME_AT_DOSE,
    Metric.MEAN_DOSE,
    Metric.MAXIMUM_DOSE,
    Metric.EQUIVALENT_UNIFORM_DOSE,
)


def span(name, first, last):
    mask = np.zeros(GRID.shape, bool)
    mask[..., first:last] = True
    return Structure.of(name, mask, GRID)


def goal(structure, metric, at=None, **limit):
    return Goal(structure=structure, metric=metric, at=at, **limit)


PTV60 = goal("PTV60", D, 95.0, at_least=60.0)


def said(structures, *goals):
    return [str(text) for text in conflicts(StructureSet(structures), goals)]


def test_two_targets_that_overlap_with_different_doses():
    # 20 mL are shared; 5 % of the 40 mL of PTV60 may stay below 60 Gy.
    high, low = span("PTV60", 0, 400), span("PTV50", 200, 600)

    (found,) = said((high, low), PTV60, goal("PTV50", D, 2.0, at_most=55.0))

    assert found == (
        "The goals D95% ≥ 60 Gy of PTV60 and D2% ≤ 55 Gy of PTV50 cannot both be met: they share "
        "20.00 mL, of which at least 18.00 mL must receive 60.0 Gy, and 0.80 mL may."
    )


# PTV60 has 40 mL, of which 2 mL may be cold; the organ 20 mL.
@pytest.mark.parametrize(
    ("limit", "shared", "conflict"),
    [
        # Dmax: 0.03 mL may receive it, so one voxel of 0.1 mL beyond the cold 2 mL is too much.
        pytest.param((MAX, None, 50.0), 20, False, id="max, all of it may be cold"),
        pytest.param((MAX, None, 50.0), 21, True, id="max, one voxel too much"),
        pytest.param((MAX, None, 60.0), 200, False, id="max, as high as the dose"),
        # V60 ≤ 20 % allows 4 mL.
        pytest.param((V, 60.0, 20.0), 60, False, id="V, just allowed"),
        pytest.param((V, 60.0, 20.0), 61, True, id="V, one voxel too much"),
        pytest.param((V, 65.0, 0.0), 200, False, id="V at a higher dose"),
        # D10 ≤ 50 allows 2 mL above.
        pytest.param((D, 10.0, 50.0), 40, False, id="D, just allowed"),
        pytest.param((D, 10.0, 50.0), 41, True, id="D, one voxel too much"),
        # Mean ≤ 15 allows a quarter, 5 mL, at 60 Gy with nothing elsewhere.
        pytest.param((MEAN, None, 15.0), 70, False, id="mean, just allowed"),
        pytest.param((MEAN, None, 15.0), 71, True, id="mean, one voxel too much"),
        # gEUD with a = 2: a quarter at 60 Gy gives 30 Gy.
        pytest.param((EUD, 2.0, 30.0), 70, False, id="gEUD, just allowed"),
        pytest.param((EUD, 2.0, 30.0), 71, True, id="gEUD, one voxel too much"),
        pytest.param((EUD, -2.0, 30.0), 200, False, id="gEUD with a cold spot's exponent"),
    ],
)
def test_the_border_of_a_conflict(limit, shared, conflict):
    metric, at, most = limit
    target, organ = span("PTV60", 0, 400), span("organ", 400 - shared, 600 - shared)

    found = said((target, organ), PTV60, goal("organ", metric, at, at_most=most))

    assert bool(found) is conflict


def test_a_structure_may_contradict_itself():
    target = span("PTV60", 0, 400)

    assert said((target,), PTV60, goal("PTV60", MAX, at_most=55.0))
    assert not said((target,), PTV60, goal("PTV60", MAX, at_most=65.0))


def test_structures_apart_or_missing_do_not_conflict():
    limits = goal("organ", MAX, at_most=1.0), goal("elsewhere", MAX, at_most=1.0)

    assert not said((span("PTV60", 0, 400), span("organ", 400, 500)), PTV60, *limits)


@given(
    sizes=st.tuples(st.integers(5, 60), st.integers(5, 60), st.integers(0, 40)),
    wanted=st.tuples(st.sampled_from([D, V]), st.integers(1, 99), st.integers(1, 99)),
    limit=st.tuples(st.sampled_from([D, V, MEAN, MAX]), st.integers(1, 99), st.integers(1, 99)),
)
def test_the_best_dose_of_all_fails_where_a_conflict_is_named(sizes, wanted, limit):
    """The least that ``a`` asks for is given, as far from ``b`` as can be, and nothing else."""
    grid = Grid(shape=(1, 1, 100), spacing_mm=(10.0, 10.0, 10.0))
    first, second, start = sizes
    masks = np.zeros((2, 100), bool)
    masks[0, :first], masks[1, start : start + second] = True, True
    known = StructureSet(
        tuple(Structure.of(n, m[None, None], grid) for n, m in zip("ab", masks, strict=True))
    )
    metric, at, least = wanted
    below = goal("a", metric, float(at), at_least=float(least))
    at_b = float(limit[1]) if limit[0] in (D, V) else None
    above = goal("b", limit[0], at_b, at_most=float(limit[2]))
    percent, dose_gy = (at, least) if metric is D else (least, at)
    hot = -(-first * percent // 100)
    order = sorted(np.flatnonzero(masks[0]), key=lambda voxel: masks[1, voxel])
    values = np.zeros((1, 1, 100), np.float32)
    values[..., order[:hot]] = dose_gy
    dose = Volume(values=values, grid=grid, quantity=Quantity.ABSORBED_DOSE)

    lower, upper = evaluate((below, above), dose, known)

    assert lower.is_met
    if conflicts(known, (below, above)):
        assert not upper.is_met
