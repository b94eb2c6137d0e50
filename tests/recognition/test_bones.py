"""Bone and spinal canal in images that no scanner makes."""

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.recognition.bones import canal
from aegle.recognition.scan import AxialScan


@pytest.mark.parametrize("side_mm", [60.0, 200.0, 5000.0])
def test_no_spinal_canal_is_seen_where_voxels_are_wider_than_it(side_mm):
    values = np.full((20, 32, 32), -1000, np.float32)
    values[:, 6:26, 6:26] = 40
    values[:, 16:22, 13:19] = 700
    values[:, 18:20, 15:17] = 20
    grid = Grid(shape=values.shape, spacing_mm=(2.5 * side_mm, side_mm, side_mm))
    ct = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)

    scan = AxialScan.of(ct)

    found = canal(scan, scan.coarse.values > 500, slice(0, 20))

    assert found.shape == scan.coarse.values.shape
    assert not found.any()
