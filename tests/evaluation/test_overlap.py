"""Overlap of outlines, class by class."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import GeometryError, InputError
from aegle.evaluation.overlap import Ruler, dice, failed_scores, score_outlines

CUBES = Ruler(spacing_mm=(1.0, 1.0, 1.0), tolerance=1.0)


def labels(shape=(4, 10, 12), **boxes):
    made = np.zeros(shape, np.int32)
    for value, place in boxes.items():
        made[tuple(slice(a, b) for a, b in place)] = int(value[1:])
    return made


def test_scores_are_those_counted_by_hand():
    truth = labels(c1=((0, 2), (0, 5), (0, 4)), c2=((2, 4), (5, 9), (6, 11)))
    said = labels(c1=((0, 2), (0, 5), (1, 6)), c2=((2, 4), (5, 9), (6, 11)))

    first, second = score_outlines(truth, said, classes=("a", "b"), ruler=CUBES)

    # 40 true voxels, 50 outlined, 30 in both.
    assert first.dice == pytest.approx(60 / 90)
    assert first.jaccard == pytest.approx(30 / 60)
    assert first.precision == pytest.approx(30 / 50)
    assert first.recall == pytest.approx(30 / 40)
    assert first.relative_size_error == pytest.approx(0.25)
    assert (second.class_name, second.dice, second.surface, second.hausdorff) == ("b", 1, 1, 0)


def test_sizes_are_millilitres_of_volumes_and_pixels_of_pictures():
    truth = labels(c1=((0, 2), (0, 5), (0, 10)))
    none = np.zeros_like(truth)
    thick = Ruler(spacing_mm=(5.0, 2.0, 0.5), tolerance=1.0)
    picture = Ruler(spacing_mm=(1.0, 1.0, 1.0), tolerance=1.0, unit="pixel")

    (volume,) = score_outlines(truth, none, classes=("a",), ruler=thick)
    (area,) = score_outlines(truth[:1], none[:1], classes=("a",), ruler=picture)

    assert volume.truth_size == pytest.approx(100 * 5 / 1000)
    assert volume.size_error == pytest.approx(-0.5)
    assert volume.relative_size_error == -1
    assert area.truth_size == 50


def test_what_is_nowhere_has_dice_one_and_no_distance():
    none = np.zeros((2, 5, 5), np.int32)

    (found,) = score_outlines(none, none, classes=("a",), ruler=CUBES)

    assert (found.dice, found.jaccard) == (1, 1)
    for value in (found.precision, found.recall, found.surface, found.hausdorff):
        assert math.isnan(value)
    assert math.isnan(found.relative_size_error)


def test_what_is_missed_or_invented_has_dice_zero_and_an_infinite_distance():
    full, none = labels(c1=((0, 2), (0, 5), (0, 4))), labels()

    (missed,) = score_outlines(full, none, classes=("a",), ruler=CUBES)
    (invented,) = score_outlines(none, full, classes=("a",), ruler=CUBES)

    for found in (missed, invented):
        assert (found.dice, found.surface, found.hausdorff) == (0, 0, math.inf)
    assert (missed.recall, invented.precision) == (0, 0)
    assert math.isnan(missed.precision)
    assert math.isnan(invented.recall)


def test_only_the_region_is_judged():
    truth = labels(c1=((0, 4), (0, 10), (0, 6)))
    said = labels(c1=((0, 4), (0, 10), (0, 12)))
    region = np.zeros(truth.shape, bool)
    region[:, :, :6] = True

    (inside,) = score_outlines(truth, said, classes=("a",), ruler=CUBES, region=region)
    (everywhere,) = score_outlines(truth, said, classes=("a",), ruler=CUBES)

    assert (inside.dice, inside.hausdorff, inside.truth_size) == (1, 0, 0.24)
    assert everywhere.dice == pytest.approx(2 * 240 / (240 + 480))


def test_a_failed_image_scores_zero_even_where_nothing_was_to_be_outlined():
    truth = labels(c1=((0, 2), (0, 5), (0, 10)))

    present, absent = failed_scores(truth, classes=("a", "b"), ruler=CUBES)

    assert (present.dice, absent.dice) == (0, 0)
    assert (present.truth_size, present.predicted_size) == (0.1, 0)
    assert (absent.hausdorff, absent.surface) == (math.inf, 0)


def test_labels_of_every_kind_give_the_same_scores():
    truth = labels(c1=((0, 2), (0, 5), (0, 4)), c2=((2, 4), (5, 9), (6, 11)))
    said = np.roll(truth, 1, axis=2)

    found = [
        score_outlines(truth.astype(kind), said.astype(kind), classes=("a", "b"), ruler=CUBES)
        for kind in (np.uint8, np.uint16, np.int16, np.int64)
    ]

    assert all(one == found[0] for one in found)


def test_a_label_that_is_no_class_and_another_shape_are_refused():
    with pytest.raises(InputError, match=r"label 7, but there are 2 classes \(a, b\)"):
        score_outlines(
            labels(c7=((0, 1), (0, 1), (0, 1))), labels(), classes=("a", "b"), ruler=CUBES
        )
    with pytest.raises(GeometryError, match=r"\(4, 10, 12\).*\(4, 10, 11\)"):
        score_outlines(labels(), labels((4, 10, 11)), classes=("a",), ruler=CUBES)


@settings(deadline=None)
@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_dice_follows_from_jaccard_and_is_the_mean_of_precision_and_recall(first, second):
    truth, said = (
        np.array([(bits >> place) & 1 for place in range(16)], np.int32).reshape(1, 4, 4)
        for bits in (first, second)
    )

    (found,) = score_outlines(truth, said, classes=("a",), ruler=CUBES)

    assert found.dice == pytest.approx(2 * found.jaccard / (1 + found.jaccard))
    assert found.dice == pytest.approx(dice(truth > 0, said > 0))
    if found.dice and first and second:
        harmonic = 2 / (1 / found.precision + 1 / found.recall)
        assert found.dice == pytest.approx(harmonic)
