"""Control of early lung cancer against the published reference implementation's test values."""

import pytest

from aegle.domain.errors import InputError
from aegle.planning.lung_control import lung_control


def weekdays(count):
    return [7 * (i // 5) + i % 5 + 1 for i in range(count)]


# CERR, test_Jeho_TCP_model.js: equivalent dose [Gy] and probability of control.
@pytest.mark.parametrize(
    ("fraction_gy", "fractions", "equivalent_gy", "probability"),
    [(2, 20, 40.0, 0.0633249472), (5, 30, 293.165207, 0.9499141858)],
)
def test_values_of_the_authors(fraction_gy, fractions, equivalent_gy, probability):
    found = lung_control(fraction_gy, weekdays(fractions))

    assert found.equivalent_gy == pytest.approx(equivalent_gy, abs=1e-6)
    assert found.probability == pytest.approx(probability, abs=1e-6)


def test_a_gap_in_the_treatment_costs_control():
    without, with_gap = lung_control(3, [1, 2, 3, 4, 5]), lung_control(3, [1, 2, 3, 24, 25])

    assert with_gap.equivalent_gy < without.equivalent_gy


def test_more_fractions_control_more():
    doses = [lung_control(12, weekdays(n)).equivalent_gy for n in (1, 2, 3)]

    assert doses == sorted(doses)
    assert doses[0] > 12


@pytest.mark.parametrize(
    ("fraction_gy", "days"), [(2, []), (2, [0, 1]), (2, [1, 1]), (2, [3, 2]), (0, [1])]
)
def test_refuses_schedules_that_cannot_be(fraction_gy, days):
    with pytest.raises(InputError):
        lung_control(fraction_gy, days)
