"""The documentation says what the program does."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from aegle.workflow.options import read_options

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def options_page():
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools/write_option_docs.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool.page()


def test_options_page_is_what_the_options_say():
    assert (ROOT / "docs/reference/options.md").read_text() == options_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_in_the_documentation_are_understood(page):
    text = page.read_text()

    settings = re.findall(r"--set ([a-z_]+\.[a-z_]+=[^\s`]+)", text)

    read_options(settings=[s for s in settings if s != "section.option=value"])


def test_options_files_in_the_documentation_are_understood(tmp_path):
    text = (ROOT / "docs/how-to/own-images.md").read_text()
    (block,) = re.findall(r"```toml[^\n]*\n(.*?)```", text, re.S)
    file = tmp_path / "case.toml"
    file.write_text(block)

    assert read_options(file) == read_options(
        settings=[
            f"{section}.{name}={value}"
            for section, values in tomllib.loads(block).items()
            for name, value in values.items()
        ]
    )
