"""Show where in images the evidence for a class lies, and measure how far to trust that."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pixels

from aegle.diagnosis.explain.audit import MapScores, audit
from aegle.diagnosis.explain.counterfactual import (
    LEAST_LIKENESS,
    Counterfactual,
    counterfactuals,
)
from aegle.diagnosis.explain.maps import DEFAULT, METHODS, explain
from aegle.diagnosis.explain.trust import kept_with, trust
from aegle.domain.errors import FileError, InputError, OptionError
from aegle.learning import applicability
from aegle.learning.model import Model, load, normalised, save
from aegle.learning.prepared import prepare_all
from aegle.report import heat_maps
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.run_folder import (
    MODEL,
    Announce,
    Done,
    Step,
    opened,
    require_no_training,
    unannounced,
    write_json,
    write_table,
)
from aegle.workflow.learning.unlabelled import images_at


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be explained."""

    model: Path
    path: Path
    out: Path
    method: str = ""
    """Of ``METHODS``; if empty the default, or of an audit all."""
    seeds: int = 10
    """Networks drawn anew by an audit."""
    most: int = 40
    """Images that an audit looks at."""
    keeps: bool = False
    """Whether an audit writes a copy of the model that carries what was measured."""
    autoencoder: Path | None = None
    """Model that draws what would have to look different; None: nothing is drawn."""


def run(request: Request, *, announce: Announce | None = None) -> Done:
    """Write an overlay for each image, and what they show as data; counterfactuals if asked.

    Raises:
        FileError: The model or an image is damaged.
        InputError: The model is no classifier, or the second is no autoencoder.
        OptionError: There is no such method, or the folder holds something else.
    """
    told = announce or unannounced
    model, method = _classifier(request.model), request.method or DEFAULT
    _require_known(method)
    given = images_at(request.path, model.facts, progress=told(Step("read"), False))
    require_no_training(request.out)
    with opened(request.out) as folder:
        prepared = prepare_all(
            given.samples,
            folder.root / "cache",
            options=model.facts.preparation,
            progress=told(Step(f"prepare {len(given.samples.samples)} images"), False),
        )
        told(Step(f"explain by {method}"), False)
        values = np.array(prepared.values)
        names = [sample.name for sample in prepared.samples]
        rows, files = _explained(model, method, (values, names), folder)
        notices = [str(trust(model, method))]
        if request.autoencoder is not None:
            told(Step("change until another class is likelier"), False)
            drawer = load(request.autoencoder)
            found = counterfactuals(model, drawer, values)
            files |= _changed(model, (values, found), rows, folder)
            notices.append(_said_of(found))
        files = {**files, "data": write_json(folder, "explanations.json", _numbers(model, rows))}
        return Done(
            folder=folder.root,
            files=files,
            numbers=_numbers(model, rows),
            rows=[{k: r[k] for k in ("name", "class", "probability")} for r in rows[:20]],
            notices=tuple(notices),
        )


def run_audit(request: Request, *, announce: Announce | None = None) -> Done:
    """Measure methods on images with masks, beside baselines.

    The path is a folder with ``manifest.csv`` (columns ``file``, ``mask`` and ``label``) beside
    the files it names; several masks of one image are parted by ``;``. Only images whose class the
    model finds, and that it is applicable to, are looked at.

    Raises:
        FileError: The manifest or a file cannot be read.
        InputError: No image with a mask is classified rightly.
        OptionError: There is no such method, nothing to draw anew, or the folder holds something
            else.
    """
    told = announce or unannounced
    model = _classifier(request.model)
    methods = (request.method,) if request.method else tuple(METHODS)
    _require_known(methods[0])
    if request.seeds < 1 or request.most < 1:
        raise OptionError("An audit needs at least one image and one network drawn anew.")
    require_no_training(request.out)
    values, masks, classes = _masked(model, request.path, request.most)
    with opened(request.out) as folder:
        told(Step(f"audit {len(methods)} methods on {len(values)} images"), False)
        images = normalised(values, model.facts)
        found = audit(model.network, images, masks, classes, methods=methods, seeds=request.seeds)
        rows = [table_row(one) for one in found]
        data = request.path.resolve().name
        numbers = {
            "model": model.facts.name,
            "model_digest": model.digest,
            "data": data,
            "methods": [
                {k: v if v == v else None for k, v in asdict(one).items()} for one in found
            ],
        }
        files = {
            "table": write_table(folder, "audit.csv", rows),
            "data": write_json(folder, "audit.json", numbers),
        }
        if request.keeps:
            kept = kept_with(model, found, data)
            files["model"] = save(kept, folder.root / MODEL)
        return Done(folder=folder.root, files=files, numbers=numbers, rows=rows)


def table_row(found: MapScores) -> dict[str, str]:
    """Return what was measured of a method as one row of a table."""
    return {
        "method": found.method,
        "hit": f"{found.hit:.2f}",
        "AUPRC": f"{found.precision:.3f}",
        "× chance": f"{found.precision / found.chance:.1f}",
        "insertion": f"{found.insertion:.3f}",
        "deletion": f"{found.deletion:.3f}",
        "head anew: correlation": f"{found.head_correlation:.2f}",
        "flat": f"{found.head_flat:.2f}",
        "all anew: correlation": f"{found.all_correlation:.2f}",
        "all flat": f"{found.all_flat:.2f}",
        "forward passes": f"{found.forward_passes:.1f}",
        "completeness error": f"{found.completeness_error:.4f}",
    }


def _require_known(method: str) -> None:
    if method not in METHODS:
        raise OptionError(f"No explanation '{method}'; known: {', '.join(METHODS)}.")


