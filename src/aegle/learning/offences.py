"""What is wrong with a set of images, in words that a report can show and translate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aegle.domain.text import Text
from aegle.learning.samples import Sample

Severity = Literal["stop", "warn"]
_STRENGTH = {"test": 3, "val": 2, "train": 1, "": 0}
"""Where an image is in two splits, it stays in the stronger."""


@dataclass(frozen=True, kw_only=True)
class Offence:
    """One thing that is wrong, and the images that it is about."""

    kind: str
    """For machines: ``unreadable``, ``exact-duplicates``, ..."""
    severity: Severity
    """``stop``: what is learned or measured would be wrong unless ``removed`` leaves."""
    names: tuple[str, ...]
    """The images; the worst first where they differ in that."""
    finding: Text
    remedy: Text
    removed: tuple[str, ...] = ()
    """Those of them that must leave the set."""


def weaker(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the images that leave so that the others are in one split: training gives way."""
    strongest = max(_STRENGTH[sample.split] for sample in samples)
    return tuple(s.name for s in samples if _STRENGTH[s.split] < strongest)


def is_divided(samples: Sequence[Sample]) -> bool:
    """Return whether images lie in more than one split."""
    return len({sample.split for sample in samples}) > 1
