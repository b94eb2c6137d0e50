"""What the page about outlines of classes says, chapter by chapter."""

from collections.abc import Iterable, Sequence

from aegle.evaluation.bootstrap import Estimate
from aegle.evaluation.drawing import Picture
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.outline_curves import draw_strips
from aegle.evaluation.outline_report import (
    ClassOutlines,
    OutlineEvaluation,
    length,
    limits,
)
from aegle.evaluation.overlap import OutlineScores
from aegle.evaluation.sections import Section, Table, Tile
from aegle.evaluation.table import figure, interval, with_interval

MOST_ROWS = 40
"""Images in a table: the worst of them."""


def outline_tiles(evaluation: OutlineEvaluation) -> tuple[Tile, ...]:
    """Return what is seen first."""
    return (
        Tile(
            anchor="scores",
            title="Dice, mean over classes",
            value=figure(evaluation.dice.value),
            detail=interval(evaluation.dice.low, evaluation.dice.high),
        ),
        *(
            Tile(
                anchor="scores",
                title=f"Dice, {one.name}",
                value=figure(one["dice"].value),
                detail=interval(one["dice"].low, one["dice"].high),
            )
            for one in evaluation.classes[:4]
            if len(evaluation.classes) > 1
        ),
        Tile(
            anchor="scores",
            title="Judged on",
            value=f"{len(evaluation.cases)} images",
            detail=f"{evaluation.groups} groups",
        ),
        failure_tile(len(evaluation.failures), len(evaluation.cases)),
    )


def outline_chapters(evaluation: OutlineEvaluation) -> tuple[Section, ...]:
    """Return the chapters; those with nothing to say are left out."""
    chapters: Iterable[Section | None] = (
        _scores(evaluation),
        _spread(evaluation),
        _observers(evaluation),
        failure_chapter([(case.name, case.error) for case in evaluation.failures]),
        worst_chapter(evaluation.pictures, (_cases(evaluation),), "Dice"),
        limits_chapter(str(sentence) for sentence in limits(evaluation)),
        how_chapter(
            evaluation.options, (("tolerance", f"{evaluation.tolerance:g} {evaluation.unit}"),)
        ),
    )
    return tuple(chapter for chapter in chapters if chapter)


def failure_tile(failed: int, cases: int) -> Tile:
    """Return how many images the model failed on."""
    return Tile(
        anchor="failures" if failed else "scores",
        title="Failed images",
        value=f"{failed} of {cases}",
        detail="count as nothing found" if failed else "none was left out",
        tone="warn" if failed else "good",
    )


def failure_chapter(failed: Sequence[tuple[str, str]]) -> Section | None:
    """Return the images that the model failed on, with the reason of each."""
    if not failed:
        return None
    return Section(
        anchor="failures",
        title="Failed images",
        lead="They count in every score, as images in which nothing was found.",
        tables=(Table(caption="Failed", heads=("Image", "Reason"), rows=tuple(failed)),),
    )


def worst_chapter(pictures: Sequence[Picture], tables: tuple[Table, ...], by: str) -> Section:
    """Return the worst images as pictures with their scores."""
    return Section(
        anchor="worst-images",
        title="Worst images",
        lead=f"By {by}, the lowest first.",
        pictures=tuple(pictures),
        tables=tables,
    )


def limits_chapter(sentences: Iterable[str]) -> Section:
    """Return what the numbers do not say."""
    return Section(anchor="limits", title="What the numbers do not say", notes=tuple(sentences))


def how_chapter(options: EvaluationOptions, more: tuple[tuple[str, str], ...] = ()) -> Section:
    """Return the options that the numbers depend on."""
    names = ("resamples", "confidence", "seed")
    rows = tuple((name, str(getattr(options, name))) for name in names)
    return Section(
        anchor="how",
        title="How it was judged",
        tables=(Table(caption="Options", heads=("Option", "Value"), rows=(*rows, *more)),),
    )


def cell(estimate: Estimate) -> str:
    """Return an estimate with its interval."""
    return with_interval(estimate.value, estimate.low, estimate.high)


