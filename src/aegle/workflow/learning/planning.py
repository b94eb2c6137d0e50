"""From a recipe and images to a plan; a plan that was made from the same is kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from aegle.domain.errors import FileError, InputError
from aegle.learning.preparation import prepare
from aegle.learning.samples import SampleSet
from aegle.record.identity import digest
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning import boxing, outlining
from aegle.workflow.learning.building import built, file_digest, settings_of
from aegle.workflow.learning.dicom_cases import samples_at
from aegle.workflow.learning.estimate import estimated
from aegle.workflow.learning.looking import looked
from aegle.workflow.learning.parts import parts_of, require_part
from aegle.workflow.learning.plan import (
    Plan,
    as_json,
    digest_of,
    read_plan,
    versions,
)
from aegle.workflow.learning.recipe import CONFIGURED, OUTLINES, Recipe, plain
from aegle.workflow.learning.run_folder import PLAN, Announce, Step, write_json


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which parts are trained on."""

    part: int | None = None
    """Number of the part to judge on; the first by default."""
    cross_validate: bool = False
    """Whether every part is trained on in turn."""


def samples_of(recipe: Recipe) -> SampleSet:
    """Return the images that a recipe names; no pixel of an image is read.

    Raises:
        InputError: Masks or boxes lie there, but classes of whole images are to be learned.
    """
    task = recipe.model.task
    wanted = None if task == "classify" else task in CONFIGURED
    samples = samples_at(Path(recipe.data.path), options=recipe.data, annotated=wanted)
    if task == "classify" and samples.annotate is not None:
        raise InputError(
            f"{samples.source}: masks or boxes lie there, but model.task is classify. Set "
            "model.task to segment, instances or detect; or name the column with the class of "
            "whole images as data.label."
        )
    return samples


def planned(
    given: Recipe | Plan,
    everything: SampleSet,
    asked: Asked,
    folder: CaseFolder,
    announce: Announce,
) -> Plan:
    """Return the plan, and write it.

    Args:
        given: A recipe, or a plan to repeat.
        everything: All images.
        asked: Which parts are trained on.
        folder: Of the run.
        announce: Told before the images are looked at.

    Raises:
        InputError: The images are not those of the plan, or cannot be learned from.
        OptionError: There is no such part.
    """
    if isinstance(given, Plan):
        _require_same(given, everything)
        plan = given
    else:
        key = digest(json.dumps(plain(given), sort_keys=True), digest_of(everything))
        plan = _kept(folder, key) or _made(given, everything, key, folder, announce)
    if asked != Asked() or not isinstance(given, Plan):
        chosen = require_part(plan.parts, asked.part)
        number = plan.parts.index(chosen)
        plan = replace(plan, part=number, cross_validate=asked.cross_validate)
    write_json(folder, PLAN, as_json(plan))
    return plan


def kept_of(
    everything: SampleSet, removed: tuple[str, ...], joined: Mapping[str, str]
) -> SampleSet:
    """Return the images without those that the gate took out, in the groups that it found."""
    gone = set(removed)
    kept = [s for s in everything.samples if s.name not in gone]
    return everything.subset(
        tuple(replace(s, group=joined[s.name]) if s.name in joined else s for s in kept)
    )


def _kept(folder: CaseFolder, key: str) -> Plan | None:
    """Return the plan that lies in the folder, if it was made from the same and by the same."""
    try:
        plan = read_plan(folder.root / PLAN)
    except FileError:
        return None
    return plan if plan.key == key and plan.versions == versions() else None


def _made(
    recipe: Recipe, everything: SampleSet, key: str, folder: CaseFolder, announce: Announce
) -> Plan:
    progress = announce(Step(f"look at {len(everything.samples)} images"), False)
    found = looked(everything, recipe, folder, progress)
    samples = kept_of(everything, found.removed, found.joined)
    plan = Plan(
        recipe=recipe,
        data_digest=digest_of(samples),
        classes=samples.classes,
        parts=parts_of(samples, recipe.validate),
        key=key,
        removed=found.removed,
        joined=found.joined,
        weights_digest=recipe.transfer.sha256 or file_digest(recipe.transfer.weights),
        versions=versions(),
    )
    if recipe.model.task in CONFIGURED:
        return _configured(plan, samples, announce)
    settings = settings_of(recipe, len(samples.classes))
    estimate = estimated(
        built(recipe, settings),
        (int(settings.get("channels", 1)), *_extent(samples, recipe)),
        len(plan.parts[0].training),
        recipe.train,
    )
    return replace(plan, estimate=estimate)


def _configured(plan: Plan, samples: SampleSet, announce: Announce) -> Plan:
    """Return the plan with what the images decide.

    Images of a given split that only judge are not looked at; of folds every image trains.
    """
    judged = set(plan.parts[0].judged) if plan.recipe.validate.how != "folds" else set()
    seen = samples.subset(tuple(s for s in samples.samples if s.name not in judged))
    room = outlining if plan.recipe.model.task in OUTLINES else boxing
    configuration = room.configured(plan.recipe, seen, announce)
    return replace(
        plan,
        configuration=json.loads(json.dumps(asdict(configuration))),
        estimate=room.estimate_of(configuration),
    )


def _extent(samples: SampleSet, recipe: Recipe) -> tuple[int, ...]:
    """Return rows and columns of a prepared picture; slices too for a volume."""
    first = samples.load(samples.samples[0])
    return prepare(first, options=recipe.prepare).shape[1:]


def _require_same(plan: Plan, everything: SampleSet) -> None:
    found = digest_of(kept_of(everything, plan.removed, plan.joined))
    if found != plan.data_digest:
        raise InputError(
            f"{everything.source}: the images are not those of the plan (digest {found[:12]}, "
            f"planned {plan.data_digest[:12]}); train from the recipe to plan anew."
        )
    if plan.weights_digest != (
        plan.recipe.transfer.sha256 or file_digest(plan.recipe.transfer.weights)
    ):
        raise InputError(
            f"{plan.recipe.transfer.weights}: these are not the weights of the plan; train from "
            "the recipe to plan anew."
        )
