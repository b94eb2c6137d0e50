"""What is known of many patients, in modalities that may each be missing.

A modality is what arrives or is missing together: a laboratory panel, the history, an image. Its
features are numbers or categories. What is not known is NaN, never a guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.errors import InputError

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column: what it is, in which unit, and where it came from."""

    name: str
    modality: str
    unit: str = ""
    """UCUM, after conversion; empty for categories and for what has none."""
    categories: tuple[str, ...] = ()
    """Values of a category, in the order of their codes; empty for a number."""
    low: float = -np.inf
    """Smallest possible value, in ``unit``."""
    high: float = np.inf
    """Largest possible value, in ``unit``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Features of patients, NaN where nothing is known."""

    features: tuple[Feature, ...]
    names: tuple[str, ...]
    """One per row, unique."""
    groups: tuple[str, ...]
    """The patient of each row."""
    values: Values
    """Shape (row, feature); categories are codes from 0 on."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other facts, one per row, by which subgroups are judged."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", read_only(self.values, np.float64))
        expected = (len(self.names), len(self.features))
        if self.values.shape != expected or len(self.groups) != len(self.names):
            raise InputError(
                f"A table of {expected[0]} rows and {expected[1]} features holds values of shape "
                f"{self.values.shape} and {len(self.groups)} patients; they do not belong together."
            )
        for kind, names in (("row", self.names), ("feature", [f.name for f in self.features])):
            if len(set(names)) < len(names):
                double = next(name for name in names if list(names).count(name) > 1)
                raise InputError(f"The {kind} '{double}' occurs twice; names must be unique.")
        if np.isinf(self.values).any():
            raise InputError("A table holds an infinite value; leave unknown values out.")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of their first feature."""
        return tuple(dict.fromkeys(feature.modality for feature in self.features))

    def of(self, modality: str) -> NDArray[np.int64]:
        """Return the places of the features of a modality."""
        places = [i for i, feature in enumerate(self.features) if feature.modality == modality]
        return np.array(places, np.int64)

    def present(self) -> NDArray[np.bool_]:
        """Return whether anything is known of a modality, shape (row, modality)."""
        known = ~np.isnan(self.values)
        return np.stack([known[:, self.of(m)].any(axis=1) for m in self.modalities], axis=1)

    def keeping(self, modalities: Sequence[str]) -> "Table":
        """Return the table with the features of some modalities alone.

        Raises:
            InputError: A modality is not there.
        """
        self._require(modalities)
        kept = [i for i, feature in enumerate(self.features) if feature.modality in modalities]
        return Table(
            features=tuple(self.features[i] for i in kept),
            names=self.names,
            groups=self.groups,
            values=self.values[:, kept],
            columns=self.columns,
        )

    def without(self, modality: str) -> "Table":
        """Return the same table with every value of one modality unknown.

        Raises:
            InputError: The modality is not there.
        """
        self._require((modality,))
        values = self.values.copy()
        values[:, self.of(modality)] = np.nan
        return Table(
            features=self.features,
            names=self.names,
            groups=self.groups,
            values=values,
            columns=self.columns,
        )

    def _require(self, modalities: Sequence[str]) -> None:
        missing = [name for name in modalities if name not in self.modalities]
        if missing:
            raise InputError(
                f"No modality '{missing[0]}' in this table; known: {', '.join(self.modalities)}."
            )

    def rows(self, where: NDArray[np.int64]) -> "Table":
        """Return some rows."""
        return Table(
            features=self.features,
            names=tuple(self.names[i] for i in where),
            groups=tuple(self.groups[i] for i in where),
            values=self.values[where],
            columns={name: tuple(v[i] for i in where) for name, v in self.columns.items()},
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What is to be foretold: a class of two, or the time to an event."""

    event: NDArray[np.bool_]
    """The positive class; or whether the event was seen (False: censored)."""
    time: Values | None = None
    """Until the event or the last look, above 0; None for classes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "event", read_only(self.event, np.bool_))
        if self.time is None:
            return
        object.__setattr__(self, "time", read_only(self.time, np.float64))
        if self.time.shape != self.event.shape or not (self.time > 0).all():
            raise InputError("Times of an outcome must be above 0, one for each row.")

    def rows(self, where: NDArray[np.int64]) -> "Outcome":
        """Return the outcome of some rows."""
        time = None if self.time is None else self.time[where]
        return Outcome(event=self.event[where], time=time)
