"""Bootstrap resamples of what belongs together.

Images of one patient, or near-duplicates, are drawn together, so an interval is as wide as the
number of patients warrants, not the number of images.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.weighted import Numbers

_CHUNK = 1_000_000
"""Weights held at once."""

_PATIENCE = 20
"""Resamples are given up when this many times more lack a class than were asked for."""


class Resamples:
    """Chunks of weights (resample, image): how often each image was drawn with its group.

    Several parts, such as the folds of a cross-validation or trainings with several seeds, are
    resampled alike: a group has the same weight in each. A resample in which a part lacks a class
    that occurs there is drawn anew and counted.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        truths: Sequence[NDArray[np.int64]],
        options: EvaluationOptions,
    ) -> None:
        """Take the group and the true class of each image, by part."""
        joined = np.array([group for part in groups for group in part])
        names, places = np.unique(joined, return_inverse=True)
        borders = np.cumsum([len(part) for part in groups])[:-1]
        self._places = np.split(places.ravel(), borders)
        self._holds = np.concatenate(
            [
                _held(place, truth, names.size)
                for place, truth in zip(self._places, truths, strict=True)
            ],
            axis=1,
        )
        self._options = options
        self.groups = int(names.size)
        self.redrawn = 0

    def __iter__(self) -> Iterator[tuple[Numbers, ...]]:
        """Yield weights of each part, the same at every run."""
        generator = np.random.default_rng(self._options.seed)
        largest = max(self.groups, sum(place.size for place in self._places), 1)
        wanted = self._options.resamples
        rows = min(max(_CHUNK // largest, 1), wanted)
        self.redrawn = 0
        while wanted:
            drawn = self._draw(generator, rows)
            whole = np.flatnonzero((drawn @ self._holds > 0).all(axis=1))[:wanted]
            looked_at = int(whole[-1]) + 1 if whole.size == wanted else rows
            self.redrawn += looked_at - whole.size
            self._require_patience()
            wanted -= whole.size
            if whole.size:
                yield tuple(drawn[whole][:, place] for place in self._places)

    def _draw(self, generator: np.random.Generator, rows: int) -> Numbers:
        picked = generator.integers(0, self.groups, (rows, self.groups))
        picked += np.arange(rows)[:, None] * self.groups
        counted = np.bincount(picked.ravel(), minlength=rows * self.groups)
        return counted.reshape(rows, self.groups).astype(np.float64)

    def _require_patience(self) -> None:
        if self.redrawn > _PATIENCE * self._options.resamples:
            raise InputError(
                f"Hardly any resample of {self.groups} groups holds every class; a class lies in "
                "too few groups to say how sure the scores are. Add patients of that class."
            )


def resamples_of(parts: Sequence[Predictions], options: EvaluationOptions) -> Resamples:
    """Return resamples of parts that are drawn alike."""
    return Resamples([part.groups for part in parts], [part.truth for part in parts], options)


def _held(place: NDArray[np.int64], truth: NDArray[np.int64], groups: int) -> Numbers:
    """Return which groups (rows) hold each class that occurs (columns)."""
    present, column = np.unique(truth, return_inverse=True)
    held = np.zeros((groups, present.size))
    held[place, column] = 1
    return held
