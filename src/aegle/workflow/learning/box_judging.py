"""Judge models that find boxes, picture by picture, and write what was found."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aegle.domain.errors import AegleError, InputError
from aegle.evaluation.box_report import CaseBoxes, evaluate_boxes
from aegle.evaluation.evaluate import About
from aegle.evaluation.outline_page import outline_page
from aegle.learning.detection.configure import DetectionOptions
from aegle.learning.detection.finding import find_boxes
from aegle.learning.model import Model
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.carding import about
from aegle.workflow.learning.judging import written
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Done, Step
from aegle.workflow.stage import Progress

Judged = Sequence[tuple[Sample, Model]]
"""Pictures, each with a model that has not seen it."""


def judge_boxes(materials: Materials, fitted: Fitted, part: Part) -> Done:
    """Judge one model on the pictures of a part that judge."""
    wanted = set(part.judged)
    judged = [(s, fitted.model) for s in materials.samples.samples if s.name in wanted]
    progress = materials.announce(Step(f"judge {len(judged)} pictures"), False)
    said = about(materials.plan, f"{len(judged)} pictures that did not train it ({part.name})")
    recipe, folder = materials.plan.recipe, materials.folder
    return report(materials.samples, judged, recipe, said, folder, progress)


def report(
    samples: SampleSet,
    judged: Judged,
    recipe: Recipe,
    said: About,
    folder: CaseFolder,
    progress: Progress,
) -> Done:
    """Judge pictures by their models and write everything about it.

    Raises:
        InputError: There is no picture, or a picture cannot be judged.
    """
    found = evaluate_boxes(
        _cases(samples, judged, recipe.detect, progress),
        classes=samples.classes,
        options=recipe.evaluate,
        about=said,
    )
    rows: list[dict[str, Any]] = [
        {
            "name": case.name,
            "group": case.group,
            "objects": case.truth,
            "found": case.found,
            "right": case.right,
            "error": case.error,
        }
        for case in found.cases
    ]
    estimates = {"ap_50": found.ap_50, "ap_50_95": found.ap_50_95}
    for one in found.classes:
        estimates |= {f"{one.name} ap_50": one.ap_50, f"{one.name} ap_50_95": one.ap_50_95}
    return written(folder, outline_page(found), found, estimates, rows)


def _cases(
    samples: SampleSet, judged: Judged, options: DetectionOptions, progress: Progress
) -> Iterator[CaseBoxes]:
    """Yield each picture with what is true of it and what a model finds; failures are kept."""
    for done, (sample, model) in enumerate(judged, 1):
        yield _case(samples, sample, model, options)
        progress(done, len(judged))


def _case(samples: SampleSet, sample: Sample, model: Model, options: DetectionOptions) -> CaseBoxes:
    assert samples.place is not None
    assert samples.annotate is not None
    image, annotation = samples.place(sample), samples.annotate(sample)
    if annotation.boxes is None or annotation.box_classes is None:
        raise InputError(f"'{sample.name}' has outlines, but no boxes to judge by; give boxes.")
    boxes, classes = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    scores, error = np.zeros(0, np.float32), ""
    try:
        found = find_boxes(model, image, options=options)
        boxes, classes, scores = found.boxes, found.classes, found.scores
    except AegleError as reason:
        error = str(reason)
    return CaseBoxes(
        name=sample.name,
        group=sample.group or sample.name,
        truth=annotation.boxes,
        truth_classes=annotation.box_classes,
        boxes=boxes,
        box_classes=classes,
        scores=scores,
        picture=image.values,
        error=error,
    )
