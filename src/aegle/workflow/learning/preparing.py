"""Images as the network of a task takes them, from the cache where they lie there."""

from pathlib import Path

from aegle.learning.assignment import LearningData
from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet, prepare_all
from aegle.learning.samples import SampleSet
from aegle.workflow.learning import boxing, outlining
from aegle.workflow.learning.plan import Plan
from aegle.workflow.learning.recipe import DETECTS, OUTLINES
from aegle.workflow.learning.run_folder import Announce, Step


def data_of(samples: SampleSet, plan: Plan, cache: Path, announce: Announce) -> LearningData:
    """Return the images as the task's network takes them."""
    task = plan.recipe.model.task
    if task in OUTLINES:
        return outlining.prepared(samples, plan, cache, announce)
    if task in DETECTS:
        return boxing.prepared(samples, plan, cache, announce)
    return prepared_by(samples, plan.recipe.prepare, cache, announce)


def prepared_by(
    samples: SampleSet, options: PreparationOptions, cache: Path, announce: Announce
) -> PreparedSet:
    """Return images ready for a network, from the cache where they lie there."""
    progress = announce(Step(f"prepare {len(samples.samples)} images"), False)
    return prepare_all(samples, cache, options=options, progress=progress)
