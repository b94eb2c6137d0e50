"""Scores against scikit-learn and against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import SCORES, confusion_table, predicted, scores, weighted_scores
from aegle.evaluation.weighted import area_under_curve, average_precision, logit

DEFAULT = EvaluationOptions()
values_with_ties = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), min_size=2, max_size=40
).filter(lambda rows: {came for _, came, weight in rows if weight} == {True, False})


@given(values_with_ties)
def test_auc_and_average_precision_equal_scikit_learns_with_ties_and_weights(rows):
    values, came, weights = (np.array(column) for column in zip(*rows, strict=True))
    values, weights = values / 7, weights.astype(float)

    area = area_under_curve(values, came, weights[None])
    precision = average_precision(values, came, weights[None])

    # Images of weight 0 are left out for scikit-learn, which counts them as thresholds.
    kept = weights > 0
    expected = metrics.roc_auc_score(came[kept], values[kept], sample_weight=weights[kept])
    assert area == pytest.approx(expected)
    expected = metrics.average_precision_score(
        came[kept], values[kept], sample_weight=weights[kept]
    )
    assert precision == pytest.approx(expected)


def test_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half(two_class):
    # 2 positives by 3 negatives: 4 won, 1 tied, 1 lost.
    predictions = two_class([0, 0, 0, 1, 1], [0.1, 0.4, 0.8, 0.4, 0.9])

    assert scores(predictions, options=DEFAULT, names=("auc",))["auc"] == pytest.approx(4.5 / 6)


def test_scores_of_two_classes_equal_scikit_learns(made):
    predictions = made(200)
    weights = np.random.default_rng(1).integers(0, 4, 200).astype(float)
    truth, said = predictions.truth, predicted(predictions)
    stated = predictions.probabilities[:, 1]

    found = weighted_scores(predictions, weights[None], options=DEFAULT)

    of = {"sample_weight": weights}
    expected = {
        "auc": metrics.roc_auc_score(truth, stated, **of),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said, **of),
        "accuracy": metrics.accuracy_score(truth, said, **of),
        "f1": metrics.f1_score(truth, said, **of),
        "average_precision": metrics.average_precision_score(truth, stated, **of),
        "sensitivity": metrics.recall_score(truth, said, **of),
        "specificity": metrics.recall_score(truth, said, pos_label=0, **of),
        "brier": metrics.brier_score_loss(truth, stated, **of),
        "log_loss": metrics.log_loss(truth, predictions.probabilities, **of),
    }
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value), name


def test_scores_of_four_classes_equal_scikit_learns(made):
    predictions = made(200, classes=4)
    truth, said = predictions.truth, predicted(predictions)
    stated = predictions.probabilities

    found = scores(predictions, options=DEFAULT)

    one_hot = np.eye(4)[truth]
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, stated, multi_class="ovr"))
    assert found["average_precision"] == pytest.approx(
        metrics.average_precision_score(one_hot, stated)
    )
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, stated))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, stated))
    assert "sensitivity" not in found
    np.testing.assert_array_equal(
        confusion_table(predictions), metrics.confusion_matrix(truth, said)
    )


def test_the_named_class_is_the_positive_one(made):
    predictions = made(200)
    found = scores(predictions, options=EvaluationOptions(positive="normal"))
    other = scores(predictions, options=DEFAULT)

    said = predicted(predictions)
    assert found["f1"] == pytest.approx(metrics.f1_score(predictions.truth, said, pos_label=0))
    assert found["sensitivity"] == other["specificity"]
    assert found["specificity"] == other["sensitivity"]
    # Ties of one class may be none of the other, by rounding.
    assert found["auc"] == pytest.approx(other["auc"], abs=1e-3)
    assert found["calibration_intercept"] == pytest.approx(-other["calibration_intercept"])


@pytest.mark.parametrize(
    ("stated", "truth", "expected"),
    [
        pytest.param([0.05, 0.05, 0.95, 0.95], [0, 0, 1, 1], 0.05, id="both bins 5 % off"),
        # Bin 0.1: two images, stated 0.15, true 0.5. Bin 0.8: stated 0.85, true 1.
        pytest.param([0.15, 0.15, 0.85], [0, 1, 1], (2 * 0.35 + 0.15) / 3, id="weighted by images"),
        pytest.param([0.5, 0.55], [0, 1], 0.025, id="a border belongs to the bin above"),
    ],
)
def test_calibration_error_is_the_mean_gap_over_bins_of_equal_width(
    two_class, stated, truth, expected
):
    found = scores(two_class(truth, stated), options=DEFAULT, names=("calibration_error",))

    assert found["calibration_error"] == pytest.approx(expected)


def test_calibration_error_of_more_classes_is_of_the_likeliest_class():
    predictions = Predictions(
        classes=("a", "b", "c"),
        names=("1", "2"),
        truth=np.array([0, 1]),
        probabilities=np.array([[0.65, 0.25, 0.1], [0.65, 0.3, 0.05]]),
        groups=("1", "2"),
    )

    found = scores(predictions, options=DEFAULT, names=("calibration_error",))

    assert found["calibration_error"] == pytest.approx(0.65 - 0.5)


def test_calibration_slope_and_intercept_are_those_of_logistic_regression(made):
    predictions = made(400)
    logits = logit(predictions.probabilities[:, 1])
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], predictions.truth)

    found = scores(predictions, options=DEFAULT)

    assert found["calibration_slope"] == pytest.approx(peer.coef_[0, 0], rel=1e-5)
    # In the large: with this shift the mean stated probability is the true share.
    shifted = 1 / (1 + np.exp(-logits - found["calibration_intercept"]))
    assert shifted.mean() == pytest.approx(predictions.truth.mean(), abs=1e-6)


def test_overconfident_predictions_have_a_slope_below_one(made):
    predictions = made(2000, gain=1.0)
    sharp = predictions.probabilities**3
    sharper = Predictions(
        classes=predictions.classes,
        names=predictions.names,
        truth=predictions.truth,
        probabilities=sharp / sharp.sum(axis=1, keepdims=True),
        groups=predictions.groups,
    )
    plain = scores(predictions, options=DEFAULT, names=("calibration_slope",))

    found = scores(sharper, options=DEFAULT, names=("calibration_slope",))

    # Logits three times as large: a third of the slope.
    assert found["calibration_slope"] == pytest.approx(plain["calibration_slope"] / 3, rel=1e-6)


def test_a_slope_is_undefined_where_the_classes_are_separated(two_class):
    found = scores(two_class([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9]), options=DEFAULT)

    assert np.isnan(found["calibration_slope"])
    assert found["auc"] == 1


def test_perfect_predictions_reach_the_best_of_every_score(two_class):
    found = scores(two_class([0, 1, 0, 1], [0, 1, 0, 1]), options=DEFAULT)

    for name in set(found) - {"calibration_slope", "calibration_intercept"}:
        assert found[name] == pytest.approx(SCORES[name].best, abs=1e-6), name


@pytest.mark.parametrize(
    ("truth", "error", "says"),
    [
        pytest.param([1, 1, 1], InputError, "all 3 images are 'yes'", id="one class"),
        pytest.param([], InputError, "no image", id="no image"),
    ],
)
def test_scores_of_one_class_are_refused(two_class, truth, error, says):
    with pytest.raises(error, match=says):
        scores(two_class(truth, [0.5] * len(truth)), options=DEFAULT)


def test_unknown_scores_and_classes_are_refused(made):
    with pytest.raises(OptionError, match="No score 'kappa' for 2 classes; known: auc"):
        scores(made(), options=DEFAULT, names=("kappa",))
    with pytest.raises(OptionError, match="No score 'sensitivity' for 4 classes"):
        scores(made(classes=4), options=DEFAULT, names=("sensitivity",))
    with pytest.raises(OptionError, match="No class 'cancer'; known: normal, pneumonia"):
        scores(made(), options=EvaluationOptions(positive="cancer"))
