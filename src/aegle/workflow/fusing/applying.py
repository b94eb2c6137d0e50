"""Use a fusion model on new patients: how likely, how sure, what was missing, and what counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aegle.evaluation.evaluate import About
from aegle.evaluation.page import document
from aegle.evaluation.sections import Section, Tile
from aegle.evaluation.sections import Table as Rows
from aegle.evaluation.table import figure
from aegle.learning.fusion.contributions import contributions
from aegle.learning.fusion.model_file import FusionModel, load
from aegle.workflow.fusing.patients import Patients, read_form, read_patients
from aegle.workflow.fusing.sets import sets_of
from aegle.workflow.learning.run_folder import (
    Announce,
    Done,
    Step,
    opened,
    require_no_training,
    unannounced,
    write_json,
    write_table,
    write_text,
)

REVIEW = "REVIEW"
JUDGED = "judged"
NOTHING = "Nothing is known that the model takes."
MOST_SHOWN = 500
"""Patients that a page shows."""


def run(model: Path, path: Path, out: Path, *, announce: Announce | None = None) -> Done:
    """Use a fusion model on the patients of a table.

    Args:
        model: Model file.
        path: CSV or ARFF file, or a folder with manifest.csv.
        out: Folder for the results.
        announce: Told of each step before it starts.

    Raises:
        FileError: The model, the table or an image cannot be read.
        InputError: A column or unit is unknown, or nothing that the model takes is there.
        OptionError: The folder holds something else, or the table names no patients.
    """
    told = announce or unannounced
    loaded = load(model)
    told(Step("read"), False)
    given = read_patients(path, read_form(loaded.facts, model), loaded.features)
    require_no_training(out)
    with opened(out) as folder:
        told(Step("predict"), False)
        said = say(loaded, given)
        numbers = {
            "model": loaded.name,
            "model_digest": loaded.digest,
            "task": loaded.blend.fusion.head,
            "outcome": _event(loaded),
            "patients": said,
            "notices": list(given.notices),
        }
        rows = [_row(one, loaded) for one in said]
        files = {
            "predictions": write_table(folder, "predictions.csv", rows),
            "data": write_json(folder, "predictions.json", numbers),
            "page": write_text(folder, "predictions.html", _page(loaded, rows, given.notices)),
        }
    return Done(folder=out, files=files, numbers=numbers, rows=rows[:20], notices=given.notices)


def say(model: FusionModel, given: Patients) -> list[dict[str, Any]]:
    """Return what a model says of each row, or why it says nothing."""
    table, present = given.table, given.table.present()
    usable = np.array(
        [not why and bool(there.any()) for why, there in zip(given.reasons, present, strict=True)]
    )
    asked = np.flatnonzero(usable)
    rows = table.rows(asked)
    risk = model.risk(rows)
    start, added = contributions(model.blend.risk, rows)
    is_class = model.blend.fusion.head == "classify"
    sets = sets_of(model.facts.get("sets") if is_class else None, rows, risk)
    places = {int(row): place for place, row in enumerate(asked)}
    made: list[dict[str, Any]] = []
    for row, patient in enumerate(table.groups):
        about: dict[str, Any] = {
            "patient": patient,
            "missing": [
                n for n, there in zip(table.modalities, present[row], strict=True) if not there
            ],
            "unknown": [
                f.name
                for f, value in zip(table.features, table.values[row], strict=True)
                if np.isnan(value) and f.modality != "image"
            ],
        }
        if row not in places:
            reasons = list(given.reasons[row]) or [NOTHING]
            made.append({**about, "status": REVIEW, "reasons": reasons})
            continue
        place = places[row]
        modalities = zip(table.modalities, added[place].tolist(), strict=True)
        made.append(
            {
                **about,
                "status": JUDGED,
                **_said(model, float(risk[place])),
                **sets[place],
                "start": start,
                "contributions": dict(modalities),
            }
        )
    return made


def _said(model: FusionModel, risk: float) -> dict[str, float]:
    if model.blend.fusion.head == "classify":
        return {"probability": float(1 / (1 + np.exp(-risk)))}
    return {"risk": risk}


def _event(model: FusionModel) -> str:
    """Return what is foretold, in the words of the training's table."""
    return f"{model.facts.get('outcome', '?')} = {' or '.join(model.facts.get('positive', ()))}"


