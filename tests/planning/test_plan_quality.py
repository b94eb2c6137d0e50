"""Conformity, gradient and homogeneity where spheres give closed forms."""

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError, QuantityError
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.plan_quality import (
    conformity_index,
    equivalent_uniform_dose,
    gradient_index,
    homogeneity_index,
)


@pytest.fixture(scope="module")
def cone(grid_of, positions_of):
    """A dose of 100 Gy at the origin that falls by 2 Gy per mm, and spheres as targets."""
    grid = grid_of((61, 61, 61), (1.5, 1.5, 1.5))
    radius_mm = np.linalg.norm(positions_of(grid), axis=0)
    values = np.float32(np.maximum(100 - 2 * radius_mm, 0))
    dose = Volume(values=values, grid=grid, quantity=Quantity.ABSORBED_DOSE)

    def target(mm):
        return Structure.of("target", radius_mm <= mm, grid)

    return dose, target


# 60 Gy reaches to 20 mm. Of two concentric spheres the smaller is what they share.
@pytest.mark.parametrize("target_mm", [12.0, 20.0, 26.0])
def test_conformity_of_concentric_spheres(cone, target_mm):
    dose, target = cone
    expected = (min(target_mm, 20) / max(target_mm, 20)) ** 3

    result = conformity_index(dose, target(target_mm), prescribed_gy=60)

    assert result == pytest.approx(expected, rel=0.02)


def test_conformity_without_overlap_is_0(cone):
    dose, target = cone

    assert conformity_index(dose, target(10.0), prescribed_gy=101) == 0


# 60 Gy reaches to 20 mm, 30 Gy to 35 mm.
def test_gradient_of_a_cone(cone):
    assert gradient_index(cone[0], prescribed_gy=60) == pytest.approx((35 / 20) ** 3, rel=0.02)


# Of a sphere of 30 mm, the part v lies farther out than 30 (1 - v)^(1/3).
@pytest.mark.parametrize("parts", [1, 2])
def test_homogeneity_of_a_cone(cone, parts):
    dose, target = cone
    high, middle, low = (100 - 2 * 30 * part ** (1 / 3) for part in (0.02, 0.5, 0.98))

    result = homogeneity_index(dose, target(30.0), parts=parts)

    assert result == pytest.approx((high - low) / middle, rel=0.02)


# The mean of r² over a sphere of R is 3 R²/5, that of r is 3 R/4.
def test_equivalent_uniform_dose_of_a_cone(cone):
    dose, target = cone
    squares = 100**2 - 2 * 100 * 2 * (3 / 4 * 30) + 4 * (3 / 5 * 30**2)

    assert equivalent_uniform_dose(dose, target(30.0), exponent=1) == pytest.approx(55, rel=0.005)
    assert equivalent_uniform_dose(dose, target(30.0), exponent=2, parts=2) == pytest.approx(
        np.sqrt(squares), rel=0.005
    )


def test_refuses_what_has_no_answer(cone):
    dose, target = cone
    other = Volume(values=dose.values, grid=dose.grid, quantity=Quantity.RADIODENSITY)

    with pytest.raises(InputError, match="maximum is 100 Gy"):
        gradient_index(dose, prescribed_gy=101)
    with pytest.raises(OptionError, match="positive"):
        conformity_index(dose, target(10.0), prescribed_gy=0)
    with pytest.raises(QuantityError):
        gradient_index(other, prescribed_gy=60)
    nothing = Volume(values=0 * dose.values, grid=dose.grid, quantity=Quantity.ABSORBED_DOSE)
    with pytest.raises(InputError, match="no dose"):
        homogeneity_index(nothing, target(10.0))
