"""Dose-response curves: values at D50, slopes there, and scipy's normal distribution."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from aegle.domain.errors import OptionError
from aegle.planning.dose_response import gamma50_of, log_logistic, logistic, poisson, probit

CURVES = {
    "probit": lambda dose: probit(dose, 60.0, 1 / (1.5 * math.sqrt(2 * math.pi))),
    "log-logistic": lambda dose: log_logistic(dose, 60.0, 1.5),
    "Poisson": lambda dose: poisson(dose, 60.0, 1.5),
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_at_d50_the_probability_is_half_and_the_slope_is_gamma50(curve):
    step = 1e-4

    slope = (curve(60.0 * (1 + step)) - curve(60.0 * (1 - step))) / (2 * step)

    assert curve(60.0) == pytest.approx(0.5, abs=1e-12)
    assert slope == pytest.approx(1.5, rel=1e-5)


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_numbers_and_tensors_agree_and_have_a_slope(curve):
    doses = torch.tensor([1.0, 45.0, 60.0, 90.0], dtype=torch.float64, requires_grad=True)

    torch.testing.assert_close(
        curve(doses).detach(), torch.tensor([curve(d) for d in doses.tolist()]).double()
    )
    assert torch.autograd.gradcheck(curve, (doses,))


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@given(st.floats(0, 150), st.floats(0, 150))
def test_more_dose_is_never_less_likely(curve, first, second):
    low, high = sorted((first, second))

    assert 0 <= curve(low) <= curve(high) <= 1


@given(st.floats(0.1, 120), st.floats(20, 90), st.floats(0.05, 0.6))
def test_probit_is_the_normal_distribution(dose, td50, m):
    assert probit(dose, td50, m) == pytest.approx(norm.cdf((dose - td50) / (m * td50)), abs=1e-12)


def test_gamma50_of_m():
    assert gamma50_of(0.13) == pytest.approx(1 / (0.13 * math.sqrt(2 * math.pi)))


def test_no_dose_and_extreme_odds():
    assert log_logistic(0.0, 60.0, 1.5) == 0
    assert poisson(0.0, 60.0, 300.0) == 0
    assert logistic(-1000.0) == 0
    assert logistic(1000.0) == 1


@pytest.mark.parametrize(
    "curve",
    [
        lambda: probit(60.0, 0.0, 0.1),
        lambda: probit(60.0, 60.0, -0.1),
        lambda: log_logistic(60.0, -1.0, 1.0),
        lambda: poisson(60.0, 60.0, 0.0),
        lambda: gamma50_of(0.0),
    ],
)
def test_refuses_parameters_that_are_not_positive(curve):
    with pytest.raises(OptionError, match="must be positive"):
        curve()
