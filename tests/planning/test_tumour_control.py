"""Tumour control against Poisson statistics worked out by hand and numerical integrals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from aegle.domain.errors import InputError, OptionError
from aegle.planning.equivalent_dose import Repopulation
from aegle.planning.tumour_control import Tumour, control_probability, log_survivors

LUNG = Tumour(clonogens=1e9, alpha_per_gy=0.3)


# TCP = exp(-N exp(-α D (1 + d / (α/β)))).
@pytest.mark.parametrize(("dose_gy", "fractions"), [(60.0, 30), (54.0, 3), (70.0, 35)])
def test_even_dose(dose_gy, fractions):
    bed_gy = dose_gy * (1 + dose_gy / fractions / 10)

    found = control_probability([dose_gy], LUNG, fractions=fractions)

    assert float(found) == pytest.approx(math.exp(-1e9 * math.exp(-0.3 * bed_gy)), abs=1e-9)


def test_a_cold_voxel_holds_its_part_of_the_cells():
    survivors = 1e9 * (0.9 * math.exp(-0.3 * 84) + 0.1 * math.exp(-0.3 * 72))

    found = control_probability([70.0, 60.0], LUNG, fractions=35, shares=[0.9, 0.1])
    expected = 1e9 * (0.9 * math.exp(-0.3 * 84) + 0.1 * math.exp(-0.3 * 60 * (1 + 60 / 35 / 10)))

    assert float(found) == pytest.approx(math.exp(-expected), rel=1e-9)
    assert expected > survivors


def test_log_survivors_stay_finite_where_control_has_no_slope():
    doses = torch.tensor([5.0, 300.0], dtype=torch.float64, requires_grad=True)

    log_survivors(doses, LUNG, fractions=30).backward()

    assert torch.isfinite(doses.grad).all()
    assert doses.grad[0] < 0
    assert float(control_probability([5.0], LUNG, fractions=30)) == 0


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_has_the_slope_of_finite_differences(spread):
    tumour = Tumour(clonogens=1e7, alpha_per_gy=0.3, alpha_spread_per_gy=spread)
    doses = torch.tensor([52.0, 58.0, 60.0], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(
        lambda d: control_probability(d, tumour, fractions=30), (doses,)
    )
    assert torch.autograd.gradcheck(lambda d: log_survivors(d, tumour, fractions=30), (doses,))


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.08])
def test_patients_differ(spread):
    tumour = Tumour(clonogens=1e7, alpha_per_gy=0.3, alpha_spread_per_gy=spread)
    expected, _ = quad(
        lambda alpha: math.exp(-1e7 * math.exp(-alpha * 72)) * norm.pdf(alpha, 0.3, spread),
        0,
        1,
        points=[0.2, 0.25, 0.3],
    )

    found = control_probability([60.0], tumour, fractions=30)

    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_repopulation_costs_control():
    tumour = Tumour(
        clonogens=1e7,
        alpha_per_gy=0.3,
        repopulation=Repopulation(gy_per_day=0.6, onset_days=28),
    )

    found = control_probability([60.0], tumour, fractions=30, days=40)

    assert float(found) == pytest.approx(math.exp(-1e7 * math.exp(-0.3 * (72 - 7.2))), rel=1e-9)
    with pytest.raises(InputError, match="days"):
        control_probability([60.0], tumour, fractions=30)


@given(st.lists(st.floats(0, 90), min_size=1, max_size=10), st.floats(0, 10))
def test_more_dose_never_controls_less(doses, more_gy):
    higher = [d + more_gy for d in doses]

    low, high = (float(control_probability(d, LUNG, fractions=30)) for d in (doses, higher))

    assert 0 <= low <= high * (1 + 1e-12) <= 1 + 1e-9


def test_32_bit_doses_keep_their_kind():
    doses = torch.tensor([60.0, 66.0])

    assert control_probability(doses, LUNG, fractions=30).dtype is torch.float32
    np.testing.assert_allclose(
        float(control_probability(doses, LUNG, fractions=30)),
        float(control_probability(doses.double(), LUNG, fractions=30)),
        rtol=1e-4,
    )


def test_refuses_what_has_no_answer():
    with pytest.raises(OptionError, match="clonogens"):
        Tumour(clonogens=0, alpha_per_gy=0.3)
    with pytest.raises(OptionError, match="spread"):
        Tumour(clonogens=1, alpha_per_gy=0.3, alpha_spread_per_gy=-1)
    with pytest.raises(InputError, match="at least one voxel"):
        control_probability([], LUNG, fractions=30)
    with pytest.raises(OptionError, match="fraction"):
        control_probability([60.0], LUNG, fractions=0)
