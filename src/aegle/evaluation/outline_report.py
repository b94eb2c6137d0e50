"""What is found out about outlines of classes, image by image.

Images are judged one at a time and let go; only scores stay, and pictures of the worst few.
A failed image counts with Dice 0 and is named; none is left out.
"""

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
from aegle.evaluation.observers import Agreement, ObserverDice, agreements, observer_dice
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_pictures import Sketch, sketch_outlines
from aegle.evaluation.over_cases import estimates, mean, median
from aegle.evaluation.overlap import OutlineScores, Ruler, failed_scores, score_outlines
from aegle.evaluation.surface_distance import Mask
from aegle.evaluation.table import figure, interval, plain
from aegle.evaluation.worst import Worst

MEANS = (
    "dice",
    "jaccard",
    "surface",
    "precision",
    "recall",
    "size_error",
    "relative_size_error",
)
"""Scores of which the mean over images is taken."""
MOST_PICTURES = 12
"""Worst images that are shown."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseOutline:
    """One image with what is true of it and what a model says."""

    name: str
    group: str
    """What belongs together, such as the patient."""
    truth: NDArray[np.integer]
    """Shape (slice, row, column): 0 is background, then classes or, one by one, objects."""
    predicted: NDArray[np.integer]
    spacing_mm: tuple[float, float, float]
    """Of the voxels [mm], slice, row, column; pixels where a picture has no size."""
    picture: NDArray[np.generic] | None = None
    """Values, shape (channel, slice, row, column); None where images may not be shown."""
    region: Mask | None = None
    """Where the image is judged, such as a field of view; None: everywhere."""
    observer: NDArray[np.integer] | None = None
    """What a second person drew."""
    error: str = ""
    """Why there is no prediction; the image counts as failed."""


@dataclass(frozen=True, kw_only=True)
class JudgedCase:
    """The scores of one image."""

    name: str
    group: str
    classes: tuple[OutlineScores, ...]
    error: str = ""

    @property
    def dice(self) -> float:
        """Return the mean Dice over the classes."""
        return float(np.mean([one.dice for one in self.classes]))


@dataclass(frozen=True, kw_only=True)
class ClassOutlines:
    """How one class is outlined in all images."""

    name: str
    cases: int
    present: int
    """Images that hold the class."""
    missed: int
    """Images that hold it, and nothing of it was outlined, or the model failed."""
    false: int
    """Images without it in which some was outlined."""
    no_surface: int
    """Images in which neither holds it, so that surface distances are not defined."""
    infinite: int
    """Images in which only one holds it: their Hausdorff distance is infinite."""
    estimates: tuple[Estimate, ...]
    """Means over images; ``hausdorff`` is the median. ``dice_present``: over the images that
    hold the class."""
    median_dice: float
    worst_dice: float
    worst_case: str

    def __getitem__(self, name: str) -> Estimate:
        """Return one estimate by its name."""
        return next(e for e in self.estimates if e.name == name)


@dataclass(frozen=True, eq=False, kw_only=True)
class OutlineEvaluation:
    """What was found out about outlines."""

    about: About
    options: EvaluationOptions
    tolerance: float
    """Distance of surfaces that counts as agreement [mm, or pixel]."""
    unit: str
    """``mm`` or ``pixel``."""
    dice: Estimate
    """Mean over images of the mean over classes."""
    classes: tuple[ClassOutlines, ...]
    cases: tuple[JudgedCase, ...]
    groups: int
    agreements: tuple[Agreement, ...] = ()
    """Model, first and second observer against each other."""
    pictures: tuple[Picture, ...] = ()
    """The worst images, the worst first."""

    @property
    def failures(self) -> tuple[JudgedCase, ...]:
        """Return the images for which there is no outline."""
        return tuple(case for case in self.cases if case.error)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Return the main scores as a table."""
        percent = f"{self.options.confidence:.0%} interval"
        near = f"surface ≤ {self.tolerance:g} {self.unit}"
        return [
            {
                "class": one.name,
                "images": f"{one.present} of {one.cases}",
                "Dice": figure(one["dice"].value),
                percent: interval(one["dice"].low, one["dice"].high),
                "median": figure(one.median_dice),
                "worst": f"{figure(one.worst_dice)} ({one.worst_case})",
                near: figure(one["surface"].value),
                f"HD95 [{self.unit}]": length(one["hausdorff"].value),
            }
            for one in self.classes
        ]

    def numbers(self) -> dict[str, Any]:
        """Return every number as plain data, ready for JSON."""
        left_out = ("about", "pictures")
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


def evaluate_outlines(
    cases: Iterable[CaseOutline],
    *,
    classes: Sequence[str],
    options: EvaluationOptions,
    about: About,
    tolerance: float = 1.0,
    unit: str = "mm",
) -> OutlineEvaluation:
    """Return all that can be found out about outlines of classes.

    Args:
        cases: Images, one after the other; each is let go before the next.
        classes: Names of the labels 1, 2, ...
        options: Resamples, confidence, seed.
        about: What is judged.
        tolerance: Distance of surfaces that counts as agreement, in the unit of the spacing.
        unit: ``mm``, or ``pixel`` where pictures have no size.

    Raises:
        InputError: There is no image, or one cannot be judged; the message names it.
    """
    judged: list[JudgedCase] = []
    worst: Worst[Sketch] = Worst(MOST_PICTURES)
    observed: dict[int, tuple[ObserverDice, ...]] = {}
    for place, case in enumerate(cases):
        ruler = Ruler(spacing_mm=case.spacing_mm, tolerance=tolerance, unit=unit)
        found = _judged(case, tuple(classes), ruler)
        judged.append(found)
        if case.observer is not None:
            observed[place] = _observed(case, len(classes))
        if case.picture is not None and worst.takes(found.dice) and found.dice < 1:
            worst.put(found.dice, place, _sketch(case.picture, case, found))
    groups = [case.group for case in judged]
    if not judged:
        raise InputError("There are no images to judge.")
    overall = estimates({"dice": mean([case.dice for case in judged])}, groups, options)
    return OutlineEvaluation(
        about=about,
        options=options,
        tolerance=tolerance,
        unit=unit,
        dice=overall["dice"],
        classes=tuple(_class(judged, groups, place, options) for place in range(len(classes))),
        cases=tuple(judged),
        groups=len(set(groups)),
        agreements=agreements(
            observed, groups=[groups[i] for i in observed], classes=classes, options=options
        ),
        pictures=tuple(draw() for draw in worst.ordered()),
    )