def _row(one: Mapping[str, Any], model: FusionModel) -> dict[str, str]:
    """Return one line of the table."""
    value = "probability" if model.blend.fusion.head == "classify" else "risk"
    row = {"patient": one["patient"], "status": one["status"]}
    row[value] = f"{one[value]:.4f}" if value in one else ""
    if value == "probability":
        kept = one.get("set")
        row["set"] = "" if kept is None else " | ".join(kept) or "none"
        row["coverage"] = f"{one['coverage']:.0%}" if "coverage" in one else ""
    row["missing"] = ", ".join(one["missing"])
    for modality in model.blend.fusion.network.order:
        added = one.get("contributions", {}).get(modality)
        row[f"adds {modality}"] = "" if added is None else f"{added:+.3f}"
    row["reasons"] = " ".join(one.get("reasons", ()))
    return row


def _page(model: FusionModel, rows: Sequence[Mapping[str, str]], notices: Sequence[str]) -> str:
    refused = sum(row["status"] == REVIEW for row in rows)
    is_class = model.blend.fusion.head == "classify"
    lead = (
        "The probability that the outcome is as named above, by patient."
        if is_class
        else "The logarithm of the hazard relative to the average patient: larger is earlier."
    )
    notes = [
        "A modality of which nothing is known is missing; the model was made to bear that, and "
        "how well is in its own page.",
        "What a modality adds is in units of the logit (of the logarithm of the hazard for "
        "survival): it is what the model rests on, not what causes the outcome.",
    ]
    if is_class:
        notes.insert(
            1,
            "The set holds the true class as often as stated among patients of whom the same is "
            "missing; it was calibrated on patients whom the model had not seen. Empty: too "
            "little is known of such patients.",
        )
    section = Section(
        anchor="patients",
        title="Patients",
        lead=lead,
        warnings=tuple(notices)
        + ((f"{refused} of {len(rows)} patients have no result; see why.",) if refused else ()),
        notes=tuple(notes),
        tables=(
            Rows(
                caption=f"First {MOST_SHOWN} of {len(rows)}" if len(rows) > MOST_SHOWN else "All",
                heads=tuple(rows[0]),
                rows=tuple(tuple(row.values()) for row in rows[:MOST_SHOWN]),
            ),
        ),
        is_wide=True,
    )
    tiles = [
        Tile(anchor="patients", title="Patients", value=str(len(rows)), detail="in the table"),
        Tile(
            anchor="patients",
            title="No result",
            value=str(refused),
            detail="what was stated cannot be used",
            tone="warn" if refused else "plain",
        ),
        *_score_tile(model),
    ]
    facts = {
        "Foretold": _event(model),
        "Model": f"{model.name} ({model.digest[:12]})",
        "Licence": str(model.facts.get("licence") or "not stated"),
        "Trained on": "; ".join(model.facts.get("trained_on", ())) or "not stated",
    }
    title = f"What {model.name} says of {len(rows)} patients"
    return document(About(title=title, facts=facts), tiles, (section,))


def _score_tile(model: FusionModel) -> tuple[Tile, ...]:
    measured = (model.facts.get("measured") or {}).get("fusion")
    if not measured:
        return ()
    name = "AUROC" if model.blend.fusion.head == "classify" else "C-index"
    return (
        Tile(
            anchor="patients",
            title=f"{name} in cross-validation",
            value=figure(measured["value"]),
            detail=f"{figure(measured['low'])} to {figure(measured['high'])}",
        ),
    )
