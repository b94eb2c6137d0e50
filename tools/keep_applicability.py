"""Write into a model's file what it is applicable to, from the prepared images of its training.

Usage: keep_applicability.py MODEL.safetensors RUN OUT.safetensors    (RUN: folder of the training)
"""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from aegle.evaluation.calibration_tests import folds_by_group
from aegle.learning.applicability import FOLDS, features_and_logits, fit, kept_with
from aegle.learning.model import load, save


def main(model_file: Path, run: Path, out: Path) -> None:
    """Fit the distribution of features, with limits by groups, and write the model with it."""
    model = load(model_file)
    wanted = json.loads(json.dumps(asdict(model.facts.preparation)))
    index = next(
        path
        for path in sorted((run / "cache").glob("*/index.json"))
        if json.loads(path.read_text("utf-8"))["preparation"] == wanted
    )
    names = json.loads(index.read_text("utf-8"))["names"]
    with (run / "predictions.csv").open(newline="") as file:
        group_of = {row["name"]: row["group"] for row in csv.DictReader(file)}
    kept = [place for place, name in enumerate(names) if name in group_of]
    values = np.load(index.with_name("values.npy"), mmap_mode="r", allow_pickle=False)[kept]
    folds = folds_by_group([group_of[names[place]] for place in kept], FOLDS)
    found = fit(*features_and_logits(model, values), folds)
    is_half = any(v.dtype == np.float16 for v in load_file(model_file).values())
    save(kept_with(model, found), out, half=is_half)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
