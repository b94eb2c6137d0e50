"""Probability of each response, against closed forms and the engine itself."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from aegle.response import lugano, percist
from aegle.response.lugano import LymphomaVisit, Measured
from aegle.response.patient_course import NewLesion, PatientCourse, Target, Visit, of_sums
from aegle.response.percist import Uptake
from aegle.response.probability import (
    ProbabilityOptions,
    deviation_of,
    probabilities,
)
from aegle.response.probability_by_judging import (
    of_course,
    sampled,
    scaled_lymphoma_visit,
    scaled_uptake,
)
from aegle.response.sum_criteria import judge

NEARLY_EXACT = ProbabilityOptions(draws=200, low=-1e-9, high=1e-9)


def chances(*sums, criterion="recist-1.1", policies=None, options=None):
    course = of_sums([Decimal(str(s)) for s in sums])
    judgement = judge(course, criterion, policies=policies)
    return probabilities(course, judgement, options=options or ProbabilityOptions())


def test_the_error_of_one_size_gives_back_the_limits_of_a_change():
    # The change of two equal sizes has sqrt(2) times the deviation; its 2.5 % point is the limit.
    spread = math.sqrt(2) * deviation_of(-0.2, 0.25)

    assert math.exp(norm.ppf(0.975) * spread) == pytest.approx(1.25, rel=1e-9)
    assert math.exp(norm.ppf(0.025) * spread) == pytest.approx(0.80, rel=1e-9)


@pytest.mark.parametrize("now", [80, 110, 119, 120, 122, 150])
def test_progression_agrees_with_the_closed_form(now):
    # ln(now / before) is normal about its observed value; the 5 mm rule is met wherever 20 % is.
    (found,) = chances(100, now)
    spread = math.sqrt(2) * deviation_of(-0.192, 0.195)
    exact = 1 - norm.cdf((math.log(1.2) - math.log(now / 100)) / spread)

    assert found.by_category.get("PD", 0.0) == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize("now", [60, 69, 70, 75, 90])
def test_response_agrees_with_the_closed_form(now):
    (found,) = chances(100, now)
    spread = math.sqrt(2) * deviation_of(-0.192, 0.195)
    exact = norm.cdf((math.log(0.7) - math.log(now / 100)) / spread)

    assert found.by_category.get("PR", 0.0) == pytest.approx(exact, abs=0.012)


def test_at_the_threshold_it_is_a_coin():
    (found,) = chances(100, 120)

    assert found.by_category["PD"] == pytest.approx(0.5, abs=0.012)
    assert str(found).startswith(("PD p=0.5", "SD p=0.5", "PD p=0.4", "SD p=0.4"))


@given(st.lists(st.integers(1, 300).map(lambda n: n + 0.37), min_size=2, max_size=5))
def test_without_error_the_verdict_is_certain(sums):
    course = of_sums([Decimal(str(s)) for s in sums])
    judgement = judge(course)

    found = probabilities(course, judgement, options=NEARLY_EXACT)

    for verdict, chance in zip(judgement.verdicts, found, strict=True):
        assert chance.by_category == {verdict.category: 1.0}


@pytest.mark.parametrize("policy", ["carried", "strict"])
def test_the_policies_of_the_judgement_are_kept(policy):
    found = chances(100, 50, 59, policies={"response": policy})[-1]

    # 50 mm is far from both limits; 59 mm is 18 % above it.
    assert set(found.by_category) <= {"PR", "PD", "SD"}
    assert found.by_category["PD"] == pytest.approx(0.44, abs=0.03)
    exact = chances(100, 50, 74, policies={"response": policy}, options=NEARLY_EXACT)[-1]
    assert exact.by_category == {"PD": 1.0}


def test_probabilities_sum_to_one_and_repeat():
    first, second = (chances(100, 80, 95, 70) for _ in range(2))

    assert [f.by_category for f in first] == [s.by_category for s in second]
    assert np.sum([list(f.by_category.values()) for f in first[:1]]) == pytest.approx(1)


def test_a_new_lesion_is_progression_whatever_the_sizes():
    targets = (Target(lesion="T", parts=(Decimal(50),)),)
    course = PatientCourse(
        visits=(
            Visit(day=0, targets=targets),
            Visit(day=56, targets=targets, new=(NewLesion(lesion="L"),)),
        )
    )

    (found,) = probabilities(course, judge(course), options=ProbabilityOptions())

    assert found.by_category == {"PD": 1.0}


@pytest.mark.parametrize("sums", [(100, 122), (100, 72), (60, 40, 47)])
def test_both_ways_agree(sums):
    course = of_sums([Decimal(s) for s in sums])
    at_once = chances(*sums)

    one_by_one = of_course(course, judge, options=ProbabilityOptions(draws=800, seed=1))

    for fast, slow in zip(at_once, one_by_one, strict=True):
        for name in {*fast.by_category, *slow.by_category}:
            # Standard error of 800 draws: at most 1.8 %; four of them.
            wanted = fast.by_category.get(name, 0.0)
            assert slow.by_category.get(name, 0.0) == pytest.approx(wanted, abs=0.07)


def test_uptake_at_its_threshold_is_a_coin():
    visits = [Uptake(sul_peak=Decimal(10)), Uptake(sul_peak=Decimal(13))]

    (found,) = sampled(visits, percist.judge, scaled_uptake, options=ProbabilityOptions(draws=2000))

    # Lodge 2017: -25 to +33 %; ln 1.3 lies in the middle of the draws.
    assert found.by_category["PMD"] == pytest.approx(0.5, abs=0.05)
    assert "Lodge" in str(found.assumed)


def test_a_node_near_its_limit_may_be_normal_or_not():
    def visit(day, size):
        node = Target(lesion="N", parts=(Decimal(size),), is_node=True)
        return Visit(day=day, targets=(node,))

    course = PatientCourse(visits=(visit(0, 20), visit(56, 10)))

    (found,) = of_course(course, judge, options=ProbabilityOptions(draws=2000))

    # At 10 mm, where normal ends, half of the draws are below.
    assert found.by_category["CR"] == pytest.approx(0.5, abs=0.05)


def test_lymphoma_changes_with_its_products():
    lesions = [
        Measured(lesion="A", longest_cm=Decimal(4), shortest_cm=Decimal(s)) for s in ("2", "1")
    ]
    visits = [LymphomaVisit(lesions=(lesion,)) for lesion in lesions]

    (found,) = sampled(
        visits,
        lambda drawn: lugano.judge(drawn)[0],
        scaled_lymphoma_visit,
        options=ProbabilityOptions(draws=2000),
    )

    # 8 to 4 cm² is exactly -50 %.
    assert found.by_category["PR"] == pytest.approx(0.5, abs=0.05)


def test_says_which_error_was_assumed():
    (own,) = chances(100, 110)
    (given_one,) = chances(100, 110, options=ProbabilityOptions(low=-0.1, high=0.12))

    assert "-19.2 to +19.5 %" in str(own.assumed)
    assert "Yoon" in str(own.assumed)
    assert "-10.0 to +12.0 %" in str(given_one.assumed)
    assert "(given)" in str(given_one.assumed)
