"""Prepared images in one array on disk, so that training reads them at the speed of memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aegle.learning.preparation import PreparationOptions
from aegle.learning.samples import Sample


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedSet:
    """Images ready for a network, with their samples in the same order."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    values: NDArray[np.uint8]
    """Shape (image, channel, row, column) or (image, channel, slice, row, column); 0 to 255."""
    preparation: PreparationOptions

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of the class of each image; -1 where it has none."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def groups(self) -> tuple[str, ...]:
        """What belongs together, one per image."""
        return tuple(sample.group or sample.name for sample in self.samples)
