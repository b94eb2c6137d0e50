"""Learn to outline: what the images decide, what is trained, and how it is judged."""

from pathlib import Path
from typing import Any

import torch

from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.dense.augmentation import dense_augment
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.configure import configure
from aegle.learning.dense.fingerprint import fingerprint
from aegle.learning.dense.losses import object_loss, outline_loss
from aegle.learning.dense.patches import PatchSource
from aegle.learning.dense.prepared import DenseSet, prepare_dense
from aegle.learning.model import ModelFacts
from aegle.learning.samples import SampleSet
from aegle.options import read
from aegle.workflow.learning.configured import Lesson, lesson_of
from aegle.workflow.learning.materials import Materials
from aegle.workflow.learning.plan import Part, Plan
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import Announce, Step


def configured(recipe: Recipe, samples: SampleSet, announce: Announce) -> Configuration:
    """Return what the images and the memory decide.

    Args:
        recipe: Says memory and time; a network that it names is taken.
        samples: Images that may be looked at before training.
        announce: Told before the images are read.

    Raises:
        InputError: Images or annotations cannot be used, or nothing fits the memory.
    """
    progress = announce(Step(f"read {len(samples.samples)} images and their annotations"), False)
    modality = recipe.model.modalities[0] if len(recipe.model.modalities) == 1 else ""
    found = fingerprint(
        samples,
        modality=modality,
        progress=progress,
        objects=recipe.model.task == "instances",
    )
    return configure(
        found,
        options=recipe.outline,
        task=recipe.model.task,
        pretrained=bool(recipe.transfer.weights),
    )


def estimate_of(configuration: Configuration) -> dict[str, Any]:
    """Return expected steps and memory as the plan states them."""
    return {"steps": configuration.steps, "memory_mib": round(configuration.memory_mb / 1.048576)}


def prepared(samples: SampleSet, plan: Plan, folder: Path, announce: Announce) -> DenseSet:
    """Return images and annotations as the network sees them, from the cache where they lie."""
    progress = announce(Step(f"prepare {len(samples.samples)} images"), False)
    return prepare_dense(
        samples,
        folder,
        configuration=read(Configuration, plan.configuration),
        objects=plan.recipe.model.task == "instances",
        progress=progress,
    )


def assigned(
    materials: Materials, part: Part, recipe: Recipe
) -> tuple[Assignment, ModelFacts, TrainingOptions]:
    """Return what is to be learned, what is known of the model before, and how it is trained."""
    data = materials.data
    assert isinstance(data, DenseSet)
    augment = dense_augment(recipe.deform, data.configuration)

    def source(device: torch.device, layout: torch.memory_format, seed: int) -> PatchSource:
        return PatchSource(data=data, device=device, layout=layout, seed=seed, augment=augment)

    lesson = Lesson(
        source=source,
        loss=object_loss() if recipe.model.task == "instances" else outline_loss(),
        changes=str(recipe.deform),
        channels=len(data.configuration.scaling),
    )
    return lesson_of(materials, part, recipe, data.configuration, lesson)
