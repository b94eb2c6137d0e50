"""Train every model of ``recipes/`` and write what was measured into the documentation.

    make models                      all of them; what is finished is not repeated
    python tools/make_models.py --only brain-mri --only base-cnn

Runs lie in ``models/`` (not in git). Models that come with the package are copied from there,
with their cards; the numbers go to ``recipes/measured.json`` and, from there, to
``docs/reference/recognition-measured.md`` and ``docs/reference/outlining-measured.md``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "models"
MEASURED = ROOT / "recipes" / "measured.json"
PAGE = ROOT / "docs" / "reference" / "recognition-measured.md"
LOCATED_PAGE = ROOT / "docs" / "reference" / "outlining-measured.md"
SHIPPED = ROOT / "src" / "aegle" / "recognition" / "models"
CROSS_VALIDATED = ("brain-mri", "breast-ultrasound", "radiograph-pneumonia", "pneumoniamnist")
TRAINED = (
    "base-cnn",
    "autoencoder-radiograph",
    "narrow-autoencoder-radiograph",
    "anomaly-brain-mri",
    "anomaly-breast-ultrasound",
)
LABELS = ("labels-radiograph", "labels-breast-ultrasound", "labels-brain-mri")
VARIANTS = {
    "radiograph-uncropped": "prepare.crop=none",
}
"""The radiograph classifier with one thing changed, cross-validated alike."""
SHIPS = "radiograph-pneumonia"
GOALS = {
    "brain-mri": ("balanced_accuracy", 0.92),
    "breast-ultrasound": ("auc", 0.90),
    "radiograph-pneumonia": ("auc", 0.88),
    "pneumoniamnist": ("auc", 0.995),
}
"""Score that counts, and what it is to reach."""
OUTLINED = ("hippocampus", "breast-lesions", "retina-vessels", "nuclei")
"""Cross-validated, without a model of all images at the end."""
LOCATED = {
    "hippocampus": (("dice", "Dice, mean of anterior and posterior", 0.885),),
    "breast-lesions": (("lesion dice_present", "Dice where there is a lesion", 0.75),),
    "retina-vessels": (("vessel dice", "Dice", 0.81),),
    "nuclei": (("f1", "F1 at an IoU of 0.5", 0.85),),
    "instruments": (("ap_50", "AP at an IoU of 0.5, mean of 18 classes", 0.75),),
    "thorax-ct": (
        ("lungs dice", "Dice of the lungs, unseen made patients", 0.98),
        ("heart dice", "Dice of the heart", 0.80),
        ("spinal_cord dice", "Dice of the cord", 0.80),
        ("oesophagus dice", "Dice of the oesophagus", 0.80),
        ("tumour dice_present", "Dice where there is a tumour", 0.85),
    ),
}
"""Scores that count of models that outline or find boxes, in words, and what they are to reach."""
THORAX = "thorax-ct"
"""Learned from made patients, which are made first."""
ON_PATIENTS = """## On patients

