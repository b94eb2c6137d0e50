"""Sentences that can be shown in another language.

A result says why in words. The words are kept as an English template and the values that
fill it, so that a report can translate the template and keep the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Text:
    """An English template with named values.

    For example ``Text("sum {sum_mm:.1f} mm", {"sum_mm": 9})``.
    """

    template: str
    values: "Mapping[str, str | int | float | Text]" = field(default_factory=dict)
    """What fills the template; a sentence may be part of another."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __str__(self) -> str:
        """Return the English sentence."""
        return self.template.format(**self.values)

    def __hash__(self) -> int:
        """Hash by what is shown."""
        return hash(str(self))
