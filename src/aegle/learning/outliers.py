"""Images that differ from the rest of their set in size, spacing or brightness."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aegle.domain.text import Text
from aegle.learning.offences import Offence
from aegle.learning.survey import Facts

_FEWEST = 8
"""In smaller sets nothing is usual, so that nothing is unusual."""
LEAST_DEVIATION = 0.02
"""Share of the usual contrast (1st to 99th percentile) that a deviation is taken for at least:
black backgrounds vary so little that the least noise would be unusual."""
_MEASURES: Mapping[str, Callable[[Facts], float]] = {
    "mean": lambda facts: facts.mean,
    "standard deviation": lambda facts: facts.deviation,
    "1st percentile": lambda facts: facts.percentiles[0],
    "99th percentile": lambda facts: facts.percentiles[2],
}


def mixed_kinds(found: Sequence[Facts]) -> Iterator[Offence]:
    """Find volumes among pictures, or pictures among volumes."""
    usable = [facts for facts in found if facts.is_usable]
    kinds = Counter(len(facts.shape) for facts in usable)
    if len(kinds) < 2:
        return
    usual = kinds.most_common(1)[0][0]
    names = tuple(facts.name for facts in usable if len(facts.shape) != usual)
    yield Offence(
        kind="mixed",
        severity="stop",
        names=names,
        finding=Text(
            "{count} image(s) are volumes among pictures, or pictures among volumes.",
            {"count": len(names)},
        ),
        remedy=Text("Leave one kind out."),
        removed=names,
    )


def sizes(found: Sequence[Facts], factor: float) -> Iterator[Offence]:
    """Find images whose number of pixels or shape is far from the median."""
    usable = [facts for facts in found if facts.is_usable]
    if len(usable) < _FEWEST:
        return
    counts = np.array([np.prod(facts.shape) for facts in usable], np.float64)
    aspects = np.array([facts.shape[-1] / facts.shape[-2] for facts in usable])
    apart = np.maximum(_ratio(counts), _ratio(aspects) ** 2)
    names = _worst(usable, apart, factor)
    if names:
        yield Offence(
            kind="size",
            severity="warn",
            names=names,
            finding=Text(
                "{count} image(s) differ from the usual size by more than a factor of {factor:g} "
                "in pixels, or by its root in shape; most of all {name}.",
                {"count": len(names), "factor": factor, "name": names[0]},
            ),
            remedy=Text("Look whether they belong to the set."),
        )


def spacings(found: Sequence[Facts], factor: float) -> Iterator[Offence]:
    """Find images whose spacing is far from the median."""
    known = [facts for facts in found if facts.is_usable and facts.spacing_mm]
    axes = Counter(len(facts.spacing_mm) for facts in known)
    known = [f for f in known if len(f.spacing_mm) == axes.most_common(1)[0][0]]
    if len(known) < _FEWEST:
        return
    spacing_mm = np.array([facts.spacing_mm for facts in known])
    names = _worst(known, np.max([_ratio(axis) for axis in spacing_mm.T], axis=0), factor)
    if names:
        median = " × ".join(f"{step:.3g}" for step in np.median(spacing_mm, axis=0))
        yield Offence(
            kind="spacing",
            severity="warn",
            names=names,
            finding=Text(
                "{count} image(s) differ from the usual spacing ({median} mm) by more than a "
                "factor of {factor:g}; most of all {name}.",
                {"count": len(names), "median": median, "factor": factor, "name": names[0]},
            ),
            remedy=Text("Check the unit, or resample all images to one spacing."),
        )


def intensities(found: Sequence[Facts], limit: float) -> Iterator[Offence]:
    """Find images that are far brighter, darker, flatter or harder than the rest."""
    usable = [facts for facts in found if facts.is_usable and not facts.is_constant]
    if len(usable) < _FEWEST:
        return
    names_of = tuple(_MEASURES)
    measured = np.array([[of(facts) for facts in usable] for of in _MEASURES.values()])
    least = LEAST_DEVIATION * float(np.median(measured[-1]) - np.median(measured[-2]))
    scores = np.array([np.abs(robust_scores(values, least)) for values in measured])
    names = _worst(usable, scores.max(axis=0), limit)
    if names:
        measure = names_of[int(scores.max(axis=1).argmax())]
        yield Offence(
            kind="intensity",
            severity="warn",
            names=names,
            finding=Text(
                "{count} image(s) differ in brightness or contrast from the rest by more than "
                "{limit:g} robust standard deviations; most of all {name} in its {measure}.",
                {"count": len(names), "limit": limit, "name": names[0], "measure": measure},
            ),
            remedy=Text("Look for inverted, cut-off or wrongly scaled images."),
        )


def robust_scores(values: NDArray[np.float64], least: float = 0.0) -> NDArray[np.float64]:
    """Return how many standard deviations values lie from the median.

    The deviation is estimated by the median absolute deviation, or where this is 0 by the mean
    absolute deviation. Source: Iglewicz and Hoaglin, How to detect and handle outliers (1993).

    Args:
        values: Shape (value,).
        least: A smaller deviation counts as this one.
    """
    apart = values - np.median(values)
    deviation = 1.4826 * np.median(np.abs(apart)) or 1.2533 * np.mean(np.abs(apart))
    deviation = max(deviation, least)
    return np.asarray(apart / deviation if deviation > 0 else np.zeros_like(apart))


def _ratio(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many times larger or smaller than the median values are, at least 1."""
    ratio = values / np.median(values)
    return np.asarray(np.maximum(ratio, 1 / ratio))


def _worst(found: Sequence[Facts], scores: NDArray[np.float64], limit: float) -> tuple[str, ...]:
    """Return the names of images beyond a limit, the furthest first."""
    order = np.argsort(-scores, kind="stable")
    return tuple(found[i].name for i in order if scores[i] > limit)
