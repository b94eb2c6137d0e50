"""What is found out about objects that were outlined one by one."""

import json

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.evaluation.evaluate import About
from aegle.evaluation.object_report import evaluate_objects
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_card import outline_card_section
from aegle.evaluation.outline_page import outline_page
from aegle.evaluation.outline_report import CaseOutline

OPTIONS = EvaluationOptions(resamples=200)


def row(*runs):
    """Return a picture of one line from (number, length) runs, four pixels high."""
    line = np.repeat([n for n, _ in runs], [length for _, length in runs])
    return np.tile(line, (1, 4, 1)).astype(np.int32)


def case(name, truth, predicted, **more):
    return CaseOutline(
        name=name,
        group=more.pop("group", name),
        truth=truth,
        predicted=predicted,
        spacing_mm=(1.0, 1.0, 1.0),
        **more,
    )


def judged(cases):
    return evaluate_objects(cases, options=OPTIONS, about=About(title="Nuclei"))


@pytest.fixture(scope="module")
def evaluation():
    """Two images: one pair of IoU 1, one of 0.8, one missed, one false; and one that failed."""
    picture = np.arange(120, dtype=np.float32).reshape(1, 1, 4, 30)
    first = row((1, 10), (2, 10), (0, 10))
    half = row((5, 10), (6, 8), (0, 12))
    second, said = row((1, 10), (0, 20)), row((0, 15), (3, 10), (0, 5))
    return judged(
        [
            case("a", first, half, picture=picture),
            case("b", second, said, picture=picture),
            case("c", second, second, picture=picture, error="no memory"),
        ]
    )


def test_scores_count_the_objects_of_all_images(evaluation):
    # 4 true objects, 3 outlined, 2 pairs (IoU 1 and 0.8); of the failed image nothing counts.
    assert evaluation["f1"].value == pytest.approx(2 * 2 / 7)
    assert evaluation["precision"].value == pytest.approx(2 / 3)
    assert evaluation["recall"].value == pytest.approx(2 / 4)
    assert evaluation["accuracy"].value == pytest.approx(2 / (2 + 1 + 2))
    assert evaluation["panoptic_quality"].value == pytest.approx((1.8 / 2) * (4 / 7))
    assert evaluation["f1_mean"].value == pytest.approx((7 * 4 / 7 + 3 * 2 / 7) / 10)
    assert evaluation["f1_per_image"].value == pytest.approx((1 + 0 + 0) / 3)


def test_each_threshold_is_counted(evaluation):
    counts = [(one.pairs, one.false, one.missed) for one in evaluation.thresholds]

    assert counts == [(2, 1, 2)] * 7 + [(1, 2, 3)] * 3
    assert evaluation.thresholds[9].precision == pytest.approx(1 / 3)


def test_failed_images_are_named_and_their_objects_missed(evaluation):
    assert [one.name for one in evaluation.failures] == ["c"]
    assert (evaluation.cases[2].truth, evaluation.cases[2].predicted) == (1, 0)
    assert "no memory" in outline_page(evaluation)


def test_a_failed_image_without_objects_is_no_success():
    none = row((0, 10))

    found = judged([case("a", none, none), case("b", none, none, error="no memory")])

    assert [one.f1 for one in found.cases] == [1, 0]


def test_the_worst_images_are_drawn_with_their_counts(evaluation):
    assert [picture.caption for picture in evaluation.pictures] == [
        "b: 1 objects, 1 missed, 1 false at 0.5",
        "c: no memory",
    ]


def test_numbers_page_and_card_hold_the_scores(evaluation):
    found = json.loads(json.dumps(evaluation.numbers(), allow_nan=False))
    html = outline_page(evaluation)

    assert found["estimates"][0]["value"] == evaluation["f1"].value
    assert found["failed"] == ["c"]
    assert "<script" not in html
    assert "Research software, not a medical device" in html
    assert "0.571" in html
    assert "| F1 at 0.5 | 0.571 |" in outline_card_section(evaluation)
    assert evaluation.rows[0]["value"] == "0.571"


def test_an_image_that_cannot_be_judged_is_named():
    with pytest.raises(InputError, match="'odd' cannot be judged"):
        judged([case("odd", row((1, 4)), row((1, 5)))])
    with pytest.raises(InputError, match="no images"):
        judged([])
