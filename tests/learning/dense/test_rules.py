import importlib.util
from pathlib import Path

from aegle.learning.dense.rules import rules

ROOT = Path(__file__).parents[3]


def test_page_of_rules_is_what_the_rules_say():
    spec = importlib.util.spec_from_file_location(
        "tool", ROOT / "tools" / "write_outlining_rules.py"
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    assert tool.PAGE.read_text() == tool.page(), "run tools/write_outlining_rules.py"


def test_every_number_of_a_formula_is_stated():
    for rule in rules().values():
        named = rule.formula.split("`")[1::2]
        for name in named:
            section, _, number = name.rpartition(".")
            assert number in rules()[section or rule.name].numbers or name in {"minutes"}, name


def test_numbers_differ_between_pictures_and_volumes():
    rule = rules()["patch"]

    assert rule.number("most_side", 2) > rule.number("most_side", 3)
