"""`aegle fuse`: read a table, judge fusion on folds, train on all, keep the model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aegle.evaluation.table import figure, interval
from aegle.learning.fusion.blend import blend
from aegle.learning.fusion.model_file import FusionModel, save
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.fusing.cohort import cohort_of, describe
from aegle.workflow.fusing.html_page import html
from aegle.workflow.fusing.judging import as_plain, judge
from aegle.workflow.fusing.page import section
from aegle.workflow.fusing.patients import DESCRIBER, form_of
from aegle.workflow.fusing.recipe import FusionRecipe, read_fusion_recipe
from aegle.workflow.learning.run_folder import (
    MODEL,
    Announce,
    Done,
    Step,
    opened,
    unannounced,
    write_json,
    write_text,
)

JUDGED = "fusion.json"
TABLES = "fusion.md"
PAGE = "fusion.html"


def fuse(
    recipe: str | Path | Mapping[str, Any] | FusionRecipe,
    out: str | Path,
    *,
    announce: Announce | None = None,
) -> Done:
    """Train a model of a patient table, laboratory values and image features, and judge it.

    Args:
        recipe: TOML file of a fusion recipe, or its sections.
        out: Folder of the run; made, or written anew.
        announce: Told of each step before it starts.

    Returns:
        Where the model and the page are, and the scores with every modality and without each.

    Raises:
        InputError: The table cannot be learned from; the message says what is wrong with which.
        OptionError: The recipe is wrong, a feature is a label, or the folder holds something else.
    """
    source = Path(recipe) if isinstance(recipe, str) else recipe
    return run(source, Path(out), announce=announce)


def run(
    source: Path | Mapping[str, Any] | FusionRecipe, out: Path, *, announce: Announce | None = None
) -> Done:
    """Do what ``fuse`` says, in the folder that is given."""
    recipe = source if isinstance(source, FusionRecipe) else read_fusion_recipe(source)
    tell = announce or unannounced
    with opened(out) as folder:
        tell(Step("read"), False)
        cohort = cohort_of(recipe, out / "cache")
        judged = judge(recipe, cohort, progress=tell(Step("judge"), False))
        tell(Step("train"), False)
        made = blend(
            cohort.table,
            cohort.outcome,
            recipe.model.task,
            options=recipe.fusion,
            boosting=recipe.boosting,
        )
        facts, measured = describe(cohort), as_plain(judged)
        describer = _describer(recipe, folder)
        model = FusionModel(
            name=recipe.model.name,
            blend=made,
            facts={
                "licence": recipe.model.licence,
                "trained_on": list(recipe.model.trained_on),
                "outcome": recipe.table.outcome,
                "positive": list(recipe.table.positive),
                "labels": list(recipe.table.labels),
                "training": {
                    name: asdict(getattr(recipe, name)) for name in ("fusion", "boosting")
                },
                "measured": measured["whole"],
                "sets": measured["sets"],
                "table": form_of(recipe, describer.name if describer else ""),
            },
        )
        numbers = {"name": recipe.model.name, "cohort": facts, "judged": measured}
        tables = f"# {recipe.model.name}\n\n{section(measured, facts)}"
        files = {
            "model": save(model, folder.root / MODEL),
            "numbers": write_json(folder, JUDGED, numbers),
            "tables": write_text(folder, TABLES, tables),
            "page": write_text(folder, PAGE, html(measured, facts, _about(recipe, model))),
        }
        if describer:
            files["image network"] = describer
    rows = [
        {"model": name, judged.score: figure(e.value), "interval": interval(e.low, e.high)}
        for name, e in judged.whole.items()
    ]
    return Done(folder=out, files=files, numbers=numbers, rows=rows, notices=cohort.notices)


def _about(recipe: FusionRecipe, model: FusionModel) -> dict[str, str]:
    foretold = f"{recipe.table.outcome} = {' or '.join(recipe.table.positive)}"
    return {
        "name": model.name,
        "Foretold": foretold if not recipe.table.time else f"{foretold}, and when",
        "Licence": recipe.model.licence,
        "Trained on": "; ".join(recipe.model.trained_on),
    }


def _describer(recipe: FusionRecipe, folder: CaseFolder) -> Path | None:
    """Keep the network that describes images beside the model, which is of no use without it."""
    source = recipe.image.model or recipe.image.weights
    if not (recipe.image.column and source):
        return None
    kept = folder.root / f"{DESCRIBER}{Path(source).suffix}"
    with folder.replacing(kept) as part:
        part.write_bytes(Path(source).read_bytes())
    return kept
