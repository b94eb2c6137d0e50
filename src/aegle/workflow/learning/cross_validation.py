"""Every part judged by models that have not seen it, beside a baseline on the same parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.prediction import Predictions
from aegle.evaluation.calibration import temperature_of
from aegle.evaluation.calibration import with_temperature as recalibrated
from aegle.evaluation.cross_validation import CrossValidation, as_markdown, cross_validation
from aegle.evaluation.probes import PROBES, Images
from aegle.evaluation.scores import SCORES
from aegle.evaluation.selection import joined, select
from aegle.evaluation.shortcuts import AuditRow, judge
from aegle.evaluation.table import figure, interval
from aegle.learning.prepared import PreparedSet
from aegle.workflow.learning.baseline import baseline_of, features
from aegle.workflow.learning.fitting import fit, predicted, predictions_of
from aegle.workflow.learning.judging import SHOWN, differences_of, number, numbers_of
from aegle.workflow.learning.materials import Fitted, Materials
from aegle.workflow.learning.run_folder import Step

MOST_AUDITED = 400
"""Images that are judged anew for each kind of shortcut; more would take longer than training."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """What was said of every image by models that had not seen it."""

    fitted: tuple[Fitted, ...]
    """One per seed and part."""
    runs: tuple[Predictions, ...]
    """In the same order."""
    pooled: Predictions
    """All images, by the models of the first seed."""
    found: CrossValidation
    audits: tuple[AuditRow, ...]
    """Of the models of the first seed."""
    temperature: float
    """Of a model trained on all images, where none of them were kept for tuning."""


def cross_validate(
    materials: Materials, baseline: Callable[[], PreparedSet] | None = None
) -> Judged:
    """Train on every part in turn, with every seed, and judge on what was left out.

    Args:
        materials: Plan, prepared images, folder.
        baseline: Gives the images as the baseline takes them; None for no baseline.
    """
    plan = materials.plan
    seeds = [_of_seed(materials, seed) for seed in plan.recipe.validate.seeds]
    runs = tuple(run for seed in seeds for run in seed.runs)
    others = baseline_runs(materials, baseline()) if baseline else ()
    pooled = joined(seeds[0].runs)
    return Judged(
        fitted=tuple(one for seed in seeds for one in seed.fitted),
        runs=runs,
        pooled=pooled,
        found=cross_validation(runs, options=plan.recipe.evaluate, baseline=others),
        audits=_audited(materials, seeds[0].fitted, pooled),
        temperature=seeds[0].temperature,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Seed:
    """The trainings with one seed, part by part."""

    fitted: list[Fitted]
    runs: list[Predictions]
    temperature: float = 1.0


def _of_seed(materials: Materials, seed: int) -> _Seed:
    """Train on every part; without images for tuning, the other parts give the temperature."""
    parts = materials.plan.parts
    fitted = [fit(materials, part, seed) for part in parts]
    runs = [
        predicted(materials.prepared, materials.where(part.judged), one.model)
        for part, one in zip(parts, fitted, strict=True)
    ]
    if len(parts) == 1 or any(part.tuning for part in parts):
        return _Seed(fitted=fitted, runs=runs)
    temperatures = [
        temperature_of(joined([run for number, run in enumerate(runs) if number != place]))
        for place in range(len(runs))
    ]
    return _Seed(
        fitted=[with_temperature(*pair) for pair in zip(fitted, temperatures, strict=True)],
        runs=[recalibrated(*pair) for pair in zip(runs, temperatures, strict=True)],
        temperature=temperature_of(joined(runs)),
    )


def with_temperature(fitted: Fitted, temperature: float) -> Fitted:
    """Return a trained model with another temperature."""
    facts = replace(fitted.model.facts, temperature=temperature)
    return replace(fitted, model=replace(fitted.model, facts=facts))


def _audited(
    materials: Materials, fitted: list[Fitted], unchanged: Predictions
) -> tuple[AuditRow, ...]:
    """Judge images once more with marks, anatomy or look taken away, each by its own model."""
    progress = materials.announce(Step("look for shortcuts"), False)
    step = -(-len(unchanged.names) // MOST_AUDITED)
    pairs = [
        (one, materials.where(part.judged)[::step])
        for one, part in zip(fitted, materials.plan.parts, strict=True)
    ]
    names = {materials.prepared.samples[place].name for _, where in pairs for place in where}
    before = select(unchanged, np.array([name in names for name in unchanged.names]))
    rows = []
    for done, (name, probe) in enumerate(PROBES.items(), 1):
        changed = [_changed(materials, one, where, probe.change) for one, where in pairs]
        options = materials.plan.recipe.evaluate
        rows.append(judge(name, before, joined(changed), options=options))
        progress(done, len(PROBES))
    return tuple(rows)


def _changed(
    materials: Materials,
    fitted: Fitted,
    where: NDArray[np.int64],
    change: Callable[[Images], Images],
) -> Predictions:
    values = change(materials.prepared.values[where])
    return predictions_of(materials.prepared, where, fitted.model.probabilities_of(values))


def baseline_runs(materials: Materials, prepared: PreparedSet) -> tuple[Predictions, ...]:
    """Return what the baseline says of every part."""
    progress = materials.announce(Step("baseline"), False)
    described = features(prepared, materials.plan.recipe.validate, materials.folder, progress)
    return tuple(
        baseline_of(
            prepared,
            described,
            materials.where((*part.training, *part.tuning)),
            materials.where(part.judged),
        )
        for part in materials.plan.parts
    )


def as_json(judged: Judged) -> dict[str, Any]:
    """Return all numbers as plain data."""
    found = judged.found
    made: dict[str, Any] = {
        "mean": numbers_of(found.mean),
        "runs": {
            fitted.folder.name: {"kept_epoch": fitted.best}
            | {score.name: number(score.values[place]) for score in found.runs}
            for place, fitted in enumerate(judged.fitted)
        },
    }
    if found.pooled:
        made["pooled"] = numbers_of(found.pooled)
    if found.baseline and found.comparison:
        made["baseline"] = numbers_of(found.baseline)
        made["against_baseline"] = differences_of(found.comparison)
    return made


def rows_of(judged: Judged) -> list[dict[str, str]]:
    """Return the main scores as a table, beside the baseline's where there is one."""
    found = judged.found
    percent = f"{found.mean.confidence:.0%} interval"
    rows = []
    for name in (e.name for e in found.mean.estimates if e.name in SHOWN):
        own = found.mean[name]
        row = {
            "score": SCORES[name].label,
            "mean": figure(own.value),
            percent: interval(own.low, own.high),
        }
        if found.baseline and found.comparison:
            above = found.comparison[name]
            row["baseline"] = figure(above.second)
            row["difference"] = f"{above.value:+.3f} ({interval(above.low, above.high)})"
        rows.append(row)
    return rows


def page(judged: Judged, title: str) -> str:
    """Return the table as Markdown, with what it is about."""
    mean = judged.found.mean
    about = (
        f"{mean.images} images in {mean.groups} groups, {len(judged.runs)} trainings, each judged "
        "on images that neither trained it nor chose when to stop. Intervals by group come from "
        f"{mean.resamples} resamples of whole groups."
    )
    return f"# Cross-validation of {title}\n\n{about}\n\n{as_markdown(judged.found)}"
