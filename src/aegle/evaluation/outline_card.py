"""The part of a model card that states how well something is outlined or found."""

from collections.abc import Sequence

from aegle.evaluation.box_report import BoxEvaluation
from aegle.evaluation.box_report import limits as box_limits
from aegle.evaluation.object_report import ObjectEvaluation
from aegle.evaluation.object_report import limits as object_limits
from aegle.evaluation.outline_report import OutlineEvaluation
from aegle.evaluation.outline_report import limits as outline_limits
from aegle.evaluation.table import markdown_table, with_interval

Judged = OutlineEvaluation | ObjectEvaluation | BoxEvaluation


def outline_card_section(evaluation: Judged) -> str:
    """Return scores, failures, agreement with a second observer and limits as Markdown.

    The headings are those of a model card (see ``card``).
    """
    parts = [("Metrics", _metrics(evaluation))]
    if isinstance(evaluation, OutlineEvaluation) and evaluation.agreements:
        parts.append(("Second observer", _observers(evaluation)))
    parts.append(("Limits", _limits(evaluation)))
    return "\n".join(f"## {title}\n\n{text.strip()}\n" for title, text in parts)


def _metrics(evaluation: Judged) -> str:
    intervals = f"Intervals: {evaluation.options.resamples} bootstrap resamples of groups."
    judged = f"{len(evaluation.cases)} images in {evaluation.groups} groups. {intervals}"
    rows = evaluation.rows
    table = markdown_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    return f"{judged}\n\n{table}\n{_failed([case.name for case in evaluation.failures])}"


def _failed(names: Sequence[str]) -> str:
    if not names:
        return "No image failed."
    return f"Failed, and counted as nothing found: {', '.join(names)}."


def _observers(evaluation: OutlineEvaluation) -> str:
    rows = [
        (
            one.between,
            one.class_name,
            str(one.cases),
            with_interval(one.dice.value, one.dice.low, one.dice.high),
        )
        for one in evaluation.agreements
    ]
    return markdown_table(("between", "class", "images", "Dice"), rows)


def _limits(evaluation: Judged) -> str:
    if isinstance(evaluation, OutlineEvaluation):
        found = outline_limits(evaluation)
    elif isinstance(evaluation, ObjectEvaluation):
        found = object_limits(evaluation)
    else:
        found = box_limits(evaluation)
    return "".join(f"- {sentence}\n" for sentence in found)
