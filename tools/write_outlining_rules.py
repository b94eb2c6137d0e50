"""Write docs/reference/outlining.md from the rules themselves."""

from pathlib import Path

from aegle.learning.dense.rules import page

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "outlining.md"

if __name__ == "__main__":
    PAGE.write_text(page())
