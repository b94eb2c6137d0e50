"""What is found out about objects that were outlined one by one, such as cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.evaluation.bootstrap import Estimate
from aegle.evaluation.drawing import Picture
from aegle.evaluation.evaluate import FORMAT, About
from aegle.evaluation.matched_objects import THRESHOLDS, MatchedObjects, match_objects
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_pictures import Sketch, sketch_objects
from aegle.evaluation.outline_report import MOST_PICTURES, CaseOutline
from aegle.evaluation.over_cases import Statistic, estimates, mean, ratio
from aegle.evaluation.table import figure, interval, plain
from aegle.evaluation.weighted import Numbers
from aegle.evaluation.worst import Worst

LABELS = {
    "f1": "F1 at 0.5",
    "precision": "Precision at 0.5",
    "recall": "Recall at 0.5",
    "accuracy": "Pairs by pairs, false and missed, at 0.5",
    "panoptic_quality": "Panoptic quality",
    "f1_mean": "F1, mean over 0.5 to 0.95",
    "f1_per_image": "F1 at 0.5, mean over images",
}
"""Scores in words; all but the last count the objects of all images together."""


@dataclass(frozen=True, kw_only=True)
class JudgedObjects:
    """The objects of one image."""

    name: str
    group: str
    truth: int
    predicted: int
    pairs: tuple[int, ...]
    """Matched pairs at each threshold."""
    overlap: tuple[float, ...]
    """Sum of their IoU."""
    f1: float
    """At the first threshold."""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ThresholdScores:
    """Objects of all images at one threshold."""

    threshold: float
    pairs: int
    false: int
    missed: int
    f1: Estimate
    precision: float
    recall: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ObjectEvaluation:
    """What was found out about objects."""

    about: About
    options: EvaluationOptions
    estimates: tuple[Estimate, ...]
    """Named as in ``LABELS``."""
    thresholds: tuple[ThresholdScores, ...]
    cases: tuple[JudgedObjects, ...]
    groups: int
    pictures: tuple[Picture, ...] = ()
    """The worst images, the worst first."""

    def __getitem__(self, name: str) -> Estimate:
        """Return one estimate by its name."""
        return next(e for e in self.estimates if e.name == name)

    @property
    def failures(self) -> tuple[JudgedObjects, ...]:
        """Return the images that the model failed on."""
        return tuple(case for case in self.cases if case.error)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Return the scores as a table."""
        percent = f"{self.options.confidence:.0%} interval"
        return [
            {
                "score": LABELS[e.name],
                "value": figure(e.value),
                percent: interval(e.low, e.high),
            }
            for e in self.estimates
        ]

    def numbers(self) -> dict[str, Any]:
        """Return every number as plain data, ready for JSON."""
        left_out = ("about", "pictures")
        return {
            "format": FORMAT,
            "title": self.about.title,
            "facts": plain(self.about.facts),
            **{
                entry.name: plain(getattr(self, entry.name))
                for entry in fields(self)
                if entry.name not in left_out
            },
            "failed": [case.name for case in self.failures],
            "limits": plain(limits(self)),
        }


def evaluate_objects(
    cases: Iterable[CaseOutline], *, options: EvaluationOptions, about: About
) -> ObjectEvaluation:
    """Return all that can be found out about objects that were outlined one by one.

    Args:
        cases: Images whose labels are numbers of objects; each is let go before the next. In a
            failed one every object is missed.
        options: Resamples, confidence, seed.
        about: What is judged.

    Raises:
        InputError: There is no image, or one cannot be judged; the message names it.
    """
    judged: list[JudgedObjects] = []
    worst: Worst[Sketch] = Worst(MOST_PICTURES)
    for place, case in enumerate(cases):
        matched = _matched(case)
        f1 = 0.0 if case.error else float(matched.f1[0])
        judged.append(_judged(case, matched, f1))
        if case.picture is not None and worst.takes(f1) and f1 < 1:
            worst.put(f1, place, _sketch(case.picture, case, matched))
    if not judged:
        raise InputError("There are no images to judge.")
    return ObjectEvaluation(
        about=about,
        options=options,
        estimates=_estimates(judged, options),
        thresholds=_thresholds(judged, options),
        cases=tuple(judged),
        groups=len({case.group for case in judged}),
        pictures=tuple(draw() for draw in worst.ordered()),
    )


