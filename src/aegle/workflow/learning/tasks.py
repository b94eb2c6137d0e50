"""What differs between the tasks of a model: one row of functions for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet
from aegle.workflow.learning.anomaly import judge_anomalies
from aegle.workflow.learning.autoencoding import judge_drawings
from aegle.workflow.learning.baseline import SIZE
from aegle.workflow.learning.box_judging import judge_boxes
from aegle.workflow.learning.carding import about
from aegle.workflow.learning.cross_validation import as_json, cross_validate, page, rows_of
from aegle.workflow.learning.fitting import predicted
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.outline_judging import judge_every_outline, judge_outlines
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.preparing import prepared_by
from aegle.workflow.learning.reporting import Case, report
from aegle.workflow.learning.run_folder import Done, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is done with the trained models of one task."""

    judge: Callable[[Materials, Fitted, Part], Done]
    """Says how good a model is on the images of a part that judge."""
    judge_parts: Callable[[Materials], tuple[Done, float]] | None = None
    """Trains on every part in turn and judges what was left out; gives the temperature of a
    model that is trained on all images too. None where it is not offered."""


def judge_classes(materials: Materials, fitted: Fitted, part: Part) -> Done:
    """Judge a classifier and write everything about it."""
    where = materials.where(part.judged)
    recipe = materials.plan.recipe
    case = Case(
        model=fitted.model,
        predictions=predicted(materials.prepared, where, fitted.model),
        values=materials.prepared.values[where],
        options=recipe.evaluate,
        about=about(materials.plan, f"{len(where)} images that did not train it ({part.name})"),
        by=recipe.validate.by,
    )
    return report(case, materials.folder)


def judge_every_class(materials: Materials) -> tuple[Done, float]:
    """Cross-validate a classifier beside its baseline."""
    recipe, folder = materials.plan.recipe, materials.folder

    def for_baseline() -> PreparedSet:
        options = PreparationOptions(size=SIZE)
        return prepared_by(materials.samples, options, materials.cache, materials.announce)

    judged = cross_validate(materials, for_baseline if recipe.validate.baseline else None)
    numbers = as_json(judged)
    files = {
        "cross-validation": write_json(folder, "cross-validation.json", numbers),
        "table": write_text(folder, "cross-validation.md", page(judged, recipe.model.name)),
    }
    done = Done(folder=folder.root, files=files, numbers=numbers, rows=rows_of(judged))
    case = Case(
        model=judged.fitted[0].model,
        predictions=judged.pooled,
        values=materials.prepared.values[materials.where(judged.pooled.names)],
        options=recipe.evaluate,
        about=about(materials.plan, f"cross-validation, {len(judged.runs)} trainings"),
        by=recipe.validate.by,
        audits=judged.audits,
        folds=judged.found,
    )
    pooled = report(case, folder)
    done = replace(
        done,
        files={**done.files, **pooled.files},
        notices=pooled.notices,
        evaluation=pooled.evaluation,
    )
    return done, judged.temperature


TASKS: Mapping[str, Task] = {
    "classify": Task(judge=judge_classes, judge_parts=judge_every_class),
    "reconstruct": Task(judge=judge_drawings),
    "anomaly": Task(judge=judge_anomalies),
    "segment": Task(judge=judge_outlines, judge_parts=judge_every_outline),
    "instances": Task(judge=judge_outlines, judge_parts=judge_every_outline),
    "detect": Task(judge=judge_boxes),
}
