"""Equivalent doses against worked values and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError, OptionError
from aegle.planning.equivalent_dose import (
    Repopulation,
    biologically_effective_dose,
    equivalent_in_2gy,
    fraction_for,
    generalised_eud,
    voxels_in_2gy,
)

doses_of_voxels = st.lists(st.floats(0.1, 80), min_size=1, max_size=30)


# Two decimals where the table rounds; the closed form beside it is exact.
@pytest.mark.parametrize(
    ("dose_gy", "fraction_gy", "bed10", "eqd10", "bed3", "eqd3"),
    [
        (60, 2, 72, 60, 100, 60),
        (54, 18, 151.2, 126, 378, 226.8),
        (50, 10, 100, 250 / 3, 650 / 3, 130),
        (48, 12, 105.6, 88, 240, 144),
        (60, 20, 180, 150, 460, 276),
        (26, 5.2, 39.52, 39.52 / 1.2, 26 * 8.2 / 3, 42.64),
        (60, 3, 78, 65, 120, 72),
    ],
)
def test_fractionation_table(dose_gy, fraction_gy, bed10, eqd10, bed3, eqd3):
    found = [
        function(dose_gy, fraction_gy, alpha_beta)
        for alpha_beta in (10, 3)
        for function in (biologically_effective_dose, equivalent_in_2gy)
    ]

    np.testing.assert_allclose(found, [bed10, eqd10, bed3, eqd3], atol=1e-6)


# 70 Gy in 35 fractions over 46 days; 0.6 Gy a day are lost from day 28 on.
def test_repopulation_costs_dose_after_its_onset():
    growth = Repopulation(gy_per_day=0.6, onset_days=28)

    bed_gy = biologically_effective_dose(70, 2, 10, lost_gy=growth.loss_gy(46))

    assert bed_gy == pytest.approx(84 - 0.6 * 18)
    assert growth.loss_gy(28) == 0
    assert growth.loss_gy(20) == 0


@given(st.floats(10, 200), st.integers(1, 40), st.floats(1, 20))
def test_the_fraction_for_a_bed_gives_that_bed(bed_gy, fractions, alpha_beta):
    each_gy = fraction_for(bed_gy, fractions, alpha_beta)

    back = biologically_effective_dose(fractions * each_gy, each_gy, alpha_beta)

    assert back == pytest.approx(bed_gy, rel=1e-9)


def test_each_voxel_has_its_own_dose_per_fraction():
    doses = torch.tensor([60.0, 30.0, 0.0])

    found = voxels_in_2gy(doses, 20, 3.0)

    np.testing.assert_allclose(found, [72, 30 * 4.5 / 5, 0], rtol=1e-6)


def test_half_the_volume_at_each_of_two_doses():
    found = generalised_eud(torch.tensor([80.0, 20.0]).double(), 4.0)

    assert float(found) == pytest.approx(((80**4 + 20**4) / 2) ** 0.25, rel=1e-12)


# Over a sphere of radius R, x has the moments <x²> = R²/5 and <x> = 0.
def test_linear_dose_over_a_sphere(grid_of, positions_of):
    x, y, z = positions_of(grid_of((41, 41, 41), (1.0, 1.0, 1.0)))
    inside = x**2 + y**2 + z**2 <= 20**2

    found = generalised_eud(torch.from_numpy(50 + x[inside]), 2.0)

    assert float(found) == pytest.approx(np.sqrt(50**2 + 20**2 / 5), rel=1e-4)


@given(doses_of_voxels, st.floats(-30, 30).filter(lambda a: abs(a) > 0.1))
def test_lies_between_the_extremes_and_grows_with_the_exponent(doses, exponent):
    tensor = torch.tensor(doses, dtype=torch.float64)

    found = float(generalised_eud(tensor, exponent))

    assert min(doses) * (1 - 1e-9) <= found <= max(doses) * (1 + 1e-9)
    assert float(generalised_eud(tensor, exponent + 1 if exponent != -1 else 1)) >= found - 1e-9


def test_exponent_1_is_the_mean_and_large_ones_are_the_extremes():
    doses = torch.tensor([10.0, 20.0, 60.0]).double()

    assert float(generalised_eud(doses, 1.0)) == pytest.approx(30)
    assert float(generalised_eud(doses, 800.0)) == pytest.approx(60, rel=0.002)
    assert float(generalised_eud(doses, -800.0)) == pytest.approx(10, rel=0.002)


def test_a_histogram_equals_its_voxels():
    voxels = torch.tensor([50.0] * 3 + [10.0]).double()
    bins, shares = torch.tensor([50.0, 10.0]).double(), torch.tensor([7.5, 2.5]).double()

    assert float(generalised_eud(bins, 8.0, shares)) == pytest.approx(
        float(generalised_eud(voxels, 8.0)), rel=1e-12
    )


@pytest.mark.parametrize("exponent", [0.5, 1.0, 11.1, -10.0])
def test_has_the_slope_of_finite_differences(exponent):
    doses = torch.tensor([5.0, 30.0, 62.0], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda d: generalised_eud(d, exponent), (doses,))


def test_voxels_without_dose_have_a_finite_slope():
    doses = torch.tensor([0.0, 30.0], requires_grad=True)

    generalised_eud(doses, 0.5).backward()

    assert torch.isfinite(doses.grad).all()


def test_refuses_what_has_no_answer():
    with pytest.raises(OptionError, match="exponent"):
        generalised_eud(torch.ones(2), 0.0)
    with pytest.raises(InputError, match="at least one voxel"):
        generalised_eud(torch.ones(0), 1.0)
    with pytest.raises(InputError, match="positive sum"):
        generalised_eud(torch.ones(2), 1.0, torch.zeros(2))
    with pytest.raises(OptionError, match="α/β"):
        equivalent_in_2gy(60, 2, 0)
    with pytest.raises(OptionError, match="fraction"):
        voxels_in_2gy(torch.ones(1), 0, 3.0)
