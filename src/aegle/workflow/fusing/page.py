"""What was measured of a fusion model, as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from aegle.evaluation.table import interval, markdown_table, with_interval

NAMES = {"auc": "AUROC", "concordance": "C-index"}


def section(judged: Mapping[str, Any], cohort: Mapping[str, Any]) -> str:
    """Return tables of one recipe as Markdown, from plain data."""
    score = NAMES[judged["score"]]
    parts = [
        f"{cohort['rows']} rows of {cohort['patients']} patients, {cohort['events']} of them with "
        f"the outcome. Modalities: {described_modalities(cohort['modalities'])}.\n\n",
        markdown_table(
            [f"With everything, {score}", "value", "fusion above it"], whole_rows(judged)
        ),
    ]
    if judged["missing"]:
        heads = ["Without", "fusion, not told", "best trained without it", "difference", "≥ -0.01"]
        parts += ["\n", markdown_table(heads, missing_rows(judged))]
    if judged["bar"]:
        parts.append(f"\n{bar_words(judged['bar'], score)}\n")
    parts += [_subgroups(table, score) for table in judged["subgroups"]]
    notices = [f"- {notice}\n" for notice in cohort["notices"]]
    return "".join([*parts, *(["\nLeft out:\n\n", *notices] if notices else [])])


def described_modalities(found: Mapping[str, Any]) -> str:
    """Return the modalities with how much is known of each."""
    return ", ".join(
        f"{name} ({facts['features']} features, known of {facts['present']:.0%})"
        for name, facts in found.items()
    )


def whole_rows(judged: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return a row for each model, with everything."""
    return [
        [name, estimate(found), _signed(judged["against"].get(name))]
        for name, found in judged["whole"].items()
    ]


def missing_rows(judged: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return a row for each modality that was taken away."""
    return [_missing(one) for one in judged["missing"]]


def _missing(one: Mapping[str, Any]) -> Sequence[str]:
    best = one["best"]
    return [
        one["modality"],
        estimate(one["masked"]),
        f"{estimate(one['best_estimate'])}, {best}",
        _signed(one["against_best"]),
        "yes" if one["holds"] else f"no, by {-0.01 - one['against_best']['value']:.3f}",
    ]


def bar_words(bar: Mapping[str, Any], score: str) -> str:
    """Say how one column alone does beside fusion."""
    return (
        f"On the {bar['rows']} rows that state the bar's column: the column alone has {score} "
        f"{estimate(bar['column'])}, fusion {estimate(bar['fusion'])}, difference "
        f"{_signed(bar['difference'])}."
    )


def _subgroups(table: Mapping[str, Any], score: str) -> str:
    if not table["subgroups"]:
        return f"\nBy {table['column']}: {table['reason']}\n"
    heads = [table["column"], "rows", score, "calibration error"]
    return "\n" + markdown_table(heads, subgroup_rows(table))


def subgroup_rows(table: Mapping[str, Any]) -> list[Sequence[str]]:
    """Return a row for each subgroup."""
    rows: list[Sequence[str]] = []
    for one in table["subgroups"]:
        found = one["measured"]
        auc = found and next(e for e in found["estimates"] if e["name"] == "auc")
        error = found and next(e for e in found["estimates"] if e["name"] == "calibration_error")
        rows.append(
            [
                one["value"],
                str(one["images"]),
                estimate(auc) if auc else one["reason"],
                estimate(error) if error else "–",
            ]
        )
    return rows


def estimate(found: Mapping[str, Any]) -> str:
    """Return a score with its interval."""
    return with_interval(*(_number(found[key]) for key in ("value", "low", "high")))


def _signed(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    bounds = interval(_number(found["low"]), _number(found["high"]))
    return f"{found['value']:+.3f} ({bounds})"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
