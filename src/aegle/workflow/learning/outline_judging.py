"""Judge models that outline, image by image, and write what was found."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from aegle.domain.errors import AegleError, InputError
from aegle.evaluation.evaluate import About
from aegle.evaluation.object_report import ObjectEvaluation, evaluate_objects
from aegle.evaluation.outline_page import outline_page
from aegle.evaluation.outline_report import CaseOutline, OutlineEvaluation, evaluate_outlines
from aegle.learning.dense.inference import InferenceOptions, outline
from aegle.learning.model import Model
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.carding import about
from aegle.workflow.learning.fitting import fit
from aegle.workflow.learning.judging import written
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Done, Step
from aegle.workflow.stage import Progress

Judged = Sequence[tuple[Sample, Model]]
"""Images, each with a model that has not seen it."""


def judge_outlines(materials: Materials, fitted: Fitted, part: Part) -> Done:
    """Judge one model on the images of a part that judge."""
    wanted = set(part.judged)
    judged = [(s, fitted.model) for s in materials.samples.samples if s.name in wanted]
    words = f"{len(judged)} images that did not train it ({part.name})"
    return _report(materials, judged, words)


def judge_every_outline(materials: Materials) -> tuple[Done, float]:
    """Train on every part in turn, and judge each image by a model that has not seen it."""
    plan = materials.plan
    seed = plan.recipe.validate.seeds[0]
    by_name = {sample.name: sample for sample in materials.samples.samples}
    judged: list[tuple[Sample, Model]] = []
    for part in plan.parts:
        fitted = fit(materials, part, seed)
        judged += [(by_name[name], fitted.model) for name in part.judged]
    words = f"cross-validation, {len(plan.parts)} trainings"
    return _report(materials, judged, words), 1.0


def _report(materials: Materials, judged: Judged, words: str) -> Done:
    progress = materials.announce(Step(f"judge {len(judged)} images"), False)
    said = about(materials.plan, words)
    recipe, folder = materials.plan.recipe, materials.folder
    return report(materials.samples, judged, recipe, said, folder, progress)


def inference_of(recipe: Recipe) -> InferenceOptions:
    """Return how a network is moved over an image, within the memory of the recipe."""
    return replace(recipe.infer, memory_mb=min(recipe.infer.memory_mb, recipe.outline.memory_mb))


def cases_of(
    samples: SampleSet, judged: Judged, options: InferenceOptions, progress: Progress
) -> Iterator[CaseOutline]:
    """Yield each image with what is true of it and what a model says; failures are kept.

    Args:
        samples: Whose pixels and annotations are read, one after the other.
        judged: Images and models.
        options: How a network is moved over an image.
        progress: Told of the images done and in all.
    """
    for done, (sample, model) in enumerate(judged, 1):
        yield _case(samples, sample, model, options)
        progress(done, len(judged))


def _case(
    samples: SampleSet, sample: Sample, model: Model, options: InferenceOptions
) -> CaseOutline:
    assert samples.place is not None
    assert samples.annotate is not None
    image, annotation = samples.place(sample), samples.annotate(sample)
    if annotation.labels is None:
        raise InputError(f"'{sample.name}' has boxes, but no outlines to judge by; give masks.")
    predicted, error = np.zeros_like(annotation.labels), ""
    try:
        predicted = outline(model, image, options=options).astype(np.int32)
    except AegleError as reason:
        error = str(reason)
    return CaseOutline(
        name=sample.name,
        group=sample.group or sample.name,
        truth=annotation.labels,
        predicted=predicted,
        spacing_mm=image.grid.spacing_mm,
        picture=image.values,
        region=annotation.region,
        observer=annotation.observer,
        error=error,
    )


def report(
    samples: SampleSet,
    judged: Judged,
    recipe: Recipe,
    said: About,
    folder: CaseFolder,
    progress: Progress,
) -> Done:
    """Judge images by their models and write everything about it.

    Raises:
        InputError: There is no image, or an image cannot be judged.
    """
    cases = cases_of(samples, judged, inference_of(recipe), progress)
    if recipe.model.task == "instances":
        return _objects(evaluate_objects(cases, options=recipe.evaluate, about=said), folder)
    assert samples.place is not None
    found = evaluate_outlines(
        cases,
        classes=samples.classes,
        options=recipe.evaluate,
        about=said,
        tolerance=recipe.evaluate.tolerance,
        unit="pixel" if samples.place(judged[0][0]).is_picture else "mm",
    )
    return _outlines(found, folder)


def _outlines(found: OutlineEvaluation, folder: CaseFolder) -> Done:
    estimates = {"dice": found.dice}
    for one in found.classes:
        estimates |= {f"{one.name} {e.name}": e for e in one.estimates}
    rows = [
        {"name": case.name, "group": case.group, "error": case.error}
        | {f"dice {one.class_name}": f"{one.dice:.6f}" for one in case.classes}
        | {f"hausdorff {one.class_name}": f"{one.hausdorff:.3f}" for one in case.classes}
        for case in found.cases
    ]
    return written(folder, outline_page(found), found, estimates, rows)


def _objects(found: ObjectEvaluation, folder: CaseFolder) -> Done:
    rows = [
        {
            "name": case.name,
            "group": case.group,
            "objects": str(case.truth),
            "found": str(case.predicted),
            "f1": f"{case.f1:.6f}",
            "error": case.error,
        }
        for case in found.cases
    ]
    estimates = {e.name: e for e in found.estimates}
    return written(folder, outline_page(found), found, estimates, rows)
