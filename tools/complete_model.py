"""Write into a model's file what its training leaves open.

For which images it is made, how far its sets and maps can be trusted, and where its training
images lie.

    complete_model.py MODEL.safetensors RUN OUT.safetensors [--audit AUDIT]

RUN is the folder of the cross-validated training (prepared images, out-of-fold predictions); AUDIT
one that ``aegle explain --audit`` wrote. Names and classes of training images are kept, no picture.
"""

import argparse
import csv
import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from aegle.diagnosis import prediction_sets
from aegle.diagnosis.conformal import ConformalOptions
from aegle.diagnosis.explain import trust
from aegle.diagnosis.explain.audit import MapScores
from aegle.diagnosis.explain.maps import DEFAULT
from aegle.domain.prediction import Predictions
from aegle.evaluation.calibration_tests import folds_by_group
from aegle.learning import applicability, neighbours
from aegle.learning.model import Model, load, save


def complete(model_file: Path, run: Path, out: Path, audit: Path | None = None) -> Path:
    """Write the model with all that can be said of it."""
    model = load(model_file)
    said = out_of_fold(run / "predictions.csv", model.facts.classes)
    values = prepared(model, run, said.names)
    folds = folds_by_group(said.groups, applicability.FOLDS)
    found = applicability.fit(*applicability.features_and_logits(model, values), folds)
    model = applicability.kept_with(model, found)
    names = [Path(name).stem for name in said.names]
    model = neighbours.kept_with(model, values, names, said.truth.tolist())
    sets = prediction_sets.calibrated(said, options=ConformalOptions())
    extras = {**model.facts.extras, prediction_sets.KEY: sets}
    model = replace(model, facts=replace(model.facts, extras=extras))
    if audit is not None:
        model = trust.kept_with(model, *audited(audit))
    is_half = any(v.dtype == np.float16 for v in load_file(model_file).values())
    return save(model, out, half=is_half)


def completed_card(card: str, run: Path, shipped: Path, work: Path) -> str:
    """Complete a shipped model in its place, and return its card with what was added.

    Args:
        card: As the training wrote it.
        run: Folder of the training.
        shipped: The model's file.
        work: Where maps are audited.
    """
    from measure_explanations import PARTS

    before = load(shipped).digest
    complete(shipped, run, shipped)
    PARTS["radiograph-opacities"](work)
    save(
        trust.kept_with(load(shipped), *audited(work / "radiograph-opacities")), shipped, half=True
    )
    model = load(shipped)
    size = shipped.stat().st_size / 1e6
    card = re.sub(r"\| File \| .* \|", f"| File | {size:.2f} MB |", card)
    return card.replace(before, model.digest) + about(model)


def about(model: Model) -> str:
    """Return the part of a card on what was written into the model's file afterwards."""
    extras = model.facts.extras
    sets = extras[prediction_sets.KEY]["all"]
    limit = sets["limits"]["all"]
    said = trust.trust(model, DEFAULT)
    return (
        "\n## Sets, maps and neighbours\n\n"
        f"- Sets of classes hold the truth in {100 * (1 - limit['alpha']):.0f} % of patients like "
        f"these: limits from {limit['cases']} out-of-fold predictions (LAC); "
        f"{100 * sets['measured']['all']:.1f} % measured with limits that do not know the image. "
        "The images state neither sex nor view, so groups of patients are not told apart.\n"
        f"- {said}\n"
        f"- The file names the {len(extras[neighbours.KEY]['names'])} training images with their "
        "classes and places among each other; it holds no picture.\n"
    )


def out_of_fold(path: Path, classes: tuple[str, ...]) -> Predictions:
    """Return predictions as a training wrote them."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    shares = np.array([[float(row[f"probability_{name}"]) for name in classes] for row in rows])
    return Predictions(
        classes=classes,
        names=tuple(row["name"] for row in rows),
        truth=np.array([classes.index(row["truth"]) for row in rows]),
        probabilities=shares / shares.sum(axis=1, keepdims=True),
        groups=tuple(row["group"] for row in rows),
    )


def prepared(model: Model, run: Path, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return prepared images of a training by their names."""
    wanted = json.loads(json.dumps(asdict(model.facts.preparation)))
    index = next(
        path
        for path in sorted((run / "cache").glob("*/index.json"))
        if json.loads(path.read_text("utf-8"))["preparation"] == wanted
    )
    place = {n: i for i, n in enumerate(json.loads(index.read_text("utf-8"))["names"])}
    values = np.load(index.with_name("values.npy"), mmap_mode="r", allow_pickle=False)
    return np.asarray(values[[place[name] for name in names]])


def audited(folder: Path) -> tuple[list[MapScores], str]:
    """Return what an audit measured, and on what."""
    numbers = json.loads((folder / "audit.json").read_text("utf-8"))
    known = {field.name for field in fields(MapScores)}

    def score(row: dict[str, Any]) -> MapScores:
        filled: dict[str, Any] = {
            k: float("nan") if v is None else v for k, v in row.items() if k in known
        }
        return MapScores(**filled)

    return [score(row) for row in numbers["methods"]], str(numbers["data"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--audit", type=Path)
    given = parser.parse_args()
    complete(given.model, given.run, given.out, given.audit)
