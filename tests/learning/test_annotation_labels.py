"""Numbers of masks become classes in the order asked for."""

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.learning.annotation_labels import label_format, of_names

NAMES = {1: "liver", 2: "tumour", 4: "cyst"}


def labels(numbers, **options):
    meaning = of_names("made", NAMES, **({"classes": (), "merge": {}} | options))
    return meaning.classes, meaning.apply("m.nii", np.array(numbers)).tolist()


@pytest.mark.parametrize(
    ("options", "classes", "expected"),
    [
        pytest.param({}, ("liver", "tumour", "cyst"), [0, 1, 2, 3], id="as numbered"),
        pytest.param(
            {"classes": ("cyst", "liver", "tumour")},
            ("cyst", "liver", "tumour"),
            [0, 2, 3, 1],
            id="in another order",
        ),
        pytest.param({"classes": ("a", "b", "c")}, ("a", "b", "c"), [0, 1, 2, 3], id="renamed"),
        pytest.param(
            {"merge": {"tumour": "lesion", "cyst": "lesion"}},
            ("liver", "lesion"),
            [0, 1, 2, 2],
            id="two as one",
        ),
        pytest.param(
            {"merge": {"liver": "background"}}, ("tumour", "cyst"), [0, 0, 1, 2], id="left out"
        ),
        pytest.param({"ignored": 4}, ("liver", "tumour", "cyst"), [0, 1, 2, -1], id="ignored"),
    ],
)
def test_names_decide_the_label(options, classes, expected):
    assert labels([0, 1, 2, 4], **options) == (classes, expected)


def test_other_classes_than_there_are_are_refused():
    with pytest.raises(InputError, match="liver, tumour, cyst apart, but the classes are liver, a"):
        labels([0], classes=("liver", "a"))


@pytest.mark.parametrize("number", [3, -2, 70000])
def test_a_number_without_name_is_refused(number):
    with pytest.raises(InputError, match=rf"holds the label {number} in 2 voxel"):
        labels([0, number, number, 1])


def test_label_maps_hold_so_many_classes():
    assert label_format(255, bits=8) == np.uint8
    assert label_format(65535) == np.uint16
    with pytest.raises(OptionError, match="256 classes do not fit a label map of 8 bits"):
        label_format(256, bits=8)
    with pytest.raises(OptionError, match="65536 classes"):
        label_format(65536)
    with pytest.raises(OptionError, match="not 12"):
        label_format(1, bits=12)


def test_more_classes_than_16_bits_number_are_refused():
    names = {number: str(number) for number in range(1, 65537)}

    with pytest.raises(InputError, match="65536 classes; at most 65535"):
        of_names("made", names, classes=(), merge={})
