"""Survival against a peer (lifelines 0.30.3) and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.evaluation.concordance import Ranked, compare_concordance, concordance, concordance_index
from aegle.evaluation.options import EvaluationOptions
from aegle.learning.fusion.boosted_survival import _stacked, boosted_survival, late_survival
from aegle.learning.fusion.boosting import BoostingOptions
from aegle.learning.fusion.plain_models import linear_cox
from aegle.learning.fusion.survival import (
    cox_loss,
    cox_regression,
    cut_times,
    discrete_loss,
    survival,
)
from aegle.learning.fusion.table import Feature, Outcome, Table


@pytest.fixture
def made():
    """Return 40 rows with ties and censoring, rounded so that another program reads the same."""
    random = np.random.default_rng(4)
    values = np.round(random.normal(size=(40, 2)), 2)
    time = np.ceil(random.exponential(8 * np.exp(-values @ [0.8, -0.5])))
    return values, Outcome(event=random.random(40) < 0.7, time=time)


def test_cox_regression_is_that_of_lifelines(made):
    values, outcome = made

    found = cox_regression(values, outcome)

    # CoxPHFitter of lifelines 0.30.3 on the same rows, precision 1e-10.
    np.testing.assert_allclose(found.weights, [0.5137572223956, -0.7460962907923], rtol=1e-6)
    np.testing.assert_allclose(found.deviations, [0.2273430645296, 0.2608341094324], rtol=1e-6)
    assert found.log_likelihood == pytest.approx(-57.24979291665949, rel=1e-9)


def test_concordance_is_that_of_lifelines(made):
    values, outcome = made
    risk = np.round(values @ [1, -1], 1)
    names = tuple(map(str, range(40)))

    found = concordance(Ranked(time=outcome.time, event=outcome.event, risk=risk, groups=names))

    # lifelines.utils.concordance_index(time, -risk, event).
    assert found == pytest.approx(0.7202505219206681, abs=1e-12)


def test_concordance_has_an_interval_and_a_paired_difference(made):
    values, outcome = made
    names = tuple(map(str, range(40)))
    options = EvaluationOptions(resamples=500)

    def ranked(risk):
        return [Ranked(time=outcome.time, event=outcome.event, risk=risk, groups=names)]

    good, none = ranked(values @ [1, -1]), ranked(np.zeros(40))
    estimate = concordance_index(good, options=options)
    against_none = compare_concordance(good, none, options=options)

    assert estimate.low < estimate.value < estimate.high
    assert concordance_index(none, options=options).value == 0.5
    assert against_none.value == pytest.approx(estimate.value - 0.5)
    assert against_none.low == pytest.approx(estimate.low - 0.5)


def test_partial_likelihood_of_three_rows_is_the_closed_form():
    outcome = Outcome(event=np.array([True, True, False]), time=np.array([1.0, 2.0, 3.0]))
    a, b, c = 0.3, -0.2, 0.9

    loss = cox_loss(torch.tensor([a, b, c], dtype=torch.float64), outcome)

    first = a - np.log(np.exp([a, b, c]).sum())
    second = b - np.log(np.exp([b, c]).sum())
    assert loss.item() == pytest.approx(-(first + second) / 2, rel=1e-12)


def test_rows_that_end_together_are_at_risk_together():
    outcome = Outcome(event=np.array([True, True]), time=np.array([2.0, 2.0]))

    loss = cox_loss(torch.zeros(2), outcome)

    # Breslow: each of the two dies among two.
    assert loss.item() == pytest.approx(np.log(2), rel=1e-6)


@given(st.integers(0, 1000))
def test_partial_likelihood_does_not_know_a_common_factor(seed):
    random = np.random.default_rng(seed)
    outcome = Outcome(
        event=np.r_[True, random.random(8) < 0.5], time=random.integers(1, 6, 9).astype(float)
    )
    risk = torch.from_numpy(random.normal(size=9))

    moved = cox_loss(risk + 3.7, outcome).item()

    assert moved == pytest.approx(cox_loss(risk, outcome).item(), abs=1e-9)


def test_discrete_time_of_a_constant_hazard_is_its_product():
    logits = np.full(4, np.log(0.2 / 0.8))

    np.testing.assert_allclose(survival(logits), 0.8 ** np.arange(1, 5), rtol=1e-12)


def test_discrete_likelihood_counts_intervals_at_risk():
    outcome = Outcome(event=np.array([True, False]), time=np.array([2.0, 2.0]))
    logits = torch.full((2, 1, 3), float(np.log(0.2 / 0.8)), dtype=torch.float64)

    loss = discrete_loss(logits.float(), outcome, np.array([1.0, 2.0, 3.0]))

    # Dies in the second interval: 0.8 · 0.2; censored at its end: 0.8 · 0.8.
    assert loss.item() == pytest.approx(-np.log(0.8 * 0.2 * 0.8 * 0.8) / 2, rel=1e-6)


def test_intervals_hold_equal_numbers_of_events():
    outcome = Outcome(event=np.arange(20) % 2 == 0, time=np.arange(1.0, 21.0))

    ends = cut_times(outcome, 5)

    held = np.histogram(outcome.time[outcome.event], [0, *ends])[0]
    assert held.tolist() == [2, 2, 2, 2, 2]


def test_no_event_is_refused():
    outcome = Outcome(event=np.zeros(3, bool), time=np.ones(3))

    with pytest.raises(InputError, match="at least one event"):
        cox_regression(np.eye(3), outcome)


def test_a_patient_is_one_row_in_every_interval_that_was_entered():
    outcome = Outcome(
        event=np.array([True, False, True, False]), time=np.array([1.0, 2.5, 3.0, 2.0])
    )

    rows, intervals, died = _stacked(outcome, np.array([1.0, 2.0, 3.0]))

    # Who was last seen at 2.5 lived through two intervals, who was last seen at 2 through both.
    assert list(zip(rows.tolist(), intervals.tolist(), died.tolist(), strict=True)) == [
        (0, 0, True),
        *((1, 0, False), (1, 1, False)),
        *((2, 0, False), (2, 1, False), (2, 2, True)),
        *((3, 0, False), (3, 1, False)),
    ]


def crooked(seed, rows=400):
    """Return patients whose hazard rises with the distance of each of two values from 0."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, 2))
    time = random.exponential(np.exp(-1.2 * np.abs(values).sum(axis=1))) + 1e-3
    seen = random.exponential(2.0, rows) + 1e-3
    names = tuple(f"{seed}-{i}" for i in range(rows))
    table = Table(
        features=(Feature(name="a", modality="first"), Feature(name="b", modality="second")),
        names=names,
        groups=names,
        values=values,
    )
    return table, Outcome(event=time <= seen, time=np.minimum(time, seen))


def test_boosted_trees_find_a_hazard_that_no_line_finds():
    (table, outcome), (asked, wanted) = crooked(1), crooked(2)

    def score(risk):
        ranked = Ranked(time=wanted.time, event=wanted.event, risk=risk, groups=asked.groups)
        return concordance(ranked)

    options = BoostingOptions()
    truth = score(np.abs(asked.values).sum(axis=1))
    together = score(boosted_survival(table, outcome, asked, options))
    late = score(late_survival(table, outcome, asked, options))
    assert score(linear_cox(table, outcome, asked)) < 0.56
    assert truth - 0.04 < together < truth + 0.01
    assert truth - 0.04 < late < truth + 0.01


def test_a_missing_modality_leaves_late_fusion_of_survival_with_the_other():
    (table, outcome), (asked, _) = crooked(1), crooked(2)

    risk = late_survival(table, outcome, asked.without("second"), BoostingOptions())

    alone = late_survival(
        table.keeping(["first"]), outcome, asked.keeping(["first"]), BoostingOptions()
    )
    assert np.corrcoef(np.argsort(np.argsort(risk)), np.argsort(np.argsort(alone)))[0, 1] > 0.999
