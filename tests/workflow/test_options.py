"""Options come from file and command line, in one set of sections, and mistakes are explained."""

import pytest

from aegle.domain.errors import OptionError
from aegle.workflow.options import (
    SECTIONS,
    CaseOptions,
    describe,
    kind_of,
    options_of,
    read_options,
)


def test_nothing_given_is_the_default():
    assert read_options() == CaseOptions()


def test_settings_win_over_the_file(tmp_path):
    file = tmp_path / "case.toml"
    file.write_text("[prescription]\ndose_gy = 50.0\nfractions = 25\n")

    options = read_options(file, ["prescription.fractions=20"])

    assert options.prescription.dose_gy == 50
    assert options.prescription.fractions == 20


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("prescription.dose_gy", "write section.option=value"),
        ("dose_gy=50", "write section.option=value"),
        ("prescripton.dose_gy=50", "Unknown section 'prescripton'"),
        ("prescription.dose=50", r"Unknown option\(s\) prescription.dose; known: .*dose_gy"),
        ("prescription.dose_gy=-1", "prescription.dose_gy: Input should be greater than"),
        ("prescription.dose_gy=much", "prescription.dose_gy: Input should be a valid number"),
        ("choice.visit=second", "choice.visit: Input should be '', 'first', 'last' or 'none'"),
    ],
)
def test_mistakes_are_explained(setting, message):
    with pytest.raises(OptionError, match=message):
        read_options(settings=[setting])


@pytest.mark.parametrize("content", [None, "[prescription\n"], ids=["missing", "not TOML"])
def test_unreadable_file_is_named(tmp_path, content):
    file = tmp_path / "case.toml"
    if content:
        file.write_text(content)

    with pytest.raises(OptionError, match=r"case\.toml.*cannot be read as TOML"):
        read_options(file)


def test_every_option_is_described():
    rows = describe()

    assert {row["section"] for row in rows} == set(SECTIONS)
    assert all(row["description"] for row in rows)


@pytest.mark.parametrize("text", ["[0, 90]", "0,90", "0, 90", " [0,90.0] "])
def test_lists_may_be_json_or_separated_by_commas(text):
    assert read_options(settings=f"photons.gantry_deg={text}").photons.gantry_deg == (0, 90)


@pytest.mark.parametrize(
    ("setting", "section", "value"),
    [
        ("photons.gantry_deg=90", "photons", (90,)),
        ("photons.gantry_deg=null", "photons", None),
        ("images.uptake=false", "images", False),
        ("images.uptake=no", "images", False),
        ("prescription.dose_gy=5e1", "prescription", 50),
        ("choice.target=17", "choice", "17"),
        ("choice.target=[a]", "choice", "[a]"),
        ("choice.target=a,b=c", "choice", "a,b=c"),
    ],
)
def test_values_are_read_by_the_type_of_their_option(setting, section, value):
    name = setting.partition("=")[0].partition(".")[2]

    assert getattr(getattr(read_options(settings=[setting]), section), name) == value


def test_one_setting_and_a_path_as_text_are_enough(tmp_path):
    (tmp_path / "case.toml").write_text("[prescription]\nfractions = 25\n")

    options = read_options(str(tmp_path / "case.toml"), "prescription.dose_gy=50")

    assert (options.prescription.fractions, options.prescription.dose_gy) == (25, 50)


def test_section_that_is_no_table_is_explained(tmp_path):
    (tmp_path / "case.toml").write_text("photons = 3\n")

    with pytest.raises(OptionError, match="'photons' is a section of options and holds 3"):
        read_options(tmp_path / "case.toml")


def test_sections_may_come_as_mappings_or_as_their_classes():
    photons = kind_of("photons")(seed=3)

    options = options_of({"photons": photons, "choice": {"visit": "first"}})

    assert options.photons is photons
    assert options.choice.visit == "first"


def test_section_of_another_class_is_refused():
    with pytest.raises(OptionError, match="Section 'images' of options is a int"):
        CaseOptions(images=3)