def limits(evaluation: ObjectEvaluation) -> tuple[Text, ...]:
    """Return what the numbers do not say."""
    return (
        Text(
            "The scores are of {objects} objects in {images} images of {groups} groups. The "
            "intervals say how they would vary with other images of the same kind.",
            {
                "objects": sum(case.truth for case in evaluation.cases),
                "images": len(evaluation.cases),
                "groups": evaluation.groups,
            },
        ),
        Text("Objects of all images count alike, so images with many of them weigh most."),
        Text("The outlines of one person are taken as true; they limit every score."),
    )


def _matched(case: CaseOutline) -> MatchedObjects:
    predicted = np.zeros_like(case.truth) if case.error else case.predicted
    try:
        return match_objects(case.truth, predicted, region=case.region)
    except InputError as error:
        raise InputError(f"'{case.name}' cannot be judged. {error}") from error


def _judged(case: CaseOutline, matched: MatchedObjects, f1: float) -> JudgedObjects:
    return JudgedObjects(
        name=case.name,
        group=case.group,
        truth=matched.truth,
        predicted=matched.predicted,
        pairs=tuple(matched.pairs.tolist()),
        overlap=tuple(matched.overlap.tolist()),
        f1=f1,
        error=case.error,
    )


def _sketch(picture: NDArray[np.generic], case: CaseOutline, matched: MatchedObjects) -> Sketch:
    missed, false = len(matched.missed), len(matched.false)
    said = f"{matched.truth} objects, {missed} missed, {false} false at 0.5"
    return sketch_objects(
        picture,
        case.truth,
        np.zeros_like(case.truth) if case.error else case.predicted,
        wrong=(matched.missed, matched.false),
        spacing_mm=case.spacing_mm,
        caption=f"{case.name}: {case.error or said}",
    )


def _estimates(judged: Sequence[JudgedObjects], options: EvaluationOptions) -> tuple[Estimate, ...]:
    truth, predicted = (_column(judged, name) for name in ("truth", "predicted"))
    pairs, overlap = np.array([c.pairs for c in judged], float), _column(judged, "overlap")
    both = truth + predicted
    first = pairs[:, 0]
    f1s = [_pooled(2 * pairs[:, place], both) for place in range(pairs.shape[1])]
    statistics: dict[str, Statistic] = {
        "f1": f1s[0],
        "precision": _pooled(first, predicted),
        "recall": _pooled(first, truth),
        "accuracy": _pooled(first, both - first),
        "panoptic_quality": _pooled(2 * overlap[:, 0], both),
        "f1_mean": lambda weights: np.mean([f1(weights) for f1 in f1s], axis=0),
        "f1_per_image": mean(_column(judged, "f1")),
    }
    groups = [case.group for case in judged]
    return tuple(estimates(statistics, groups, options).values())


def _thresholds(
    judged: Sequence[JudgedObjects], options: EvaluationOptions
) -> tuple[ThresholdScores, ...]:
    truth, predicted = (_column(judged, name) for name in ("truth", "predicted"))
    pairs = np.array([case.pairs for case in judged], float)
    statistics = {
        str(threshold): _pooled(2 * pairs[:, place], truth + predicted)
        for place, threshold in enumerate(THRESHOLDS)
    }
    found = estimates(statistics, [case.group for case in judged], options)
    sums = pairs.sum(axis=0)
    return tuple(
        ThresholdScores(
            threshold=threshold,
            pairs=int(count),
            false=int(predicted.sum() - count),
            missed=int(truth.sum() - count),
            f1=found[str(threshold)],
            precision=float(count / predicted.sum()) if predicted.any() else float("nan"),
            recall=float(count / truth.sum()) if truth.any() else float("nan"),
        )
        for threshold, count in zip(THRESHOLDS, sums, strict=True)
    )


def _pooled(above: Numbers, below: Numbers) -> Statistic:
    return lambda weights: ratio(weights @ above, weights @ below)


def _column(judged: Sequence[JudgedObjects], name: str) -> Numbers:
    return np.array([getattr(case, name) for case in judged], np.float64)
