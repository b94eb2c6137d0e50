"""One organ under many spellings, and two organs under similar ones."""

import pytest

from aegle.planning.structure_names import matching_name


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("parotid_left", "Parotid_L"),
        ("parotid_left", "Left Parotid"),
        ("parotid_left", "parotid LT"),
        ("brainstem", "BrainStem"),
        ("oesophagus", "Esophagus"),
        ("spinal_cord", "Cord"),
        ("lung_right", "Rt-Lung"),
        ("PTV", "ptv"),
        ("PTV_60", "PTV60"),
        ("直肠", "直肠"),
    ],
)
def test_spellings_of_one_organ(name, there):
    assert matching_name(name, ["Heart", there]) == there


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("parotid_left", "Parotid_R"),
        ("parotid_left", "parotid"),
        ("PTV", "PTV60"),
        ("PTV_1_2", "PTV_12"),
        ("PTV+5", "PTV5"),
        ("PTV前", "PTV后"),
        ("直肠", "膀胱"),
        ("lungs", "lung_left"),
        ("L", "R"),
    ],
)
def test_other_organs_are_not_taken(name, there):
    assert matching_name(name, [there]) is None


def test_the_equal_name_goes_before_an_equal_spelling():
    assert matching_name("PTV", ["ptv", "PTV"]) == "PTV"
