"""Measure anomaly detection: memory bank against autoencoders and principal components.

    python tools/measure_anomaly.py ../shared/data [--only busi] [--page docs/...md]

Writes docs/reference/anomaly-measured.json, and from it docs/reference/anomaly-measured.md.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomaly_methods import (
    FOLDS,
    KINDS,
    MAP,
    PREPARATIONS,
    Banks,
    Candidate,
    Drawings,
    FoldScore,
    Indices,
    Judge,
    Kind,
    Trial,
    trial_of,
)
from anomaly_page import page
from numpy.typing import NDArray
from torch import nn

from aegle.evaluation.weighted import area_under_curve
from aegle.learning.foreground import foreground
from aegle.learning.preparation import PreparationOptions
from aegle.learning.samples import Sample

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
TUNING_FOLDS, FINALISTS, RESAMPLES = 2, 10, 2000


def auroc(scores: NDArray[np.float64], is_odd: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve."""
    return float(area_under_curve(scores, is_odd, np.ones((1, len(scores))))[0])


def tuned(
    trial: Trial, settings: Iterator[tuple[Candidate, FoldScore]]
) -> tuple[Candidate, list[dict[str, Any]], float]:
    """Return the best setting on the tuning anomalies, all of them, and processor seconds.

    All settings are judged with the normal images of two folds, the best of these with all.
    """
    start = time.process_time()
    found = []
    for candidate, score in settings:
        areas = [_tuning_area(trial, score, number) for number in range(TUNING_FOLDS)]
        found.append((float(np.mean(areas)), areas, candidate, score))
    found.sort(key=lambda entry: -entry[0])
    finals = []
    for _, areas, candidate, score in found[:FINALISTS]:
        more = [_tuning_area(trial, score, number) for number in range(TUNING_FOLDS, FOLDS)]
        finals.append((float(np.mean([*areas, *more])), candidate))
    best = max(finals, key=lambda entry: entry[0])
    rows = [
        {"settings": candidate.settings, "auroc": round(value, 4)}
        for value, _, candidate, _ in found
    ]
    rows[0]["final"] = round(best[0], 4)
    return best[1], rows, time.process_time() - start


def _tuning_area(trial: Trial, score: FoldScore, number: int) -> float:
    images = np.concatenate([trial.folds[number][1], trial.tuning])
    return auroc(score(number, images), trial.is_odd[images])


def tested(trial: Trial, judges: Sequence[Judge]) -> list[NDArray[np.float64]]:
    """Return the scores of held-out normal and test images, one array per fold."""
    return [
        judge(np.concatenate([held_out, trial.test])).images
        for judge, (_, held_out) in zip(judges, trial.folds, strict=True)
    ]


