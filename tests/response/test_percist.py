"""PERCIST 1.0 at and beside its thresholds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.response.percist import CATEGORIES, Uptake, judge, measurable_from


def uptake(value, **facts):
    return Uptake(sul_peak=None if value is None else Decimal(str(value)), **facts)


def judged(base, *now, **policies):
    visits = [v if isinstance(v, Uptake) else uptake(v) for v in (base, *now)]
    return judge(visits, policies=policies)


@pytest.mark.parametrize(
    ("base", "now", "category", "rule"),
    [
        (6.0, 4.2, "PMR", "uptake-response"),
        (6.0, 4.21, "SMD", "stable"),
        # -30 % but only 0.6; 0.8 is needed as well.
        (2.0, 1.4, "SMD", "stable"),
        (2.0, 1.2, "PMR", "uptake-response"),
        (2.0, 1.21, "SMD", "stable"),
        (3.0, 3.9, "PMD", "uptake-progression"),
        (3.0, 3.89, "SMD", "stable"),
        (2.0, 2.8, "PMD", "uptake-progression"),
        (2.0, 2.79, "SMD", "stable"),
        (6.0, 0, "CMR", "complete"),
        (6.0, None, "NE", "not-assessed"),
        (6.0, uptake(1.5, is_complete=True), "CMR", "complete"),
        (6.0, uptake(None, is_complete=True), "CMR", "complete"),
        (6.0, uptake(2.0, has_new_lesion=True), "PMD", "new-lesion"),
        (6.0, uptake(2.0, others_progressed=True), "PMD", "non-target-progression"),
    ],
)
def test_at_and_beside_thresholds(base, now, category, rule):
    (verdict,) = judged(base, now).verdicts

    assert (verdict.category, verdict.rule) == (category, rule)


@pytest.mark.parametrize(("policy", "expected"), [("at-least", "PMD"), ("above", "SMD")])
def test_exactly_30_percent_more_is_a_policy(policy, expected):
    # Wahl 2009 says more than 30 %, O 2016 at least.
    assert judged(3.0, 3.9, progression_bound=policy).categories == (expected,)
    assert judged(3.0, 3.91, progression_bound=policy).categories == ("PMD",)


@pytest.mark.parametrize(("policy", "expected"), [("baseline", "PMR"), ("nadir", "PMD")])
def test_what_progression_is_compared_with(policy, expected):
    assert judged(10, 3, 4, reference=policy).categories == ("PMR", expected)


@pytest.mark.parametrize(("glycolysis", "expected"), [("17.5", "PMD"), ("17.4", "SMD")])
def test_total_lesion_glycolysis_progresses_at_75_percent(glycolysis, expected):
    before = uptake(5, glycolysis_g=Decimal(10))

    assert judged(before, uptake(5, glycolysis_g=Decimal(glycolysis))).categories == (expected,)


@pytest.mark.parametrize(("diseased", "least"), [(False, Decimal("3.0")), (True, Decimal("3.8"))])
def test_measurable_by_liver_or_blood_pool(diseased, least):
    # 1.5 · 1.6 + 2 · 0.3 = 3.0; 2 · 1.6 + 2 · 0.3 = 3.8 g/mL.
    assert measurable_from(Decimal("1.6"), Decimal("0.3"), liver_is_diseased=diseased) == least


def test_nothing_measurable_at_baseline_is_not_evaluable():
    visits = [uptake(2.9), uptake(1.0)]

    assert judge(visits, measurable_sul=Decimal(3)).verdicts[0].rule == "not-measurable"
    assert judge(visits, measurable_sul=Decimal("2.9")).categories == ("PMR",)


@pytest.mark.parametrize(
    ("now", "within"), [(7.5, True), (7.4, False), (13.3, True), (13.4, False)]
)
def test_changes_within_repeatability(now, within):
    # Lodge 2017: -25 % to +33 %.
    assert judged(10, now).verdicts[0].is_within_error is within


@given(st.decimals("0.1", 30, places=2), st.lists(st.decimals(0, 40, places=2), min_size=2))
def test_more_uptake_never_improves_the_category(base, values):
    ranks = [CATEGORIES.index(judged(base, v).categories[0]) for v in sorted(values)]

    assert ranks == sorted(ranks)
    for value in values:
        worse = judged(base, uptake(value, has_new_lesion=True)).categories[0]
        assert worse == "PMD"


def test_refuses_what_cannot_be():
    with pytest.raises(InputError, match="at least 2 visits, got 1"):
        judge([uptake(3)])
    with pytest.raises(InputError, match="no value at baseline"):
        judged(None, 3)
    with pytest.raises(InputError, match="SULpeak is -1"):
        uptake(-1)
