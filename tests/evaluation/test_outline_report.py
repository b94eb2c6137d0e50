"""What is found out about outlines: scores over images, failures, second observer, page."""

import json
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import GeometryError, InputError
from aegle.evaluation.evaluate import About
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_card import outline_card_section
from aegle.evaluation.outline_page import outline_page
from aegle.evaluation.outline_report import (
    MOST_PICTURES,
    CaseOutline,
    case_rows,
    evaluate_outlines,
    limits,
)

OPTIONS = EvaluationOptions(resamples=200)
ABOUT = About(title="Vessels <b>", facts={"Model": "net & co 1"})
SHAPE = (3, 12, 10)


def strip(start, length, value=1, shape=SHAPE):
    """Return labels of a bar of so many columns."""
    made = np.zeros(shape, np.int32)
    made[1, 2:6, start : start + length] = value
    return made


def case(name="one", truth=None, predicted=None, **more):
    return CaseOutline(
        name=name,
        group=more.pop("group", name),
        truth=strip(1, 4) if truth is None else truth,
        predicted=strip(1, 4) if predicted is None else predicted,
        spacing_mm=more.pop("spacing_mm", (2.0, 1.0, 1.0)),
        **more,
    )


def judged(cases, classes=("vessel",), **more):
    return evaluate_outlines(
        cases, classes=classes, options=more.pop("options", OPTIONS), about=ABOUT, **more
    )


@pytest.fixture(scope="module")
def evaluation():
    """Right, half right, missed, invented, failed and absent, with observer and pictures."""
    none = np.zeros(SHAPE, np.int32)
    picture = np.arange(360, dtype=np.float32).reshape(1, *SHAPE)
    kinds = {
        "right": {},
        "half": {"predicted": strip(3, 4)},
        "missed": {"predicted": none},
        "invented": {"truth": none},
        "failed": {"error": "It needs 3 GB <i>."},
        "absent": {"truth": none, "predicted": none},
    }
    cases = [
        case(name, picture=picture, observer=strip(2, 4), **more) for name, more in kinds.items()
    ]
    return judged(cases)


def test_means_are_over_images_and_failures_count_as_zero(evaluation):
    (vessel,) = evaluation.classes

    assert [one.dice for one in evaluation.cases] == [1, 0.5, 0, 0, 0, 1]
    assert evaluation.dice.value == vessel["dice"].value == pytest.approx(2.5 / 6)
    assert vessel["dice_present"].value == pytest.approx(1.5 / 4)
    assert (vessel.median_dice, vessel.worst_dice, vessel.worst_case) == (0.25, 0, "missed")
    assert [one.name for one in evaluation.failures] == ["failed"]


def test_what_has_no_distance_is_counted(evaluation):
    (vessel,) = evaluation.classes

    assert (vessel.cases, vessel.present, vessel.missed, vessel.false) == (6, 4, 2, 1)
    assert (vessel.infinite, vessel.no_surface) == (3, 1)
    # Of five distances 0, 2 and three times infinity.
    assert vessel["hausdorff"].value == math.inf
    assert vessel["recall"].value == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert vessel["precision"].value == pytest.approx((1 + 0.5 + 0) / 3)


def test_an_absent_class_of_a_failed_image_counts_as_zero_too():
    found = judged([case(error="no memory")], classes=("vessel", "optic disc"))

    assert [one["dice"].value for one in found.classes] == [0, 0]


