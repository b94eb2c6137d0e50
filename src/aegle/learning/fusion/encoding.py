"""From values of a table to what a network takes, learned from the training rows alone.

Numbers with a long tail are taken as logarithms, then all are standardised and cut at ± 4
standard deviations. A missing number becomes 0, which is the mean, with a second input that says
so. Categories get one input each; an unknown one has none. A modality with more inputs than it may
keep (the features of an image) is turned onto its principal components.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.learning.fusion.table import Feature, Table, Values

CUT = 4.0
"""Standard deviations at which an input is cut, so that no single value decides."""
SKEW = 1.0
"""Standardised third moment from which on a feature above 0 is taken as its logarithm."""
RARE = 0.02
"""A feature that is missing more rarely gets no input that says so."""

Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoder:
    """How the features of a table become inputs, by modality."""

    features: tuple[Feature, ...]
    shift: Values
    """Added before the logarithm, NaN where none is taken; shape (feature,)."""
    mean: Values
    deviation: Values
    flagged: NDArray[np.bool_]
    """Whether an input says that the feature is missing."""
    turned: Arrays
    """Principal axes by modality, shape (input, component); none for most."""

    def __call__(self, table: Table) -> tuple[dict[str, Values], NDArray[np.bool_]]:
        """Return inputs by modality, shape (row, input), and what is present, (row, modality).

        Raises:
            InputError: The table has other features.
        """
        if table.features != self.features:
            raise InputError(
                "The table has other features, units or categories than those that the model was "
                f"trained with ({', '.join(f.name for f in self.features)})."
            )
        made = {name: self._inputs(table, name) for name in table.modalities}
        return {
            name: inputs @ self.turned[name] if name in self.turned else inputs
            for name, inputs in made.items()
        }, table.present()

    def size(self, modality: str) -> int:
        """Return the number of inputs of a modality."""
        if modality in self.turned:
            return int(self.turned[modality].shape[1])
        return sum(
            len(feature.categories) or 1 + int(flagged)
            for feature, flagged in zip(self.features, self.flagged, strict=True)
            if feature.modality == modality
        )

    def _inputs(self, table: Table, modality: str) -> Values:
        return np.concatenate(
            [self._of(table.values[:, place], int(place)) for place in table.of(modality)], axis=1
        )

    def _of(self, values: Values, place: int) -> Values:
        unknown = np.isnan(values)
        count = len(self.features[place].categories)
        if count:
            return np.asarray(values[:, None] == np.arange(count), np.float64)
        if not np.isnan(self.shift[place]):
            values = np.log(np.maximum(values + self.shift[place], self.shift[place]))
        scaled = np.clip((values - self.mean[place]) / self.deviation[place], -CUT, CUT)
        scaled[unknown] = 0
        parts = [scaled, unknown.astype(np.float64)] if self.flagged[place] else [scaled]
        return np.stack(parts, axis=1)


def encoder_of(table: Table, *, components: int) -> Encoder:
    """Learn how to encode a table.

    Args:
        table: Training rows.
        components: Inputs of one modality at most; more are turned onto principal components.

    Raises:
        InputError: There is no row.
    """
    if not table.names:
        raise InputError("Nothing can be learned from a table without rows.")
    shift = np.array([_shift(v, f) for v, f in zip(table.values.T, table.features, strict=True)])
    taken = table.values.copy()
    logs = ~np.isnan(shift)
    taken[:, logs] = np.log(np.maximum(taken[:, logs] + shift[logs], shift[logs]))
    known = [column[~np.isnan(column)] for column in taken.T]
    share = np.isnan(table.values).mean(axis=0)
    plain = Encoder(
        features=table.features,
        shift=shift,
        mean=np.array([k.mean() if k.size else 0.0 for k in known]),
        deviation=np.array([k.std() if k.size and k.std() > 0 else 1.0 for k in known]),
        flagged=(share > RARE) & (share < 1 - RARE),
        turned={},
    )
    inputs, present = plain(table)
    turned = {
        name: _axes(values[present[:, place]], components)
        for place, (name, values) in enumerate(inputs.items())
        if values.shape[1] > components and present[:, place].sum() > 1
    }
    return Encoder(**{**vars(plain), "turned": turned})


def _shift(values: Values, feature: Feature) -> float:
    """Return what is added before the logarithm; NaN if none is to be taken."""
    known = values[~np.isnan(values)]
    if feature.categories or known.size < 3 or known.min() < 0 or known.std() == 0:
        return float("nan")
    skew = float(np.mean(((known - known.mean()) / known.std()) ** 3))
    return float(known[known > 0].min()) if skew > SKEW else float("nan")


def _axes(values: Values, components: int) -> Values:
    """Return principal axes, scaled so that the first component has deviation 1."""
    centred = values - values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    largest = sizes[0] / np.sqrt(max(len(values) - 1, 1))
    scaled: Values = axes[:components].T / (largest if largest > 0 else 1.0) * 2.0
    return scaled
