"""What the chapter on the plan says, and when its summary warns."""

from dataclasses import replace

import numpy as np
import pytest
from tests.report.test_language import sentences_in_code

from aegle.domain.plan import DoseVolumeCurve
from aegle.domain.text import Text
from aegle.report import document, summary
from aegle.report.blocks import Facts, Paragraph, Table, Tone
from aegle.report.dose_values import dose_at_volume
from aegle.report.language import words
from aegle.report.plan_words import ROUTINE, angle_words, warnings_of

IDEAL = Text(f"{ROUTINE[0]}; leaf sequencing is not part of this plan. For research only.")
SKIN = Text("{volume_ml:.1f} mL of the target lie in air", {"volume_ml": 1.5})
CUT_OFF = Text("the patient is cut off")


def planned(case, *notices, all_met=True):
    plan = case.planning.plan
    goals = tuple(replace(goal, is_met=goal.is_met or all_met) for goal in plan.goals)
    plan = replace(plan, goals=goals, notices=notices)
    return replace(case, planning=replace(case.planning, plan=plan))


def plan_tile(results, language="en"):
    return summary.tiles(results, words(language))[2]


@pytest.mark.parametrize(
    ("notices", "value", "tone"),
    [
        ((), "4 of 4 goals met", Tone.GOOD),
        ((IDEAL,), "4 of 4 goals met", Tone.GOOD),
        ((IDEAL, SKIN), "4 of 4 goals met, 1 warning", Tone.WARN),
        ((SKIN, IDEAL, CUT_OFF), "4 of 4 goals met, 2 warnings", Tone.WARN),
    ],
)
def test_summary_of_a_plan_warns_as_soon_as_a_notice_does(case, notices, value, tone):
    tile = plan_tile(planned(case, *notices))

    assert (tile.value, tile.tone) == (value, tone)


def test_warnings_do_not_hide_goals_that_are_not_met(case):
    tile = plan_tile(planned(case, SKIN, all_met=False))

    assert tile.value == "3 of 4 goals met, 1 warning"
    assert tile.details[-1] == "Not met: lungs"
    assert plan_tile(planned(case, SKIN, CUT_OFF), "zh").value == "4 项目标中 4 项达标，2 项警告"


def test_notices_stand_right_below_the_facts_warnings_first(case):
    blocks = document.treatment.section(
        planned(case, IDEAL, SKIN), words("en"), document.Palette(case)
    ).blocks

    assert isinstance(blocks[0], Facts)
    assert blocks[1] == Paragraph("1.5 mL of the target lie in air", Tone.WARN)
    assert blocks[2] == Paragraph(str(IDEAL), Tone.CALM)


@pytest.mark.parametrize("start", ROUTINE)
def test_a_routine_notice_is_one_that_planning_gives(start):
    assert any(sentence.startswith(start) for sentence in sentences_in_code())


def test_every_other_notice_is_a_warning(case):
    assert warnings_of(planned(case, IDEAL, CUT_OFF, SKIN).planning.plan) == (CUT_OFF, SKIN)


@pytest.mark.parametrize(
    ("percent", "expected_gy"), [(98, 50.4), (95, 51.0), (50, 60.0), (2, 69.6), (100, 50.0)]
)
def test_dose_at_volume_of_an_even_spread_of_dose(percent, expected_gy):
    """Dose spread evenly from 50 to 70 Gy: D_v = 70 - 20 v / 100."""
    dose_gy = np.arange(0, 71, 1.0)
    curve = DoseVolumeCurve(
        structure="PTV",
        dose_gy=dose_gy,
        volume_percent=np.clip(100 * (70 - dose_gy) / 20, 0, 100),
        volume_ml=10,
        mean_gy=60,
    )

    assert dose_at_volume(curve, percent) == pytest.approx(expected_gy)


def test_dose_at_volume_agrees_with_the_sorted_doses_of_voxels():
    doses = np.sort(np.random.default_rng(7).normal(60, 2, 1000))[::-1]
    bins = np.arange(0, 80, 0.1)
    curve = DoseVolumeCurve(
        structure="PTV",
        dose_gy=bins,
        volume_percent=100 * (doses[:, None] >= bins).mean(axis=0),
        volume_ml=1,
        mean_gy=60,
    )

    for percent in (98, 95, 2):
        told = dose_at_volume(curve, percent)
        assert told == pytest.approx(doses[percent * 10 - 1], abs=0.1)


def test_every_structure_has_the_doses_that_are_reported(case):
    blocks = document.build(case, "en").sections[2].blocks
    table = next(b for b in blocks if isinstance(b, Table) and b.caption == "Dose to structures")
    rows = {row[0].text: [cell.text for cell in row[3:]] for row in table.rows}

    assert table.heads[3:] == ("D98% [Gy]", "D95% [Gy]", "D50% [Gy]", "D2% [Gy]")
    # V(d) = 100 / (1 + exp((d - 60.12) / 0.8)), so D_v = 60.12 + 0.8 ln(100 / v - 1)
    told = [float(cell) for cell in rows["PTV"]]
    assert told == pytest.approx([57.01, 58.77, 60.12, 63.23], abs=0.25)
    assert rows["PTV"][1] == "58.8", "the same as the goal on D95%, which was taken from voxels"
    # V(0 Gy) of the made curve is 90.7 %, so nothing is known of D98 and D95.
    assert rows["heart"][:2] == ["–", "–"]
    assert [float(cell) for cell in rows["heart"][2:]] == pytest.approx([4.56, 12.34], abs=0.25)


@pytest.mark.parametrize(
    ("degrees", "told"), [(360 / 7, "51.4"), (0.0, "0"), (210.0, "210"), (-12.5, "−12.5")]
)
def test_angles_have_at_most_one_decimal(degrees, told):
    assert angle_words(degrees) == told
