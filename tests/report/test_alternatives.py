"""Alternatives: what each gains and costs, with an interval or the words that there is none."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.alternatives import Alternative, Comparison, Estimate
from aegle.domain.text import Text
from aegle.report import treatment
from aegle.report.alternatives import alternative_blocks
from aegle.report.blocks import Card, Table
from aegle.report.language import words
from aegle.report.shades import Palette

ENGLISH = words("en")
HARM, CONTROL = Text("pneumonitis"), Text("control")


def estimates(harm, control, interval=(0.05, 0.25)):
    return (
        Estimate(name=HARM, probability=harm, interval=interval, source="10.1/harm"),
        Estimate(
            name=CONTROL, probability=control, interval=None, source="10.1/tcp", is_harm=False
        ),
    )


@pytest.fixture
def comparison(case):
    plan = case.planning.plan
    fewer = replace(plan, prescription=replace(plan.prescription, fractions=20, dose_gy=50))
    return Comparison(
        alternatives=(
            Alternative(name=Text("photons"), plan=plan, estimates=estimates(0.15, 0.60)),
            Alternative(name=Text("better"), plan=fewer, estimates=estimates(0.125, 0.6005)),
            Alternative(name=Text("worse"), plan=plan, estimates=estimates(0.20, 0.55)),
        ),
        reasons=(Text("The tumour of this patient touches the heart."),),
    )


def rows(blocks, caption):
    table = next(b for b in blocks if isinstance(b, Table) and b.caption == caption)
    return [[cell.text for cell in row] for row in table.rows]


def test_less_harm_is_a_gain_and_less_control_a_cost(comparison):
    first, better, worse = rows(alternative_blocks(comparison, ENGLISH), "Alternative plans")

    assert first[5:] == ["–", "–"]
    # 12.5 - 15 % and 60.05 - 60 %: the second is less than a tenth of a point.
    assert better[5:] == ["pneumonitis: −2.5 points", "none"]
    assert worse[5:] == ["none", "pneumonitis: +5.0 points\ncontrol: −5.0 points"]


def test_rows_tell_prescription_and_goals(comparison):
    found = rows(alternative_blocks(comparison, ENGLISH), "Alternative plans")

    assert [row[3] for row in found] == ["30 × 2 Gy", "20 × 2.5 Gy", "30 × 2 Gy"]
    assert {row[4] for row in found} == {"3 of 4"}


def test_probabilities_have_their_interval_or_say_that_none_is_published(comparison):
    harm, control = rows(
        alternative_blocks(comparison, ENGLISH), "What is expected for this patient"
    )

    assert harm == [
        "pneumonitis",
        "15.0 %\n5.0–25.0 %",
        "12.5 %\n5.0–25.0 %",
        "20.0 %\n5.0–25.0 %",
        "10.1/harm",
    ]
    assert control[1] == "60.0 %\ninterval not published"


def test_the_cause_stands_with_the_suggested_plan(comparison):
    card = next(b for b in alternative_blocks(comparison, ENGLISH) if isinstance(b, Card))

    assert card.title == "photons"
    assert card.facts[0][1] == "The tumour of this patient touches the heart."


def test_an_outcome_of_one_plan_alone_is_a_dash_elsewhere(comparison):
    first, *others = comparison.alternatives
    bare = replace(comparison, alternatives=(replace(first, estimates=()), *others))

    harm, _ = rows(alternative_blocks(bare, ENGLISH), "What is expected for this patient")

    assert harm[1] == "–"
    assert rows(alternative_blocks(bare, ENGLISH), "Alternative plans")[1][5:] == ["none", "none"]


def test_nothing_to_compare_is_nothing_to_show():
    assert alternative_blocks(Comparison(alternatives=(), reasons=()), ENGLISH) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_alternatives_are_part_of_the_chapter(case, comparison, language):
    results = replace(case, planning=replace(case.planning, comparison=comparison))

    blocks = treatment.section(results, words(language), Palette(results)).blocks

    captions = [b.caption for b in blocks if isinstance(b, Table)]
    assert words(language)("Alternative plans") in captions
    assert np.count_nonzero([isinstance(b, Card) for b in blocks]) == 1
