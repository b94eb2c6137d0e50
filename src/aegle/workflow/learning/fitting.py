"""Train one model on one part of the images with one seed, or take the one that is kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.evaluation.calibration import fit_temperature
from aegle.learning.assignment import Assignment, Course, Loss, TrainingOptions
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.batches import normalise, scaled
from aegle.learning.losses import classification_loss
from aegle.learning.model import Model, ModelFacts, load, ready, save
from aegle.learning.prepared import PreparedSet
from aegle.learning.training import train
from aegle.learning.transfer import (
    Arrangement,
    TransferOptions,
    arrange,
    features,
    linear_probe,
    set_head,
    start,
)
from aegle.record.identity import digest
from aegle.workflow.learning import boxing, outlining
from aegle.workflow.learning.anomaly import remembered
from aegle.workflow.learning.autoencoding import begun, drawing_loss
from aegle.workflow.learning.building import built, normalisation, settings_of
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.plan import Part, Plan
from aegle.workflow.learning.recipe import DETECTS, OUTLINES, Recipe, plain
from aegle.workflow.learning.run_folder import MODEL, Step
from aegle.workflow.stage import Progress

KEY = "key.json"
LEARNS_FROM = ("prepare", "normalise", "network", "transfer", "augment", "train", "bank")
"""Sections of a recipe that a trained model depends on."""
CONFIGURED_FROM = ("transfer", "deform", "box_augment", "train")
"""Those of a model that configures itself, beside its configuration."""
COURSE = "course"
PROBE_BATCH = 32
RESTORING_IMAGES = 256
"""Training images on which the statistics of batch normalisation are measured."""


def fit(materials: Materials, part: Part, seed: int, recipe: Recipe | None = None) -> Fitted:
    """Train a model, go on with a training that was stopped, or read the model that is kept.

    Args:
        materials: Plan, prepared images, folder of the run.
        part: Who is trained on, and who chooses the epoch and the temperature.
        seed: Of the network's first weights and of the training.
        recipe: What differs from the plan's recipe, such as the start from scratch.

    Raises:
        InputError: Fewer than two classes have training images, or the loss is no number.
    """
    recipe = recipe or materials.plan.recipe
    recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    folder = materials.folder.root / "parts" / f"{part.name}-seed-{seed}"
    key = _key(materials.plan, part, recipe)
    finished = _opened(folder, key)
    progress = materials.announce(Step(f"train {folder.name}"), finished)
    if not finished:
        _train(materials, part, recipe, folder, progress)
        (folder / KEY).write_text(json.dumps({"key": key, "finished": True}))
    return Fitted(
        model=load(folder / MODEL),
        folder=folder,
        best=json.loads((folder / "course.json").read_text())["best"],
    )


def predicted(prepared: PreparedSet, where: NDArray[np.int64], model: Model) -> Predictions:
    """Return what a model says of prepared images whose class is known."""
    return predictions_of(prepared, where, model.probabilities_of(prepared.values[where]))


def predictions_of(
    prepared: PreparedSet, where: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Predictions:
    """Return probabilities together with all that is known of the images."""
    samples = [prepared.samples[place] for place in where]
    groups = prepared.groups
    columns = sorted({name for sample in samples for name in sample.columns})
    return Predictions(
        classes=prepared.classes,
        names=tuple(sample.name for sample in samples),
        truth=prepared.labels[where],
        probabilities=probabilities,
        groups=tuple(groups[place] for place in where),
        columns={name: tuple(s.columns.get(name, "") for s in samples) for name in columns},
    )


def _key(plan: Plan, part: Part, recipe: Recipe) -> str:
    sections = CONFIGURED_FROM if plan.configuration else LEARNS_FROM
    options: dict[str, Any] = {section: plain(recipe)[section] for section in sections}
    if plan.configuration:
        options["configuration"] = dict(plan.configuration)
    return digest(
        recipe.model.task,
        str((recipe.model.noise, recipe.model.divergence)),
        json.dumps(options, sort_keys=True),
        plan.data_digest,
        plan.weights_digest,
        json.dumps(dict(plan.versions), sort_keys=True),
        *part.training,
        "|",
        *part.tuning,
    )


def _opened(folder: Path, key: str) -> bool:
    """Return whether a training is finished; clear away one that was set otherwise."""
    try:
        kept = json.loads((folder / KEY).read_text())
    except (OSError, ValueError):
        kept = {}
    if kept.get("key") == key:
        return bool(kept.get("finished"))
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / KEY).write_text(json.dumps({"key": key, "finished": False}))
    return False


def _train(materials: Materials, part: Part, recipe: Recipe, folder: Path, progress: Any) -> None:
    if recipe.model.task == "anomaly":
        where = materials.where((*part.training, *part.tuning))
        save(remembered(materials.prepared, where, recipe, materials.cache), folder / MODEL)
        _write_course(Course(network=nn.Identity(), epochs=(), best=0), folder)
        progress(1, 1)
        return
    assignment, facts, options = _work(materials, part, recipe)
    if facts.task == "classify" and recipe.transfer.mode == "probe":
        probe(assignment, recipe, progress)
        course = Course(network=assignment.network, epochs=(), best=0)
    else:
        course = train(assignment, options=options, folder=folder / COURSE, progress=progress)
    model = Model(facts=facts, network=course.network)
    judges = assignment.validation
    if len(judges) and facts.task == "classify":
        logits = model.logits_of(materials.prepared.values[judges])
        temperature = fit_temperature(logits, materials.prepared.labels[judges])
        model = replace(model, facts=replace(facts, temperature=temperature))
    save(model, folder / MODEL)
    _write_course(course, folder)


def _work(
    materials: Materials, part: Part, recipe: Recipe
) -> tuple[Assignment, ModelFacts, TrainingOptions]:
    """Return what is to be learned, what is known of the model before, and how it is trained."""
    if recipe.model.task in OUTLINES:
        return outlining.assigned(materials, part, recipe)
    if recipe.model.task in DETECTS:
        return boxing.assigned(materials, part, recipe)
    return *_assigned(materials, part, recipe), recipe.train


def _write_course(course: Course, folder: Path) -> None:
    rows = [
        {
            "epoch": epoch.number,
            "training_loss": epoch.training_loss,
            "validation_loss": epoch.validation_loss,
        }
        for epoch in course.epochs
    ]
    text = json.dumps({"best": course.best, "epochs": rows}, indent=1)
    (folder / "course.json").write_text(text + "\n")


def _assigned(materials: Materials, part: Part, recipe: Recipe) -> tuple[Assignment, ModelFacts]:
    """Return what is to be learned from what, and all that is known of the model before."""
    data = materials.prepared
    training, validation = materials.where(part.training), materials.where(part.tuning)
    settings = settings_of(recipe, len(data.classes))
    channels = int(settings.get("channels") or data.values.shape[1])
    mean, deviation = normalisation(recipe, data.values[training], channels)
    facts = ModelFacts(
        name=recipe.model.name,
        task=recipe.model.task,
        network=recipe.network.name,
        network_settings=settings,
        classes=data.classes,
        preparation=recipe.prepare,
        channels=channels,
        mean=mean,
        deviation=deviation,
        flips=recipe.model.flips,
    )
    network = built(recipe, settings)
    loss = drawing_loss(network, recipe)
    if facts.task == "classify":
        loss = loss_of(recipe, data.labels[training], part.name, len(data.classes))
    groups = begun(network, data.values[training], facts)
    arrangement = _transferred(network, recipe, materials.cache, data.values[training], facts)
    assignment = Assignment(
        network=network,
        data=data,
        training=training,
        validation=validation,
        loss=loss,
        mean=mean,
        deviation=deviation,
        augment=None if recipe.augment == AugmentationOptions() else augment(recipe.augment),
        groups=arrangement.groups if arrangement else groups,
        before_epoch=arrangement.before_epoch if arrangement else None,
        prepare_mode=arrangement.prepare_mode if arrangement else None,
    )
    return assignment, facts


def loss_of(recipe: Recipe, labels: NDArray[np.int64], part: str, classes: int) -> Loss:
    """Return what training makes small.

    Raises:
        InputError: A classifier has training images of fewer than two classes, or without one.
    """
    if (labels < 0).any():
        raise InputError(
            f"{(labels < 0).sum()} training images of '{part}' have no class; a classifier needs "
            "the class of each. Name the column with data.label, or leave them out with data.where."
        )
    counts = np.bincount(labels, minlength=classes)
    if (counts > 0).sum() < 2:
        raise InputError(
            f"All training images of '{part}' are of one class; a classifier needs two. Add "
            "images of another class, or choose another split."
        )
    return classification_loss(recipe.train, counts.tolist())


def _transferred(
    network: nn.Module, recipe: Recipe, cache: Path, values: NDArray[np.uint8], facts: ModelFacts
) -> Arrangement | None:
    """Give a network its first weights; None if it is trained from scratch."""
    if recipe.transfer == TransferOptions():
        return None
    start(network, recipe.transfer, cache)
    restores = recipe.transfer.batch_norm == "restore"
    images = normalise(scaled(_spread(values)), facts.mean, facts.deviation) if restores else None
    return arrange(network, recipe.transfer, images)


def probe(assignment: Assignment, recipe: Recipe, progress: Progress) -> None:
    """Fit the head by logistic regression to what the frozen body says of the training images.

    Where images may be mirrored, their mirror images are learned from too.
    """
    data, where = assignment.labelled, assignment.training
    mirrored = (False, True) if recipe.augment.mirror else (False,)
    ready(assignment.network)
    described = []
    for begin in range(0, len(where), PROBE_BATCH):
        values = np.array(data.values[where[begin : begin + PROBE_BATCH]])
        images = normalise(scaled(values), assignment.mean, assignment.deviation)
        for is_mirrored in mirrored:
            shown = images.flip(-1) if is_mirrored else images
            described.append(features(assignment.network, shown))
        progress(begin + len(values), len(where))
    # Image after image, each followed by its mirror image, batch by batch.
    rows = np.arange(len(where))
    batches = [rows[b : b + PROBE_BATCH] for b in range(0, len(rows), PROBE_BATCH)]
    order = np.concatenate([batch for batch in batches for _ in mirrored])
    fitted = linear_probe(
        np.concatenate(described),
        data.labels[where][order],
        classes=len(data.classes),
        strength=recipe.transfer.probe_strength,
        balanced=recipe.train.class_weights,
    )
    set_head(assignment.network, fitted)


def _spread(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return some images, spread evenly over all of them."""
    chosen: NDArray[np.uint8] = values[:: -(-len(values) // RESTORING_IMAGES)]
    return chosen
