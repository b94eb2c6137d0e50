"""What the evaluation page says, chapter by chapter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aegle.evaluation import curves
from aegle.evaluation.bootstrap import Comparison, Estimate, Measured
from aegle.evaluation.cross_validation import RunScores
from aegle.evaluation.drawing import Picture
from aegle.evaluation.evaluate import Evaluation, limits
from aegle.evaluation.pictures import ImageOf, draw_case
from aegle.evaluation.probes import PROBES
from aegle.evaluation.scores import SCORES
from aegle.evaluation.shortcuts import AuditRow
from aegle.evaluation.subgroups import Subgroup, SubgroupTable
from aegle.evaluation.table import figure, interval, with_interval


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under heads; the first cell of a row names it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One chapter."""

    anchor: str
    title: str
    lead: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    is_wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One result in the summary."""

    anchor: str
    title: str
    value: str
    detail: str
    tone: str = "plain"


def tiles(evaluation: Evaluation) -> tuple[Tile, ...]:
    """Return what is seen first."""
    measured = evaluation.measured
    return (
        *(
            Tile(
                anchor="calibration" if name == "calibration_error" else "scores",
                title=SCORES[name].label,
                value=figure(measured[name].value),
                detail=interval(measured[name].low, measured[name].high),
            )
            for name in ("auc", "balanced_accuracy", "calibration_error")
        ),
        Tile(
            anchor="scores",
            title="Judged on",
            value=f"{measured.images} images",
            detail=f"{measured.groups} groups; "
            + ", ".join(f"{count} {name}" for name, count in measured.counts),
        ),
        *_audit_tile(evaluation.audit),
    )


def sections(evaluation: Evaluation, image_of: ImageOf | None) -> tuple[Section, ...]:
    """Return the chapters; those with nothing to say are left out."""
    chapters: Iterable[Section | None] = (
        _scores(evaluation),
        _curves(evaluation),
        _calibration(evaluation),
        _folds(evaluation),
        _subgroups(evaluation),
        _audit(evaluation),
        _elsewhere(evaluation),
        _readers(evaluation),
        _worst(evaluation, image_of),
        _limits(evaluation),
        _how(evaluation),
    )
    return tuple(chapter for chapter in chapters if chapter)


def score_table(caption: str, measured: Measured) -> Table:
    """Return scores with intervals."""
    percent = f"{measured.confidence * 100:g} % interval"
    return Table(
        caption=caption,
        heads=("Score", "Value", percent, "Perfect"),
        rows=tuple(
            (
                SCORES[e.name].label,
                figure(e.value),
                interval(e.low, e.high),
                f"{SCORES[e.name].best:g}",
            )
            for e in measured.estimates
        ),
    )


def _cell(estimate: Estimate) -> str:
    return with_interval(estimate.value, estimate.low, estimate.high)


def _audit_tile(audit: Sequence[AuditRow]) -> tuple[Tile, ...]:
    if not audit:
        return ()
    count = sum(row.is_suspicious for row in audit)
    return (
        Tile(
            anchor="shortcuts",
            title="Shortcut audit",
            value=f"{count} of {len(audit)} suspicious" if count else "nothing suspicious",
            detail="images with marks, anatomy or the look of the source taken away",
            tone="warn" if count else "good",
        ),
    )


def _scores(evaluation: Evaluation) -> Section:
    many = len(evaluation.predictions.classes) > 2
    lead = (
        "AUC, average precision and F1 are means over one class against the rest."
        if many
        else "AUC, average precision, F1, sensitivity and specificity are of the class looked for; "
        "an image counts as the likelier class."
    )
    rows = tuple(
        (
            one.name,
            str(one.images),
            _cell(one.auc),
            _cell(one.average_precision),
            _cell(one.recall),
            _cell(one.precision),
        )
        for one in evaluation.classes
    )
    heads = ("Class", "Images", "AUC", "Average precision", "Recall", "Precision")
    return Section(
        anchor="scores",
        title="Scores",
        lead=f"{lead} Intervals: {evaluation.measured.resamples} bootstrap resamples of groups.",
        pictures=(curves.draw_confusion(evaluation.predictions),),
        tables=(
            score_table("Scores", evaluation.measured),
            Table(caption="Each class against the rest", heads=heads, rows=rows),
        ),
    )


def _curves(evaluation: Evaluation) -> Section:
    predictions, options = evaluation.predictions, evaluation.options
    return Section(
        anchor="curves",
        title="Curves",
        pictures=(
            curves.draw_roc(predictions, options=options),
            curves.draw_precision_recall(predictions, options=options),
            curves.draw_histogram(predictions, options=options),
        ),
    )


def _calibration(evaluation: Evaluation) -> Section:
    options = evaluation.options
    kind = "equal width" if options.binning == "width" else "equal numbers of images"
    rows = tuple(
        (
            f"{one.stated:.1%}",
            f"{one.came:.1%}",
            f"{one.low:.1%} to {one.high:.1%}",
            str(one.images),
        )
        for one in evaluation.reliability
    )
    return Section(
        anchor="calibration",
        title="Calibration",
        lead=f"{options.bins} bins of {kind}. A temperature of {evaluation.temperature:.2f} would "
        "calibrate these predictions best (1: as they are; above 1: too sure).",
        pictures=(curves.draw_reliability(evaluation.predictions, options=options),),
        tables=(
            Table(
                caption="Stated and true",
                heads=("Stated", "True", "Interval (Wilson)", "Images"),
                rows=rows,
            ),
        ),
    )


def _folds(evaluation: Evaluation) -> Section | None:
    folds = evaluation.folds
    if folds is None:
        return None
    means = Table(
        caption="Mean over the runs",
        heads=("Score", "Runs", "Mean", "By group", "Over runs"),
        rows=tuple(_run_row(score, folds.mean[score.name]) for score in folds.runs),
    )
    return Section(
        anchor="folds",
        title="Several trainings",
        lead="By group: bootstrap, how the mean varies with other patients. Over runs: t "
        "interval, how much trainings differ; folds share training images, so it is somewhat "
        "too narrow.",
        tables=(means, *((_against(folds.comparison),) if folds.comparison else ())),
    )


def _against(comparison: Comparison) -> Table:
    return Table(
        caption="Against the baseline, paired resampling",
        heads=("Score", "Model", "Baseline", "Difference", "Interval", "Share ≤ 0"),
        rows=tuple(
            (
                SCORES[d.name].label,
                figure(d.first),
                figure(d.second),
                f"{d.value:+.3f}",
                interval(d.low, d.high),
                figure(d.share_not_above),
            )
            for d in comparison.differences
        ),
    )


def _run_row(score: RunScores, mean: Estimate) -> tuple[str, ...]:
    values = " ".join(figure(value) for value in score.values)
    return (
        SCORES[score.name].label,
        values,
        figure(score.mean),
        interval(mean.low, mean.high),
        interval(score.low, score.high),
    )


def _subgroups(evaluation: Evaluation) -> Section | None:
    if not evaluation.subgroups:
        return None
    whole = evaluation.measured["auc"]
    rows = [("all", whole.value, whole.low, whole.high)]
    for table in evaluation.subgroups:
        for one in table.subgroups:
            if one.measured:
                auc = one.measured["auc"]
                rows.append((f"{table.column}: {one.value}", auc.value, auc.low, auc.high))
    caption = "AUC of subgroups; dotted: of all images."
    return Section(
        anchor="subgroups",
        title="Subgroups",
        pictures=(curves.draw_intervals(rows, "AUC", whole.value, caption),),
        tables=tuple(_subgroup_table(table) for table in evaluation.subgroups if table.subgroups),
        notes=tuple(
            f"{table.column}: {table.reason}"
            for table in evaluation.subgroups
            if not table.subgroups
        ),
        is_wide=True,
    )


def _subgroup_table(table: SubgroupTable) -> Table:
    scored = [one.measured for one in table.subgroups if one.measured]
    names = [e.name for e in scored[0].estimates] if scored else []
    return Table(
        caption=table.column,
        heads=("Value", "Images", "Groups", "By class", *(SCORES[n].label for n in names)),
        rows=tuple(_subgroup_row(one, len(names)) for one in table.subgroups),
    )


def _subgroup_row(one: Subgroup, columns: int) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {name}" for name, count in one.counts)
    cells = (
        [_cell(e) for e in one.measured.estimates]
        if one.measured
        else [str(one.reason)] + [""] * max(columns - 1, 0)
    )
    return (one.value, str(one.images), str(one.groups), counts, *cells)


def _audit(evaluation: Evaluation) -> Section | None:
    if not evaluation.audit:
        return None
    unchanged = evaluation.audit[0].changes[0].second
    rows = [("images as they are", unchanged, unchanged, unchanged)]
    cells = []
    for row in evaluation.audit:
        auc, accuracy = row.estimates
        change = row.changes[0]
        rows.append((PROBES[row.probe].name, auc.value, auc.low, auc.high))
        cells.append(
            (
                PROBES[row.probe].name,
                row.kind.value,
                _cell(auc),
                f"{change.value:+.3f} ({interval(change.low, change.high)})",
                _cell(accuracy),
            )
        )
    caption = "AUC on changed images; dotted: chance."
    heads = ("With", "Kind", "AUC", "Change of AUC", "Balanced accuracy")
    return Section(
        anchor="shortcuts",
        title="Shortcut audit",
        lead="A model of the anatomy stays good without marks, fails without the anatomy, and "
        "stands another look.",
        warnings=tuple(str(row.verdict) for row in evaluation.audit if row.is_suspicious),
        notes=tuple(str(row.verdict) for row in evaluation.audit if not row.is_suspicious),
        pictures=(curves.draw_intervals(rows, "AUC", 0.5, caption),),
        tables=(Table(caption="Changed images", heads=heads, rows=tuple(cells)),),
        is_wide=True,
    )


def _elsewhere(evaluation: Evaluation) -> Section | None:
    if not evaluation.sources:
        return None
    return Section(
        anchor="elsewhere",
        title="Images from elsewhere",
        tables=tuple(
            score_table(f"{name}: {found.images} images, {found.groups} groups", found)
            for name, found in evaluation.sources.items()
        ),
    )


def _readers(evaluation: Evaluation) -> Section | None:
    if not evaluation.agreements:
        return None
    rows = tuple((who, e.name.replace("_", " "), _cell(e)) for who, e in evaluation.agreements)
    return Section(
        anchor="readers",
        title="Second reader",
        tables=(Table(caption="Agreement", heads=("Between", "Measure", "Value"), rows=rows),),
    )


def _worst(evaluation: Evaluation, image_of: ImageOf | None) -> Section:
    rows = tuple(
        (
            case.name,
            case.truth,
            case.predicted,
            f"{case.probability:.1%}",
            f"{case.probability_of_truth:.1%}",
        )
        for case in evaluation.worst
    )
    heads = ("Image", "True class", "Said", "Probability", "Of the true class")
    return Section(
        anchor="worst",
        title="Worst cases",
        lead="The most confident of the wrong answers." if rows else "No answer was wrong.",
        pictures=tuple(draw_case(c, image_of) for c in evaluation.worst) if image_of else (),
        tables=(Table(caption="Worst cases", heads=heads, rows=rows),) if rows else (),
    )


def _limits(evaluation: Evaluation) -> Section:
    return Section(
        anchor="limits",
        title="What the numbers do not say",
        notes=tuple(str(sentence) for sentence in limits(evaluation)),
    )


def _how(evaluation: Evaluation) -> Section:
    options = evaluation.options
    rows = tuple(
        (name.replace("_", " "), str(getattr(options, name)))
        for name in type(options).__dataclass_fields__
    )
    return Section(
        anchor="how",
        title="How it was judged",
        tables=(Table(caption="Options", heads=("Option", "Value"), rows=rows),),
    )
