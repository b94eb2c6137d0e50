"""Folds and seeds together."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.evaluation.bootstrap import compare_means, measure, measure_mean
from aegle.evaluation.cross_validation import as_markdown, cross_validation, over_runs
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import scores
from aegle.evaluation.selection import select

FEW = EvaluationOptions(resamples=200)


@pytest.fixture
def folds(made):
    whole = made(200, per_group=1)
    return tuple(select(whole, np.arange(200) % 5 == k) for k in range(5))


def test_the_t_interval_over_five_folds_uses_4_degrees_of_freedom():
    found = over_runs("auc", [0.80, 0.82, 0.84, 0.86, 0.88], 0.95)

    # t(0.975, 4) = 2.776; deviation 0.0316.
    assert found.mean == pytest.approx(0.84)
    assert found.deviation == pytest.approx(0.03162, abs=1e-5)
    assert found.high - found.mean == pytest.approx(2.776 * 0.03162 / 5**0.5, rel=1e-3)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_one_run_has_no_interval_over_runs():
    assert np.isnan([over_runs("auc", [0.8], 0.95).low, over_runs("auc", [0.8], 0.95).high]).all()


def test_folds_are_scored_one_by_one_together_and_pooled(folds, made):
    found = cross_validation(folds, options=FEW, names=("auc", "accuracy"))

    each = [scores(fold, options=FEW, names=("auc",))["auc"] for fold in folds]
    assert found["auc"].values == pytest.approx(each)
    assert found["auc"].mean == pytest.approx(np.mean(each))
    assert found.mean == measure_mean(folds, options=FEW, names=("auc", "accuracy"))
    # Pooled, in another order of images, so with the same score and another draw.
    whole = measure(made(200, per_group=1), options=FEW)
    assert found.pooled["auc"].value == pytest.approx(whole["auc"].value)
    assert found.comparison is None


def test_seeds_of_the_same_images_are_not_pooled(made):
    found = cross_validation((made(), made()), options=FEW, names=("auc",))

    assert found.pooled is None
    assert len(found["auc"].values) == 2


def test_a_baseline_is_compared_on_the_same_folds(folds):
    weak = tuple(
        replace(fold, probabilities=0.3 * fold.probabilities + 0.7 * fold.probabilities[::-1])
        for fold in folds
    )

    found = cross_validation(folds, options=FEW, baseline=weak, names=("auc",))

    assert found.comparison == compare_means(folds, weak, options=FEW, names=("auc",))
    assert found.comparison["auc"].first == found["auc"].mean
    assert found.baseline["auc"].value == found.comparison["auc"].second
    assert found.comparison["auc"].low > 0


def test_the_table_shows_runs_mean_intervals_and_difference(folds):
    found = cross_validation(folds, options=FEW, baseline=folds, names=("auc", "f1"))

    lines = as_markdown(found).splitlines()

    assert lines[0].startswith("| score | per run | mean | 95 % by group | 95 % over runs | pooled")
    assert lines[2].startswith(f"| AUC | {found['auc'].values[0]:.3f} ")
    assert "| +0.000 (0.000 to 0.000) | 1.000 |" in lines[2]
    assert len({line.count("|") for line in lines}) == 1


def test_no_run_and_a_fold_of_one_class_are_refused(folds):
    with pytest.raises(InputError, match="no predictions"):
        cross_validation((), options=FEW)
    only = select(folds[0], folds[0].truth == 1)
    with pytest.raises(InputError, match="two classes"):
        cross_validation((*folds[1:], only), options=FEW)
