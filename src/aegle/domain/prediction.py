"""What a classifier says of many images, beside what is true of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegle.domain.arrays import read_only
from aegle.domain.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Class probabilities of images whose class is known."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    """One per image, unique."""
    truth: NDArray[np.int64]
    """Index of the true class, shape (image,)."""
    probabilities: NDArray[np.float64]
    """Shape (image, class); each row sums to 1."""
    groups: tuple[str, ...]
    """What belongs together: the patient, or the cluster of near-duplicates."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other facts, one value per image, by which subgroups are formed."""

    def __post_init__(self) -> None:
        count = len(self.names)
        object.__setattr__(self, "truth", read_only(self.truth, np.int64))
        object.__setattr__(self, "probabilities", read_only(self.probabilities, np.float64))
        shapes = (self.truth.shape, self.probabilities.shape, len(self.groups))
        if shapes != ((count,), (count, len(self.classes)), count):
            raise InputError(
                f"{count} names, {self.truth.shape} true classes, {self.probabilities.shape} "
                f"probabilities and {len(self.groups)} groups do not belong together."
            )
        if count and not (self.truth.min() >= 0 and self.truth.max() < len(self.classes)):
            raise InputError(f"A true class lies outside 0 to {len(self.classes) - 1}.")
        if not np.allclose(self.probabilities.sum(axis=1), 1, atol=1e-4):
            raise InputError("Probabilities of an image do not sum to 1.")
