"""The audit finds the model that reads marks and clears the one that reads the anatomy."""

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.probes import PROBES, Kind
from aegle.evaluation.shortcuts import audit, judge

FEW = EvaluationOptions(resamples=200)
COUNT = 150


def truth_and_images(brighter):
    """Make images of which one class has a bright mark in a corner, and a brighter middle."""
    generator = np.random.default_rng(0)
    truth = np.arange(COUNT) % 2
    values = generator.integers(70, 110, (COUNT, 1, 64, 64)).astype(np.uint8)
    values[truth == 1, :, 20:44, 20:44] += brighter
    values[truth == 1, :, 2:4, 2:12] = 250
    return truth, values


def of(contrast):
    stated = 1 / (1 + np.exp(-contrast))
    return np.stack([1 - stated, stated], axis=1)


def reads_marks(values):
    return of(values[:, 0, :6, :14].mean(axis=(1, 2)) - 110)


def reads_anatomy(values):
    around = values[:, 0, 16:48, 14:20].mean(axis=(1, 2))
    return of(values[:, 0, 20:44, 20:44].mean(axis=(1, 2)) - around - 3)


def rows_of(predict, brighter=6):
    truth, values = truth_and_images(np.uint8(brighter))
    groups = [str(i // 2) for i in range(COUNT)]
    rows = audit(predict, values, truth, groups, ("no", "yes"), options=FEW)
    return {row.probe: row for row in rows}


def test_a_model_of_marks_works_without_the_anatomy_and_fails_without_the_marks():
    rows = rows_of(reads_marks, brighter=0)

    assert {name for name, row in rows.items() if row.is_suspicious} == {
        "border_masked",
        "corners_masked",
        "centre_only",
        "text_masked",
        "border_only",
        "corners_only",
    }
    assert str(rows["border_only"].verdict) == (
        "With only the border left the AUC is still 1.00 (1.00 to 1.00): "
        "the model can use what lies there, such as marks outside the anatomy."
    )
    assert str(rows["border_masked"].verdict).startswith("With the border covered the AUC falls by")


def test_a_model_of_the_anatomy_is_cleared():
    rows = rows_of(reads_anatomy)

    assert not any(row.is_suspicious for row in rows.values())
    assert rows["border_masked"].changes[0].value == pytest.approx(0, abs=0.01)
    assert rows["border_only"].estimates[0].value == pytest.approx(0.5, abs=0.1)
    assert "no sign" in str(rows["border_only"].verdict)


def test_every_probe_is_made_and_compared_with_the_unchanged_images():
    rows = rows_of(reads_anatomy)

    assert tuple(rows) == tuple(PROBES)
    for row in rows.values():
        area, change = row.estimates[0], row.changes[0]
        assert (area.name, change.name) == ("auc", "auc")
        assert change.first == area.value
        assert change.value == pytest.approx(change.first - change.second)
    assert len({row.changes[0].second for row in rows.values()}) == 1


def test_a_model_that_depends_on_brightness_is_told_so():
    def reads_brightness(values):
        # Above a fixed shade: right for these images only.
        return of((values[:, 0, 20:44, 20:44] > 92).mean(axis=(1, 2)) * 40 - 22)

    rows = rows_of(reads_brightness)

    assert rows["darker"].kind is Kind.LOOK
    assert rows["darker"].is_suspicious
    assert str(rows["darker"].verdict).endswith("the model depends on the look of its source.")


def test_rows_of_folds_are_judged_from_their_predictions(made):
    predictions = made()

    row = judge("border_only", predictions, predictions, options=FEW)

    assert row.is_suspicious
    assert row.changes[0].value == 0


def test_a_wide_interval_or_a_small_fall_is_not_called_a_shortcut(two_class):
    # Ten images, AUC 0.64, interval over 0.5.
    truth = np.arange(10) % 2
    stated = np.array([0.1, 0.3, 0.6, 0.7, 0.2, 0.25, 0.5, 0.9, 0.4, 0.35])
    predictions = two_class(truth, stated)

    row = judge("border_only", predictions, predictions, options=FEW)

    assert row.estimates[0].value == pytest.approx(0.64)
    assert not row.is_suspicious


def test_unknown_probes_and_no_images_are_refused(made):
    with pytest.raises(OptionError, match="No probe 'border'; known: border_masked"):
        judge("border", made(), made(), options=FEW)
    with pytest.raises(InputError, match="there is none"):
        audit(
            reads_marks,
            np.zeros((0, 1, 8, 8), np.uint8),
            np.zeros(0, np.int64),
            (),
            ("no", "yes"),
            options=FEW,
        )


def test_many_images_are_predicted_a_few_at_a_time():
    sizes = []

    def predict(values):
        sizes.append(len(values))
        return of(np.resize([-1.0, 1.0], len(values)))

    audit(
        predict,
        np.random.default_rng(0).integers(0, 256, (300, 1, 16, 16), dtype=np.uint8),
        np.arange(300) % 2,
        [str(i) for i in range(300)],
        ("no", "yes"),
        options=EvaluationOptions(resamples=100),
    )

    assert sizes == [256, 44] * (len(PROBES) + 1)
