"""From a recipe to a model: look, plan, prepare, train, judge, export."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aegle.diagnosis.conformal import ConformalOptions
from aegle.diagnosis.prediction_sets import COLUMNS, calibrated
from aegle.diagnosis.prediction_sets import KEY as SETS
from aegle.domain.errors import OptionError
from aegle.domain.prediction import Predictions
from aegle.learning.model import load, save
from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.carding import card_of
from aegle.workflow.learning.cross_validation import with_temperature
from aegle.workflow.learning.fitting import fit
from aegle.workflow.learning.label_efficiency import label_efficiency
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.parts import everyone
from aegle.workflow.learning.plan import Plan, recipe_or_plan
from aegle.workflow.learning.planning import Asked, kept_of, planned, samples_of
from aegle.workflow.learning.preparing import data_of
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import (
    MODEL,
    Announce,
    Done,
    opened,
    unannounced,
    write_text,
)
from aegle.workflow.learning.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be trained, and where it goes."""

    recipe: str | Path | Mapping[str, Any] | Recipe | Plan
    out: Path
    fold: int | None = None
    cross_validate: bool = False
    cache: Path | None = None


def run(request: Request, *, announce: Announce | None = None) -> Done:
    """Train a model, or go on with what was begun in the same folder.

    Raises:
        InputError: The images cannot be learned from.
        OptionError: The recipe is wrong, or the folder holds something else.
        WorkflowError: Another run holds the folder.
    """
    given = recipe_or_plan(request.recipe)
    recipe = given.recipe if isinstance(given, Plan) else given
    everything = samples_of(recipe)
    with opened(request.out) as folder:
        asked = Asked(part=request.fold, cross_validate=request.cross_validate)
        plan = planned(given, everything, asked, folder, announce or unannounced)
        _require_classes(plan)
        materials = _materials(plan, everything, folder, request.cache, announce or unannounced)
        done = _cross_validated(materials) if plan.cross_validate else _trained(materials)
        if not plan.recipe.validate.label_shares:
            return done
        parts = plan.parts if plan.cross_validate else (plan.parts[plan.part],)
        fewer = label_efficiency(materials, parts)
        return replace(
            done,
            files={**done.files, **fewer.files},
            numbers={**done.numbers, **fewer.numbers},
        )


def _require_classes(plan: Plan) -> None:
    task = plan.recipe.model.task
    if plan.cross_validate and TASKS[task].judge_parts is None:
        raise OptionError(f"Models for '{task}' are not cross-validated; train them on one part.")


def _materials(
    plan: Plan,
    everything: SampleSet,
    folder: CaseFolder,
    cache: Path | None,
    announce: Announce,
) -> Materials:
    samples = kept_of(everything, plan.removed, plan.joined)
    place = cache or folder.root / "cache"
    return Materials(
        plan=plan,
        samples=samples,
        data=data_of(samples, plan, place, announce),
        folder=folder,
        cache=place,
        announce=announce,
    )


def _trained(materials: Materials) -> Done:
    plan = materials.plan
    part = plan.parts[plan.part]
    fitted = fit(materials, part, plan.recipe.train.seed)
    done = TASKS[plan.recipe.model.task].judge(materials, fitted, part)
    return _exported(materials, fitted, done)


def _cross_validated(materials: Materials) -> Done:
    recipe = materials.plan.recipe
    judge_parts = TASKS[recipe.model.task].judge_parts
    assert judge_parts is not None
    done, temperature = judge_parts(materials)
    if not recipe.validate.final:
        return done
    part = everyone(materials.samples, recipe.validate)
    kept = fit(materials, part, recipe.train.seed)
    if not part.tuning:
        kept = with_temperature(kept, temperature)
    if done.evaluation is not None:
        kept = _with_sets(kept, done.evaluation.predictions)
    return _exported(materials, kept, done)


def _with_sets(fitted: Fitted, out_of_fold: Predictions) -> Fitted:
    """Return the model with limits of prediction sets, told apart by sex or view if stated."""
    column = next((name for name in COLUMNS if name in out_of_fold.columns), "")
    found = calibrated(out_of_fold, column, options=ConformalOptions())
    facts = fitted.model.facts
    facts = replace(facts, extras={**facts.extras, SETS: found})
    return replace(fitted, model=replace(fitted.model, facts=facts))


def _exported(materials: Materials, fitted: Fitted, done: Done) -> Done:
    """Write the model with all that is known of it."""
    said = materials.plan.recipe.model
    facts = replace(
        fitted.model.facts,
        name=said.name,
        modalities=said.modalities,
        body_parts=said.body_parts,
        licence=said.licence,
        trained_on=said.trained_on,
        measured=_measured(done.numbers.get("mean", done.numbers)),
    )
    model = replace(fitted.model, facts=facts)
    path = save(model, materials.folder.root / MODEL, half=said.half)
    files = {"model": path, **done.files}
    text = card_of(materials.plan, load(path), path, done)
    if text:
        files["card"] = write_text(materials.folder, "card.md", text)
    return replace(done, files=files)


def _measured(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores as they stand in a model file: value, interval and number of images."""
    return {
        name: {
            "value": score["value"],
            "interval": [score["low"], score["high"]],
            "count": numbers["images"],
        }
        for name, score in numbers["scores"].items()
    }
