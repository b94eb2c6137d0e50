"""What the numbers of a mask mean: classes in order, objects, or what nothing is learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError

BACKGROUND = "background"
IGNORED = -1
"""Label of voxels that nothing is learned from."""
MOST_CLASSES = 65535
"""Largest number of a 16-bit label map."""
FEWEST_OBJECTS = 20
"""Sets whose masks number at most so few labels are never taken for objects unasked."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What the numbers of masks stand for."""

    classes: tuple[str, ...]
    labels: Mapping[int, int] = field(default_factory=dict)
    """By number in the mask: its label, 0 for background, or ``IGNORED``."""
    is_objects: bool = False
    """Whether numbers are objects; ``labels`` is not asked then."""

    def apply(self, name: str, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the labels of a mask.

        Raises:
            InputError: It holds a number that is no label.
        """
        least, greatest = int(numbers.min()), int(numbers.max())
        if self.is_objects:
            if least < 0:
                raise InputError(f"'{name}' numbers an object {least}; count objects from 1.")
            return numbers.astype(np.int32)
        if least < 0 or greatest > MOST_CLASSES:
            raise self._unknown(name, {least, greatest} - {0}, numbers)
        counts = np.bincount(numbers.ravel())
        known = {0: 0, **self.labels}
        unknown = set(np.flatnonzero(counts).tolist()) - set(known)
        if unknown:
            raise self._unknown(name, unknown, numbers)
        table = np.zeros(len(counts), np.int32)
        for number, label in known.items():
            if number < len(table):
                table[number] = label
        return np.asarray(table[numbers])

    def _unknown(self, name: str, found: set[int], numbers: NDArray[np.int64]) -> InputError:
        wrong = sorted(number for number in found if number not in self.labels)
        count = int(np.isin(numbers, wrong).sum())
        known = ", ".join(str(number) for number in sorted({0, *self.labels}))
        return InputError(
            f"'{name}' holds the label {', '.join(map(str, wrong[:5]))} in {count} voxel(s); known "
            f"are {known} ({', '.join(self.classes)}). Correct the mask, or name its classes in "
            "data.classes."
        )


def of_names(
    source: str,
    names: Mapping[int, str],
    *,
    classes: Sequence[str],
    merge: Mapping[str, str],
    ignored: int | None = None,
) -> Meaning:
    """Return what masks mean whose numbers have names.

    Args:
        source: For messages.
        names: By number, the background left out.
        classes: Wanted order of the classes, or as many other names for them; empty for theirs.
        merge: Names that count as another; ``background`` for nothing.
        ignored: Number of what nothing is learned from.

    Raises:
        InputError: A name is none of the classes, or there are too many.
    """
    merged = {number: merge.get(name, name) for number, name in sorted(names.items())}
    found = tuple(dict.fromkeys(name for name in merged.values() if name != BACKGROUND))
    wanted = tuple(classes) or found
    if not set(found) <= set(wanted):
        if len(wanted) != len(found):
            raise InputError(
                f"{source}: its masks tell {', '.join(found)} apart, but the classes are "
                f"{', '.join(wanted)}; name as many, or merge the others by data.merge (into "
                f"'{BACKGROUND}' to leave them out)."
            )
        renamed = dict(zip(found, wanted, strict=True))
        merged = {number: renamed.get(name, name) for number, name in merged.items()}
    if len(wanted) > MOST_CLASSES:
        raise InputError(f"{source}: it has {len(wanted)} classes; at most {MOST_CLASSES} fit.")
    labels = {
        number: 0 if name == BACKGROUND else wanted.index(name) + 1
        for number, name in merged.items()
    }
    if ignored is not None:
        labels[ignored] = IGNORED
    return Meaning(classes=wanted, labels=labels)


def label_format(classes: int, *, bits: int = 16) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
    """Return the number format of a label map.

    Args:
        classes: Number of classes, the background left out.
        bits: Of the map, 8 or 16.

    Raises:
        OptionError: The classes do not fit.
    """
    if bits not in {8, 16}:
        raise OptionError(f"Label maps have 8 or 16 bits, not {bits}; choose one of them.")
    most = (1 << bits) - 1
    if classes > most:
        raise OptionError(
            f"{classes} classes do not fit a label map of {bits} bits, which holds {most}; "
            "choose 16 bits or fewer classes."
        )
    return np.dtype(np.uint8) if bits == 8 else np.dtype(np.uint16)
