"""Scores by column."""

import numpy as np
import pytest

from aegle.domain.errors import OptionError
from aegle.evaluation.bootstrap import measure
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.selection import select
from aegle.evaluation.subgroups import subgroups

FEW = EvaluationOptions(resamples=100)


def named(table):
    return [one.value for one in table.subgroups]


def test_a_subgroup_is_scored_as_its_images_alone(made):
    sex = tuple("FM"[i % 2] for i in range(120))
    predictions = made(columns={"sex": sex})

    (table,) = subgroups(predictions, options=FEW, names=("auc",))

    assert named(table) == ["F", "M"]
    alone = select(predictions, np.array(sex) == "M")
    assert table.subgroups[1].measured == measure(alone, options=FEW, names=("auc",))
    assert table.subgroups[1].images == 60
    assert sum(count for _, count in table.subgroups[1].counts) == 60


def test_numbers_are_cut_at_their_tertiles(made):
    ages = tuple(str(age) for age in range(120))

    (table,) = subgroups(made(columns={"age": ages}), options=FEW)

    assert named(table) == ["≤ 39", "> 39 to 79", "> 79"]
    assert [one.images for one in table.subgroups] == [40, 40, 40]


def test_dicom_ages_are_numbers_and_what_is_not_stated_comes_last(made):
    ages = tuple("" if i < 30 else f"{i:03d}Y" for i in range(120))

    (table,) = subgroups(made(columns={"age": ages}), options=FEW)

    assert named(table) == ["≤ 59", "> 59 to 89", "> 89", "not stated"]
    assert [one.images for one in table.subgroups] == [30, 30, 30, 30]


def test_equal_numbers_lie_in_one_third(made):
    values = tuple(str(max(i - 80, 0)) for i in range(120))

    (table,) = subgroups(made(columns={"dose": values}), options=FEW)

    assert named(table) == ["≤ 0", "> 0"]
    assert [one.images for one in table.subgroups] == [81, 39]


def test_a_few_different_numbers_are_codes(made):
    (table,) = subgroups(made(columns={"site": tuple(str(i % 3) for i in range(120))}), options=FEW)

    assert named(table) == ["0", "1", "2"]


def test_small_subgroups_are_named_but_not_scored(made):
    predictions = made(columns={"scanner": ("A",) * 105 + ("B",) * 15})

    (table,) = subgroups(predictions, options=FEW)

    large, small = table.subgroups
    assert large.measured
    assert small.measured is None
    assert str(small.reason) == "Not scored: 15 images, fewer than 20."


def test_subgroups_with_few_of_a_class_are_named_but_not_scored(made):
    predictions = made()
    labels = np.where(predictions.truth == 1, "A", "B")
    labels[np.flatnonzero(predictions.truth == 1)[:4]] = "B"
    predictions = made(columns={"ward": tuple(labels)})

    (table,) = subgroups(predictions, options=FEW)

    assert str(table.subgroups[0].reason).startswith("Not scored: 0 images of 'normal'")
    assert str(table.subgroups[1].reason) == ("Not scored: 4 images of 'pneumonia', fewer than 5.")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param(("A",) * 120, "Every image has the same value.", id="constant"),
        pytest.param(
            tuple(f"file {i}" for i in range(120)), "120 different values", id="names of files"
        ),
    ],
)
def test_columns_that_form_no_subgroups_say_why(made, values, reason):
    (table,) = subgroups(made(columns={"column": values}), options=FEW)

    assert not table.subgroups
    assert reason in str(table.reason)


def test_an_unknown_column_is_refused(made):
    with pytest.raises(OptionError, match="no column 'age'; known: sex"):
        subgroups(made(columns={"sex": ("F",) * 120}), options=FEW, columns=("age",))
