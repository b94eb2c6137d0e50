"""The codebase stays small enough to read."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
VAGUE = {"utils", "helpers", "core", "base", "manager", "common", "misc"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_is_short_and_explains_itself(module):
    text = module.read_text()

    assert text.count("\n") <= 400
    assert ast.get_docstring(ast.parse(text))
    assert module.stem not in VAGUE
