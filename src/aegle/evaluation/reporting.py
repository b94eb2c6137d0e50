"""What reporting checklists ask of a model, and what its card answers.

The items of CLAIM 2024 and TRIPOD+AI are data (``reporting_items.toml``). An item is filled if the
part of the card that answers it says something; everything else is marked open, so that a missing
answer is seen.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from aegle.evaluation.table import markdown_table

OPEN = "open"
"""What is said of an item that nothing on the card answers."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of a checklist, in our own words."""

    number: str
    topic: str
    filled_by: str
    """Part of a card that answers it; empty if none can."""


@dataclass(frozen=True, kw_only=True)
class Checklist:
    """A published reporting checklist."""

    id: str
    title: str
    doi: str
    citation: str
    items: tuple[Item, ...]


@cache
def checklists() -> tuple[Checklist, ...]:
    """Return the checklists that come with the package."""
    text = files("aegle.evaluation").joinpath("reporting_items.toml").read_text("utf-8")
    found = tomllib.loads(text)["checklist"]
    return TypeAdapter(tuple[Checklist, ...]).validate_python(found)


def reporting_section(answers: Mapping[str, str]) -> str:
    """Return every checklist as a table in Markdown, open items marked.

    Args:
        answers: By part of the card: where it is answered; empty where the card says nothing.
    """
    return "\n\n".join(_table(one, answers) for one in checklists())


def _table(checklist: Checklist, answers: Mapping[str, str]) -> str:
    told = [answers.get(item.filled_by, "") or OPEN for item in checklist.items]
    rows = [
        (item.number, item.topic, answer)
        for item, answer in zip(checklist.items, told, strict=True)
    ]
    filled = sum(answer != OPEN for answer in told)
    said = (
        f"**{checklist.title}**: {filled} of {len(rows)} items answered by this card, "
        f"{len(rows) - filled} open. {checklist.citation} doi:{checklist.doi}"
    )
    return f"{said}\n\n{markdown_table(('item', 'asks for', 'answered in'), rows)}".strip()
