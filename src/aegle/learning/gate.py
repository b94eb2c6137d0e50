"""The gate before training: what must leave a set of images, and what someone should look at."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic.dataclasses import dataclass as checked
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aegle.learning import gate_checks, outliers
from aegle.learning.gate_annotations import DrawnFacts, annotations, survey_annotations
from aegle.learning.offences import Offence
from aegle.learning.samples import Sample, SampleSet
from aegle.learning.survey import Facts, survey
from aegle.options import option

_DUPLICATES = frozenset(
    {
        "exact-duplicates",
        "duplicate-leak",
        "near-duplicates",
        "near-duplicate-leak",
        "conflicting-annotations",
    }
)


@checked(frozen=True, kw_only=True)
class GateOptions:
    """From when on images count as alike, or as unlike the rest."""

    use_splits: Annotated[
        bool,
        option("Look for leaks between the splits that the data give; off where folds are drawn"),
    ] = True
    distance: Annotated[
        int,
        option(
            "Images look the same if at most so many of 256 bits of their codes differ",
            ge=0,
            le=64,
        ),
    ] = 16
    outlier: Annotated[
        float,
        option("Brightness or contrast is unusual beyond so many robust deviations", gt=0),
    ] = 8.0
    size_factor: Annotated[
        float, option("Number of pixels is unusual beyond this factor from the median", gt=1)
    ] = 4.0
    remove: Annotated[
        bool, option("Leave out the images that must leave, in place of stopping")
    ] = False
    spacing_factor: Annotated[
        float, option("Spacing is unusual beyond this factor from the median", gt=1)
    ] = 2.0


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What was found on a set of images."""

    source: str
    images: int
    counts: Mapping[str, Mapping[str, int]]
    """Images by split and class; an empty name where there is none. An image on which several
    classes are drawn counts for each."""
    totals: Mapping[str, int]
    """Images by split."""
    offences: tuple[Offence, ...]
    """What must be dealt with first, then what should be looked at."""

    @property
    def is_open(self) -> bool:
        """Whether the set can be learned from as it is."""
        return all(offence.severity != "stop" for offence in self.offences)

    @property
    def removed(self) -> tuple[str, ...]:
        """Names of all images that must leave, each once."""
        return tuple(dict.fromkeys(name for one in self.offences for name in one.removed))


def inspect(
    samples: SampleSet,
    *,
    options: GateOptions,
    progress: Callable[[int, int], None],
    found: tuple[Facts, ...] | None = None,
) -> Gate:
    """Look at every image of a set, and name what is wrong.

    Args:
        samples: The images; read with ``strict=False``, labels outside the list are named too.
        options: Limits.
        progress: Told of the images done and the images in all.
        found: What a survey of the same samples found, if it is known already.
    """
    found = survey(samples, progress=progress) if found is None else found
    if not options.use_splits:
        samples = samples.subset(tuple(replace(s, split="") for s in samples.samples))
    seen = list(zip(samples.samples, found, strict=True))
    drawn = survey_annotations(samples, progress=progress)
    offences = [
        *gate_checks.unusable(seen),
        *gate_checks.unlabelled(samples),
        *annotations(samples, drawn, found),
        *gate_checks.exact_duplicates(seen),
        *gate_checks.divided_groups(samples),
        *gate_checks.near_duplicates(seen, options.distance),
        *outliers.mixed_kinds(found),
        *outliers.intensities(found, options.outlier),
        *outliers.sizes(found, options.size_factor),
        *outliers.spacings(found, options.spacing_factor),
    ]
    return Gate(
        source=samples.source,
        images=len(samples.samples),
        counts=drawn_counts(samples, drawn) if drawn else counts(samples),
        totals=Counter(sample.split for sample in samples.samples),
        offences=tuple(sorted(offences, key=lambda offence: offence.severity != "stop")),
    )


def counts(samples: SampleSet) -> dict[str, dict[str, int]]:
    """Return how many images there are by split and class; empty names where there is none."""
    table: dict[str, dict[str, int]] = {}
    for sample in samples.samples:
        name = samples.classes[sample.label] if sample.label >= 0 else ""
        row = table.setdefault(sample.split, {})
        row[name] = row.get(name, 0) + 1
    return table


def drawn_counts(samples: SampleSet, drawn: tuple[DrawnFacts, ...]) -> dict[str, dict[str, int]]:
    """Return on how many images each class is drawn by split; empty names where nothing is."""
    table: dict[str, dict[str, int]] = {}
    for sample, facts in zip(samples.samples, drawn, strict=True):
        row = table.setdefault(sample.split, {})
        names = [samples.classes[index] for index in sorted(facts.classes)]
        for name in names or [""]:
            row[name] = row.get(name, 0) + 1
    return table


def accepted(gate: Gate, samples: SampleSet) -> SampleSet:
    """Return the images without those that must leave."""
    removed = frozenset(gate.removed)
    return samples.subset(tuple(s for s in samples.samples if s.name not in removed))


def grouped(gate: Gate, samples: SampleSet) -> SampleSet:
    """Return the images with duplicates joined into one group, so that no fold divides them.

    Groups that share a duplicate become one, called as the first image of it is.
    """
    index = {sample.name: number for number, sample in enumerate(samples.samples)}
    pairs = _same_group(samples.samples)
    for offence in gate.offences:
        if offence.kind in _DUPLICATES:
            members = [index[name] for name in offence.names if name in index]
            pairs += [(members[0], other) for other in members[1:]]
    edges = np.array(pairs, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), np.int8), edges.T), shape=(len(index),) * 2)
    _, parts = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    for sample, part in zip(samples.samples, parts.tolist(), strict=True):
        first.setdefault(part, sample.group or sample.name)
    several = {part for part, count in enumerate(np.bincount(parts)) if count > 1}
    return samples.subset(
        tuple(
            replace(sample, group=first[part]) if part in several else sample
            for sample, part in zip(samples.samples, parts.tolist(), strict=True)
        )
    )


def _same_group(samples: tuple[Sample, ...]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [
        (first.setdefault(sample.group, number), number)
        for number, sample in enumerate(samples)
        if sample.group
    ]


def plain(gate: Gate) -> dict[str, Any]:
    """Return a gate as JSON data, in English."""
    return {
        "source": gate.source,
        "images": gate.images,
        "counts": {split: dict(row) for split, row in gate.counts.items()},
        "is_open": gate.is_open,
        "removed": list(gate.removed),
        "offences": [
            {
                "kind": offence.kind,
                "severity": offence.severity,
                "names": list(offence.names),
                "removed": list(offence.removed),
                "finding": str(offence.finding),
                "remedy": str(offence.remedy),
            }
            for offence in gate.offences
        ],
    }