def _classifier(path: Path) -> Model:
    model = load(path)
    if model.facts.task != "classify":
        raise InputError(
            f"{path}: a model for '{model.facts.task}' gives no classes to explain; its own "
            "result shows where things are. Take a classifier."
        )
    return model


def _explained(
    model: Model,
    method: str,
    images: tuple[NDArray[np.uint8], list[str]],
    folder: CaseFolder,
) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    values, names = images
    probabilities = model.probabilities_of(values)
    classes = probabilities.argmax(axis=1)
    maps = explain(model.network, normalised(values, model.facts), classes, method)
    reasons = applicability.notices(model, values)
    rows: list[dict[str, Any]] = []
    files: dict[str, Path] = {}
    for place, name in enumerate(names):
        file = f"{place + 1:04d}.png"
        with folder.replacing(folder.root / file) as part:
            overlay(values[place], maps[place]).save(part, format="png")
        files.setdefault("overlay", folder.root / file)
        highest = np.unravel_index(maps[place].argmax(), maps[place].shape)
        rows.append(
            {
                "name": name,
                "file": file,
                "class": model.facts.classes[int(classes[place])],
                "probability": round(float(probabilities[place].max()), 6),
                "method": method,
                "trust": str(trust(model, method)),
                "highest": [int(i) for i in highest],
                "is_flat": bool(np.ptp(maps[place]) == 0),
                "not_applicable": str(reasons[place] or ""),
            }
        )
    return rows, files


def _changed(
    model: Model,
    images: tuple[NDArray[np.uint8], list[Counterfactual]],
    rows: list[dict[str, Any]],
    folder: CaseFolder,
) -> dict[str, Path]:
    """Write each image beside the changed one and the change; add what was found to the rows."""
    values, found = images
    files: dict[str, Path] = {}
    for place, (row, one) in enumerate(zip(rows, found, strict=True)):
        file = f"{place + 1:04d}-counterfactual.png"
        with folder.replacing(folder.root / file) as part:
            heat_maps.changed(values[place], one.image, one.change).save(part, format="png")
        files.setdefault("counterfactual", folder.root / file)
        other = int(one.after.argmax())
        row["counterfactual"] = {
            "file": file,
            "class": model.facts.classes[other],
            "probability": round(float(one.after[other]), 6),
            "is_changed": one.is_changed,
            "steps": one.steps,
            "mean_change_percent": round(100 * float(np.abs(one.change).mean()), 3),
            "likeness": round(one.likeness, 4),
            "is_drawn": one.is_drawn,
        }
    return files


def _said_of(found: list[Counterfactual]) -> str:
    """Say how many images came to another class, and how many the autoencoder cannot draw."""
    said = f"{sum(c.is_changed for c in found)} of {len(found)} images came to another class"
    poor = sum(not c.is_drawn for c in found)
    if poor:
        said += f"; {poor} are drawn too unlike themselves (correlation below {LEAST_LIKENESS}) "
        said += "for their change to mean anything"
    return f"{said}."


def overlay(values: NDArray[np.uint8], found: NDArray[np.float64]) -> Pixels.Image:
    """Return a prepared image, (channel, row, column), with its map laid over it.

    Of a volume, (channel, slice, row, column), the slice with the highest value is shown.
    """
    if found.ndim == 3:
        at = int(np.unravel_index(found.argmax(), found.shape)[0])
        values, found = values[:, at], found[at]
    share = found / max(float(found.max()), np.finfo(np.float64).tiny)
    return heat_maps.overlay(values.mean(axis=0).round().astype(np.uint8), share)


def _numbers(model: Model, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": model.facts.name, "model_digest": model.digest, "images": rows}


def _masked(
    model: Model, folder: Path, most: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """Return prepared images with mask and class, as far as the model finds the class."""
    manifest = folder / "manifest.csv"
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            listed = [row for row in csv.DictReader(file) if row.get("mask")]
    except OSError as error:
        raise FileError(
            manifest,
            f"cannot be read ({error.strerror}).",
            "Give a folder with a manifest that has the columns file, mask and label.",
        ) from error
    listed = [row for row in listed if row.get("label") in model.facts.classes]
    listed = listed[:: max(1, len(listed) // most)][:most]
    kept = [one for row in listed if (one := _one_masked(model, folder, row)) is not None]
    if not kept:
        raise InputError(
            f"{manifest}: no image with a mask is given its true class by the model; give masks of "
            f"the classes {', '.join(model.facts.classes)}."
        )
    values, masks, classes = zip(*kept, strict=True)
    return np.stack(values), np.stack(masks), np.array(classes, np.int64)


def _one_masked(
    model: Model, folder: Path, row: Mapping[str, str]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], int] | None:
    image = _pixels(folder / row["file"])
    parts = [_pixels(folder / name) for name in row["mask"].split(";")]
    if any(part.shape != image.shape for part in parts):
        raise InputError(f"{row['mask']}: its size is not that of {row['file']}, {image.shape}.")
    mask = np.maximum.reduce(parts)
    values = model.prepared([image])
    wanted = model.facts.classes.index(row["label"])
    # The mask takes the way of the image, so that both lie on one grid.
    drawn = model.prepared([(mask > 127).astype(np.uint8) * 255])[0, 0] > 127
    is_found = model.probabilities_of(values).argmax(axis=1)[0] == wanted
    is_found &= applicability.notices(model, values)[0] is None
    return (values[0], drawn, wanted) if is_found and 0 < drawn.mean() < 1 else None


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        with Pixels.open(path) as file:
            return np.array(file.convert("L"))
    except OSError as error:
        raise FileError(path, f"cannot be read ({error}).", "Give a picture.") from error
