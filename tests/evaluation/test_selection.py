"""Choosing images and classes."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.domain.prediction import Predictions
from aegle.evaluation.selection import (
    against_rest,
    among,
    class_counts,
    distinct,
    joined,
    select,
)


def of_three():
    return Predictions(
        classes=("normal", "benign", "malignant"),
        names=("a", "b", "c", "d"),
        truth=np.array([0, 1, 2, 2]),
        probabilities=np.array(
            [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0, 0.25, 0.75], [0.2, 0.6, 0.2]]
        ),
        groups=("p", "p", "q", "r"),
        columns={"side": ("l", "r", "l", "r")},
    )


def test_a_class_against_the_rest_keeps_its_probability_and_is_last():
    found = against_rest(of_three(), "benign")

    assert found.classes == ("rest", "benign")
    np.testing.assert_array_equal(found.truth, [0, 1, 0, 0])
    np.testing.assert_allclose(found.probabilities[:, 1], [0.1, 0.3, 0.25, 0.6])
    assert found.columns == of_three().columns


def test_two_of_three_classes_are_judged_as_if_there_were_no_third():
    found = among(of_three(), ("malignant", "benign"))

    assert found.names == ("b", "c", "d")
    assert found.classes == ("malignant", "benign")
    np.testing.assert_array_equal(found.truth, [1, 0, 0])
    np.testing.assert_allclose(found.probabilities, [[0.4, 0.6], [0.75, 0.25], [0.25, 0.75]])


def test_classes_are_numbered_in_the_order_in_which_they_are_named():
    found = among(of_three(), ("benign", "malignant"))

    np.testing.assert_array_equal(found.truth, [0, 1, 1])
    np.testing.assert_allclose(found.probabilities[0], [0.6, 0.4])


def test_an_image_without_probability_for_the_classes_is_refused():
    with pytest.raises(InputError, match="'c' has probability 0 for each of normal"):
        among(replace(of_three(), truth=np.array([0, 1, 0, 2])), ("normal",))


def test_unknown_classes_are_refused():
    with pytest.raises(OptionError, match="No class 'cyst'; known: normal, benign, malignant"):
        against_rest(of_three(), "cyst")


def test_selected_images_keep_all_that_is_known_of_them():
    found = select(of_three(), np.array([False, True, False, True]))

    assert (found.names, found.groups) == (("b", "d"), ("p", "r"))
    assert found.columns == {"side": ("r", "r")}
    assert class_counts(found) == (("normal", 0), ("benign", 1), ("malignant", 1))


def test_folds_are_joined_in_their_order_with_the_columns_that_all_have():
    first, second = (
        select(of_three(), np.array(m))
        for m in (np.int64(0) < [1, 0, 1, 0], np.int64(0) < [0, 1, 0, 1])
    )

    found = joined((first, replace(second, columns={})))

    assert found.names == ("a", "c", "b", "d")
    assert found.groups == ("p", "q", "p", "r")
    assert found.columns == {}
    np.testing.assert_array_equal(found.truth, [0, 2, 1, 2])


def test_an_image_in_two_folds_is_refused_but_counts_once_among_seeds():
    with pytest.raises(InputError, match="'a' is predicted twice"):
        joined((of_three(), of_three()))

    assert distinct((of_three(), of_three())).names == ("a", "b", "c", "d")


def test_nothing_cannot_be_joined():
    with pytest.raises(InputError, match="no predictions"):
        joined(())
