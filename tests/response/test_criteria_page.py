"""The page of criteria says what their files say."""

import importlib.util
from pathlib import Path

from aegle.response.criterion import load, names

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_files_say():
    place = ROOT / "tools" / "write_criteria.py"
    spec = importlib.util.spec_from_file_location("tool", place)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    text = tool.PAGE.read_text()

    assert text == tool.page(), "run tools/write_criteria.py"
    assert all(load(name).citation in text for name in names())
