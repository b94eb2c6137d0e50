"""Plots say what the numbers say."""

import numpy as np
import pytest

from aegle.report.charts import chart, plot_trend
from aegle.report.follow import chart_visits
from aegle.report.language import words
from aegle.report.plan_charts import plot_dose_volume

ENGLISH = words("en")


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_trend_shows_where_the_category_changes(case):
    """Baseline 34.2 mm, smallest sum 20.4 mm: response at 23.94, progression at 25.4 mm."""
    _, axes = chart()

    plot_trend(axes, case.following.follow_up, chart_visits(case, ENGLISH), ENGLISH)

    drawn = lines(axes)
    assert drawn["−30 % of baseline"].get_ydata()[0] == pytest.approx(23.94)
    assert drawn["+20 % and ≥ 5 mm from nadir"].get_ydata()[0] == pytest.approx(25.4)
    np.testing.assert_allclose(drawn["sum of target lesions"].get_ydata(), [34.2, 20.4, 19.8])
    np.testing.assert_allclose(drawn["T2"].get_ydata(), [16.6])


def test_visits_stand_apart_as_long_as_they_were(case):
    days = [visit.place for visit in chart_visits(case, ENGLISH)]

    assert days == pytest.approx([0, 63.02, 161.07], abs=0.01)


def test_dose_volume_plot_shows_the_curves_and_the_prescription(case):
    plan = case.planning.plan
    _, axes = chart()

    plot_dose_volume(axes, plan, ENGLISH)

    drawn = lines(axes)
    for curve, name in zip(plan.curves, ("PTV", "lungs", "heart", "spinal cord"), strict=True):
        np.testing.assert_array_equal(drawn[name].get_ydata(), curve.volume_percent)
    assert any(list(line.get_xdata()) == [60, 60] for line in axes.lines)
