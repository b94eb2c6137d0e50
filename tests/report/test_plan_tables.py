"""What the tables of a plan say: goals in order, scenarios, beams and their monitor units."""

from dataclasses import replace

import numpy as np
import pytest
from tests.report.test_dose_values import with_scenarios

from aegle.domain.plan import Aperture, Goal, GoalResult, Metric, ProtonBeam
from aegle.domain.plan_check import BeamCheck, PlanCheck, PlanQuality, Silhouette
from aegle.domain.text import Text
from aegle.report import treatment
from aegle.report.blocks import Table
from aegle.report.language import words
from aegle.report.plan_tables import (
    beam_table,
    dose_table,
    goal_table,
    machine_table,
    quality_table,
    scenario_table,
)
from aegle.report.plan_words import metric_words, scenario_words
from aegle.report.shades import Palette

ENGLISH, CHINESE = words("en"), words("zh")


def cells(table, column):
    return [row[table.heads.index(column)].text for row in table.rows]


def silhouette():
    return Silhouette(mask=np.ones((10, 10), bool), first_mm=(-9.0, -9.0), step_mm=2.0)


def checked(quality=None):
    return PlanCheck(
        calibration=Text("1 MU gives what it gives"),
        data_source="made data",
        sad_mm=1000.0,
        algorithm=Text("pencil beam"),
        dose_grid_mm=(6.0, 5.0, 5.0),
        limits=(Text("It leaves out much."), Text("And more.")),
        quality=quality or PlanQuality(conformity=0.8125, homogeneity=0.0625, gradient=None),
        beams=tuple(BeamCheck(ssd_mm=ssd, target=silhouette()) for ssd in (901.4, None, 915.6)),
    )


def shaped(plan):
    """The plan with two apertures of 30 and 60 MU in each beam, over 30 fractions."""
    opening = {"left_mm": [-5.0, 0.0], "right_mm": [5.0, 0.0], "borders_mm": [-5.0, 0.0, 5.0]}
    apertures = tuple(Aperture(monitor_units=mu, **opening) for mu in (30.0, 60.0))
    return replace(plan, beams=tuple(replace(beam, apertures=apertures) for beam in plan.beams))


def test_what_must_be_kept_comes_first_then_by_priority(case):
    plan = case.planning.plan
    first, *others = plan.goals
    ranked = [
        replace(first, goal=replace(first.goal, priority=3)),
        replace(others[0], goal=replace(others[0].goal, priority=1)),
        replace(others[1], goal=replace(others[1].goal, is_constraint=True)),
    ]

    table = goal_table(replace(plan, goals=tuple(ranked)), ENGLISH)

    assert cells(table, "Structure") == ["lungs", "spinal cord", "PTV"]
    assert cells(table, "Priority") == ["must be kept", "1", "3"]


def test_equivalent_uniform_dose_is_not_taken_for_a_volume():
    goal = Goal(structure="x", metric=Metric.EQUIVALENT_UNIFORM_DOSE, at=-10.0, at_least=50)

    assert metric_words(goal, ENGLISH) == "gEUD (a = −10)"


@pytest.mark.parametrize(
    ("name", "english", "chinese"),
    [
        # LPS: +x is the patient's left, +y the back, +z the head.
        ("x +5 mm", "patient 5 mm to the left", "患者左移 5 mm"),
        ("x -5 mm", "patient 5 mm to the right", "患者右移 5 mm"),
        ("y +2.5 mm", "patient 2.5 mm to the back", "患者后移 2.5 mm"),
        ("y -3 mm", "patient 3 mm to the front", "患者前移 3 mm"),
        ("z +3 mm", "patient 3 mm to the head", "患者向头侧移 3 mm"),
        ("z -3 mm", "patient 3 mm to the feet", "患者向足侧移 3 mm"),
        ("density -3 %", "densities −3 %", "密度 −3 %"),
        ("density +3.5 %", "densities +3.5 %", "密度 +3.5 %"),
        ("nominal", "nominal", "标称情形"),
        ("phase 4", "phase of breathing: 4", "呼吸时相：4"),
        ("case 4", "case 4", "case 4"),
    ],
)
def test_scenarios_are_told_as_what_happens_to_the_patient(name, english, chinese):
    assert scenario_words(name, ENGLISH) == english
    assert scenario_words(name, CHINESE) == chinese


