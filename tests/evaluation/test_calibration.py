"""Temperature scaling and reliability."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from aegle.domain.errors import InputError
from aegle.evaluation.calibration import (
    TEMPERATURES,
    fit_temperature,
    reliability,
    temperature_of,
    with_temperature,
)
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import predicted, scores


def drawn(count, temperature, seed=0):
    """Make logits whose classes are drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, 3))
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    return logits, (generator.random((count, 1)) > chances[:, :2]).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_the_classes_were_drawn_with_is_found(temperature):
    logits, truth = drawn(20_000, temperature)

    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_has_the_least_loss_of_all():
    logits, truth = drawn(500, 1.7)
    peer = minimize_scalar(
        lambda t: log_loss(truth, softmax(logits / t, axis=1)),
        bounds=TEMPERATURES,
        method="bounded",
    )

    assert fit_temperature(logits, truth) == pytest.approx(peer.x, rel=1e-3)


@given(st.integers(0, 1000), st.floats(0.3, 5))
def test_a_temperature_keeps_the_likeliest_class_and_undoes_its_inverse(seed, temperature):
    from aegle.domain.prediction import Predictions

    generator = np.random.default_rng(seed)
    predictions = Predictions(
        classes=("a", "b", "c"),
        names=("1", "2", "3"),
        truth=np.array([0, 1, 2]),
        probabilities=generator.dirichlet(np.full(3, 3.0), 3),
        groups=("1", "2", "3"),
    )

    changed = with_temperature(predictions, temperature)

    np.testing.assert_array_equal(predicted(changed), predicted(predictions))
    np.testing.assert_allclose(
        with_temperature(changed, 1 / temperature).probabilities,
        predictions.probabilities,
        atol=1e-5,
    )


def test_calibrated_predictions_need_no_further_temperature(made):
    predictions = made(400, gain=0.4)
    changed = with_temperature(predictions, temperature_of(predictions))

    assert temperature_of(changed) == pytest.approx(1, abs=1e-3)
    options = EvaluationOptions()
    assert (
        scores(changed, options=options)["log_loss"]
        < scores(predictions, options=options)["log_loss"]
    )


def test_classes_that_are_never_missed_give_the_lowest_temperature():
    assert fit_temperature(np.eye(3), np.arange(3)) == pytest.approx(TEMPERATURES[0])


def test_no_image_and_infinite_logits_are_refused():
    with pytest.raises(InputError, match="got 0 images"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64))
    with pytest.raises(InputError, match="finite logits"):
        fit_temperature(np.array([[np.inf, 0]]), np.array([0]))


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("count", "quantile")])
def test_reliability_equals_scikit_learns(made, binning, strategy):
    predictions = made(300)
    peer_came, peer_stated = calibration_curve(
        predictions.truth, predictions.probabilities[:, 1], n_bins=8, strategy=strategy
    )

    found = reliability(predictions, options=EvaluationOptions(bins=8, binning=binning))

    # Values on a border may lie in either bin; made values have ties.
    np.testing.assert_allclose([b.stated for b in found], peer_stated, atol=0.02)
    np.testing.assert_allclose([b.came for b in found], peer_came, atol=0.06)
    assert sum(b.images for b in found) == 300


def test_the_interval_of_a_bin_is_wilsons(two_class):
    # 8 of 10 events. Wilson: centre (0.8 + z²/20)/(1 + z²/10), half width 0.226 -> 0.490 to 0.943.
    found = reliability(two_class([1] * 8 + [0] * 2, [0.75] * 10), options=EvaluationOptions())

    (one,) = found
    assert (one.images, one.came, one.stated) == (10, 0.8, pytest.approx(0.75))
    assert (one.low, one.high) == (pytest.approx(0.4902, abs=5e-4), pytest.approx(0.9433, abs=5e-4))
