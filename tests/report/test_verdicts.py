"""Which verdict is shown first, and how beams and goals are named."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.case import AllSuggestions
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam, Goal, Metric
from aegle.report.blocks import Tone
from aegle.report.dose_pictures import beam_lines
from aegle.report.find import statistics_words
from aegle.report.language import words
from aegle.report.plan_words import limit_words, metric_words
from aegle.report.planes import Plane, View
from aegle.report.suggest import tone_of, worst


def with_categories(case, *categories):
    first = case.suggestions.visits[0][0]
    return replace(
        case,
        suggestions=AllSuggestions(tuple((replace(first, category=c),) for c in categories)),
    )


@pytest.mark.parametrize(
    ("categories", "visit"),
    [
        (("4A", "4B", "3"), 1),
        (("4X", "4B", "2"), 0),
        (("2", "2", "1"), 1),
        (("REVIEW", "3", "2"), 0),
        (("REVIEW", "4A", "2"), 1),
        (("0", "NC", "1"), 2),
    ],
)
def test_most_serious_category_is_shown_and_the_latest_of_equals(case, categories, visit):
    assert worst(with_categories(case, *categories))[0] == visit


def test_a_rule_that_does_not_apply_is_never_the_worst(case, nothing):
    assert worst(case)[0] == 0
    assert worst(nothing) is None


@pytest.mark.parametrize(
    ("category", "tone"),
    [("4X", Tone.BAD), ("4A", Tone.BAD), ("3", Tone.WARN), ("REVIEW", Tone.WARN), ("2", Tone.CALM)],
)
def test_serious_categories_ask_for_attention(case, category, tone):
    assert tone_of(replace(case.suggestions.visits[0][0], category=category)) is tone


@pytest.mark.parametrize(
    ("gantry_deg", "side"), [(0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (270, (-1, 0))]
)
def test_beams_come_from_the_side_that_iec_61217_says(gantry_deg, side):
    """Seen on an axial picture: front is up, the patient's left is at the right."""
    grid = Grid(shape=(3, 100, 100), spacing_mm=(3.0, 3.0, 3.0))
    beam = Beam(
        gantry_deg=gantry_deg,
        couch_deg=0,
        isocentre_mm=(150.0, 150.0, 3.0),
        beamlet_mm=5,
        positions_mm=np.zeros((1, 2)),
        weights=np.ones(1),
    )

    (line,) = beam_lines((beam,), View(grid, Plane.AXIAL))

    start = line.ends[0] - 150
    np.testing.assert_allclose(start / np.abs(start).max(), side, atol=1e-9)


def test_beams_with_a_turned_couch_are_not_drawn_in_the_axial_plane(case):
    beam = replace(case.planning.plan.beams[0], couch_deg=30)

    assert beam_lines((beam,), View(case.planning.plan.dose.grid, Plane.AXIAL)) == ()


@pytest.mark.parametrize(
    ("goal", "metric", "limit"),
    [
        ({"metric": Metric.DOSE_AT_VOLUME, "at": 95, "at_least": 57}, "D95%", "≥ 57 Gy"),
        ({"metric": Metric.VOLUME_AT_DOSE, "at": 20, "at_most": 30}, "V20Gy", "≤ 30 %"),
        ({"metric": Metric.MEAN_DOSE, "at_most": 20}, "mean dose", "≤ 20 Gy"),
        ({"metric": Metric.MAXIMUM_DOSE, "at_most": 45}, "D 0.03 cm³ (maximum)", "≤ 45 Gy"),
    ],
)
def test_goals_are_written_as_physicists_write_them(goal, metric, limit):
    goal = Goal(structure="x", **goal)

    assert metric_words(goal, words("en")) == metric
    assert limit_words(goal) == limit


def test_uptake_is_called_suv(case):
    hounsfield, suv = case.findings.visits[0].lesions[0].statistics

    assert statistics_words(hounsfield, words("en")) == "35 ± 18 HU"
    assert statistics_words(suv, words("en")) == "6.54 ± 1.25 SUV"
