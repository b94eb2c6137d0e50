"""Options as people write them: tables of TOML, and ``section.option=value`` on a command line."""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aegle.domain.errors import OptionError
from aegle.options import schema

Sections = dict[str, dict[str, Any]]
"""Plain values by section and option."""


def from_toml(file: Path, hint: str) -> Mapping[str, Any]:
    """Return what a TOML file holds.

    Raises:
        OptionError: The file cannot be read; the message ends with ``hint``.
    """
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{file}: cannot be read as TOML ({error}). {hint}") from error


def changed(
    values: Mapping[str, Mapping[str, Any]],
    settings: str | Iterable[str],
    kind_of: Callable[[str], type[Any]],
) -> Sections:
    """Return the values with ``section.option=value`` settings put over them.

    Args:
        values: Plain values by section and option.
        settings: One setting or several.
        kind_of: Gives the options class of a section; raises OptionError for an unknown one.

    Raises:
        OptionError: A setting is not written as ``section.option=value``.
    """
    made = {section: dict(given) for section, given in values.items()}
    for setting in (settings,) if isinstance(settings, str) else settings:
        path, equals, text = setting.partition("=")
        section, dot, name = path.partition(".")
        if not (equals and dot):
            raise OptionError(f"Cannot read '{setting}'; write section.option=value.")
        made.setdefault(section, {})[name] = value_of(kind_of(section), name, text)
    return made


def value_of(kind: type[Any], name: str, text: str) -> Any:
    """Return what the text of a setting stands for, by the type of its option.

    A value is JSON (``true``, ``[0, 90]``), a list may do without brackets (``0,90``), and text
    needs no quotes.
    """
    facts = schema(kind).get("properties", {}).get(name, {})
    forms = facts.get("anyOf", [facts])
    kinds = {form.get("type") for form in forms}
    if "string" in kinds:
        return text
    value = _json(text)
    if "array" not in kinds or value is None or isinstance(value, list):
        return value
    parts = [part.strip() for part in text.split(",") if part.strip()]
    is_text = any(form.get("items", {}).get("type") == "string" for form in forms)
    return parts if is_text else [_json(part) for part in parts]


def _json(text: str) -> Any:
    """Return the value of JSON; the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
