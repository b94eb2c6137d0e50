"""Measure autoencoders with few code values against principal components on chest radiographs.

    python tools/measure_autoencoders.py ../shared/data [--base RUN]

Writes docs/reference/autoencoders-measured.json, and autoencoders-measured.md beside it from that.
RUN is the folder of `aegle train recipes/autoencoder-radiograph.toml --out RUN`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from autoencoders_page import page
from numpy.typing import NDArray
from torch import nn

from aegle import catalogue
from aegle.learning.assignment import Assignment, Loss, TrainingOptions
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.losses import reconstruction_loss, variational_loss
from aegle.learning.networks.autoencoders import NarrowAutoencoder
from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet, prepare_all
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.reconstruction_error import by_components
from aegle.learning.splits import Fold, folds
from aegle.learning.training import train

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
SIZE = 64
CODES = (32, 64, 128)
VARIANTS_CODE = 64
"""Code values of the denoising and the variational autoencoder."""
FOLDS, EPOCHS = 3, 20
CHANGES = AugmentationOptions(rotation_deg=7, scale=0.1, shift=0.1, gamma=0.25, share=0.7)
COPIES = 2
"""Changed copies of each training image that augmented components are fitted to, beside it."""
NOISE = 0.05
"""Standard deviation of what the denoising autoencoder is shown in addition, values in [0, 1]."""
DIVERGENCE = 0.005
"""Weight of the divergence of the variational autoencoder: twice a variance of 0.05²."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Variant:
    """An autoencoder and how it learns."""

    network: str
    code: int
    rate: float
    loss: Loss


def radiographs(data: Path, cache: Path) -> PreparedSet:
    """Return all radiographs, small."""
    samples = read_samples(
        data / "cxr_nih_pneumonia", options=DataOptions(group="patient_id", split="")
    )
    options = PreparationOptions(size=SIZE)
    return prepare_all(samples, cache, options=options, progress=lambda *_: None)


def squared_error(values: NDArray[np.uint8], drawn: NDArray[np.float32]) -> float:
    """Return the mean squared error of drawings, values in [0, 1]."""
    return float(((values.astype(np.float64) / 255 - drawn) ** 2).mean())


