"""The rules of configuration, read from ``rules.toml`` beside this file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One decision, how it is made, and where the way comes from."""

    name: str
    decides: str
    formula: str
    source: str
    numbers: Mapping[str, Any]
    """Thresholds and choices; a table with the keys 2 and 3 differs between pictures and
    volumes."""

    def number(self, name: str, axes: int) -> Any:
        """Return a number that may differ between pictures (2 axes) and volumes (3)."""
        value = self.numbers[name]
        return value[str(axes)] if isinstance(value, Mapping) else value


@cache
def rules() -> Mapping[str, Rule]:
    """Return all rules by name, in the order of the file."""
    text = (resources.files("aegle.learning.dense") / "rules.toml").read_text("utf-8")
    return {row["name"]: Rule(**row) for row in tomllib.loads(text)["rule"]}


def page() -> str:
    """Return the rules as a page in Markdown."""
    parts = [_HEAD]
    for rule in rules().values():
        parts.append(
            f"\n## {rule.name}\n\n{rule.decides}: {rule.formula}.\n\nSource: {rule.source}.\n\n"
            "| Number | Value |\n|---|---|\n"
        )
        parts += [f"| `{name}` | {_shown(value)} |\n" for name, value in rule.numbers.items()]
    return "".join(parts)


_HEAD = """# How a network that outlines is configured

Written by `tools/write_outlining_rules.py` from `src/aegle/learning/dense/rules.toml`. With no
option of a network given, these rules decide how images are prepared, which network is trained and
for how long, from what the training images are like, the memory (`outline.memory_mb`) and the
processor time (`outline.minutes`). Each decision lies in the plan beside the model, with the rule
that made it and the numbers that it saw.
"""


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['2']} for pictures, {value['3']} for volumes"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