def case_rows(cases: Sequence[JudgedCase]) -> list[dict[str, str]]:
    """Return one row for each image and class, ready for a CSV file; empty: not defined."""
    return [
        {
            "name": case.name,
            "group": case.group,
            "class": one.class_name,
            "dice": repr(one.dice),
            "jaccard": repr(one.jaccard),
            "precision": _number(one.precision),
            "recall": _number(one.recall),
            "surface": _number(one.surface),
            "hausdorff": _number(one.hausdorff),
            "truth_size": repr(one.truth_size),
            "predicted_size": repr(one.predicted_size),
            "error": case.error,
        }
        for case in cases
        for one in case.classes
    ]


def length(value: float) -> str:
    """Return a distance or size with one decimal; ∞ if infinite, a dash if not defined."""
    if np.isnan(value):
        return "–"
    return f"{value:.1f}" if np.isfinite(value) else "∞"


def limits(evaluation: OutlineEvaluation) -> tuple[Text, ...]:
    """Return what the numbers do not say."""
    cases, groups = len(evaluation.cases), evaluation.groups
    found = [
        Text(
            "The scores are of {images} images in {groups} groups. The intervals say how they "
            "would vary with other patients of the same kind, not with other hospitals, devices "
            "or readers.",
            {"images": cases, "groups": groups},
        )
    ]
    if groups == cases:
        found.append(
            Text(
                "Every image counts as a patient of its own. If several are of one patient, the "
                "intervals are too narrow."
            )
        )
    found += [
        Text(
            "'{name}' is in {present} of {cases} images; where neither the truth nor the model "
            "has it, Dice is 1, which raises its mean. Over the images that hold it, it is "
            "{dice}.",
            {
                "name": one.name,
                "present": one.present,
                "cases": one.cases,
                "dice": figure(one["dice_present"].value),
            },
        )
        for one in evaluation.classes
        if one.present < one.cases
    ]
    found.append(Text("The outlines of one person are taken as true; they limit every score."))
    if not evaluation.agreements:
        found.append(Text("How well two persons agree on these images was not measured."))
    return tuple(found)


def _number(value: float) -> str:
    return "" if value != value else repr(value)


def _judged(case: CaseOutline, classes: tuple[str, ...], ruler: Ruler) -> JudgedCase:
    try:
        scores = (
            failed_scores(case.truth, classes=classes, ruler=ruler, region=case.region)
            if case.error
            else score_outlines(
                case.truth, case.predicted, classes=classes, ruler=ruler, region=case.region
            )
        )
    except InputError as error:
        raise InputError(f"'{case.name}' cannot be judged. {error}") from error
    return JudgedCase(name=case.name, group=case.group, classes=scores, error=case.error)


def _observed(case: CaseOutline, count: int) -> tuple[ObserverDice, ...]:
    assert case.observer is not None
    try:
        return observer_dice(
            case.truth,
            None if case.error else case.predicted,
            case.observer,
            classes=count,
            region=case.region,
        )
    except InputError as error:
        raise InputError(f"The second observer of '{case.name}': {error}") from error


def _sketch(picture: NDArray[np.generic], case: CaseOutline, found: JudgedCase) -> Sketch:
    said = ", ".join(f"{one.class_name} {figure(one.dice)}" for one in found.classes)
    predicted = np.zeros_like(case.truth) if case.error else case.predicted
    return sketch_outlines(
        picture,
        case.truth,
        predicted,
        spacing_mm=case.spacing_mm,
        caption=f"{found.name}: {found.error or f'Dice {said}'}",
    )


def _class(
    judged: Sequence[JudgedCase], groups: Sequence[str], place: int, options: EvaluationOptions
) -> ClassOutlines:
    scores = [case.classes[place] for case in judged]
    dice = np.array([one.dice for one in scores])
    is_present = np.array([one.truth_size > 0 for one in scores])
    is_said = np.array([one.predicted_size > 0 for one in scores])
    hausdorff = np.array([one.hausdorff for one in scores])
    statistics = {name: mean([getattr(one, name) for one in scores]) for name in MEANS}
    statistics["dice_present"] = mean(np.where(is_present, dice, np.nan))
    statistics["hausdorff"] = median(hausdorff)
    worst = int(np.argmin(dice))
    return ClassOutlines(
        name=scores[0].class_name,
        cases=len(scores),
        present=int(is_present.sum()),
        missed=int((is_present & ~is_said).sum()),
        false=int((~is_present & is_said).sum()),
        no_surface=int(np.isnan(hausdorff).sum()),
        infinite=int(np.isinf(hausdorff).sum()),
        estimates=tuple(estimates(statistics, groups, options).values()),
        median_dice=float(np.median(dice)),
        worst_dice=float(dice[worst]),
        worst_case=judged[worst].name,
    )
