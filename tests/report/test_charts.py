"""Plots say what the numbers say."""

from dataclasses import replace

import numpy as np
import pytest
from tests.report.test_dose_values import with_scenarios

from aegle.domain.structure import StructureSet
from aegle.report.charts import chart, plot_trend
from aegle.report.follow import chart_visits
from aegle.report.language import words
from aegle.report.plan_charts import (
    course_pictures,
    lines_of,
    plot_both,
    plot_course,
    plot_dose_volume,
)
from aegle.report.shades import Palette, ink_of

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


def test_scenarios_are_a_band_around_the_curve(case):
    """Ramps from 50 and 54 Gy: at 55 Gy the band reaches from 50 % to 90 %."""
    plan = with_scenarios(case, 50, 54)
    _, axes = chart()

    plot_dose_volume(axes, plan, ENGLISH)

    outline = axes.collections[0].get_paths()[0].vertices
    at_55 = outline[outline[:, 0] == 55][:, 1]
    assert (at_55.min(), at_55.max()) == pytest.approx((50, 90))


def test_curves_share_the_hue_of_outlines_and_targets_differ_in_style(case):
    plan = case.planning.plan
    curve = plan.curves[0]
    smaller = replace(plan.structures["PTV"], name="CTV")
    plan = replace(
        plan,
        structures=StructureSet((*plan.structures, smaller)),
        curves=(replace(curve, structure="CTV"), *plan.curves),
    )
    palette = Palette.of(plan.structures)

    drawn = lines_of(plan, palette)

    assert (drawn["PTV"].style, drawn["CTV"].style) == ("-", "--")
    assert drawn["heart"].colour == ink_of(palette.colour(plan.structures["heart"]))
    assert len({(line.colour, line.style) for line in drawn.values()}) == len(drawn)


def test_second_plan_is_dashed_in_the_colours_of_the_first(case):
    plan = case.planning.plan
    _, axes = chart()

    plot_both(axes, plan, plan, ENGLISH, Palette.of(plan.structures))

    styles = [(line.get_color(), line.get_linestyle()) for line in axes.lines[: 2 * 4]]
    for (solid, first), (dashed, second) in zip(styles[:4], styles[4:], strict=True):
        assert (solid, first, second) == (dashed, "-", "--")


@pytest.mark.parametrize(
    ("values", "scale"),
    [((100.0, 10.0, 1.0), "log"), ((2.0, 1.5, 1.0), "linear"), ((1.0, 0.0), "linear")],
)
def test_course_is_logarithmic_only_where_it_falls_far(values, scale):
    _, axes = chart()

    plot_course(axes, values, ENGLISH)

    assert axes.get_yscale() == scale
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), values)


def test_a_plan_without_a_course_has_no_picture_of_it(case):
    assert course_pictures(case.planning.plan, ENGLISH) is None
