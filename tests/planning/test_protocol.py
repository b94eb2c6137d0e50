"""Prescriptions as files: what is in them, and what is said of a wrong one."""

import re

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.protocol import fitted, protocol, protocols, read

GRID = Grid(shape=(2, 2, 2), spacing_mm=(1.0, 1.0, 1.0))

WHOLE = """
title = "Made"
source = "nobody"

[prescription]
target = "PTV"
dose_gy = 54.0
fractions = 30

[[goal]]
structure = "Cord"
metric = "max"
at_most = 45
priority = 1
must = true
source = "somewhere"

[[goal]]
structure = "Parotid_L"
metric = "gEUD"
at = 2.2
at_most = 26
"""


def delineated(*names):
    filled = np.ones(GRID.shape, bool)
    return StructureSet(tuple(Structure.of(name, filled, GRID) for name in names))


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "clinic.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_file_gives_dose_and_goals(file):
    found = read(file(WHOLE))

    assert (found.name, found.title, found.source) == ("clinic", "Made", "nobody")
    assert found.prescription == Prescription(
        target="PTV",
        dose_gy=54.0,
        fractions=30,
        goals=(
            Goal(
                structure="Cord",
                metric=Metric.MAXIMUM_DOSE,
                at_most=45,
                priority=1,
                is_constraint=True,
                source="somewhere",
            ),
            Goal(
                structure="Parotid_L",
                metric=Metric.EQUIVALENT_UNIFORM_DOSE,
                at=2.2,
                at_most=26,
                priority=2,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dose_gy = 54.0", "dose_gy = -1", "prescription.dose_gy: Input should be greater than 0"),
        ("dose_gy = 54.0", "", "prescription.dose_gy: Field required"),
        ("fractions = 30", "fractions = 2.5", "prescription.fractions"),
        ("fractions = 30", "fractoins = 30", "prescription.fractoins"),
        ("[prescription]", "[prescribed]", "unknown key(s) prescribed"),
        ('metric = "max"', 'metric = "maximum"', "goal 1.metric: Input should be 'D', 'V'"),
        ('metric = "max"', "", "goal 1.metric: Field required"),
        ("at_most = 45", "", "goal 1 (Cord)"),
        ("at_most = 45", "at_most = 45\nat_least = 3", "goal 1 (Cord)"),
        ("at_most = 45", "at_most = 45\nat = 3", "goal 1 (Cord)"),
        ("at_most = 45", "at_most = -45", "goal 1.at_most"),
        ("priority = 1", "priority = 4", "goal 1.priority"),
        ("at = 2.2", "", "goal 2 (Parotid_L)"),
        ("at = 2.2", "at = 0", "goal 2 (Parotid_L)"),
        ('metric = "gEUD"', 'metric = "D"\nlevel = 1', "goal 2.level"),
        ('"gEUD"\nat = 2.2', '"D"\nat = 102', "goal 2 (Parotid_L): at: 102 is above 100"),
        ('"gEUD"\nat = 2.2', '"V"\nat = -1', "goal 2 (Parotid_L): at: -1 is negative"),
        ('title = "Made"', "title = 3", "title: give text"),
        ("[prescription]", "[[prescription]]", "prescription is no table"),
        ('title = "Made"', 'title = "Made', "cannot be read as TOML"),
        ("[[goal]]", "[[goal]]\nstructure = 1\n[[goal]]", "goal 1"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(file, old, new, said):
    path = file(WHOLE.replace(old, new, 1))

    with pytest.raises(OptionError, match=re.escape(said)) as caught:
        read(path)

    assert str(path) in str(caught.value)


def test_missing_files_and_unknown_names_are_told_apart(tmp_path):
    with pytest.raises(OptionError, match=r"none\.toml: cannot be read as TOML"):
        protocol(tmp_path / "none.toml")
    with pytest.raises(OptionError, match=r"No protocol 'brain'; known: .*lung_conventional"):
        protocol("brain")


def limits(name):
    found = protocol(name).prescription
    return (found.dose_gy, found.fractions), {
        (g.structure, g.metric.value, g.at, g.at_most if g.at_least is None else g.at_least)
        for g in found.goals
        if g.structure != found.target
    }


# Figures of the summary tables: QUANTEC, Marks LB et al. 2010, table 1; TG-119, Ezzell GA 2009.
@pytest.mark.parametrize(
    ("name", "dose", "organs"),
    [
        (
            "prostate_conventional",
            (73.8, 41),
            {
                *(("rectum", "V", d, v) for d, v in ((50, 50), (60, 35), (65, 25), (70, 20))),
                *(("bladder", "V", d, v) for d, v in ((65, 50), (70, 35))),
            },
        ),
        (
            "lung_conventional",
            (60, 30),
            {
                ("spinal_cord", "max", None, 50),
                ("lungs_minus_gtv", "V", 20, 30),
                ("lungs_minus_gtv", "mean", None, 20),
                ("heart", "V", 25, 10),
                ("heart", "mean", None, 26),
                ("oesophagus", "mean", None, 34),
                ("oesophagus", "V", 50, 40),
            },
        ),
        (
            "head_and_neck_conventional",
            (70, 35),
            {
                ("spinal_cord", "max", None, 50),
                ("brainstem", "max", None, 54),
                ("parotid_left", "mean", None, 25),
                ("parotid_right", "mean", None, 25),
                ("larynx", "mean", None, 44),
                ("larynx", "V", 50, 27),
                ("constrictor_superior", "mean", None, 50),
                ("constrictor_middle", "mean", None, 50),
                ("constrictor_inferior", "mean", None, 50),
            },
        ),
        ("tg119_c_shape_easy", (50, 25), {("Core", "D", 10, 25)}),
        ("tg119_c_shape_hard", (50, 25), {("Core", "D", 10, 10)}),
    ],
)
def test_examples_hold_the_published_figures(name, dose, organs):
    assert limits(name) == (dose, organs)


def test_every_figure_of_an_example_has_its_publication():
    for one in protocols():
        assert "doi:10." in one.source
        assert all(goal.source for goal in one.prescription.goals)


def test_structures_are_found_by_their_common_names():
    asked = protocol("head_and_neck_conventional").prescription
    there = delineated("ptv", "SpinalCord", "BrainStem", "Parotid_L", "Left Parotid", "Rt. Parotid")

    found = fitted(asked, there, {})

    assert found.target == "ptv"
    assert {goal.structure for goal in found.goals} == {
        "ptv",
        "SpinalCord",
        "BrainStem",
        "Parotid_L",
        "Rt. Parotid",
        "larynx",
        "constrictor_superior",
        "constrictor_middle",
        "constrictor_inferior",
    }


def test_a_name_that_is_given_goes_before_all_others():
    asked = protocol("tg119_c_shape_easy").prescription
    there = delineated("OuterTarget", "Core", "PTV 50")

    found = fitted(asked, there, {"OuterTarget": "PTV 50"})

    assert found.target == "PTV 50"
    assert {goal.structure for goal in found.goals} == {"PTV 50", "Core"}


def test_names_that_lead_nowhere_are_refused():
    asked = protocol("tg119_c_shape_easy").prescription
    there = delineated("OuterTarget", "Core")

    with pytest.raises(OptionError, match="'PTV' is no structure of the prescription"):
        fitted(asked, there, {"PTV": "OuterTarget"})
    with pytest.raises(OptionError, match="'Core' cannot be 'Rind', only one of: Core, Outer"):
        fitted(asked, there, {"Core": "Rind"})
    with pytest.raises(InputError, match="target 'OuterTarget' is not delineated; there: Core"):
        fitted(asked, delineated("Core"), {})