def resampled(trial: Trial, scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean area over the folds: as it is, then of every bootstrap by cluster."""
    names, places = np.unique(trial.groups, return_inverse=True)
    random = np.random.default_rng(0)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    weights = np.concatenate([np.ones((1, len(names))), drawn])[:, places]
    areas = []
    for (_, held_out), found in zip(trial.folds, scores, strict=True):
        images = np.concatenate([held_out, trial.test])
        areas.append(area_under_curve(found, trial.is_odd[images], weights[:, images]))
    mean: NDArray[np.float64] = np.nanmean(areas, axis=0)
    return mean


def with_interval(areas: NDArray[np.float64]) -> dict[str, float]:
    """Return the value and its 95 % interval."""
    low, high = np.percentile(areas[1:], [2.5, 97.5])
    return {
        "value": round(float(areas[0]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def masks_of(trial: Trial, images: Indices, preparation: PreparationOptions) -> NDArray[np.bool_]:
    """Return lesion masks in the frame of the prepared images, (image, row, column)."""
    found = []
    for place in images:
        sample = trial.samples.samples[place]
        mask = np.asarray(trial.samples.load(Sample(name=sample.columns["mask"])), np.float32) > 0
        if preparation.crop == "foreground":
            pixels = np.asarray(trial.samples.load(sample), np.float32)
            mask = mask[foreground(pixels if pixels.ndim == 2 else pixels.mean(-1))]
        shown = torch.from_numpy(mask)[None, None].float()
        small = nn.functional.interpolate(shown, (MAP, MAP), mode="bilinear", antialias=True)
        found.append(small[0, 0].numpy() > 0.5)
    return np.stack(found)


def pixel_areas(trial: Trial, judge: Judge, preparation: PreparationOptions) -> dict[str, float]:
    """Return how well maps of the test anomalies show the lesions."""
    masks = masks_of(trial, trial.test, preparation)
    maps = torch.from_numpy(judge(trial.test).maps)[:, None]
    maps = nn.functional.interpolate(maps, (MAP, MAP), mode="bilinear")[:, 0].double().numpy()
    each = [
        auroc(one.ravel(), mask.ravel())
        for one, mask in zip(maps, masks, strict=True)
        if 0 < mask.mean() < 1
    ]
    return {
        "pooled": round(auroc(maps.ravel(), masks.ravel()), 4),
        "mean of images": round(float(np.mean(each)), 4),
    }


def measured(kind: Kind, data: Path, cache: Path, weights: Path) -> dict[str, Any]:
    """Return everything that is measured on one set."""
    trial = trial_of(kind, data, cache)
    banks, drawings = Banks(trial, weights), Drawings(trial)
    methods: dict[str, Any] = {
        "memory bank": (banks, banks.settings()),
        "autoencoder": (drawings, drawings.settings("autoencoder")),
        "principal components": (drawings, drawings.settings("principal components")),
    }
    areas, rows = {}, {}
    for name, (source, settings) in methods.items():
        chosen, tried, seconds = tuned(trial, settings)
        start = time.process_time()
        judges = source.final(chosen.settings)
        areas[name] = resampled(trial, tested(trial, judges))
        rows[name] = {
            "chosen": chosen.settings,
            "tuning_auroc": tried[0]["final"],
            "settings_tried": len(tried),
            "tuning_seconds": round(seconds, 1),
            "test_seconds": round(time.process_time() - start, 1),
            "test_auroc": with_interval(areas[name]),
            "best_of_each_preparation": _best_by_preparation(tried),
        }
        if kind.masks:
            preparation = PREPARATIONS[chosen.settings["preparation"]]
            rows[name]["pixel_auroc"] = pixel_areas(trial, judges[0], preparation)
        print(kind.folder, name, rows[name], flush=True)  # noqa: T201
    pairs = (
        ("memory bank", "autoencoder"),
        ("memory bank", "principal components"),
        ("autoencoder", "principal components"),
    )
    return {
        "title": kind.title,
        "normal_images": int((~trial.is_odd).sum()),
        "normal_clusters": len(set(trial.groups[~trial.is_odd])),
        "tuning_anomalies": len(trial.tuning),
        "test_anomalies": len(trial.test),
        "methods": rows,
        "differences": {f"{a} - {b}": with_interval(areas[a] - areas[b]) for a, b in pairs},
    }


def _best_by_preparation(tried: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        name: max(r["auroc"] for r in tried if r["settings"]["preparation"] == name)
        for name in PREPARATIONS
    }


def main() -> None:
    """Measure what was asked for, and write data and page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path, help="folder with the data sets")
    asked.add_argument("--only", choices=sorted(KINDS), nargs="*", default=sorted(KINDS))
    asked.add_argument("--cache", type=Path, default=None, help="folder for prepared images")
    given = asked.parse_args()
    torch.set_num_threads(1)
    place = REFERENCE / "anomaly-measured.json"
    (weights,) = (given.data / "weights" / "mobilenet_v2_imagenet").glob("*.npz")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            made = measured(KINDS[name], given.data, given.cache or Path(folder), weights)
            found = json.loads(place.read_text()) if place.exists() else {}
            place.write_text(json.dumps({**found, name: made}, indent=1, sort_keys=True) + "\n")
    (REFERENCE / "anomaly-measured.md").write_text(page(json.loads(place.read_text())))


if __name__ == "__main__":
    main()
