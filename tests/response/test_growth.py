"""Doubling times and their intervals."""

import math

import pytest

from aegle.domain.errors import InputError
from aegle.response.growth import growth


def test_a_volume_that_doubles_in_a_hundred_days_has_that_doubling_time():
    assert growth(1, 2, 100).doubling_days == pytest.approx(100)
    assert growth(1, 8, 100).doubling_days == pytest.approx(100 / 3)


def test_the_lung_screening_example_of_a_quarter_more_in_three_months():
    # 25 % in 91 days: ln 2 / ln 1.25 times 91 days.
    assert growth(100, 125, 91).doubling_days == pytest.approx(282.7, abs=0.1)


def test_the_interval_is_that_of_the_rate():
    found = growth(1, 2, 100, first_deviation_ml=0.1, second_deviation_ml=0.2)

    reach = 1.959964 * math.hypot(0.1, 0.1) / (100 * math.log(2))
    assert found.interval_per_day == pytest.approx((0.01 - reach, 0.01 + reach), rel=1e-5)
    low, high = found.doubling_interval_days
    assert low < 100 < high < math.inf
    assert found.is_beyond_error


def test_growth_within_the_error_has_no_longest_doubling_time():
    found = growth(1, 1.1, 100, first_deviation_ml=0.1, second_deviation_ml=0.1)

    assert not found.is_beyond_error
    assert found.doubling_interval_days[1] == math.inf


def test_a_shrinking_lesion_has_no_doubling_time():
    found = growth(2, 1, 100, first_deviation_ml=0.1, second_deviation_ml=0.05)

    assert found.doubling_days is None
    assert found.doubling_interval_days is None
    assert found.doublings_per_day == pytest.approx(-0.01)


@pytest.mark.parametrize("values", [(0, 1, 10), (1, 0, 10), (1, 1, 0), (1, 1, -5)])
def test_refuses_what_has_no_growth(values):
    with pytest.raises(InputError):
        growth(*values)
