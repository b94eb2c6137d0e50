import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.phantoms.pet import pet_of


def test_a_hot_spot_stays_where_it_is():
    grid = Grid(shape=(30, 41, 57), spacing_mm=(5.0, 3.0, 2.0), origin_mm=(-60.0, 11.0, -200.0))
    suv = np.zeros(grid.shape, dtype=np.float32)
    suv[20:23, 9:13, 40:45] = 50

    pet = pet_of(suv, grid, seed=(1,))

    weight = np.where(pet.values > 5, pet.values, 0)
    at = np.stack([(weight * axis).sum() / weight.sum() for axis in np.indices(pet.grid.shape)])
    np.testing.assert_allclose(
        pet.grid.to_patient(at), grid.to_patient(np.array([21, 10.5, 42])), atol=0.3
    )


def test_a_wide_uniform_region_keeps_its_uptake_and_shows_noise():
    grid = Grid(shape=(30, 40, 40), spacing_mm=(4.0, 4.0, 4.0))

    pet = pet_of(np.full(grid.shape, 2, dtype=np.float32), grid, seed=(1,))

    inner = pet.values[5:-5, 5:-5, 5:-5]
    assert inner.mean() == pytest.approx(2, rel=0.01)
    assert 0.02 < inner.std() / inner.mean() < 0.15
