"""What the page about single objects says, chapter by chapter."""

from collections.abc import Iterable

from aegle.evaluation.object_report import LABELS, ObjectEvaluation, limits
from aegle.evaluation.outline_curves import draw_strips, draw_thresholds
from aegle.evaluation.outline_sections import (
    MOST_ROWS,
    cell,
    failure_chapter,
    failure_tile,
    how_chapter,
    limits_chapter,
    worst_chapter,
)
from aegle.evaluation.sections import Section, Table, Tile
from aegle.evaluation.table import figure, interval


def object_tiles(evaluation: ObjectEvaluation) -> tuple[Tile, ...]:
    """Return what is seen first."""
    return (
        *(
            Tile(
                anchor="scores",
                title=LABELS[name],
                value=figure(evaluation[name].value),
                detail=interval(evaluation[name].low, evaluation[name].high),
            )
            for name in ("f1", "panoptic_quality", "f1_mean")
        ),
        Tile(
            anchor="scores",
            title="Judged on",
            value=f"{sum(case.truth for case in evaluation.cases)} objects",
            detail=f"{len(evaluation.cases)} images, {evaluation.groups} groups",
        ),
        failure_tile(len(evaluation.failures), len(evaluation.cases)),
    )


def object_chapters(evaluation: ObjectEvaluation) -> tuple[Section, ...]:
    """Return the chapters; those with nothing to say are left out."""
    chapters: Iterable[Section | None] = (
        _scores(evaluation),
        _spread(evaluation),
        failure_chapter([(case.name, case.error) for case in evaluation.failures]),
        worst_chapter(evaluation.pictures, (_cases(evaluation),), "F1 at 0.5"),
        limits_chapter(str(sentence) for sentence in limits(evaluation)),
        how_chapter(evaluation.options),
    )
    return tuple(chapter for chapter in chapters if chapter)


def _scores(evaluation: ObjectEvaluation) -> Section:
    rows = tuple(
        (LABELS[e.name], figure(e.value), interval(e.low, e.high)) for e in evaluation.estimates
    )
    thresholds = tuple(
        (
            f"{one.threshold:g}",
            cell(one.f1),
            figure(one.precision),
            figure(one.recall),
            str(one.pairs),
            str(one.false),
            str(one.missed),
        )
        for one in evaluation.thresholds
    )
    percent = f"{evaluation.options.confidence * 100:g} % interval"
    return Section(
        anchor="scores",
        title="Scores",
        lead="An outlined object is right if its intersection over union (IoU) with a true one "
        f"reaches the threshold. Intervals: {evaluation.options.resamples} bootstrap resamples "
        "of groups.",
        pictures=(draw_thresholds(evaluation.thresholds),),
        tables=(
            Table(caption="Scores", heads=("Score", "Value", percent), rows=rows),
            Table(
                caption="By threshold",
                heads=("IoU", "F1", "Precision", "Recall", "Pairs", "False", "Missed"),
                rows=thresholds,
            ),
        ),
    )


def _spread(evaluation: ObjectEvaluation) -> Section:
    caption = "F1 at 0.5 of each image; the line is the median."
    strip = ("images", [case.f1 for case in evaluation.cases])
    return Section(
        anchor="spread",
        title="Image by image",
        pictures=(draw_strips([strip], "F1 at 0.5", caption),),
        is_wide=True,
    )


def _cases(evaluation: ObjectEvaluation) -> Table:
    worst = sorted(evaluation.cases, key=lambda case: (case.f1, case.name))[:MOST_ROWS]
    kept = "" if len(worst) == len(evaluation.cases) else f", the {len(worst)} worst"
    return Table(
        caption=f"Images{kept}",
        heads=("Image", "F1 at 0.5", "Objects", "Outlined", "Pairs"),
        rows=tuple(
            (
                case.name,
                figure(case.f1),
                str(case.truth),
                str(case.predicted),
                str(case.pairs[0]),
            )
            for case in worst
        ),
    )
