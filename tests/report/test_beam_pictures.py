"""Beam's-eye views: the right way up, and leaves where the plan puts them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image as Pixels
from tests.report.test_plan_tables import checked, shaped

from aegle.domain.plan import Aperture, Beam
from aegle.report.beam_pictures import (
    MOST_APERTURES,
    FluenceMap,
    beam_pictures,
    draw_fluence,
    draw_leaves,
)
from aegle.report.language import words

ENGLISH = words("en")


def beam_with(positions_mm, weights, **more):
    return Beam(
        gantry_deg=0,
        couch_deg=0,
        isocentre_mm=(0, 0, 0),
        beamlet_mm=5.0,
        positions_mm=np.asarray(positions_mm, float),
        weights=np.asarray(weights, float),
        **more,
    )


def test_fluence_lies_where_its_beamlets_do():
    """An L: at (0, 0), (5, 0) and (0, 10) mm; x to the right, y up, nothing elsewhere."""
    found = FluenceMap.of(beam_with([(0, 0), (5, 0), (0, 10)], [30, 60, 90]), fractions=30)

    assert found.extent_mm == (-2.5, 7.5, -2.5, 12.5)
    np.testing.assert_array_equal(found.values, [[1, 2], [np.nan, np.nan], [3, np.nan]])


def test_spots_of_all_energies_are_summed():
    found = FluenceMap.of(beam_with([(0, 0), (0, 0), (5, 0)], [10, 20, 5]), fractions=1)

    np.testing.assert_array_equal(found.values, [[30, 5]])


tips = st.lists(st.tuples(st.floats(-40, 40), st.floats(0, 30)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=30)
@given(tips)
def test_what_leaves_and_jaws_leave_open_is_the_aperture(pairs):
    """The frame's area less that of everything drawn is the sum of the gaps."""
    left = np.array([first for first, _ in pairs])
    right = left + np.array([gap for _, gap in pairs])
    borders = 5.0 * np.arange(len(pairs) + 1) - 20
    axes = Figure().add_axes((0, 0, 1, 1))
    axes.set_xlim(-80, 80)
    axes.set_ylim(-60, 60)

    draw_leaves(axes, Aperture(monitor_units=1, left_mm=left, right_mm=right, borders_mm=borders))

    boxes = [path.vertices for drawn in axes.collections for path in drawn.get_paths()]
    covered = sum(np.ptp(box[:, 0]) * np.ptp(box[:, 1]) for box in boxes)
    assert 160 * 120 - covered == pytest.approx(5 * np.sum(right - left), abs=1e-6)


def test_an_opening_at_the_upper_right_is_drawn_there():
    axes_figure = Figure(figsize=(2, 2), dpi=100)
    axes = axes_figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-50, 50)
    axes.set_ylim(-50, 50)
    axes.set_axis_off()
    opened = Aperture(
        monitor_units=1, left_mm=[0.0, 10.0], right_mm=[0.0, 30.0], borders_mm=[-40.0, 0.0, 40.0]
    )

    draw_leaves(axes, opened)

    stream = io.BytesIO()
    axes_figure.savefig(stream, format="png")
    shown = np.asarray(Pixels.open(stream).convert("L")).astype(int)
    bright = np.argwhere(shown > 245)
    # x from 10 to 30 and y from 0 to 40 mm, 2 pixels a millimetre from the upper left.
    assert bright.min(axis=0) == pytest.approx([20, 120], abs=3)
    assert bright.max(axis=0) == pytest.approx([100, 160], abs=3)


def test_fluence_at_the_upper_right_is_drawn_there():
    """The only beamlet with fluence lies at (20, 20) mm in a field around the axis."""
    places = [(x, y) for x in range(-20, 25, 5) for y in range(-20, 25, 5)]
    weights = [float(place == (20, 20)) for place in places]
    figure = Figure(figsize=(2, 2), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))

    draw_fluence(axes, FluenceMap.of(beam_with(places, weights), 1), None, ENGLISH)

    axes.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    red, _, blue = np.moveaxis(np.asarray(Pixels.open(stream).convert("RGB")).astype(int), -1, 0)
    rows, columns = np.nonzero(red - blue > 100)
    # 22.5 mm and a margin of 12 mm are half of 200 pixels.
    assert columns.mean() == pytest.approx(100 + 100 * 20 / 34.5, abs=3)
    assert rows.mean() == pytest.approx(100 - 100 * 20 / 34.5, abs=3)


def test_every_beam_has_a_picture_and_a_legend(case):
    plan = shaped(case.planning.plan)

    shown = beam_pictures(plan, checked(), ENGLISH)

    assert len(shown.items) == len(plan.beams)
    assert [entry.name for entry in shown.legend] == ["PTV", "leaves", "jaws"]
    assert "gantry 260°" in shown.items[1].alt
    assert beam_pictures(replace(plan, beams=()), checked(), ENGLISH) is None


def test_apertures_that_are_not_pictured_are_counted(case):
    plan = shaped(case.planning.plan)
    many = plan.beams[0].apertures * MOST_APERTURES
    plan = replace(plan, beams=(replace(plan.beams[0], apertures=many),))

    shown = beam_pictures(plan, None, ENGLISH)

    assert shown.items[0].caption == f"{MOST_APERTURES} more apertures are not pictured."
