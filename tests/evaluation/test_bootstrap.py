"""Intervals by resampling groups, and paired differences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import compare, compare_means, measure, measure_mean, percentiles
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.resamples import resamples_of
from aegle.evaluation.selection import select

FEW = EvaluationOptions(resamples=400)


def test_resamples_draw_whole_groups_as_many_as_there_are(made):
    predictions = made(60, per_group=4)
    first_of_group = np.arange(0, 60, 4)

    for (weights,) in resamples_of((predictions,), FEW):
        np.testing.assert_array_equal(weights[:, first_of_group].sum(axis=1), 15)
        for offset in range(4):
            np.testing.assert_array_equal(
                weights[:, first_of_group + offset], weights[:, first_of_group]
            )


def test_intervals_are_percentiles_of_scores_of_drawn_images(made):
    # The same weights, but every resample scored by scikit-learn.
    predictions = made(60)
    names = ("auc", "accuracy")
    options = EvaluationOptions(resamples=100)
    drawn = [
        (
            roc_auc_score(predictions.truth, predictions.probabilities[:, 1], sample_weight=row),
            accuracy_score(
                predictions.truth, predictions.probabilities.argmax(axis=1), sample_weight=row
            ),
        )
        for (weights,) in resamples_of((predictions,), options)
        for row in weights
    ]

    found = measure(predictions, options=options, names=names)

    for name, values in zip(names, np.transpose(drawn), strict=True):
        low, high = np.quantile(values, [0.025, 0.975])
        assert (found[name].low, found[name].high) == (pytest.approx(low), pytest.approx(high))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(made):
    predictions = made()

    assert measure(predictions, options=FEW) == measure(predictions, options=FEW)
    other = measure(predictions, options=replace(FEW, seed=1), names=("auc",))
    assert other["auc"].low != measure(predictions, options=FEW)["auc"].low


def test_images_in_fewer_groups_give_a_wider_interval():
    # Ten copies of each image are ten images but one patient.
    truth = np.tile(np.arange(40) % 2, 10)
    generator = np.random.default_rng(0)
    stated = np.tile(np.clip(0.5 + 0.2 * truth[:40] - 0.1 + generator.normal(0, 0.2, 40), 0, 1), 10)

    def width(groups):
        predictions = Predictions(
            classes=("no", "yes"),
            names=tuple(map(str, range(400))),
            truth=truth,
            probabilities=np.stack([1 - stated, stated], axis=1),
            groups=groups,
        )
        auc = measure(predictions, options=FEW, names=("auc",))["auc"]
        return auc.high - auc.low

    patient_by_patient = width(tuple(str(i % 40) for i in range(400)))
    image_by_image = width(tuple(map(str, range(400))))

    # The variance falls with the number of what is drawn: sqrt(10) between the widths.
    assert patient_by_patient / image_by_image == pytest.approx(10**0.5, rel=0.2)


def test_an_interval_covers_the_true_accuracy_as_often_as_it_says():
    # Accuracy of Bernoulli answers: the truth is 0.8 for every made set of 100 images.
    generator = np.random.default_rng(5)
    options = EvaluationOptions(resamples=300, confidence=0.9)
    covered = 0
    for _ in range(200):
        truth = np.arange(100) % 2
        right = generator.random(100) < 0.8
        stated = np.where(right == (truth == 1), 0.9, 0.1)
        predictions = Predictions(
            classes=("no", "yes"),
            names=tuple(map(str, range(100))),
            truth=truth,
            probabilities=np.stack([1 - stated, stated], axis=1),
            groups=tuple(map(str, range(100))),
        )
        found = measure(predictions, options=options, names=("accuracy",))["accuracy"]
        covered += found.low <= 0.8 <= found.high

    # 0.9 with a standard error of 0.02; percentile intervals fall a little short.
    assert covered / 200 == pytest.approx(0.9, abs=0.055)


def test_an_interval_of_accuracy_is_about_the_binomial_one(two_class):
    truth = np.arange(400) % 2
    stated = np.where(np.arange(400) < 320, truth, 1 - truth)
    predictions = two_class(truth, np.clip(stated, 0.1, 0.9))

    found = measure(predictions, options=EvaluationOptions(), names=("accuracy",))["accuracy"]

    half = 1.96 * (0.8 * 0.2 / 400) ** 0.5
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - half, abs=0.004)
    assert found.high == pytest.approx(0.8 + half, abs=0.004)


def test_an_auc_interval_is_about_delongs(made):
    # DeLong ER et al. Biometrics 1988;44:837-845: variance from the placements of each image.
    predictions = made(300, per_group=1)
    stated, came = predictions.probabilities[:, 1], predictions.truth == 1
    wins = np.sign(stated[came][:, None] - stated[~came][None]) / 2 + 0.5
    variance = wins.mean(axis=1).var(ddof=1) / came.sum()
    variance += wins.mean(axis=0).var(ddof=1) / (~came).sum()

    found = measure(predictions, options=EvaluationOptions(), names=("auc",))["auc"]

    assert found.value == pytest.approx(wins.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.06)


@pytest.mark.parametrize("name", ["auc", "accuracy", "brier", "f1", "calibration_error"])
def test_an_interval_holds_the_score_itself(made, name):
    for seed in range(5):
        found = measure(made(40, seed=seed), options=FEW, names=(name,))[name]
        assert found.low <= found.value <= found.high


def test_resamples_without_a_class_are_drawn_anew_and_counted(two_class):
    # One of 20 patients is positive: (19/20)^20 = 36 % of the draws miss it.
    predictions = two_class([1] + [0] * 19, np.linspace(0.9, 0.1, 20))
    options = EvaluationOptions(resamples=2000)

    found = measure(predictions, options=options, names=("auc",))

    missed = (19 / 20) ** 20
    assert found.redrawn / (found.redrawn + 2000) == pytest.approx(missed, abs=0.03)
    for (weights,) in resamples_of((predictions,), options):
        assert weights[:, 0].min() >= 1


def test_a_class_that_hardly_any_resample_holds_is_refused(made):
    # Each of five parts has its positives in one patient; all must be drawn at once.
    runs = [select(made(12, per_group=1, seed=k), np.arange(12) < 12) for k in range(5)]
    runs = [
        replace(
            run,
            names=tuple(f"{k}-{n}" for n in run.names),
            groups=tuple(f"{k}-{g}" for g in run.groups),
            truth=np.array([1] + [0] * 11),
        )
        for k, run in enumerate(runs)
    ] * 2

    few = [replace(run, truth=np.roll(run.truth, k)) for k, run in enumerate(runs)]
    with pytest.raises(InputError, match="Hardly any resample of 60 groups holds every class"):
        measure_mean(few, options=EvaluationOptions(resamples=100), names=("auc",))


def test_a_score_that_most_resamples_cannot_give_has_no_interval():
    assert np.isnan(percentiles(np.array([0.5] * 90 + [np.nan] * 10), 0.95)).all()
    assert percentiles(np.array([0.5] * 99 + [np.nan]), 0.95) == (0.5, 0.5)


def test_a_difference_is_first_minus_second_and_its_interval_is_paired(made):
    good, poor = made(200, gain=2.0), made(200, gain=0.3)
    poor = replace(good, probabilities=0.5 * good.probabilities + 0.5 * poor.probabilities)

    found = compare(good, poor, options=FEW)["auc"]
    apart = [measure(p, options=FEW)["auc"] for p in (good, poor)]

    assert found.value == pytest.approx(found.first - found.second)
    assert (found.first, found.second) == (apart[0].value, apart[1].value)
    assert found.value > 0
    assert found.excludes_zero
    assert found.share_not_above < 0.05
    # Pairing cancels what both share: narrower than if other patients were drawn for each.
    unpaired = sum((a.high - a.low) ** 2 for a in apart) ** 0.5
    assert found.high - found.low < 0.9 * unpaired
    back = compare(poor, good, options=FEW)["auc"]
    assert back.excludes_zero
    assert (back.value, back.low, back.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )


def test_the_mean_calibration_error_of_small_folds_lies_in_the_middle_of_its_interval(made):
    # Chance adds to each bin of a resample; without moving back the value lies below the interval.
    whole = made(200, per_group=1)
    folds = [select(whole, np.arange(200) % 5 == k) for k in range(5)]

    found = measure_mean(folds, options=FEW, names=("calibration_error",))["calibration_error"]

    middle, width = (found.low + found.high) / 2, found.high - found.low
    assert abs(found.value - middle) < 0.15 * width


def test_the_same_predictions_in_another_order_differ_by_nothing(made):
    predictions = made(classes=4)
    order = np.random.default_rng(0).permutation(120)
    shuffled = Predictions(
        classes=predictions.classes,
        names=tuple(predictions.names[i] for i in order),
        truth=predictions.truth[order],
        probabilities=predictions.probabilities[order],
        groups=tuple(predictions.groups[i] for i in order),
    )

    for difference in compare(predictions, shuffled, options=FEW).differences:
        assert difference.value == pytest.approx(0, abs=1e-12)
        assert difference.low == pytest.approx(0, abs=1e-12)
        assert difference.high == pytest.approx(0, abs=1e-12)


def test_a_paired_interval_covers_no_difference_as_often_as_it_says():
    # Two readers equally good, errors independent: 0 should be covered in 90 of 100.
    generator = np.random.default_rng(3)
    options = EvaluationOptions(resamples=200, confidence=0.9)
    truth = np.arange(80) % 2
    covered = 0
    for _ in range(150):
        one, other = (
            Predictions(
                classes=("no", "yes"),
                names=tuple(map(str, range(80))),
                truth=truth,
                probabilities=np.stack([1 - p, p], axis=1),
                groups=tuple(map(str, range(80))),
            )
            for p in 1 / (1 + np.exp(-(truth - 0.5 + generator.normal(0, 1, (2, 80)))))
        )
        found = compare(one, other, options=options, names=("auc",))["auc"]
        covered += not found.excludes_zero

    assert covered / 150 == pytest.approx(0.9, abs=0.06)


def test_other_images_classes_or_truth_are_not_compared(made):
    predictions = made(60)

    with pytest.raises(InputError, match="'image-59' is predicted on one side only"):
        compare(predictions, select(predictions, np.arange(60) < 59), options=FEW)
    with pytest.raises(InputError, match="'image-0' has class and group"):
        compare(predictions, replace(predictions, truth=1 - predictions.truth), options=FEW)
    with pytest.raises(InputError, match="Classes other, more and normal, pneumonia differ"):
        compare(predictions, replace(predictions, classes=("other", "more")), options=FEW)


def test_the_mean_over_runs_of_one_run_is_the_score_itself(made):
    predictions = made()

    assert measure_mean((predictions,), options=FEW) == measure(predictions, options=FEW)


def test_seeds_of_the_same_images_are_resampled_alike(made):
    # Equal runs: the interval of their mean is that of one; drawn apart it would be narrower.
    predictions = made()
    one = measure(predictions, options=FEW)["auc"]

    three = measure_mean((predictions,) * 3, options=FEW)

    assert three.images == 120
    assert three.groups == 40
    assert three["auc"].low == pytest.approx(one.low)
    assert three["auc"].high == pytest.approx(one.high)


def test_folds_are_compared_with_a_baseline_of_fewer_runs(made):
    good = made(120, per_group=1)
    poor = replace(
        good, probabilities=0.6 * good.probabilities + 0.4 * made(120, seed=9).probabilities
    )
    fold = np.arange(120) % 3
    folds = [select(good, fold == k) for k in range(3)]

    found = compare_means(folds, (poor,), options=FEW, names=("accuracy",))["accuracy"]

    # Folds of equal size: the mean accuracy of the folds is that of all.
    single = compare(good, poor, options=FEW, names=("accuracy",))["accuracy"]
    assert found.value == pytest.approx(single.value)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]), st.integers(1, 5))
def test_every_interval_lies_within_what_the_score_can_be(seed, classes, per_group):
    generator = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), generator.integers(0, classes, 40)])
    predictions = Predictions(
        classes=("a", "b", "c")[:classes],
        names=tuple(map(str, range(truth.size))),
        truth=truth,
        probabilities=generator.dirichlet(np.ones(classes), truth.size),
        groups=tuple(str(i // per_group) for i in range(truth.size)),
    )

    found = measure(
        predictions,
        options=EvaluationOptions(resamples=100),
        names=("auc", "accuracy", "balanced_accuracy", "f1", "average_precision"),
    )

    for estimate in found.estimates:
        assert 0 <= estimate.low <= estimate.high <= 1
