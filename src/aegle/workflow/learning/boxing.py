"""Learn to find objects by their boxes: what the pictures decide, and what is trained."""

from pathlib import Path
from typing import Any

import torch

from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.detection.configure import box_facts, configure_boxes
from aegle.learning.detection.losses import box_loss
from aegle.learning.detection.prepared import BoxSet, prepare_boxes
from aegle.learning.detection.source import BoxSource
from aegle.learning.model import ModelFacts
from aegle.learning.samples import SampleSet
from aegle.options import read
from aegle.workflow.learning.configured import Lesson, lesson_of
from aegle.workflow.learning.materials import Materials
from aegle.workflow.learning.plan import Part, Plan
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Announce, Step


def configured(recipe: Recipe, samples: SampleSet, announce: Announce) -> BoxConfiguration:
    """Return what the pictures and the memory decide.

    Raises:
        InputError: Pictures or boxes cannot be used, or nothing fits the memory.
    """
    progress = announce(Step(f"read {len(samples.samples)} pictures and their boxes"), False)
    found = box_facts(samples, progress=progress)
    return configure_boxes(found, options=recipe.detect, pretrained=bool(recipe.transfer.weights))


def estimate_of(configuration: BoxConfiguration) -> dict[str, Any]:
    """Return expected steps and memory as the plan states them."""
    return {"steps": configuration.steps, "memory_mib": round(configuration.memory_mb / 1.048576)}


def prepared(samples: SampleSet, plan: Plan, folder: Path, announce: Announce) -> BoxSet:
    """Return pictures and boxes as the network sees them, from the cache where they lie."""
    progress = announce(Step(f"prepare {len(samples.samples)} pictures"), False)
    configuration = read(BoxConfiguration, plan.configuration)
    return prepare_boxes(samples, folder, configuration=configuration, progress=progress)


def assigned(
    materials: Materials, part: Part, recipe: Recipe
) -> tuple[Assignment, ModelFacts, TrainingOptions]:
    """Return what is to be learned, what is known of the model before, and how it is trained."""
    data = materials.data
    assert isinstance(data, BoxSet)
    augment = recipe.box_augment

    def source(device: torch.device, layout: torch.memory_format, seed: int) -> BoxSource:
        return BoxSource(data=data, device=device, layout=layout, seed=seed, augment=augment)

    lesson = Lesson(
        source=source,
        loss=box_loss(),
        changes=str(augment),
        channels=len(data.configuration.mean),
    )
    return lesson_of(materials, part, recipe, data.configuration, lesson)