def test_doses_stand_over_their_range_in_the_scenarios(case):
    """Ramps from 50, 54 and 47 Gy: D50 is 55, 59 and 52 Gy, D95 50.5, 54.5 and 47.5 Gy."""
    plan = with_scenarios(case, 50, 54, 47)

    table = dose_table(plan, ENGLISH)

    # V(d) = 100 / (1 + exp((d - 60.12) / 0.8)) of the plan itself: D50 = 60.12 Gy.
    nominal, span = cells(table, "D50% [Gy]")[0].split("\n")
    assert float(nominal) == pytest.approx(60.12, abs=0.1)
    assert span == "52.0–59.0"
    assert cells(table, "D95% [Gy]")[0].split("\n")[1] == "47.5–54.5"
    assert cells(table, "Mean dose [Gy]")[0] == "60.12\n52.0–59.0"


def test_each_scenario_has_a_row(case):
    table = scenario_table(with_scenarios(case, 50, 54), ENGLISH)

    assert cells(table, "D50% [Gy]") == ["55.0", "59.0"]
    assert scenario_table(case.planning.plan, ENGLISH) is None


def test_beams_of_apertures_give_their_monitor_units_per_fraction(case):
    table = beam_table(shaped(case.planning.plan), checked(), ENGLISH)

    # (30 + 60) MU over 30 fractions.
    assert cells(table, "MU per fraction") == ["3.0"] * 3
    assert cells(table, "Apertures") == ["2"] * 3
    assert cells(table, "SSD [mm]") == ["901", "–", "916"]


def test_beams_of_ideal_fluence_have_none(case):
    table = beam_table(case.planning.plan, None, ENGLISH)

    assert "MU per fraction" not in table.heads
    assert cells(table, "SSD [mm]") == ["–"] * 3
    # (10 + 20.5 + 30) / 3 / 30 fractions.
    assert cells(table, "Mean fluence per fraction [MU]") == ["0.67"] * 3


def test_beams_of_protons_tell_energies_that_are_used(case):
    beam = case.planning.plan.beams[0]
    protons = ProtonBeam(
        gantry_deg=90,
        couch_deg=0,
        isocentre_mm=beam.isocentre_mm,
        beamlet_mm=5.0,
        positions_mm=np.zeros((3, 2)),
        weights=np.array([300.0, 600.0, 0.0]),
        energies_mev=np.array([101.2, 120.7, 150.0]),
        sad_mm=10_000.0,
        nozzle_to_axis_mm=420.0,
    )

    table = beam_table(replace(case.planning.plan, beams=(protons,)), None, ENGLISH)

    assert cells(table, "Energies [MeV]") == ["101–121"]
    assert cells(table, "Protons per fraction [10⁶]") == ["30"]


def test_quality_has_numbers_or_a_dash(case):
    table = quality_table(case.planning.plan, checked(), ENGLISH)

    told = dict(zip(cells(table, "Measure"), cells(table, "Plan value"), strict=True))
    assert told["Conformity (Paddick 2000)"] == "0.812"
    assert told["Homogeneity (ICRU Report 83)"] == "0.062"
    assert told["Gradient (Paddick 2006)"] == "–"
    # V(60 Gy) = 100 / (1 + exp(-0.12 / 0.8)) = 53.7 %; V(57 Gy) = 98.0 %.
    assert told["Target covered by 100 % of the prescribed dose"] == "53.7 %"
    assert told["Target covered by 95 % of the prescribed dose"] == "98.0 %"


def test_machine_table_names_every_limit(case):
    table = machine_table(case.planning.plan, checked(), ENGLISH)

    told = dict(zip(cells(table, "What"), cells(table, "Value"), strict=True))
    assert told["Left out"] == "It leaves out much.\nAnd more."
    assert told["Dose grid"].startswith("6.00 × 5.00 × 5.00 mm")
    assert told["Source to axis"] == "1000 mm"


def test_a_checked_plan_is_told_whole_in_both_languages(case):
    results = replace(
        case,
        planning=replace(case.planning, plan=shaped(case.planning.plan), check=checked()),
    )

    for told in (ENGLISH, CHINESE):
        blocks = treatment.section(results, told, Palette(results)).blocks
        captions = [b.caption for b in blocks if isinstance(b, Table)]
        assert told("Machine and calculation") in captions
        assert told("How the dose fits the target") in captions


def test_goal_results_keep_their_verdict_when_sorted(case):
    plan = case.planning.plan
    failed = GoalResult(goal=plan.goals[2].goal, value=31.98, is_met=False)

    table = goal_table(replace(plan, goals=(plan.goals[0], failed)), ENGLISH)

    assert cells(table, "Verdict") == ["✓ met", "✗ not met"]
