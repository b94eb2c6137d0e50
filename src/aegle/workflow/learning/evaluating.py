"""Judge a model on labelled images that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aegle.domain.errors import InputError, OptionError
from aegle.evaluation.evaluate import About
from aegle.learning.model import Model, load
from aegle.learning.prepared import prepare_all
from aegle.learning.reading_samples import read_samples
from aegle.learning.samples import SampleSet
from aegle.workflow.learning import box_judging, outline_judging
from aegle.workflow.learning.dicom_cases import samples_at
from aegle.workflow.learning.fitting import predicted
from aegle.workflow.learning.plan import Plan, recipe_or_plan
from aegle.workflow.learning.recipe import CONFIGURED, DETECTS, Recipe
from aegle.workflow.learning.reporting import Case, report
from aegle.workflow.learning.run_folder import (
    Announce,
    Done,
    Step,
    opened,
    require_no_training,
    unannounced,
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which model is judged, on what, and where it is written."""

    model: Path
    data: str | Path | Mapping[str, Any] | Recipe | Plan
    out: Path
    by: tuple[str, ...] = ()
    reader: str = ""


def run(request: Request, *, announce: Announce | None = None) -> Done:
    """Judge a model.

    Raises:
        FileError: The model or the images are damaged.
        InputError: The images carry other classes than the model knows, or only one.
        OptionError: An option or a column is unknown, or the folder holds something else.
    """
    told = announce or unannounced
    model = load(request.model)
    recipe = _recipe(request.data)
    if model.facts.task in CONFIGURED:
        return _located(request, model, recipe, told)
    if model.facts.task != "classify":
        raise InputError(
            f"{request.model}: a model for '{model.facts.task}' has no classes to be judged by; "
            "use `aegle predict`."
        )
    samples = _labelled(recipe, model)
    require_no_training(request.out)
    with opened(request.out) as folder:
        prepared = prepare_all(
            samples,
            folder.root / "cache",
            options=model.facts.preparation,
            progress=told(Step(f"prepare {len(samples.samples)} images"), False),
        )
        told(Step("judge"), False)
        case = Case(
            model=model,
            predictions=predicted(prepared, np.arange(len(prepared.samples)), model),
            values=np.array(prepared.values),
            options=recipe.evaluate,
            about=About(
                title=model.facts.name,
                facts={
                    "Model": f"{model.facts.name} ({model.digest[:12]})",
                    "Images": f"{len(prepared.samples)} of {Path(recipe.data.path).name}",
                },
            ),
            by=request.by or recipe.validate.by,
            reader=request.reader,
            merge=recipe.data.merge,
        )
        return report(case, folder)


def _located(request: Request, model: Model, recipe: Recipe, told: Announce) -> Done:
    """Judge a model that outlines, or finds boxes, by what a person drew."""
    recipe = replace(recipe, model=replace(recipe.model, task=model.facts.task))
    classes = model.facts.classes
    options = replace(recipe.data, classes=recipe.data.classes or classes)
    samples = samples_at(Path(options.path), options=options, annotated=True)
    if samples.annotate is None:
        raise InputError(
            f"{samples.source}: nothing is drawn on these images; name the masks as data.mask or "
            "the boxes as data.boxes."
        )
    if samples.classes != classes:
        raise InputError(
            f"{samples.source} holds {', '.join(samples.classes)}, but model '{model.facts.name}' "
            f"finds {', '.join(classes)}; name the same in data.classes."
        )
    require_no_training(request.out)
    said = About(
        title=model.facts.name,
        facts={
            "Model": f"{model.facts.name} ({model.digest[:12]})",
            "Images": f"{len(samples.samples)} of {Path(options.path).name}",
        },
    )
    judged = [(sample, model) for sample in samples.samples]
    progress = told(Step(f"judge {len(judged)} images"), False)
    with opened(request.out) as folder:
        if model.facts.task in DETECTS:
            return box_judging.report(samples, judged, recipe, said, folder, progress)
        return outline_judging.report(samples, judged, recipe, said, folder, progress)


def _recipe(data: str | Path | Mapping[str, Any] | Recipe | Plan) -> Recipe:
    given = recipe_or_plan(data)
    if not isinstance(given, Recipe):
        raise OptionError("A plan names images of a training; give a recipe or the images.")
    return given


def _labelled(recipe: Recipe, model: Model) -> SampleSet:
    """Return the images with a class, in the model's order of classes."""
    options = recipe.data
    if options.classes and options.classes != model.facts.classes:
        raise InputError(
            f"The data name the classes {', '.join(options.classes)}, but model "
            f"'{model.facts.name}' tells {', '.join(model.facts.classes)} apart; name the same in "
            "data.classes, and use data.merge for other labels."
        )
    options = replace(options, classes=model.facts.classes)
    samples = read_samples(Path(options.path), options=options, annotated=False)
    labelled = tuple(sample for sample in samples.samples if sample.label >= 0)
    if not labelled:
        raise InputError(f"{samples.source}: no image has a class; name the column as data.label.")
    return samples.subset(labelled)
