"""What differs between the tasks of a model: one row of functions for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aegle.workflow.learning.anomaly import judge_anomalies
from aegle.workflow.learning.autoencoding import judge_drawings
from aegle.workflow.learning.carding import about
from aegle.workflow.learning.fitting import Fitted, Materials, predicted
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.reporting import Case, report
from aegle.workflow.learning.run_folder import Done


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is done with a trained model of one task."""

    judge: Callable[[Materials, Fitted, Part], Done]
    """Says how good it is on the images of a part that judge."""


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


TASKS: Mapping[str, Task] = {
    "classify": Task(judge=judge_classes),
    "reconstruct": Task(judge=judge_drawings),
    "anomaly": Task(judge=judge_anomalies),
}