def changed(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images together with changed copies of them."""
    images = torch.from_numpy(values).float() / 255
    change, random = augment(CHANGES), np.random.default_rng(0)
    copies = [change(images, random).numpy() for _ in range(COPIES)]
    return np.concatenate([values, *(np.rint(255 * copy).astype(np.uint8) for copy in copies)])


def trained(
    data: PreparedSet, fold: Fold, variant: Variant, watch: Callable[[nn.Module, int], None] | None
) -> tuple[nn.Module, list[float], float]:
    """Return an autoencoder, its training losses, and processor seconds."""
    start = time.process_time()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = catalogue.load("network", variant.network)(
            code=variant.code, size=SIZE
        )
    if isinstance(network, NarrowAutoencoder):
        network.start_from(torch.from_numpy(np.array(data.values[fold.training])).float() / 255)

    def before_epoch(number: int) -> None:
        if watch is not None:
            watch(network, number - 1)

    assignment = Assignment(
        network=network,
        data=data,
        training=fold.training,
        validation=np.zeros(0, np.int64),
        loss=variant.loss,
        mean=(0.0,),
        deviation=(1.0,),
        augment=augment(CHANGES),
        groups=network.groups() if isinstance(network, NarrowAutoencoder) else None,
        before_epoch=before_epoch,
    )
    options = TrainingOptions(
        epochs=EPOCHS, batch=16, rate=variant.rate, weight_decay=1e-3, warm_up=0.15, clip=1.0
    )
    with tempfile.TemporaryDirectory() as folder:
        course = train(assignment, options=options, folder=Path(folder), progress=lambda *_: None)
    before_epoch(EPOCHS + 1)
    losses = [epoch.training_loss for epoch in course.epochs]
    return network, losses, time.process_time() - start


def drawn_by(network: nn.Module, values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images as an autoencoder draws them."""
    network.eval()
    images = torch.from_numpy(np.array(values)).float() / 255
    with torch.inference_mode():
        drawn: NDArray[np.float32] = torch.cat([network(p) for p in images.split(64)]).numpy()
    return drawn


def row_of(data: PreparedSet, fold: Fold, number: int, code: int) -> dict[str, Any]:
    """Return the errors of one fold and code size."""
    training, held_out = (np.array(data.values[where]) for where in fold)
    components = by_components(training, code)(held_out)
    augmented = by_components(changed(training), code)(held_out)
    curve: list[float] = []

    def watch(network: nn.Module, done: int) -> None:
        del done
        curve.append(squared_error(held_out, drawn_by(network, held_out)))

    is_shown = number == 0 and code == VARIANTS_CODE
    narrow = Variant(network="narrow-autoencoder", code=code, rate=1e-3, loss=reconstruction_loss())
    network, losses, seconds = trained(data, fold, narrow, watch if is_shown else None)
    made: dict[str, Any] = {
        "fold": number,
        "code": code,
        "training_images": len(training),
        "held_out_images": len(held_out),
        "components": squared_error(held_out, components),
        "augmented_components": squared_error(held_out, augmented),
        "narrow_autoencoder": squared_error(held_out, drawn_by(network, held_out)),
        "seconds": round(seconds, 1),
    }
    if is_shown:
        made |= {"training_curve": losses, "held_out_curve": curve}
    return made


def variants(data: PreparedSet, fold: Fold) -> dict[str, Any]:
    """Return the errors of a denoising and a variational autoencoder on one fold."""
    held_out = np.array(data.values[fold.held_out])
    random = np.random.default_rng(0)
    noisy = np.clip(held_out / 255 + NOISE * random.normal(size=held_out.shape), 0, 1)
    noisy = np.rint(255 * noisy).astype(np.uint8)
    kinds = {
        "denoising": Variant(
            network="narrow-autoencoder",
            code=VARIANTS_CODE,
            rate=1e-3,
            loss=reconstruction_loss(NOISE),
        ),
        "variational": Variant(
            network="variational-autoencoder",
            code=VARIANTS_CODE,
            rate=4e-3,
            loss=variational_loss(DIVERGENCE),
        ),
    }
    made = {}
    for name, variant in kinds.items():
        network, _, seconds = trained(data, fold, variant, None)
        made[name] = {
            "error": squared_error(held_out, drawn_by(network, held_out)),
            "error_from_noisy": squared_error(held_out, drawn_by(network, noisy)),
            "seconds": round(seconds, 1),
        }
    return made


def base_of(run: Path) -> dict[str, Any]:
    """Return the curve and the scores of a finished run of the base autoencoder."""
    (course,) = (run / "parts").glob("*/course.json")
    return {
        **json.loads(course.read_text()),
        "scores": json.loads((run / "scores.json").read_text()),
    }


def main() -> None:
    """Measure, and write data and page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path, help="folder with the data sets")
    asked.add_argument("--base", type=Path, help="run of the base autoencoder")
    asked.add_argument("--base-only", action="store_true", help="keep the other numbers")
    given = asked.parse_args()
    torch.set_num_threads(1)
    place = REFERENCE / "autoencoders-measured.json"
    found = json.loads(place.read_text()) if place.exists() else {}
    if given.base:
        found["base"] = base_of(given.base)
    if not given.base_only:
        found |= _narrow(given.data)
    place.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    (REFERENCE / "autoencoders-measured.md").write_text(page(found))


def _narrow(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as cache:
        data = radiographs(folder, Path(cache))
        parts = folds(data.groups, data.labels, FOLDS, 0)
        rows = []
        for code in CODES:
            for number, fold in enumerate(parts):
                rows.append(row_of(data, fold, number, code))
                print(rows[-1], flush=True)  # noqa: T201
        return {"narrow": rows, "variants": variants(data, parts[0]), "epochs": EPOCHS}


if __name__ == "__main__":
    main()
