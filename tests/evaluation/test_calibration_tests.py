"""Stated probabilities against those of a perfectly calibrated model; errors over images kept."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.calibration_tests import (
    calibration_test,
    cross_fitted,
    folds_by_group,
    spiegelhalter_z,
)
from aegle.evaluation.deferral import deferral_curve, draw_deferral
from aegle.evaluation.options import EvaluationOptions

OPTIONS = EvaluationOptions(binning="count", resamples=100)


def cohort(seed, cases=600, power=1.0):
    """Events come with probability p; p ** power, renormalised, is stated."""
    draws = np.random.default_rng(seed)
    true = draws.beta(1.5, 1.5, cases)
    stated = true**power / (true**power + (1 - true) ** power)
    names = tuple(map(str, range(cases)))
    return Predictions(
        classes=("no", "yes"),
        names=names,
        truth=(draws.random(cases) < true).astype(int),
        probabilities=np.stack([1 - stated, stated], axis=1),
        groups=tuple(str(i // 2) for i in range(cases)),
    )


def test_spiegelhalters_z_by_hand():
    # By the definition: -0.12 - 0.12 - 0.08 over the root of 0.0576 + 0.0336 + 0.0096.
    z = spiegelhalter_z(np.array([0.8, 0.3, 0.6]), np.array([True, False, True]))

    assert z == pytest.approx(-0.32 / np.sqrt(0.1008))


def test_a_perfectly_calibrated_model_passes_about_19_times_of_20():
    found = [calibration_test(cohort(seed), options=OPTIONS) for seed in range(60)]

    assert sum(one.passes for one in found) >= 52
    assert np.mean([one.chance for one in found]) == pytest.approx(0.5, abs=0.12)
    assert np.mean([one.p > 0.5 for one in found]) == pytest.approx(0.5, abs=0.2)


def test_a_model_that_is_too_sure_fails_until_its_temperature_is_fitted():
    sure = cohort(1, power=3.0)
    folds = folds_by_group(sure.groups, 5)
    before = calibration_test(sure, options=OPTIONS)

    assert not before.passes
    assert before.p < 1e-3
    for method in ("temperature", "isotonic"):
        after = calibration_test(cross_fitted(sure, folds, method), options=OPTIONS)
        assert after.error < before.error / 2
        assert after.brier < before.brier
    assert calibration_test(cross_fitted(sure, folds, "temperature"), options=OPTIONS).passes


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_a_fold_does_not_take_part_in_its_own_calibration(method):
    given = cohort(2)
    folds = folds_by_group(given.groups, 5)
    truth = np.where(folds == 3, 1 - given.truth, given.truth)
    changed = cross_fitted(replace(given, truth=truth), folds, method)
    same = cross_fitted(given, folds, method)

    np.testing.assert_array_equal(changed.probabilities[folds == 3], same.probabilities[folds == 3])
    assert not np.allclose(changed.probabilities[folds != 3], same.probabilities[folds != 3])


def test_folds_keep_groups_whole_and_are_alike_in_size():
    groups = [str(i // 3) for i in range(100)]
    folds = folds_by_group(groups, 5)

    assert all(len(set(folds[np.array(groups) == g])) == 1 for g in set(groups))
    assert np.ptp(np.bincount(folds)) <= 3


def test_what_cannot_be_calibrated_is_refused():
    given = cohort(2, cases=10)
    with pytest.raises(InputError, match="No calibration 'platt'"):
        cross_fitted(given, np.arange(10), "platt")
    with pytest.raises(InputError, match="two folds"):
        cross_fitted(given, np.zeros(10, int), "temperature")


def test_errors_over_images_kept_by_hand():
    given = Predictions(
        classes=("a", "b"),
        names=tuple("1234"),
        truth=np.array([0, 1, 1, 0]),
        probabilities=np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]),
        groups=tuple("1234"),
    )
    curve = deferral_curve(given)

    np.testing.assert_allclose(curve.kept, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.wrong, [0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx(1 / 3)
    assert curve.least_area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert curve.kept_at(0.4) == 0.75
    assert curve.kept_at(0.0) == 0.25
    tied = deferral_curve(given, np.zeros(4))
    np.testing.assert_allclose(tied.kept, [1])
    assert draw_deferral(curve).data.startswith(b"\x89PNG")
