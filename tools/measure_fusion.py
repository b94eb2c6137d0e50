"""Measure the fusion recipes and a made cohort; write docs/reference/fusion-measured.md.

    python tools/measure_fusion.py [RECIPE ...]

Without names every recipe of recipes/fusion and the made cohort are measured; with names these
alone, the others stay as they were measured before.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aegle.workflow.fusing.page import estimate, section
from aegle.workflow.fusing.run import run

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes" / "fusion"
MEASURED = ROOT / "docs" / "reference" / "fusion-measured.json"
PAGE = MEASURED.with_suffix(".md")
WEIGHTS = ROOT.parent / "shared/data/weights/mobilenet_v2_imagenet"
MADE = "made-cohort"
PATIENTS = 400
SIDE = 96
COX = {"gbsg2": 0.669, "veteran": 0.709, "whas500": 0.770}
"""C-index of Cox regression in five folds of another split, scikit-survival 0.28."""
HEAD = """# Fusion of tables, laboratory values and images, measured

Written by `tools/measure_fusion.py` from the recipes in `recipes/fusion`, one processor thread.

**Protocol.** Every model of a section is trained on the same five parts of the patients and judged
on the same held-out rows; the number is the mean over the folds, of five splits for sets of fewer
than 500 patients, else of one. Intervals: 95 %, bootstrap over patients; differences are paired.
*Fusion* is, for classes, three kinds of model together: gated attention over the modalities that
are there with a linear path and modality dropout; boosted trees, fused late and of all features;
and logistic regression. Trees and regression are trained for each set of modalities alone. All are
brought onto the scale of held-out training rows, and their shares follow the tempered likelihood of
these rows for each set. For survival it is the network; its trees foretell the event interval by
interval. *Not told*: the model trained with everything is asked without the modality. *Best trained
without it*: the best of fusion, its network alone, late fusion, boosted trees of all features and
logistic (or linear Cox) regression, each trained without the modality; as the largest of several
noisy numbers it lies too high by chance, the more so the fewer patients there are.

**Limits.** The settings of the network were looked at on the prostate and glioma tables before
these numbers were taken, in a few runs. How the kinds are mixed was changed twice after sets had
been measured, since the mixture lay below single models; of about twenty ways the present one was
taken since it did about as well as the best of them on held-out training rows of the glioma,
kidney, prostate and COVID tables (mean distance to the best single model there -0.002 to +0.002)
and stays closest to equal shares, but what each way gave on the test folds had been seen. So these
numbers are slightly too kind. One seed where nothing else is said. Intervals say how the numbers
vary with other patients, not with other trainings. Nothing here is a test at another hospital, and
no model is shipped.
"""


def page(measured: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    return HEAD + _aims(measured) + "".join(_section(name, measured[name]) for name in measured)


def _aims(measured: dict[str, Any]) -> str:
    """Say which aims are reached and which are not, by how much."""
    lines = ["\n## Aims\n\n| Aim | Measured | Reached |\n|---|---|---|\n"]
    for name, found in measured.items():
        judged = found["judged"]
        for one in judged["missing"]:
            short = -0.01 - one["against_best"]["value"]
            said = "yes" if one["holds"] else f"no, short by {short:.3f}"
            lines.append(
                f"| {name} without {one['modality']}: at most 0.01 below the best trained without "
                f"it | {one['against_best']['value']:+.3f} | {said} |\n"
            )
        if name in COX:
            value = judged["whole"]["fusion"]["value"]
            rerun = judged["whole"]["linear Cox regression"]["value"]
            reached = "yes" if value >= max(COX[name], rerun) - 0.01 else "no"
            lines.append(
                f"| {name}: C-index at most 0.01 below Cox regression (published {COX[name]:.3f}, "
                f"here {rerun:.3f}) | {estimate(judged['whole']['fusion'])} | {reached} |\n"
            )
        if judged["bar"]:
            reached = "yes" if judged["bar"]["fusion"]["value"] >= 0.767 else "no"
            lines.append(
                f"| {name}: above PSA density alone, AUROC 0.767 in the published file; here "
                f"{estimate(judged['bar']['column'])} on the {judged['bar']['rows']} rows that "
                f"state it | {estimate(judged['bar']['fusion'])} on the same rows (all rows: "
                f"{estimate(judged['whole']['fusion'])}) | {reached} |\n"
            )
    if MADE in measured:
        judged = measured[MADE]["judged"]
        single = max(one["best_estimate"]["value"] for one in judged["missing"])
        gain = judged["whole"]["fusion"]["value"] - single
        reached = "yes" if gain >= 0.05 else "no"
        lines.append(
            f"| {MADE}: at least 0.05 above the best single modality ({single:.3f}) | "
            f"{gain:+.3f} | {reached} |\n"
        )
    return "".join(lines)


def _section(name: str, found: dict[str, Any]) -> str:
    note = f"{found['note']}\n\n" if found.get("note") else ""
    return f"\n## {name}\n\n{note}{section(found['judged'], found['cohort'])}"


def made_recipe(folder: Path) -> dict[str, Any]:
    """Make patients whose outcome follows half from a picture, half from a laboratory value."""
    random = np.random.default_rng(7)
    shown, said = random.normal(size=(2, PATIENTS))
    event = random.random(PATIENTS) < 1 / (1 + np.exp(-1.6 * (shown + said)))
    rows, grid = ["file,patient,crp,sodium,outcome"], np.mgrid[:SIDE, :SIDE]
    for i in range(PATIENTS):
        centre = random.uniform(SIDE * 0.35, SIDE * 0.65, 2)[:, None, None]
        disc = ((grid - centre) ** 2).sum(axis=0) < (SIDE * (0.16 + 0.045 * shown[i])) ** 2
        picture = 90 + 70 * disc + random.normal(0, 12, (SIDE, SIDE))
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        crp = np.exp(2.5 + 0.8 * said[i])
        sodium = 140 + 3 * random.normal()
        rows.append(f"{i}.png,{i},{crp:.2f},{sodium:.1f},{int(event[i])}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (weights,) = WEIGHTS.glob("*.npz")
    return {
        "model": {"name": MADE},
        "table": {"path": str(folder), "patient": "patient", "outcome": "outcome"},
        "image": {"column": "file", "weights": str(weights)},
        "modalities": {"laboratory": ["crp", "sodium"]},
        "columns": {
            "crp": {"unit": "mg/L", "analyte": "c_reactive_protein"},
            "sodium": {"unit": "mmol/L", "analyte": "sodium"},
        },
        "fusion": {"components": 16},
        "judge": {"repeats": 5},
    }


def main(names: list[str]) -> None:
    """Measure what is named, or all."""
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for name in names or [*sorted(file.stem for file in RECIPES.glob("*.toml")), MADE]:
        with tempfile.TemporaryDirectory() as folder:
            source = made_recipe(Path(folder)) if name == MADE else RECIPES / f"{name}.toml"
            with tempfile.TemporaryDirectory() as out:
                done = run(source, Path(out))
        measured[name] = {key: done.numbers[key] for key in ("cohort", "judged")}
        write(measured)


def write(measured: dict[str, Any]) -> None:
    """Write the numbers and the page."""
    ordered = dict(sorted(measured.items()))
    MEASURED.write_text(json.dumps(ordered, ensure_ascii=False, indent=1) + "\n")
    PAGE.write_text(page(ordered))


if __name__ == "__main__":
    main(sys.argv[1:])
