"""Write docs/reference/options.md and docs/reference/recipe.md from the options themselves."""

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from aegle.workflow import options
from aegle.workflow.learning import recipe

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
OPTIONS_HEAD = """# Options

Written by `tools/write_option_docs.py` from the options themselves. Set them with
`--set section.option=value`, in a TOML file (`--options`), or in Python
(`aegle.api.CaseOptions`).
"""
RECIPE_HEAD = """# Recipe

Written by `tools/write_option_docs.py` from the options themselves. A recipe is a TOML file with a
table for each section; only `data.path` has no default. Paths are relative to the recipe's file.
`aegle train RECIPE.toml --out RUN --set section.option=value` sets one option over it; in Python,
`aegle.api.recipe` reads a file or a mapping of sections.
"""


def pages() -> dict[Path, str]:
    """Return the pages as Markdown, by their place."""
    return {
        REFERENCE / "options.md": _page(OPTIONS_HEAD, options.describe()),
        REFERENCE / "recipe.md": _page(RECIPE_HEAD, recipe.describe()),
    }


def _page(head: str, described: Iterable[Mapping[str, Any]]) -> str:
    parts = [head]
    for section, rows in groupby(described, key=lambda row: row["section"]):
        parts.append(f"\n## `{section}`\n\n| Option | Meaning | Default |\n|---|---|---|\n")
        parts += [
            f"| `{row['option']}` | {row['description']} | `{json.dumps(row.get('default'))}` |\n"
            for row in rows
        ]
    return "".join(parts)


if __name__ == "__main__":
    for place, text in pages().items():
        place.write_text(text)
