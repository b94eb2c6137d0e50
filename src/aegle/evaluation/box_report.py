"""What is found out about boxes with classes and scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.evaluation.bootstrap import Estimate
from aegle.evaluation.boxes import (
    FoundBoxes,
    ImageHits,
    average_precision,
    gathered,
    hits_of,
)
from aegle.evaluation.drawing import Picture
from aegle.evaluation.evaluate import FORMAT, About
from aegle.evaluation.froc import RATES, Marks, froc, marks_of_boxes
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_pictures import ShownBox, Sketch, draw_boxes
from aegle.evaluation.outline_report import MOST_PICTURES
from aegle.evaluation.over_cases import Statistic, estimates, once, ratio
from aegle.evaluation.table import figure, interval, plain, with_interval
from aegle.evaluation.weighted import Numbers
from aegle.evaluation.worst import Worst

SHOWN_SCORE = 0.3
"""Boxes below are not drawn, nor counted for the order of the worst images."""
MEAN_50, MEAN_ALL = "ap_50", "ap_50_95"


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseBoxes:
    """One image with its true boxes and those that a model found."""

    name: str
    group: str
    truth: NDArray[np.floating]
    """Shape (true box, 4): left, top, right, bottom edge [pixel], pixel 0 reaching from 0 to 1."""
    truth_classes: NDArray[np.integer]
    """Index of the class of each."""
    boxes: NDArray[np.floating]
    """Shape (found box, 4)."""
    box_classes: NDArray[np.integer]
    scores: NDArray[np.floating]
    """Of each found box, in [0, 1]."""
    picture: NDArray[np.generic] | None = None
    """Values, shape (channel, slice, row, column) with one slice; None where it is not shown."""
    error: str = ""
    """Why nothing was found; the image counts as failed."""


@dataclass(frozen=True, kw_only=True)
class JudgedBoxes:
    """The boxes of one image at an IoU of 0.5 and a score of ``SHOWN_SCORE``."""

    name: str
    group: str
    truth: int
    found: int
    right: int
    error: str = ""

    @property
    def f1(self) -> float:
        """Return F1; 1 where there is nothing and nothing was found."""
        if self.error:
            return 0.0
        both = self.truth + self.found
        return 2 * self.right / both if both else 1.0


@dataclass(frozen=True, kw_only=True)
class ClassBoxes:
    """How the boxes of one class are found."""

    name: str
    objects: int
    images: int
    """That hold the class."""
    found: int
    """Boxes of any score."""
    ap_50: Estimate
    """Average precision at an IoU of 0.5; NaN if there is no object of the class."""
    ap_50_95: Estimate
    """Mean over 0.5, 0.55, ... 0.95."""
    area_50: float
    """Area below the whole precision-recall curve at 0.5."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BoxEvaluation:
    """What was found out about boxes."""

    about: About
    options: EvaluationOptions
    ap_50: Estimate
    """Mean over the classes that occur."""
    ap_50_95: Estimate
    by_threshold: tuple[float, ...]
    """Mean over classes at 0.5, 0.55, ... 0.95."""
    classes: tuple[ClassBoxes, ...]
    froc: tuple[Estimate, ...]
    """Sensitivity at each of ``RATES`` false positives per image, and their mean."""
    cases: tuple[JudgedBoxes, ...]
    groups: int
    found: tuple[FoundBoxes, ...]
    """By class, from which the curves are drawn."""
    marks: Marks
    pictures: tuple[Picture, ...] = ()
    """The worst images, the worst first."""

    @property
    def failures(self) -> tuple[JudgedBoxes, ...]:
        """Return the images that the model failed on."""
        return tuple(case for case in self.cases if case.error)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Return the scores as a table."""
        percent = f"{self.options.confidence:.0%} interval"
        means = {
            "class": "mean over classes",
            "objects": str(sum(one.objects for one in self.classes)),
            "AP at 0.5": figure(self.ap_50.value),
            percent: interval(self.ap_50.low, self.ap_50.high),
            "AP 0.5 to 0.95": with_interval(
                self.ap_50_95.value, self.ap_50_95.low, self.ap_50_95.high
            ),
        }
        return [
            means,
            *(
                {
                    "class": one.name,
                    "objects": str(one.objects),
                    "AP at 0.5": figure(one.ap_50.value),
                    percent: interval(one.ap_50.low, one.ap_50.high),
                    "AP 0.5 to 0.95": with_interval(
                        one.ap_50_95.value, one.ap_50_95.low, one.ap_50_95.high
                    ),
                }
                for one in self.classes
            ),
        ]

    def numbers(self) -> dict[str, Any]:
        """Return every number as plain data, ready for JSON."""
        left_out = ("about", "pictures", "found", "marks")
        return {
            "format": FORMAT,
            "title": self.about.title,
            "facts": plain(self.about.facts),
            "class_names": [one.name for one in self.classes],
            **{
                entry.name: plain(getattr(self, entry.name))
                for entry in fields(self)
                if entry.name not in left_out
            },
            "failed": [case.name for case in self.failures],
            "limits": plain(limits(self)),
        }


def evaluate_boxes(
    cases: Iterable[CaseBoxes],
    *,
    classes: Sequence[str],
    options: EvaluationOptions,
    about: About,
) -> BoxEvaluation:
    """Return all that can be found out about boxes.

    Args:
        cases: Images; each is let go before the next. Of a failed one no box counts.
        classes: Names, in the order of their indices.
        options: Resamples, confidence, seed.
        about: What is judged.

    Raises:
        InputError: There is no image, no true box in any, or boxes do not fit their classes and
            scores; the message names the image.
    """
    judged: list[JudgedBoxes] = []
    hits: list[list[ImageHits]] = [[] for _ in classes]
    worst: Worst[Sketch] = Worst(MOST_PICTURES)
    for place, case in enumerate(cases):
        _require_sound(case, len(classes))
        own = [_hits(case, index) for index in range(len(classes))]
        for kept, new in zip(hits, own, strict=True):
            kept.append(new)
        judged.append(_judged(case, own))
        f1 = judged[-1].f1
        if case.picture is not None and worst.takes(f1) and f1 < 1:
            worst.put(f1, place, _sketch(case.picture, case, classes, own))
    if not sum(case.truth for case in judged):
        raise InputError(f"{len(judged)} images hold no true box, so nothing can be judged.")
    found = tuple(gathered(own) for own in hits)
    return _evaluation(
        found, judged, classes, options, about, tuple(draw() for draw in worst.ordered())
    )


def limits(evaluation: BoxEvaluation) -> tuple[Text, ...]:
    """Return what the numbers do not say."""
    absent = [one.name for one in evaluation.classes if not one.objects]
    return (
        Text(
            "The scores are of {objects} objects in {images} images of {groups} groups. The "
            "intervals say how they would vary with other images of the same kind.",
            {
                "objects": sum(one.objects for one in evaluation.classes),
                "images": len(evaluation.cases),
                "groups": evaluation.groups,
            },
        ),
        *(
            (
                Text(
                    "No image holds {names}; the means are over the other classes.",
                    {"names": ", ".join(absent)},
                ),
            )
            if absent
            else ()
        ),
        Text("Average precision does not say at which score a box should be shown."),
        Text("The boxes of one person are taken as true; they limit every score."),
    )


def _require_sound(case: CaseBoxes, classes: int) -> None:
    kinds = np.concatenate([case.truth_classes, case.box_classes])
    if kinds.size and not 0 <= kinds.min() <= kinds.max() < classes:
        raise InputError(
            f"'{case.name}' has a box of class {int(kinds.max())}, but there are {classes} "
            "classes, numbered from 0."
        )
    counts = (len(case.truth), len(case.truth_classes), len(case.boxes), len(case.box_classes))
    if counts[0] != counts[1] or counts[2] != counts[3] or counts[2] != len(case.scores):
        raise InputError(
            f"'{case.name}' has {counts[0]} true boxes with {counts[1]} classes and {counts[2]} "
            f"found boxes with {counts[3]} classes and {len(case.scores)} scores; give one each."
        )
    if not np.isfinite(case.scores).all():
        raise InputError(f"'{case.name}' has a box whose score is not a number.")


def _hits(case: CaseBoxes, index: int) -> ImageHits:
    truth = np.asarray(case.truth, np.float64).reshape(-1, 4)[case.truth_classes == index]
    own = (case.box_classes == index) & (not case.error)
    boxes = np.asarray(case.boxes, np.float64).reshape(-1, 4)[own]
    return hits_of(truth, boxes, np.asarray(case.scores)[own])


def _judged(case: CaseBoxes, own: Sequence[ImageHits]) -> JudgedBoxes:
    shown = [one.scores >= SHOWN_SCORE for one in own]
    return JudgedBoxes(
        name=case.name,
        group=case.group,
        truth=len(case.truth),
        found=sum(int(s.sum()) for s in shown),
        right=sum(int((one.hits[0, s] >= 0).sum()) for one, s in zip(own, shown, strict=True)),
        error=case.error,
    )


def _sketch(
    picture: NDArray[np.generic],
    case: CaseBoxes,
    classes: Sequence[str],
    own: Sequence[ImageHits],
) -> Sketch:
    shown = [
        ShownBox(box=tuple(box), words=classes[int(kind)], is_true=True)
        for box, kind in zip(case.truth.tolist(), case.truth_classes, strict=True)
    ]
    for index, hits in enumerate(own):
        boxes = case.boxes[(case.box_classes == index) & (not case.error)]
        order = np.argsort(-np.asarray(case.scores)[case.box_classes == index], kind="stable")
        shown += [
            ShownBox(
                box=tuple(boxes[order[rank]].tolist()),
                words=f"{classes[index]} {score:.2f}",
                is_true=False,
                is_right=bool(hits.hits[0, rank] >= 0),
            )
            for rank, score in enumerate(hits.scores)
            if score >= SHOWN_SCORE
        ]
    judged = _judged(case, own)
    said = f"{judged.right} of {judged.truth} found, {judged.found - judged.right} false"
    return partial(draw_boxes, picture, shown, caption=f"{case.name}: {case.error or said}")


def _evaluation(
    found: tuple[FoundBoxes, ...],
    judged: Sequence[JudgedBoxes],
    classes: Sequence[str],
    options: EvaluationOptions,
    about: About,
    pictures: tuple[Picture, ...],
) -> BoxEvaluation:
    groups = [case.group for case in judged]
    measured = estimates(_statistics(found), groups, options)
    ones = np.ones((1, len(judged)))
    single = [average_precision(own, ones) for own in found]
    marks = marks_of_boxes(list(found))
    return BoxEvaluation(
        about=about,
        options=options,
        ap_50=measured[MEAN_50],
        ap_50_95=measured[MEAN_ALL],
        by_threshold=tuple(_mean(np.stack([own[:, 0] for own in single])).tolist()),
        classes=tuple(
            ClassBoxes(
                name=name,
                objects=own.count,
                images=int((own.truths > 0).sum()),
                found=own.scores.size,
                ap_50=measured[f"{MEAN_50}:{place}"],
                ap_50_95=measured[f"{MEAN_ALL}:{place}"],
                area_50=float(average_precision(own, ones, interpolation="area")[0, 0]),
            )
            for place, (name, own) in enumerate(zip(classes, found, strict=True))
        ),
        froc=tuple(estimates(_sensitivities(marks), groups, options).values()),
        cases=tuple(judged),
        groups=len(set(groups)),
        found=found,
        marks=marks,
        pictures=pictures,
    )


def _statistics(found: Sequence[FoundBoxes]) -> dict[str, Statistic]:
    """Return average precision as statistics: means over classes, and each class by its index."""
    of = once(lambda weights: np.stack([average_precision(own, weights) for own in found]))
    statistics: dict[str, Statistic] = {
        MEAN_50: lambda weights: _mean(of(weights)[:, 0]),
        MEAN_ALL: lambda weights: _mean(of(weights).mean(axis=1)),
    }
    for place in range(len(found)):
        statistics[f"{MEAN_50}:{place}"] = _part(of, place, slice(0, 1))
        statistics[f"{MEAN_ALL}:{place}"] = _part(of, place, slice(None))
    return statistics


def _part(of: Statistic, place: int, thresholds: slice) -> Statistic:
    return lambda weights: of(weights)[place, thresholds].mean(axis=0)


def _mean(by_class: Numbers) -> Numbers:
    known = ~np.isnan(by_class)
    return ratio(np.where(known, by_class, 0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _sensitivities(marks: Marks) -> dict[str, Statistic]:
    of = once(lambda weights: froc(marks, weights))
    found: dict[str, Statistic] = {
        f"sensitivity at {rate:g}": _row(of, place) for place, rate in enumerate(RATES)
    }
    found["mean sensitivity"] = lambda weights: of(weights).mean(axis=0)
    return found


def _row(of: Statistic, place: int) -> Statistic:
    return lambda weights: of(weights)[place]