def _scores(evaluation: OutlineEvaluation) -> Section:
    unit, near = evaluation.unit, f"{evaluation.tolerance:g} {evaluation.unit}"
    size = "mL" if unit == "mm" else "pixel"
    overlap = Table(
        caption="Overlap",
        heads=("Class", "Images with it", "Dice", "Where present", "Median", "Worst"),
        rows=tuple(_overlap_row(one) for one in evaluation.classes),
    )
    voxels = Table(
        caption="Voxels",
        heads=("Class", "Jaccard", "Precision", "Recall", "Missed images", "False images"),
        rows=tuple(_voxel_row(one) for one in evaluation.classes),
    )
    surfaces = Table(
        caption="Surfaces",
        heads=(
            "Class",
            f"Surface within {near}",
            f"HD95 [{unit}], median",
            "HD95 infinite",
            "Not defined",
        ),
        rows=tuple(_surface_row(one) for one in evaluation.classes),
    )
    sizes = Table(
        caption="Sizes",
        heads=("Class", f"Error [{size}]", "Relative error"),
        rows=tuple(_size_row(one) for one in evaluation.classes),
    )
    return Section(
        anchor="scores",
        title="Scores",
        lead="Means over images, with intervals of "
        f"{evaluation.options.resamples} bootstrap resamples of groups. An image in which only "
        "the truth or only the model has a class counts with Dice 0 and an infinite distance; "
        "where neither has it, Dice is 1 and distances are not defined.",
        tables=(overlap, surfaces, sizes, voxels),
    )


def _overlap_row(one: ClassOutlines) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.present} of {one.cases}",
        cell(one["dice"]),
        cell(one["dice_present"]),
        figure(one.median_dice),
        f"{figure(one.worst_dice)} ({one.worst_case})",
    )


def _voxel_row(one: ClassOutlines) -> tuple[str, ...]:
    shares = (cell(one[name]) for name in ("jaccard", "precision", "recall"))
    return (one.name, *shares, str(one.missed), str(one.false))


def _surface_row(one: ClassOutlines) -> tuple[str, ...]:
    far = one["hausdorff"]
    return (
        one.name,
        cell(one["surface"]),
        f"{length(far.value)} ({length(far.low)} to {length(far.high)})",
        str(one.infinite),
        str(one.no_surface),
    )


def _size_row(one: ClassOutlines) -> tuple[str, ...]:
    error, relative = one["size_error"], one["relative_size_error"]
    return (
        one.name,
        f"{error.value:+.2f} ({error.low:+.2f} to {error.high:+.2f})",
        "–" if relative.value != relative.value else f"{relative.value:+.1%}",
    )


def _spread(evaluation: OutlineEvaluation) -> Section:
    strips = [
        (one.name, [case.classes[place].dice for case in evaluation.cases])
        for place, one in enumerate(evaluation.classes)
    ]
    caption = "Dice of each image by class; the line is the median."
    return Section(
        anchor="spread",
        title="Image by image",
        pictures=(draw_strips(strips, "Dice", caption),),
        is_wide=True,
    )


def _observers(evaluation: OutlineEvaluation) -> Section | None:
    if not evaluation.agreements:
        return None
    rows = tuple(
        (one.between, one.class_name, str(one.cases), cell(one.dice))
        for one in evaluation.agreements
    )
    return Section(
        anchor="observers",
        title="Second observer",
        lead="On the images that a second person outlined too. The last row of a class says how "
        "much closer the model comes to the first observer than the second observer does.",
        tables=(
            Table(caption="Agreement", heads=("Between", "Class", "Images", "Dice"), rows=rows),
        ),
    )


def _cases(evaluation: OutlineEvaluation) -> Table:
    worst = sorted(evaluation.cases, key=lambda case: (case.dice, case.name))[:MOST_ROWS]
    names = [one.name for one in evaluation.classes]
    kept = "" if len(worst) == len(evaluation.cases) else f", the {len(worst)} worst"
    return Table(
        caption=f"Images{kept}: Dice (surface, HD95 [{evaluation.unit}])",
        heads=("Image", "Mean Dice", *names),
        rows=tuple((case.name, figure(case.dice), *map(_short, case.classes)) for case in worst),
    )


def _short(one: OutlineScores) -> str:
    return f"{figure(one.dice)} ({figure(one.surface)}, {length(one.hausdorff)})"
