"""Charts show what they say."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, roc_curve

from aegle.evaluation import curves
from aegle.evaluation.agreement import limits_of_agreement
from aegle.evaluation.calibration import reliability
from aegle.evaluation.drawing import COLOURS
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import predicted

DEFAULT = EvaluationOptions()
CHARTS = {
    "roc": curves.draw_roc,
    "precision recall": curves.draw_precision_recall,
    "reliability": curves.draw_reliability,
    "histogram": curves.draw_histogram,
    "confusion": lambda predictions, options: curves.draw_confusion(predictions),
}


@pytest.fixture
def drawn(monkeypatch):
    """Return a function that gives the axes of a chart instead of its pixels."""
    monkeypatch.setattr(curves, "picture_of", lambda figure, *words: figure)
    return lambda chart, *given, **options: chart(*given, **options).axes[0]


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("classes", [2, 4])
def test_charts_are_pictures_on_white_and_the_same_at_every_run(made, name, classes):
    predictions = replace(
        made(60, classes=classes), classes=("$normal", "肺炎_x^2", "<tumour>", "other")[:classes]
    )

    found = CHARTS[name](predictions, options=DEFAULT)

    picture = Image.open(io.BytesIO(found.data))
    assert picture.size == (found.width, found.height)
    assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert found.alt
    assert found.data == CHARTS[name](predictions, options=DEFAULT).data
    assert len(found.data) < 60_000


def test_the_roc_curve_is_scikit_learns(made, drawn):
    predictions = made()
    false_alarms, sensitivity, _ = roc_curve(predictions.truth, predictions.probabilities[:, 1])

    axes = drawn(curves.draw_roc, predictions, options=DEFAULT)

    np.testing.assert_array_equal(axes.lines[1].get_xdata(), false_alarms)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), sensitivity)
    assert axes.get_xlabel() == "False alarms (1 - specificity)"


def test_every_class_has_a_curve_of_its_own_colour_and_style(made, drawn):
    axes = drawn(curves.draw_roc, made(classes=4), options=DEFAULT)

    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}
    assert len(looks) == 4
    assert {colour for colour, _ in looks} == set(COLOURS[:4])


def test_the_confusion_matrix_has_the_truth_in_rows(made, drawn):
    predictions = made(classes=4)
    expected = confusion_matrix(predictions.truth, predicted(predictions))

    axes = drawn(curves.draw_confusion, predictions)

    shown = [text.get_text().splitlines()[0] for text in axes.texts]
    assert shown == [str(count) for count in expected.ravel()]
    assert axes.get_ylabel() == "True class"


def test_the_reliability_diagram_shows_stated_across_and_true_up(made, drawn):
    predictions = made()
    bins = reliability(predictions, options=DEFAULT)

    axes = drawn(curves.draw_reliability, predictions, options=DEFAULT)

    points = axes.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [b.stated for b in bins])
    np.testing.assert_allclose(points.get_ydata(), [b.came for b in bins])


def test_intervals_stand_in_the_order_of_their_names(drawn):
    rows = [("all", 0.9, 0.85, 0.95), ("women", 0.8, float("nan"), float("nan"))]

    axes = drawn(curves.draw_intervals, rows, "AUC", 0.5, "caption")

    points = axes.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [0.9, 0.8])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "women"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_the_bland_altman_plot_shows_differences_over_means(drawn):
    first, second = np.array([10.0, 20, 30, 41]), np.array([12.0, 19, 33, 40])
    limits = limits_of_agreement(first, second)

    axes = drawn(curves.draw_limits_of_agreement, first, second, limits, quantity="diameter [mm]")

    np.testing.assert_allclose(
        axes.collections[0].get_offsets(), [[11, -2], [19.5, 1], [31.5, -3], [40.5, 1]]
    )
    assert {line.get_ydata()[0] for line in axes.lines} == {
        limits.bias.value,
        limits.lower.value,
        limits.upper.value,
    }
