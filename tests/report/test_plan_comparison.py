"""Two plans beside each other: the same place, the right sign, both verdicts."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.plan_check import GammaMap
from aegle.report import comparison_page, html, pdf
from aegle.report.blocks import Table, Tone
from aegle.report.dose_pictures import Planned, dose_slice
from aegle.report.language import words
from aegle.report.plan_comparison import (
    Pair,
    comparison_blocks,
    difference_scale_gy,
    difference_slice,
    gamma_slice,
    in_one_place,
    rounded_up,
)
from aegle.report.planes import Plane
from aegle.report.shades import NEEDED_LIGHTNESS, Palette, diverging, ink_of

ENGLISH = words("en")


def second_of(plan):
    """The same plan with 6 Gy more on the patient's left half and one beam less."""
    values = plan.dose.values.copy()
    values[..., values.shape[2] // 2 :] += 6
    goals = tuple(replace(goal, is_met=not goal.is_met) for goal in plan.goals)
    dose = replace(plan.dose, values=values)
    return replace(plan, dose=dose, beams=plan.beams[:2], goals=goals)


def gamma_of(plan, value):
    values = np.full(plan.dose.grid.shape, value, np.float32)
    return GammaMap(
        values=values,
        grid=plan.dose.grid,
        dose_percent=3,
        distance_mm=2,
        is_local=False,
        cutoff_percent=10,
        judged=1234,
        pass_percent=98.76,
        mean=0.5,
    )


@pytest.fixture
def pair(case):
    plan = case.planning.plan
    image = case.examinations.visits[0].images[0]
    return Pair(
        image=image,
        first=plan,
        second=second_of(plan),
        names=("<b>A</b>", "B"),
        gamma=gamma_of(plan, 0.4),
    )


def plain_share(picture, without):
    """Return red less blue that was laid on a picture."""
    laid = picture.scene.base.astype(int) - without.scene.base.astype(int)
    return laid[..., 0] - laid[..., 2]


def test_more_dose_is_red_less_is_blue_and_on_the_right_side(pair):
    shown = Planned.of(pair.first, pair.image)
    palette = Palette.of(pair.first.structures)
    same = difference_slice(shown, pair.first, Plane.AXIAL, palette, 6.0)

    more = difference_slice(shown, pair.second, Plane.AXIAL, palette, 6.0)
    less = difference_slice(replace(shown, plan=pair.second), pair.first, Plane.AXIAL, palette, 6.0)

    # The patient's left is at the right of the picture.
    half = same.scene.base.shape[1] // 2
    assert plain_share(more, same)[:, half + 2 :].min() > 50
    assert plain_share(less, same)[:, half + 2 :].max() < -50
    np.testing.assert_array_equal(plain_share(more, same)[:, : half - 2], 0)


def test_both_plans_are_cut_at_the_same_place(pair):
    moved = replace(
        pair.second,
        beams=tuple(replace(beam, isocentre_mm=(10.0, 10.0, 30.0)) for beam in pair.second.beams),
    )
    shown, other = in_one_place(replace(pair, second=moved))
    palette = Palette.of(pair.first.structures)

    assert other.focus_mm == shown.focus_mm
    angles = [s.label for s in dose_slice(other, Plane.AXIAL, palette).scene.segments if s.label]
    assert angles == ["210°", "260°"], "the second plan's own beams"


def test_scale_covers_the_difference(pair):
    shown = Planned.of(pair.first, pair.image)

    assert difference_scale_gy(pair.first, pair.second, shown) == 6
    # Equal plans still have a scale: 1 % of 60 Gy.
    assert difference_scale_gy(pair.first, pair.first, shown) == pytest.approx(0.6)


@given(st.floats(1e-3, 1e4))
def test_a_scale_is_round_and_not_much_larger_than_needed(value):
    rounded = rounded_up(value)

    assert value * (1 - 1e-6) <= rounded <= 1.51 * value
    assert float(f"{rounded:.1e}") == pytest.approx(rounded)


def test_goals_have_both_values_and_both_verdicts(pair):
    table = next(
        b
        for b in comparison_blocks(pair, ENGLISH, Palette.of(pair.first.structures))
        if isinstance(b, Table) and b.caption == "Goals"
    )

    assert table.heads[3:] == ("<b>A</b>", "Verdict", "B", "Verdict")
    for row, goal in zip(table.rows, pair.first.goals, strict=True):
        assert (row[4].tone is Tone.GOOD) == goal.is_met
        assert (row[6].tone is Tone.GOOD) != goal.is_met


def test_a_goal_of_one_plan_alone_has_no_verdict_in_the_other(pair):
    alone = replace(pair, second=replace(pair.second, goals=()))
    table = next(
        b
        for b in comparison_blocks(alone, ENGLISH, Palette.of(pair.first.structures))
        if isinstance(b, Table) and b.caption == "Goals"
    )

    assert {(row[5].text, row[6].text) for row in table.rows} == {("–", "–")}


def test_changes_of_dose_are_told_with_their_sign(pair):
    raised = tuple(replace(c, mean_gy=c.mean_gy - 1.5) for c in pair.second.curves)
    blocks = comparison_blocks(
        replace(pair, second=replace(pair.second, curves=raised)),
        ENGLISH,
        Palette.of(pair.first.structures),
    )
    table = next(b for b in blocks if isinstance(b, Table) and "→" in b.caption)

    assert table.rows[0][1].text == "60.1 → 58.6\n−1.5"
    assert table.rows[0][2].text.endswith("\n0.0")


@pytest.mark.parametrize(("value", "sign"), [(0.2, -1), (1.8, 1)])
def test_gamma_is_blue_where_it_passes_and_red_where_it_fails(pair, value, sign):
    shown = Planned.of(pair.first, pair.image)
    palette = Palette.of(pair.first.structures)
    neither = gamma_slice(shown, gamma_of(pair.first, 1.0), Plane.AXIAL, palette)

    found = gamma_slice(shown, gamma_of(pair.first, value), Plane.AXIAL, palette)

    assert np.all(sign * plain_share(found, neither)[5:-5, 5:-5] > 40)


def test_colours_diverge_from_zero():
    base = np.full((1, 4, 3), 100, np.uint8)

    drawn = diverging(base, np.float32([[-1, 0, 1, np.nan]]), lowest=0.05, strength=0.5)[0]

    assert drawn[0, 2] > drawn[0, 0]
    assert drawn[2, 0] > drawn[2, 2]
    assert drawn[1].tolist() == drawn[3].tolist() == [100, 100, 100]


@pytest.mark.parametrize("colour", ["#ffd60a", "#4cc9f0", "#ff5d5d", "#101010"])
def test_inks_are_dark_enough_on_paper(colour):
    ink = [int(ink_of(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    assert (max(ink) + min(ink)) / 2 <= NEEDED_LIGHTNESS + 0.01


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_of_two_plans_is_whole(pair, case, language):
    patient = case.examinations.patient
    heading = comparison_page.Heading(patient=patient, now=datetime(2026, 7, 1, tzinfo=UTC))

    page = comparison_page.build(heading, pair, language)

    text = html.render(page)
    assert "<b>A</b>" not in text
    assert "98.8 %" in text
    assert pdf.render(page).startswith(b"%PDF")


def test_without_gamma_nothing_is_said_of_it(pair):
    blocks = comparison_blocks(
        replace(pair, gamma=None), ENGLISH, Palette.of(pair.first.structures)
    )

    assert not any("amma" in str(getattr(block, "title", "")) for block in blocks)
