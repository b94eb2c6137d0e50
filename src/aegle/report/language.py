"""Words of a report in the language of its reader.

Every label is written in English where it is used; ``translations/<language>.toml`` holds
the same label in another language. What has no translation stays English, so that a result
is never hidden by a missing word.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from importlib import resources
from typing import Literal

from aegle.domain.errors import OptionError
from aegle.domain.study import Patient
from aegle.domain.text import Text

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


LONGEST_NAME = 120


class _Number(float):
    """A number that is written with a minus sign instead of a hyphen."""

    def __format__(self, specification: str) -> str:
        return super().__format__(specification).replace("-", "−")


class _Whole(int):
    """A whole number that is written with a minus sign instead of a hyphen."""

    def __format__(self, specification: str) -> str:
        return super().__format__(specification).replace("-", "−")


@dataclass(frozen=True)
class Words:
    """Translates labels, names and sentences into one language."""

    language: Language
    table: Mapping[str, str]
    """English to the language; empty for English."""

    def __call__(self, label: str, **values: str | int | float) -> str:
        """Return a label of the report, its placeholders filled."""
        translated = self.table.get(label, label)
        return translated.format(**values) if values else translated

    def name(self, name: str | Enum) -> str:
        """Return the name of a body part, structure, category or status as a person says it."""
        key = str(name.value) if isinstance(name, Enum) else name
        if key in self.table:
            return self.table[key]
        spoken = _spoken(key)
        return self.table.get(spoken, spoken)

    def text(self, text: Text | None) -> str:
        """Return a sentence of a result; in English if it has no translation."""
        if text is None:
            return ""
        values = {key: self._value(value) for key, value in text.values.items()}
        template = self.table.get(text.template, text.template)
        try:
            return clean(template.format(**values))
        except (KeyError, IndexError, ValueError):
            return clean(str(text))

    def _value(self, value: str | int | float | Text) -> str | int | float:
        if isinstance(value, Text):
            return self.text(value)
        if isinstance(value, str):
            return self.name(value)
        return _Whole(value) if isinstance(value, int) else _Number(value)

    def person(self, patient: Patient) -> str:
        """Return the patient's name; written in Han if the reader reads them and it is known.

        Source: DICOM PS3.5, 6.2.1 (component groups of person names).
        """
        groups = [clean(group) for group in patient.name.split("=")]
        han = groups[1] if len(groups) > 1 else ""
        chosen = han if self.language == "zh" and han else groups[0] or han
        parts = [part for part in chosen.split("^") if part]
        if not parts:
            return shortened(clean(patient.id)) or self("no name")
        if _HAN.search(chosen):
            return shortened("".join(parts))
        return shortened(", ".join([parts[0], " ".join(parts[1:])]) if parts[1:] else parts[0])

    def day(self, time: datetime | None) -> str:
        """Return the date as year-month-day, which no reader can mistake."""
        return f"{time:%Y-%m-%d}" if time else self("no date")

    def moment(self, time: datetime | None) -> str:
        """Return date and time of day."""
        return f"{time:%Y-%m-%d %H:%M}" if time else self("no date")


def words(language: Language) -> Words:
    """Return the words of a language.

    Raises:
        OptionError: The language is unknown.
    """
    if language not in LANGUAGES:
        raise OptionError(f"No report language '{language}'; known: {', '.join(LANGUAGES)}.")
    return Words(language, _table(language))


@cache
def _table(language: Language) -> Mapping[str, str]:
    if language == "en":
        return {}
    file = resources.files("aegle.report") / "translations" / f"{language}.toml"
    sections = tomllib.loads(file.read_text(encoding="utf-8"))
    return {english: other for section in sections.values() for english, other in section.items()}


def clean(text: str) -> str:
    """Return text without control and direction characters, which could hide what it says."""
    return _CONTROL.sub(" ", text)


def shortened(text: str) -> str:
    """Return text of at most 120 characters, the last of them … if some are left out."""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def has_han(text: str) -> bool:
    """Return whether a text needs the Chinese font."""
    return _HAN.search(text) is not None


def _spoken(name: str) -> str:
    """Turn a structure's name into words: ``lung_right`` becomes ``right lung``."""
    if not name.isidentifier() or name != name.lower():
        return name
    stem, _, side = name.rpartition("_")
    ordered = f"{side} {stem}" if stem and side in ("left", "right") else name
    return ordered.replace("_", " ")
