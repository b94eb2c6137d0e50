"""Write docs/reference/response-criteria.md from the criteria themselves."""

from pathlib import Path

from aegle.response.criteria_page import page

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "response-criteria.md"

if __name__ == "__main__":
    PAGE.write_text(page())
