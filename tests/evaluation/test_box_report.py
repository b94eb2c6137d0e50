"""What is found out about boxes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.evaluation.box_report import CaseBoxes, evaluate_boxes, limits
from aegle.evaluation.evaluate import About
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_page import outline_page

OPTIONS = EvaluationOptions(resamples=200)
ABOUT = About(title="Tools <b>", facts={"Model": "demo"})


def case(name="one", truth=(), found=(), **more):
    """Return an image from rows (class, left, top, right, bottom) and the same with a score."""
    real, said = np.array(truth, float).reshape(-1, 5), np.array(found, float).reshape(-1, 6)
    return CaseBoxes(
        name=name,
        group=more.pop("group", name),
        truth=real[:, 1:],
        truth_classes=real[:, 0].astype(int),
        boxes=said[:, 1:5],
        box_classes=said[:, 0].astype(int),
        scores=said[:, 5],
        **more,
    )


def judged(cases, classes=("a", "b"), options=OPTIONS):
    return evaluate_boxes(cases, classes=classes, options=options, about=ABOUT)


def random_boxes(seed=3, images=24, classes=3):
    """Return true and found boxes with whole sides: image, class, sides, score."""
    generator = np.random.default_rng(seed)

    def sides():
        left, top, width, height = (
            int(v) for v in (*generator.integers(0, 60, 2), *generator.integers(10, 40, 2))
        )
        return left, top, left + width, top + height

    truth, found = [], []
    for image in range(images):
        for _ in range(int(generator.integers(0, 4))):
            own = sides()
            kind = int(generator.integers(0, classes))
            truth.append((image, kind, *own))
            if generator.random() < 0.85:
                moved = [int(v) for v in generator.integers(-4, 5, 4)]
                said = kind if generator.random() < 0.9 else int(generator.integers(0, classes))
                near = [a + b for a, b in zip(own, moved, strict=True)]
                found.append((image, said, *near, round(float(generator.uniform(0.2, 1)), 2)))
        for _ in range(int(generator.integers(0, 3))):
            own = sides()
            kind = int(generator.integers(0, classes))
            found.append((image, kind, *own, round(float(generator.uniform(0, 0.8)), 2)))
    return truth, found


# Numbers of pycocotools 2.0.11 (COCOeval, bbox, area all, 100 boxes) for the same boxes.
def test_average_precision_is_that_of_pycocotools():
    truth, found = random_boxes()
    cases = [
        case(
            str(image),
            [row[1:] for row in truth if row[0] == image],
            [row[1:] for row in found if row[0] == image],
        )
        for image in range(24)
    ]

    evaluation = judged(cases, classes=("a", "b", "c"))

    assert (len(truth), len(found)) == (33, 47)
    by_class = [(one.ap_50.value, one.ap_50_95.value) for one in evaluation.classes]
    np.testing.assert_allclose(
        by_class,
        [
            (0.5536303630363041, 0.22668016801680144),
            (0.7307819243462805, 0.29020563594820936),
            (0.5503300330033, 0.23406490649064912),
        ],
    )
    np.testing.assert_allclose(
        evaluation.by_threshold,
        [
            0.6115807734619616,
            0.46120560774026126,
            0.40995952159318494,
            0.40995952159318494,
            0.3644590100035644,
            0.12583258325832583,
            0.09394631770869395,
            0.026225699493026226,
            0,
            0,
        ],
        atol=1e-12,
    )
    assert evaluation.ap_50.value == pytest.approx(0.6115807734619616)


def test_a_box_of_another_class_is_false_and_leaves_the_object_unfound():
    evaluation = judged([case(truth=[(0, 0, 0, 10, 10)], found=[(1, 0, 0, 10, 10, 0.9)])])

    first, second = evaluation.classes
    assert (first.ap_50.value, first.found) == (0, 0)
    assert np.isnan(second.ap_50.value)
    assert evaluation.ap_50.value == 0
    assert "No image holds b" in " ".join(str(text) for text in limits(evaluation))


def test_a_failed_image_keeps_its_objects_and_none_of_its_boxes():
    right = case("right", [(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 10, 0.9)])
    failed = case("failed", [(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 10, 0.9)], error="out of memory")

    evaluation = judged([right, failed])

    assert evaluation.ap_50.value == pytest.approx(51 / 101)
    assert [one.name for one in evaluation.failures] == ["failed"]
    assert evaluation.numbers()["failed"] == ["failed"]
    assert evaluation.cases[1].f1 == 0
    assert "out of memory" in outline_page(evaluation)


def test_the_interval_is_over_groups():
    good = ([(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 10, 0.9)])
    bad = ([(0, 0, 0, 10, 10)], [(0, 0, 50, 10, 60, 0.8)])
    cases = [case(str(i), *(good if i % 2 else bad)) for i in range(20)]
    apart = judged(cases).ap_50

    together = judged([replace(one, group=str(int(one.name) // 2)) for one in cases]).ap_50

    # Each group holds one of either kind, so every resample has the same share found.
    assert together.high - together.low < 1e-9
    assert apart.low < 0.4 < 0.6 < apart.high


def test_sensitivities_are_at_the_seven_rates_and_their_mean():
    cases = [case("a", [(0, 0, 0, 10, 10)], [(0, 0, 0, 10, 10, 0.5), (0, 0, 50, 10, 60, 0.9)])]

    evaluation = judged(cases)

    # The only box that is right comes after one false box in one image.
    assert [e.value for e in evaluation.froc] == pytest.approx([0, 0, 0, 1, 1, 1, 1, 4 / 7])


def test_boxes_without_class_or_score_are_refused():
    sound = case(truth=[(0, 0, 0, 9, 9)], found=[(1, 0, 0, 9, 9, 0.5)])

    with pytest.raises(InputError, match="'one' has a box of class 1, but there are 1 classes"):
        judged([sound], classes=("a",))
    with pytest.raises(InputError, match="1 classes and 0 scores"):
        judged([replace(sound, scores=np.zeros(0))])
    with pytest.raises(InputError, match="not a number"):
        judged([replace(sound, scores=np.array([np.nan]))])
    with pytest.raises(InputError, match="1 images hold no true box"):
        judged([case(found=[(1, 0, 0, 9, 9, 0.5)])])


def test_the_page_shows_scores_and_the_worst_images_and_lets_no_name_become_markup():
    picture = np.random.default_rng(0).integers(0, 255, (3, 1, 60, 70)).astype(np.uint8)
    cases = [
        case(
            f"photo <{i}>",
            [(0, 5, 5, 30, 40), (1, 35, 10, 60, 50)],
            [(0, 6, 5, 31, 41, 0.9), (1, 0, 30, 20, 50, 0.45)],
            picture=picture,
        )
        for i in range(3)
    ]

    evaluation = judged(cases)
    html = outline_page(evaluation)

    assert len(evaluation.pictures) == 3
    assert evaluation.pictures[0].caption == "photo <0>: 1 of 2 found, 1 false"
    assert "photo &lt;0&gt;" in html
    assert "<script" not in html
    assert "Research software, not a medical device" in html
    assert f"{evaluation.ap_50.value:.3f}" in html
    assert outline_page(judged(cases)) == html
    json.dumps(evaluation.numbers(), allow_nan=False)
    assert evaluation.rows[0]["AP at 0.5"] == "0.500"
    assert [row["class"] for row in evaluation.rows] == ["mean over classes", "a", "b"]
