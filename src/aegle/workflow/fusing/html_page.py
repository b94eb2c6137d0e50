"""What was measured of a fusion model as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

from aegle.evaluation.evaluate import About
from aegle.evaluation.page import document
from aegle.evaluation.sections import Section, Table, Tile
from aegle.evaluation.table import figure, interval
from aegle.workflow.fusing.page import (
    NAMES,
    bar_words,
    described_modalities,
    missing_rows,
    subgroup_rows,
    whole_rows,
)

FUSION = "fusion"


def html(judged: Mapping[str, Any], cohort: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """Return the page of one recipe, from plain data.

    Args:
        judged: What was measured.
        cohort: Whom it was measured on.
        facts: What is said first of the model, ``name`` its title.
    """
    score = NAMES[judged["score"]]
    told = {name: value for name, value in facts.items() if name != "name" and value}
    about = About(title=facts["name"], facts=told)
    return document(about, _tiles(judged, cohort, score), _sections(judged, cohort, score))


def _tiles(judged: Mapping[str, Any], cohort: Mapping[str, Any], score: str) -> tuple[Tile, ...]:
    whole = judged["whole"][FUSION]
    worst = min(judged["missing"], key=lambda one: one["masked"]["value"], default=None)
    held = sum(one["holds"] for one in judged["missing"])
    tiles = [
        Tile(
            anchor="whole",
            title=f"{score} with everything",
            value=figure(whole["value"]),
            detail=interval(whole["low"], whole["high"]),
        ),
        Tile(
            anchor="whole",
            title="Judged on",
            value=f"{cohort['patients']} patients",
            detail=f"{cohort['events']} of {cohort['rows']} rows with the outcome",
        ),
    ]
    if worst is not None:
        tiles.append(
            Tile(
                anchor="missing",
                title=f"{score} without {worst['modality']}",
                value=figure(worst["masked"]["value"]),
                detail="the modality whose absence costs most",
            )
        )
        tiles.append(
            Tile(
                anchor="missing",
                title="As good as trained without",
                value=f"{held} of {len(judged['missing'])}",
                detail="modalities, at most 0.01 below the best",
                tone="plain" if held == len(judged["missing"]) else "warn",
            )
        )
    return tuple(tiles)


def _sections(
    judged: Mapping[str, Any], cohort: Mapping[str, Any], score: str
) -> tuple[Section, ...]:
    sections = [
        Section(
            anchor="whole",
            title="With everything",
            lead=f"Modalities: {described_modalities(cohort['modalities'])}.",
            notes=(
                "Every model is trained on the same parts and judged on the same held-out rows; "
                "intervals are 95 %, bootstrap over patients, differences are paired.",
                *((bar_words(judged["bar"], score),) if judged["bar"] else ()),
            ),
            tables=(_table("Models", ["Model", score, "fusion above it"], whole_rows(judged)),),
        )
    ]
    if judged["missing"]:
        heads = ["Without", "fusion, not told", "best trained without it", "difference", "≥ -0.01"]
        sections.append(
            Section(
                anchor="missing",
                title="With a modality missing",
                lead="The model that was trained with everything is asked without one modality, "
                "and held against the best of all models that were trained without it.",
                notes=(
                    "As the largest of several noisy numbers, the best lies too high by chance, "
                    "the more so the fewer patients there are.",
                ),
                tables=(_table("By modality", heads, missing_rows(judged)),),
            )
        )
    if judged["subgroups"]:
        sections.append(_subgroups(judged["subgroups"], score))
    if cohort["notices"]:
        sections.append(
            Section(anchor="left-out", title="Left out", notes=tuple(cohort["notices"]))
        )
    return tuple(sections)


def _subgroups(tables: Sequence[Mapping[str, Any]], score: str) -> Section:
    heads = ["", "rows", score, "calibration error"]
    return Section(
        anchor="subgroups",
        title="Subgroups",
        lead="Whether the model is as good for some patients as for others, with everything that "
        "is known of them.",
        warnings=tuple(f"By {t['column']}: {t['reason']}" for t in tables if not t["subgroups"]),
        notes=(
            "Held-out rows of the first split together. Small groups have wide intervals: that "
            "they overlap does not say that the groups are served alike.",
        ),
        tables=tuple(
            _table(f"By {t['column']}", [t["column"], *heads[1:]], subgroup_rows(t))
            for t in tables
            if t["subgroups"]
        ),
    )


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    return Table(caption=caption, heads=tuple(heads), rows=tuple(tuple(row) for row in rows))
