"""Each class against the rest."""

import numpy as np
import pytest
from sklearn import metrics

from aegle.evaluation.bootstrap import measure
from aegle.evaluation.classes import by_class
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import predicted

FEW = EvaluationOptions(resamples=200)


def test_scores_of_each_class_equal_scikit_learns(made):
    predictions = made(200, classes=4)
    said = predicted(predictions)
    recall = metrics.recall_score(predictions.truth, said, average=None)
    precision = metrics.precision_score(predictions.truth, said, average=None)

    found = by_class(predictions, options=FEW)

    assert [one.name for one in found] == list(predictions.classes)
    for index, one in enumerate(found):
        own = predictions.truth == index
        assert one.images == own.sum()
        assert one.recall.value == pytest.approx(recall[index])
        assert one.precision.value == pytest.approx(precision[index])
        assert one.auc.value == pytest.approx(
            metrics.roc_auc_score(own, predictions.probabilities[:, index])
        )
        assert one.recall.low < one.recall.value < one.recall.high


def test_recall_of_two_classes_has_the_interval_of_sensitivity_and_specificity(made):
    predictions = made()
    whole = measure(predictions, options=FEW)

    no, yes = by_class(predictions, options=FEW)

    assert (yes.recall.low, yes.recall.high) == pytest.approx(
        (whole["sensitivity"].low, whole["sensitivity"].high)
    )
    assert (no.recall.low, no.recall.high) == pytest.approx(
        (whole["specificity"].low, whole["specificity"].high)
    )


def test_a_class_that_is_never_said_has_no_precision(two_class):
    no, yes = by_class(two_class([0, 1] * 20, [0.1, 0.4] * 20), options=FEW)

    assert np.isnan([yes.precision.value, yes.precision.low]).all()
    assert yes.recall.value == 0
    assert no.precision.value == 0.5
