"""What the page about boxes says, chapter by chapter."""

from collections.abc import Iterable

from aegle.evaluation.box_report import SHOWN_SCORE, BoxEvaluation, limits
from aegle.evaluation.curves import draw_intervals
from aegle.evaluation.froc import RATES
from aegle.evaluation.matched_objects import THRESHOLDS
from aegle.evaluation.outline_curves import draw_box_curves, draw_froc
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


def box_tiles(evaluation: BoxEvaluation) -> tuple[Tile, ...]:
    """Return what is seen first."""
    shown = (
        ("AP at 0.5, mean over classes", "scores", evaluation.ap_50),
        ("AP, mean over 0.5 to 0.95", "scores", evaluation.ap_50_95),
        ("Mean sensitivity (FROC)", "froc", evaluation.froc[-1]),
    )
    return (
        *(
            Tile(anchor=anchor, title=title, value=figure(e.value), detail=interval(e.low, e.high))
            for title, anchor, e in shown
        ),
        Tile(
            anchor="scores",
            title="Judged on",
            value=f"{sum(one.objects for one in evaluation.classes)} objects",
            detail=f"{len(evaluation.cases)} images, {evaluation.groups} groups",
        ),
        failure_tile(len(evaluation.failures), len(evaluation.cases)),
    )


def box_chapters(evaluation: BoxEvaluation) -> tuple[Section, ...]:
    """Return the chapters; those with nothing to say are left out."""
    by = f"F1 at an IoU of 0.5 and a score of {SHOWN_SCORE:g}"
    chapters: Iterable[Section | None] = (
        _scores(evaluation),
        _curves(evaluation),
        _froc(evaluation),
        failure_chapter([(case.name, case.error) for case in evaluation.failures]),
        worst_chapter(evaluation.pictures, (_cases(evaluation),), by),
        limits_chapter(str(sentence) for sentence in limits(evaluation)),
        how_chapter(evaluation.options),
    )
    return tuple(chapter for chapter in chapters if chapter)


def _scores(evaluation: BoxEvaluation) -> Section:
    rows = tuple(
        (
            one.name,
            str(one.objects),
            str(one.images),
            cell(one.ap_50),
            cell(one.ap_50_95),
            figure(one.area_50),
        )
        for one in evaluation.classes
    )
    objects = str(sum(one.objects for one in evaluation.classes))
    means = ("mean over classes", objects, str(len(evaluation.cases)))
    strips = [
        (one.name, one.ap_50.value, one.ap_50.low, one.ap_50.high)
        for one in evaluation.classes
        if one.objects
    ]
    caption = "Average precision at 0.5 by class; dotted: the mean."
    return Section(
        anchor="scores",
        title="Scores",
        lead="Average precision (AP) as in COCO, at 101 recalls. Intervals: "
        f"{evaluation.options.resamples} bootstrap resamples of groups.",
        pictures=(draw_intervals(strips, "AP at 0.5", evaluation.ap_50.value, caption),),
        tables=(
            Table(
                caption="Average precision",
                heads=("Class", "Objects", "Images", "AP at 0.5", "AP 0.5 to 0.95", "Area at 0.5"),
                rows=((*means, cell(evaluation.ap_50), cell(evaluation.ap_50_95), "–"), *rows),
            ),
            Table(
                caption="Mean over classes by IoU",
                heads=("IoU", "AP"),
                rows=tuple(
                    (f"{threshold:g}", figure(value))
                    for threshold, value in zip(THRESHOLDS, evaluation.by_threshold, strict=True)
                ),
            ),
        ),
        is_wide=True,
    )


def _curves(evaluation: BoxEvaluation) -> Section:
    names = (one.name for one in evaluation.classes)
    curves = draw_box_curves(tuple(zip(names, evaluation.found, strict=True)))
    return Section(anchor="curves", title="Precision and recall", pictures=(curves,))


def _froc(evaluation: BoxEvaluation) -> Section:
    rows = tuple(
        (words, cell(e))
        for words, e in zip(
            (*(f"{rate:g}" for rate in RATES), "mean"), evaluation.froc, strict=True
        )
    )
    return Section(
        anchor="froc",
        title="Found at how many false alarms",
        lead="Boxes of all classes together, right at an IoU of 0.5 with the right class.",
        pictures=(draw_froc(evaluation.marks),),
        tables=(
            Table(
                caption="Sensitivity",
                heads=("False positives per image", "Sensitivity"),
                rows=rows,
            ),
        ),
    )


def _cases(evaluation: BoxEvaluation) -> Table:
    worst = sorted(evaluation.cases, key=lambda case: (case.f1, case.name))[:MOST_ROWS]
    kept = "" if len(worst) == len(evaluation.cases) else f", the {len(worst)} worst"
    return Table(
        caption=f"Images{kept}, boxes with a score of {SHOWN_SCORE:g} or more",
        heads=("Image", "F1", "Objects", "Boxes", "Right"),
        rows=tuple(
            (case.name, figure(case.f1), str(case.truth), str(case.found), str(case.right))
            for case in worst
        ),
    )
