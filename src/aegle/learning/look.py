"""A first look at a set of images: how many, how large, how bright, how alike."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aegle.domain.errors import InputError
from aegle.learning.gate import counts
from aegle.learning.near_duplicates import clusters
from aegle.learning.samples import SampleSet
from aegle.learning.survey import Facts, codes, survey


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Smallest, median and largest of a number over the images."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What a set of images is, in plain data from which a training can be planned."""

    source: str
    images: int
    unreadable: int
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    """Images by split and class; an empty name where there is none."""
    groups: int
    """Patients or clusters; images without a group count as one each."""
    largest_group: int
    axes: int
    """2 for pictures, 3 for volumes."""
    size: tuple[Spread, ...]
    """Pixels along each axis: (row, column) or (slice, row, column)."""
    aspect: Spread
    """Columns divided by rows."""
    colour: int
    """Images with red, green and blue."""
    number_formats: Mapping[str, int]
    """Images by number format, as NumPy calls it."""
    bits: int
    """Bits that the values use, counted over the whole set; 0 if they are not whole numbers."""
    spacing_mm: tuple[Spread, ...]
    """Along each axis; empty if nothing tells it."""
    intensity: tuple[float, float, float]
    """Medians over the images of their 1st, 50th and 99th percentile."""
    near_duplicate_clusters: int
    """Sets of images that look the same."""
    near_duplicates: int
    """Images in them."""


def look(
    samples: SampleSet,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    found: tuple[Facts, ...] | None = None,
) -> Fingerprint:
    """Return what a set of images is.

    Args:
        samples: The images.
        progress: Told of the images done and the images in all.
        found: What a survey of the same samples found, if it is known already.

    Raises:
        InputError: No image can be read.
    """
    found = survey(samples, progress=progress) if found is None else found
    usable = [facts for facts in found if facts.is_usable]
    if not usable:
        raise InputError(f"{samples.source}: none of {len(found)} images can be read.")
    axes = Counter(len(facts.shape) for facts in usable).most_common(1)[0][0]
    alike = [facts for facts in usable if len(facts.shape) == axes]
    told = [facts.spacing_mm for facts in alike if len(facts.spacing_mm) == axes]
    groups = Counter(sample.group or sample.name for sample in samples.samples)
    in_cluster = np.bincount(clusters(codes(tuple(usable))))
    percentiles = np.median([facts.percentiles for facts in alike], axis=0)
    return Fingerprint(
        source=samples.source,
        images=len(samples.samples),
        unreadable=len(found) - len(usable),
        classes=samples.classes,
        counts=counts(samples),
        groups=len(groups),
        largest_group=max(groups.values()),
        axes=axes,
        size=_spreads([facts.shape for facts in alike]),
        aspect=_spreads([(facts.shape[-1] / facts.shape[-2],) for facts in alike])[0],
        colour=sum(facts.is_colour for facts in alike),
        number_formats=dict(Counter(facts.number_format for facts in usable)),
        bits=_bits(alike),
        spacing_mm=_spreads(told) if told else (),
        intensity=(float(percentiles[0]), float(percentiles[1]), float(percentiles[2])),
        near_duplicate_clusters=int((in_cluster > 1).sum()),
        near_duplicates=int(in_cluster[in_cluster > 1].sum()),
    )


def _spreads(rows: Sequence[Sequence[float]]) -> tuple[Spread, ...]:
    columns = np.asarray(rows, np.float64).T
    return tuple(
        Spread(least=float(c.min()), median=float(np.median(c)), most=float(c.max()))
        for c in columns
    )


def _bits(found: Sequence[Facts]) -> int:
    if any(facts.number_format.startswith("float") for facts in found):
        return 0
    lowest = min(facts.lowest for facts in found)
    highest = max(facts.highest for facts in found)
    return max(1, math.ceil(math.log2(highest - min(lowest, 0) + 1)))
