"""Write docs/reference/options.md from the options themselves."""

import json
from itertools import groupby
from pathlib import Path

from aegle.workflow.options import describe

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "options.md"
HEAD = """# Options

Written by `tools/write_option_docs.py` from the options themselves. Set them with
`--set section.option=value`, in a TOML file (`--options`), or in Python
(`aegle.api.CaseOptions`).
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for section, rows in groupby(describe(), key=lambda row: row["section"]):
        parts.append(f"\n## `{section}`\n\n| Option | Meaning | Default |\n|---|---|---|\n")
        parts += [
            f"| `{row['option']}` | {row['description']} | `{json.dumps(row.get('default'))}` |\n"
            for row in rows
        ]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
