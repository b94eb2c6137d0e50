"""Growth of tumours: doubling time and its interval."""

import math

import pytest

from aegle.domain.errors import InputError
from aegle.domain.growth import growth, growth_of_diameter


@pytest.mark.parametrize(
    ("first", "second", "days", "expected"),
    [(100, 200, 400, 400.0), (100, 80, 90, -279.5655), (100, 100, 90, math.inf), (1, 8, 90, 30)],
)
def test_doubling_time(first, second, days, expected):
    assert growth(first, second, days).doubling_days == pytest.approx(expected, abs=1e-3)


def test_a_diameter_doubles_a_volume_three_times():
    # 8 to 10 mm in 90 days: 90 · ln 2 / (3 · ln 1.25).
    assert growth_of_diameter(8, 10, 90).doubling_days == pytest.approx(93.1885, abs=1e-3)


@pytest.mark.parametrize(("second", "expected"), [(130, None), (300, True), (30, False)])
def test_growth_within_measurement_error_is_unsure(second, expected):
    # 20 % variation of a volume: a change of two is 1.96 · sqrt(2) · 0.198 = 55 % in the logarithm.
    found = growth(100, second, 100, first_deviation_ml=20, second_deviation_ml=0.2 * second)

    assert found.is_growing is expected
    width = (found.high_doublings_per_day - found.low_doublings_per_day) * 100 * math.log(2)
    assert width == pytest.approx(2 * 1.96 * math.sqrt(2 * math.log(1.04)), rel=1e-3)


def test_small_errors_of_either_volume_add_as_squares():
    found = growth(1, 2, 100, first_deviation_ml=0.03, second_deviation_ml=0.08)

    reach = 1.959964 * math.hypot(0.03, 0.04) / (100 * math.log(2))
    assert found.high_doublings_per_day == pytest.approx(0.01 + reach, rel=1e-3)
    assert found.low_doublings_per_day == pytest.approx(0.01 - reach, rel=1e-3)


@pytest.mark.parametrize(
    "values", [(0, 1, 10), (1, -1, 10), (1, 2, 0), (1, 2, -5), (math.nan, 1, 1)]
)
def test_refuses_what_cannot_be(values):
    with pytest.raises(InputError):
        growth(*values)
