"""Sets and intervals hold the truth as often as promised, in every group."""

import json

import numpy as np
import pytest
from scipy.special import softmax

from aegle.diagnosis.conformal import ConformalOptions, calibrate, calibrate_on, from_plain
from aegle.diagnosis.conformal_interval import calibrate_intervals
from aegle.diagnosis.conformal_limit import limits_of
from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions

CLASSES = tuple("abcdefghijklmnopqrst")
HAND = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.5, 0.4, 0.1]])
TRUTH = np.array([0, 2, 2, 1])


def cohort(seed, cases):
    """A fifth of the cases is hard: there the model is sure of itself without reason."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, len(CLASSES), cases)
    is_hard = draws.random(cases) < 0.2
    logits = draws.normal(size=(cases, len(CLASSES))) * np.where(is_hard, 3.0, 1.0)[:, None]
    logits[np.arange(cases), truth] += np.where(is_hard, 0.5, 2.5)
    return softmax(logits, axis=1), truth, np.where(is_hard, "hard", "easy")


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        # 1 - p of the truth: 0.4, 0.7, 0.2, 0.6; the 3rd of 4 smallest is 0.6.
        pytest.param(ConformalOptions(alpha=0.4), 0.6, id="LAC by hand"),
        # Summed down to the truth: 0.6, 0.8, 0.8, 0.9; the 3rd is 0.8.
        pytest.param(ConformalOptions(alpha=0.4, score="aps"), 0.8, id="APS by hand"),
    ],
)
def test_the_limit_is_the_one_worked_out_on_paper(options, limit):
    found = calibrate(HAND, TRUTH, classes=("x", "y", "z"), options=options)

    assert found.limits["all"].value == pytest.approx(limit)
    assert found.limits["all"].rank == 3


def test_sets_are_the_ones_worked_out_on_paper():
    lac = calibrate(HAND, TRUTH, classes=("x", "y", "z"), options=ConformalOptions(alpha=0.4))
    aps = calibrate(
        HAND, TRUTH, classes=("x", "y", "z"), options=ConformalOptions(alpha=0.4, score="aps")
    )
    new = np.array([[0.45, 0.41, 0.14], [0.7, 0.09, 0.21]])

    assert lac.sets(new).tolist() == [[True, True, False], [True, False, False]]
    assert aps.sets(new).tolist() == [[True, False, False], [True, False, False]]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(ConformalOptions(), id="LAC"),
        pytest.param(ConformalOptions(score="aps"), id="APS"),
        pytest.param(ConformalOptions(score="aps", randomised=True), id="APS randomised"),
    ],
)
def test_fifty_splits_keep_the_promise_overall_and_in_each_group(options):
    shares, inside = {"hard": [], "easy": [], "all": []}, {"hard": 0, "easy": 0}
    for seed in range(50):
        probabilities, truth, groups = cohort(seed, 8000)
        draws = np.random.default_rng(1000 + seed)
        half = slice(0, 4000), slice(4000, None)
        found = calibrate(
            probabilities[half[0]],
            truth[half[0]],
            groups[half[0]],
            classes=CLASSES,
            options=options,
            randomness=draws,
        )
        sets = found.sets(probabilities[half[1]], groups[half[1]], randomness=draws)
        held = sets[np.arange(4000), truth[half[1]]]
        shares["all"].append(held.mean())
        for group in inside:
            of_group = held[groups[half[1]] == group]
            low, high = found.limits[group].covered_interval(of_group.size)
            inside[group] += low <= of_group.sum() <= high
            shares[group].append(of_group.mean())

    assert min(inside.values()) >= 45
    for values in shares.values():
        assert np.mean(values) == pytest.approx(0.9, abs=0.01)


def test_one_limit_for_all_fails_the_hard_group():
    probabilities, truth, groups = cohort(0, 20000)
    options = ConformalOptions(by_group=False)
    found = calibrate(probabilities[:10000], truth[:10000], classes=CLASSES, options=options)
    held = found.sets(probabilities[10000:])[np.arange(10000), truth[10000:]]

    assert held.mean() == pytest.approx(0.9, abs=0.01)
    assert held[groups[10000:] == "hard"].mean() < 0.8


@pytest.mark.parametrize(("cases", "alpha"), [(3450, 0.1), (1810, 0.05)])
def test_so_many_cases_bind_the_coverage_within_one_percent(cases, alpha):
    """Exact Beta law: 95 % of calibration sets of this size lie within 1 % of the promise."""
    limit = limits_of(np.arange(cases, dtype=float), (), alpha=alpha)["all"]
    low, high = limit.coverage_interval()

    assert low == pytest.approx(1 - alpha - 0.01, abs=4e-4)
    assert high == pytest.approx(1 - alpha + 0.01, abs=4e-4)


def test_nine_cases_are_the_fewest_that_exclude_anything_at_90_percent():
    nine = limits_of(np.arange(9.0), (), alpha=0.1)["all"]
    eight = limits_of(np.arange(8.0), (), alpha=0.1)["all"]

    assert nine.value == 8
    assert eight.value == np.inf
    assert eight.coverage_interval() == (1, 1)
    assert "at least 9" in str(eight.statement())


def test_limits_come_back_from_json():
    probabilities, truth, groups = cohort(3, 300)
    groups[:3] = "rare"
    found = calibrate(
        probabilities, truth, groups, classes=CLASSES, options=ConformalOptions(score="aps")
    )

    assert from_plain(json.loads(json.dumps(found.as_plain(), allow_nan=False))) == found
    with pytest.raises(InputError, match="no conformal limits"):
        from_plain({"limits": 3})


def test_a_group_that_was_not_calibrated_is_refused():
    probabilities, truth, groups = cohort(3, 300)
    found = calibrate(probabilities, truth, groups, classes=CLASSES, options=ConformalOptions())

    with pytest.raises(InputError, match="group\\(s\\) child"):
        found.sets(probabilities[:1], ["child"])
    with pytest.raises(InputError, match="one column for each"):
        found.sets(probabilities[:, :2], groups)


def test_kept_predictions_calibrate_by_a_column():
    kept = Predictions(
        classes=("x", "y", "z"),
        names=tuple("1234"),
        truth=TRUTH,
        probabilities=HAND,
        groups=tuple("1234"),
        columns={"sex": ("F", "F", "M", "M")},
    )

    assert set(calibrate_on(kept, "sex", options=ConformalOptions()).limits) == {"F", "M"}
    with pytest.raises(InputError, match="no column 'age'"):
        calibrate_on(kept, "age", options=ConformalOptions())


@pytest.mark.parametrize("kind", ["absolute", "normalised", "quantiles"])
def test_intervals_of_a_volume_hold_the_truth(kind):
    draws = np.random.default_rng(5)
    true_ml = draws.lognormal(2, 1, 6000)
    spread = 0.2 * true_ml + 0.1
    stated_ml = true_ml + draws.normal(size=6000) * spread
    wide = spread if kind == "quantiles" else 0
    low, high = stated_ml - wide, stated_ml + wide
    by = spread if kind == "normalised" else np.ones(6000)
    found = calibrate_intervals((low[:3000], high[:3000]), true_ml[:3000], spread=by[:3000])
    below, above = found.interval(low[3000:], high[3000:], spread=by[3000:])
    held = (below <= true_ml[3000:]) & (true_ml[3000:] <= above)
    bounds = found.limits["all"].covered_interval(3000, 0.999)

    assert bounds[0] <= held.sum() <= bounds[1]
    if kind == "normalised":
        # 90 % of a normal distribution lie within 1.645 deviations.
        assert found.limits["all"].value == pytest.approx(1.645, abs=0.07)


def test_spreads_and_scores_that_mean_nothing_are_refused():
    ones = np.ones(3)
    with pytest.raises(InputError, match="spread"):
        calibrate_intervals((ones, ones), ones, spread=np.zeros(3))
    with pytest.raises(InputError, match="finite"):
        calibrate_intervals((ones, ones), ones * np.nan)
