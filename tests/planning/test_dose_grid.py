"""Blocks of CT voxels: where they lie, what they average, and the way back."""

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.planning.dose_grid import DoseGrid

OBLIQUE = Grid(
    shape=(5, 9, 7),
    spacing_mm=(2.5, 1.5, 1.0),
    origin_mm=(10.0, -20.0, 30.0),
    axes=((0.0, -0.6, 0.8), (0.0, 0.8, 0.6), (1.0, 0.0, 0.0)),
)


def test_blocks_come_close_to_the_wanted_spacing():
    grid = DoseGrid.of(OBLIQUE, 3.0)

    assert grid.factors == (1, 2, 3)
    assert grid.coarse.spacing_mm == (2.5, 3.0, 3.0)
    assert grid.coarse.shape == (5, 5, 3)


def test_a_wanted_spacing_below_that_of_the_ct_keeps_its_voxels():
    grid = DoseGrid.of(OBLIQUE, 0.1)

    assert grid.factors == (1, 1, 1)
    assert grid.coarse == OBLIQUE


def test_a_block_lies_where_its_voxels_lie():
    grid = DoseGrid.of(OBLIQUE, 3.0)
    members = np.stack(np.meshgrid([4], [2, 3], [3, 4, 5], indexing="ij"), -1).reshape(-1, 3)

    np.testing.assert_allclose(
        grid.coarse.to_patient(np.array([4, 1, 1])), OBLIQUE.to_patient(members).mean(axis=0)
    )


def test_mean_of_a_block_and_of_one_cut_by_the_border():
    grid = DoseGrid.of(OBLIQUE, 3.0)
    values = np.random.default_rng(1).random(OBLIQUE.shape).astype(np.float32)

    means = grid.mean(values)

    assert means[2, 1, 1] == pytest.approx(values[2, 2:4, 3:6].mean(), abs=1e-6)
    # Row 9 and columns 7, 8 do not exist; the last ones stand for them.
    assert means[2, 4, 2] == pytest.approx(values[2, 8, 6], abs=1e-6)


def test_what_is_linear_in_space_survives_the_way_back():
    fine = Grid(shape=(8, 12, 12), spacing_mm=(1.5, 1.0, 1.0))
    grid = DoseGrid.of(fine, 3.0)
    ramp = lambda g: (  # noqa: E731
        g.to_patient(np.stack(np.indices(g.shape), -1)) @ np.array([1.0, 2.0, 3.0])
    ).astype(np.float32)

    refined = grid.refine(ramp(grid.coarse))

    inner = (slice(1, -1), slice(1, -2), slice(1, -2))
    np.testing.assert_allclose(refined[inner], ramp(fine)[inner], atol=1e-4)
    assert refined.shape == fine.shape