It has learned from made patients alone, whose outlines are exact by construction. On the one real
CT that it was tried on (LUNG1-001 of NSCLC-Radiomics) it follows the tumour where that borders on
aerated lung (73 % of the given outline), takes collapsed lung beside it and large vessels at the
hilum for tumour too, and gives heart, oesophagus and cord of plausible size and place; of these
there were no outlines to compare with, save the spinal canal. `aegle run` therefore shows thick
parts alone, and calls them candidates."""
NAMES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}


def main(names: list[str]) -> None:
    """Train, collect, write."""
    from aegle.cli.console import progress

    with progress() as announce:
        for name in names:
            _train(name, announce)
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    measured |= {name: collected(RUNS / name) for name in names}
    if THORAX in names:
        from thorax_baseline import judged

        model = RUNS / THORAX / "model.safetensors"
        measured[THORAX]["beside"] = judged(RUNS / "thorax-set", model)
    for name in (SHIPS, THORAX):
        if name in names:
            ship(name, measured[name])
    MEASURED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(measured))
    LOCATED_PAGE.write_text(located_page(measured))


def _train(name: str, announce: Any) -> None:
    from aegle import api

    if name == THORAX and not (RUNS / "thorax-set" / "manifest.csv").exists():
        make = [sys.executable, ROOT / "tools" / "make_thorax_set.py", RUNS / "thorax-set"]
        subprocess.run([*make, "--processes", "2"], check=True)
    settings = [VARIANTS[name]] if name in VARIANTS else []
    if name in (*VARIANTS, *OUTLINED):
        settings.append("validate.final=false")
    recipe = SHIPS if name in VARIANTS else name
    api.train(
        api.recipe(ROOT / "recipes" / f"{recipe}.toml", settings),
        RUNS / name,
        cross_validate=name in (*CROSS_VALIDATED, *VARIANTS, *OUTLINED),
        cache=RUNS / "cache",
        announce=announce,
    )


def ship(name: str, measured: dict[str, Any]) -> None:
    """Copy a model that comes with the package, and its card, into it; a classifier completed."""
    SHIPPED.mkdir(parents=True, exist_ok=True)
    trained, shipped = RUNS / name / "model.safetensors", SHIPPED / f"{name}.safetensors"
    shutil.copyfile(trained, shipped)
    card = (RUNS / name / "card.md").read_text()
    if name == SHIPS:
        from complete_model import completed_card

        card = completed_card(card, RUNS / name, shipped, RUNS / "explanations")
    if "beside" in measured:
        card += f"\n## Beside rules alone\n\n{beside(measured['beside'])}\n\n{ON_PATIENTS}\n"
    (SHIPPED / f"{name}.md").write_text(card)


def collected(run: Path) -> dict[str, Any]:
    """Return the numbers of a run that the page shows."""
    found: dict[str, Any] = {}
    for file in ("cross-validation", "scores", "label-efficiency"):
        place = run / f"{file}.json"
        if place.exists():
            found[file] = json.loads(place.read_text())
    courses = sorted(run.glob("parts/*/course.json"))
    if courses and "label-efficiency" not in found and "cross-validation" not in found:
        found["course"] = json.loads(courses[0].read_text())["epochs"]
    if "scores" in found:
        kept = ("scores", "images", "groups", "audit", "failed")
        found["scores"] = {key: found["scores"][key] for key in kept if key in found["scores"]}
    return found


def page(measured: dict[str, Any]) -> str:
    """Return the page of what was measured."""
    parts = [
        "# What the recognition recipes measure",
        "Written by `make models` from `recipes/measured.json`. Intervals are 95 %, by resampling "
        "whole patients or clusters of near-duplicates 2,000 times. The baseline is a frozen "
        "ImageNet MobileNetV2 with logistic regression on its 1,280 pooled features, trained and "
        "judged on the same images. Cross-validation uses the open part of each set; every image "
        "is judged by a model that has not seen its patient or cluster.",
        _table(measured),
        "## Where a model looks",
        "AUC when part of each image is taken away, for at most 400 images.",
        *(_audit(name, measured[name]) for name in CROSS_VALIDATED if name in measured),
        *(_variants(measured) if SHIPS in measured else ()),
        *(_labels(measured) if any(name in measured for name in LABELS) else ()),
        *(_base(measured["base-cnn"]) if "base-cnn" in measured else ()),
    ]
    return "\n\n".join(parts) + "\n"


def located_page(measured: dict[str, Any]) -> str:
    """Return the page of what models that outline or find boxes measure."""
    rows = [
        "| Recipe | Score | Goal | Measured | Images | Reached |",
        "|---|---|---|---|---|---|",
    ]
    for name, wanted in LOCATED.items():
        scores = measured[name]["scores"] if name in measured else None
        rows += [_located_row(name, *one, scores) for one in wanted]
    head = (
        "# What the outlining recipes measure\n\nWritten by `make models` from "
        "`recipes/measured.json`. No recipe but thorax-ct, whose file has to be small, says "
        "anything about its network: spacing, patch, network, batch and steps follow from the "
        "images, a memory of 2 GB and a processor time (see [the rules](outlining.md)). One seed; "
        "five folds by patient or cluster, or the given validation part where the set names one. "
        "Intervals are 95 %, by resampling whole patients or clusters 2,000 times. Every image is "
        "judged by a model that has not seen it.\n\n"
    )
    parts = [head + "\n".join(rows)]
    parts += [
        f"Of {name}: {measured[name]['older']}"
        for name in LOCATED
        if "older" in measured.get(name, {})
    ]
    if "beside" in measured.get(THORAX, {}):
        parts.append("## The chest, beside rules alone\n\n" + beside(measured[THORAX]["beside"]))
    return "\n\n".join(parts) + "\n"


def beside(found: dict[str, dict[str, float]]) -> str:
    """Return what `aegle run` shows of made chests with the shipped network and without it."""
    names = [score.split()[0] for score, _, _ in LOCATED[THORAX]]
    rows = [
        "| Outlined by | " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for way, values in found.items():
        cells = [f"{values[name]:.3f}" if values[name] else "not outlined" for name in names]
        rows.append(f"| {way} | " + " | ".join(cells) + " |")
    return (
        "Mean Dice coefficient of what `aegle run` shows on the unseen made patients "
        "(`tools/thorax_baseline.py`): by radiodensity and shape alone, and with the network "
        "where its result is plausible. By rules alone the spinal canal stands for the cord.\n\n"
        + "\n".join(rows)
    )


def _located_row(
    name: str, score: str, words: str, goal: float, found: dict[str, Any] | None
) -> str:
    start = f"| [{name}](../../recipes/{name}.toml) | {words} | ≥ {goal} |"
    if found is None:
        return f"{start} not measured yet | | |"
    value = found["scores"][score]
    return (
        f"{start} **{value['value']:.3f}** ({value['low']:.3f} to {value['high']:.3f}) | "
        f"{found['images']} | {'yes' if value['value'] >= goal else 'no'} |"
    )


def _table(measured: dict[str, Any]) -> str:
    rows = [
        "| Recipe | Score | Goal | Mean | Baseline | Difference, paired | Reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in CROSS_VALIDATED:
        if name not in measured:
            continue
        score, goal = GOALS[name]
        found = measured[name]["cross-validation"]
        mean, against = found["mean"]["scores"][score], found["against_baseline"][score]
        reached = mean["value"] >= goal
        above = against["low"] > 0
        verdict = "yes" if reached and above else "no" if not reached else "not above the baseline"
        rows.append(
            f"| [{name}](../../recipes/{name}.toml) | {NAMES[score]} | ≥ {goal} | "
            f"**{mean['value']:.3f}** ({mean['low']:.3f} to {mean['high']:.3f}) | "
            f"{against['second']:.3f} | {against['difference']:+.3f} ({against['low']:+.3f} to "
            f"{against['high']:+.3f}) | {verdict} |"
        )
    return "\n".join(rows)


def _audit(name: str, found: dict[str, Any]) -> str:
    rows = [f"### {name}", "", "| What is changed | AUC | Change |", "|---|---|---|"]
    for row in found.get("scores", {}).get("audit", []):
        now, change = _named(row["estimates"]), _named(row["changes"])
        rows.append(
            f"| {row['probe'].replace('_', ' ')} | {now['value']:.3f} | "
            f"{change['value']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f}) |"
        )
    return "\n".join(rows)


def _named(numbers: list[dict[str, Any]], name: str = "auc") -> dict[str, Any]:
    return next(one for one in numbers if one["name"] == name)


def _variants(measured: dict[str, Any]) -> list[str]:
    """Return what a change of the radiograph recipe does to its score and to its shortcuts."""
    names = {SHIPS: "the recipe", **{name: VARIANTS[name] for name in VARIANTS}}
    probes = ("border_only", "corners_only", "equalised")
    rows = [
        "| Radiograph classifier | AUC | Difference from the baseline | Only the border | "
        "Only the corners | Equalised histograms |",
        "|---|---|---|---|---|---|",
    ]
    for name, label in names.items():
        if name not in measured:
            continue
        found = measured[name]["cross-validation"]
        mean, against = found["mean"]["scores"]["auc"], found["against_baseline"]["auc"]
        audit = {row["probe"]: row for row in measured[name]["scores"]["audit"]}
        seen = " | ".join(f"{_named(audit[probe]['estimates'])['value']:.3f}" for probe in probes)
        rows.append(f"| {label} | {mean['value']:.3f} | {against['difference']:+.3f} | {seen} |")
    return ["## What cropping and standardisation change", "\n".join(rows)]


def _labels(measured: dict[str, Any]) -> list[str]:
    rows = ["| Recipe | Start | Labels | Images | AUC |", "|---|---|---|---|---|"]
    for name in LABELS:
        for point in measured.get(name, {}).get("label-efficiency", []):
            auc = point["scores"]["auc"]
            rows.append(
                f"| {name} | {point['start']} | {100 * point['share']:g} % | "
                f"{point['labelled']:.0f} | "
                f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}) |"
            )
    return [
        "## How many labels are needed",
        "Mean of three seeds on the given validation part; *this recipe* starts from ImageNet "
        "weights, *from scratch* trains the same network from random ones.",
        "\n".join(rows),
    ]


def _base(found: dict[str, Any]) -> list[str]:
    auc = found["scores"]["scores"]["auc"]
    rows = ["| Epoch | Training loss |", "|---|---|"]
    rows += [f"| {e['epoch']} | {e['training_loss']:.4f} |" for e in found.get("course", [])]
    return [
        "## The base CNN",
        f"Ten epochs from scratch at 224 × 224 × 3 on the NIH radiographs: AUC {auc['value']:.3f} "
        f"({auc['low']:.3f} to {auc['high']:.3f}) on the given validation part.",
        "\n".join(rows),
    ]


if __name__ == "__main__":
    known = [*CROSS_VALIDATED, *VARIANTS, *TRAINED, *LABELS, *LOCATED]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=known)
    asked = parser.parse_args()
    os.chdir(ROOT)
    sys.exit(main(asked.only or known))
