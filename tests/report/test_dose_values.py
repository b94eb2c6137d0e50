"""Doses over scenarios: the band holds every curve, and no more."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.plan import DoseVolumeCurve, ScenarioCurves
from aegle.report.dose_values import band, in_scenarios, volume_at_dose


def ramp(start_gy, structure="PTV"):
    """Dose spread evenly over 10 Gy from a start: V falls from 100 % to 0 % along a line."""
    dose_gy = np.arange(0, round(start_gy) + 12, 1.0)
    return DoseVolumeCurve(
        structure=structure,
        dose_gy=dose_gy,
        volume_percent=np.clip(10 * (start_gy + 10 - dose_gy), 0, 100),
        volume_ml=10,
        mean_gy=start_gy + 5,
    )


def with_scenarios(case, *starts_gy):
    found = tuple(
        ScenarioCurves(name=f"case {n}", curves=(ramp(start), ramp(20, "heart")))
        for n, start in enumerate(starts_gy)
    )
    return replace(case.planning.plan, scenarios=found)


def test_a_plan_without_scenarios_has_no_band(case):
    assert band(case.planning.plan, "PTV") is None
    assert in_scenarios(case.planning.plan, "PTV") == ()


def test_band_of_shifted_ramps(case):
    """Ramps that start at 50, 54 and 47 Gy: at 55 Gy between 20 % and 90 % are reached."""
    found = band(with_scenarios(case, 50, 54, 47), "PTV")

    at = int(np.flatnonzero(found.dose_gy == 55)[0])
    assert (found.low_percent[at], found.high_percent[at]) == (20, 90)
    # Where the lowest curve has ended its volume is zero, not its last value.
    at = int(np.flatnonzero(found.dose_gy == 62)[0])
    assert (found.low_percent[at], found.high_percent[at]) == (0, 20)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 70))
def test_every_curve_lies_in_the_band(case, starts, dose):
    found = band(with_scenarios(case, *starts), "PTV")

    low, high = (
        np.interp(dose, found.dose_gy, side, right=0.0)
        for side in (found.low_percent, found.high_percent)
    )
    reached = [volume_at_dose(ramp(start), dose) for start in starts]
    assert (low, high) == pytest.approx((min(reached), max(reached)))