def test_the_interval_is_over_groups():
    halves = [strip(1, 4), strip(3, 4)]
    cases = [case(str(i), predicted=halves[i % 2], group=str(i // 2)) for i in range(20)]
    apart = judged([replace(one, group=one.name) for one in cases]).dice

    together = judged(cases).dice

    assert together.value == apart.value == 0.75
    assert together.high - together.low < 1e-9
    assert apart.low < 0.72 < 0.78 < apart.high


def test_the_spacing_of_each_image_is_its_own():
    moved = np.roll(strip(1, 4), 2, axis=1)
    cases = [
        case("a", predicted=moved, spacing_mm=(1.0, 1.0, 1.0)),
        case("b", predicted=moved, spacing_mm=(1.0, 0.4, 1.0)),
    ]

    found = judged(cases, tolerance=0.8)

    far = [one.classes[0].hausdorff for one in found.cases]
    assert far == pytest.approx([2.0, 0.8])
    assert found.cases[0].classes[0].surface < 1 == found.cases[1].classes[0].surface


def test_the_region_restricts_model_and_observer():
    wide = strip(1, 8)
    region = np.zeros(SHAPE, bool)
    region[:, :, :5] = True

    found = judged([case(predicted=wide, observer=wide, region=region)])

    assert found.dice.value == 1
    assert [one.dice.value for one in found.agreements] == [1, 1, 1, 0]


def test_model_and_observers_are_compared_in_pairs_and_the_failed_image_counts(evaluation):
    first, second, observers, above = evaluation.agreements

    # Dice of bars of 4 columns: 1 apart 0.75, 2 apart 0.5; the second observer starts at 2.
    assert [one.cases for one in evaluation.agreements] == [6] * 4
    assert first.dice.value == pytest.approx((1 + 0.5 + 0 + 0 + 0 + 1) / 6)
    assert second.dice.value == pytest.approx((0.75 + 0.75 + 0 + 0.75 + 0 + 0) / 6)
    assert observers.dice.value == pytest.approx((4 * 0.75) / 6)
    assert above.dice.value == pytest.approx(first.dice.value - observers.dice.value)


def test_only_images_that_a_second_person_outlined_are_compared():
    found = judged([case("a", observer=strip(2, 4)), case("b", predicted=strip(5, 4))])

    assert [one.cases for one in found.agreements] == [1] * 4
    assert found.agreements[0].dice.value == 1
    assert judged([case()]).agreements == ()


def test_images_are_let_go_and_only_the_worst_few_are_drawn():
    given = []

    class Watched(np.ndarray):
        """An array whose life can be watched."""

    def cases():
        for number in range(40):
            picture = np.zeros((1, *SHAPE), np.float32).view(Watched)
            given.append(weakref.ref(picture))
            said = strip(1 + number % 5, 4)
            yield case(f"{number:02}", predicted=said, picture=picture)
            del picture
            assert sum(one() is not None for one in given) <= 2

    found = judged(cases())

    assert len(found.pictures) == MOST_PICTURES
    names = [picture.caption[:2] for picture in found.pictures]
    assert names == [f"{n:02}" for n in range(4, 40, 5)] + ["03", "08", "13", "18"]


def test_without_pixels_there_are_no_pictures():
    assert judged([case(predicted=strip(3, 4))]).pictures == ()


def test_an_image_that_cannot_be_judged_is_named():
    with pytest.raises(InputError, match=r"'odd' cannot be judged\. A voxel has the label 3"):
        judged([case("odd", predicted=strip(1, 4, value=3))])
    with pytest.raises(InputError, match=r"'odd' cannot be judged\. .*\(2, 12, 10\)"):
        judged([case("odd", predicted=strip(1, 4)[:2])])
    with pytest.raises(InputError, match=r"second observer of 'odd'.*\(2, 12, 10\)"):
        judged([case("odd", observer=strip(1, 4)[:2])])
    with pytest.raises(InputError, match="no images"):
        judged([])
    assert issubclass(GeometryError, InputError)


def test_numbers_are_plain_json_with_nothing_undefined(evaluation):
    found = json.loads(json.dumps(evaluation.numbers(), allow_nan=False))

    assert found["format"] == 1
    assert found["class_names"] == ["vessel"]
    assert found["failed"] == ["failed"]
    assert found["dice"]["value"] == evaluation.dice.value
    assert found["cases"][2]["classes"][0]["hausdorff"] is None
    assert found["classes"][0]["infinite"] == 3
    assert found["agreements"][0]["between"] == "Model and first observer"
    assert found["tolerance"] == 1.0
    assert found["options"]["resamples"] == 200


def test_the_page_stands_alone_and_shows_scores_failures_observers_and_pictures(evaluation):
    html = outline_page(evaluation)

    assert "<script" not in html
    assert "Vessels &lt;b&gt;" in html
    assert "It needs 3 GB &lt;i&gt;." in html
    assert "Research software, not a medical device" in html
    assert html.count("<img") == 1 + 4
    for words in ("Second observer", "Failed images", "Worst images", "1 of 6", "∞"):
        assert words in html
    vessel = evaluation.classes[0]["dice"]
    assert f"{vessel.value:.3f} ({vessel.low:.3f} to {vessel.high:.3f})" in html
    assert outline_page(evaluation) == html


def test_chapters_with_nothing_to_say_are_left_out():
    html = outline_page(judged([case("a"), case("b")]))

    assert "Second observer" not in html
    assert 'id="failures"' not in html
    assert "How well two persons agree on these images was not measured." in html


def test_the_card_states_scores_failures_and_limits(evaluation):
    text = outline_card_section(evaluation)

    assert text.startswith("## Metrics\n\n6 images in 6 groups. Intervals: 200 bootstrap")
    assert "Failed, and counted as nothing found: failed." in text
    assert "| Model and first observer | vessel | 6 | 0.417" in text
    for sentence in limits(evaluation):
        assert str(sentence) in text
    assert "No image failed." in outline_card_section(judged([case()]))


def test_limits_say_how_rare_a_class_is(evaluation):
    said = " ".join(str(sentence) for sentence in limits(evaluation))

    assert "'vessel' is in 4 of 6 images" in said
    assert "Every image counts as a patient of its own" in said


def test_rows_are_ready_for_terminal_and_table(evaluation):
    (row,) = evaluation.rows
    rows = case_rows(evaluation.cases)

    assert row["Dice"] == "0.417"
    assert row["worst"] == "0.000 (missed)"
    assert row["HD95 [mm]"] == "∞"
    assert [one["dice"] for one in rows] == ["1.0", "0.5", "0.0", "0.0", "0.0", "1.0"]
    assert (rows[5]["hausdorff"], rows[4]["error"]) == ("", "It needs 3 GB <i>.")


def test_pictures_count_in_pixels():
    small = strip(1, 4)[1:2]
    found = judged([case(truth=small, predicted=small)], unit="pixel")

    assert found.cases[0].classes[0].truth_size == 16
    assert "HD95 [pixel]" in found.rows[0]
