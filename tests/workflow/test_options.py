"""Options come from file and command line, in one set of sections, and mistakes are explained."""

import pytest

from aegle.domain.errors import FileError, OptionError
from aegle.workflow.options import SECTIONS, CaseOptions, describe, read_options


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
        ("prescription.dose=50", r"Unknown option\(s\) dose; known: .*dose_gy"),
        ("prescription.dose_gy=-1", "dose_gy: Input should be greater than"),
        ("prescription.dose_gy=much", "dose_gy: Input should be a valid number"),
        ("choice.visit=second", "visit: Input should be 'first' or 'last'"),
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

    with pytest.raises(FileError, match=r"case\.toml.*cannot be read as TOML"):
        read_options(file)


def test_every_option_is_described():
    rows = describe()

    assert {row["section"] for row in rows} == set(SECTIONS)
    assert all(row["description"] for row in rows)
