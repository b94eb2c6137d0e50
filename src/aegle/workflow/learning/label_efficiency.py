"""How good a model becomes with fewer labels, from given weights and from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aegle.evaluation.bootstrap import Measured, measure_mean
from aegle.evaluation.drawing import chart, finish, legend, picture_of
from aegle.evaluation.scores import SCORES
from aegle.evaluation.table import figure, interval
from aegle.workflow.learning.building import without_weights
from aegle.workflow.learning.fitting import fit, predicted
from aegle.workflow.learning.judging import numbers_of
from aegle.workflow.learning.materials import Materials
from aegle.workflow.learning.parts import fewer_labels
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.run_folder import Done, write_json, write_table

SCORE = {True: "auc", False: "balanced_accuracy"}
"""What is drawn, by whether there are two classes."""
GIVEN, SCRATCH = "this recipe", "from scratch"


@dataclass(frozen=True, kw_only=True)
class Point:
    """Scores with one share of the labels, the mean over parts and seeds."""

    start: str
    """``this recipe`` or ``from scratch``."""
    share: float
    images: float
    """Labelled images per training, the mean over the trainings."""
    measured: Measured


def label_efficiency(materials: Materials, parts: Sequence[Part]) -> Done:
    """Train with fewer and fewer labels, and write table and picture of the scores.

    Args:
        materials: Plan, prepared images, folder.
        parts: On which it is repeated.
    """
    options = materials.plan.recipe.validate
    wanted = {GIVEN: options.label_shares, SCRATCH: options.scratch_shares}
    points = [
        _point(materials, parts, start, share)
        for start, shares in wanted.items()
        for share in sorted(set(shares))
    ]
    name = SCORE[len(materials.prepared.classes) == 2]
    rows = [_row(point, name) for point in points]
    numbers = [
        {"start": p.start, "share": p.share, "labelled": p.images} | numbers_of(p.measured)
        for p in points
    ]
    folder = materials.folder
    place = folder.root / "label-efficiency.png"
    with folder.replacing(place) as part:
        part.write_bytes(_drawn(points, name))
    files = {
        "label efficiency": write_json(folder, "label-efficiency.json", numbers),
        "label efficiency table": write_table(folder, "label-efficiency.csv", rows),
        "label efficiency picture": place,
    }
    return Done(folder=folder.root, files=files, numbers={"label_efficiency": numbers}, rows=rows)


def _point(materials: Materials, parts: Sequence[Part], start: str, share: float) -> Point:
    recipe = materials.plan.recipe
    runs, counts = [], []
    for seed in recipe.validate.seeds:
        for whole in parts:
            part = fewer_labels(materials.samples, whole, share, seed)
            chosen = None
            if start == SCRATCH:
                part, chosen = replace(part, name=f"{part.name}-scratch"), without_weights(recipe)
            model = fit(materials, part, seed, chosen).model
            runs.append(predicted(materials.prepared, materials.where(part.judged), model))
            counts.append(len(part.training) + len(part.tuning))
    return Point(
        start=start,
        share=share,
        images=sum(counts) / len(counts),
        measured=measure_mean(runs, options=recipe.evaluate),
    )


def _row(point: Point, name: str) -> dict[str, str]:
    found = point.measured[name]
    return {
        "start": point.start,
        "labels": f"{100 * point.share:g} %",
        "images": f"{point.images:.0f}",
        SCORES[name].label: figure(found.value),
        "interval": interval(found.low, found.high),
    }


def _drawn(points: Sequence[Point], name: str) -> bytes:
    """Return a chart of the score against the share of the labels, as PNG."""
    figure_, axes = chart()
    finish(axes, "share of the labels [%]", SCORES[name].label)
    for start in dict.fromkeys(point.start for point in points):
        own = [point for point in points if point.start == start]
        values = [p.measured[name].value for p in own]
        below = [p.measured[name].value - p.measured[name].low for p in own]
        above = [p.measured[name].high - p.measured[name].value for p in own]
        shares = [100 * p.share for p in own]
        axes.errorbar(shares, values, yerr=(below, above), marker="o", capsize=3, label=start)
    axes.set_xscale("log")
    axes.set_xticks([100 * p.share for p in points], [f"{100 * p.share:g}" for p in points])
    axes.minorticks_off()
    legend(axes, "lower right")
    return picture_of(figure_, "Score against share of labels").data
