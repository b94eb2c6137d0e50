"""Densities at the points of the published table and between them."""

import numpy as np
import pytest

from aegle.planning.density import relative_density


@pytest.mark.parametrize(
    ("hu", "density"),
    [(-1024, 0.001), (-999, 0.001), (-90, 0.95), (0, 1.0), (50, 1.0475), (350, 1.199)],
)
def test_table(hu, density):
    assert relative_density(np.float32([hu]))[0] == pytest.approx(density, abs=1e-6)


def test_beyond_the_table_its_ends_count():
    np.testing.assert_allclose(relative_density(np.float32([-3000, 9000])), [0.001, 2.505])
