"""Features of images, computed once by a frozen network and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aegle import catalogue
from aegle.domain.errors import OptionError
from aegle.learning import model as models
from aegle.learning import transfer
from aegle.learning.batches import normalise, scaled
from aegle.learning.fusion.table import Values
from aegle.learning.image_decoding import picture
from aegle.learning.image_sources import Files, beside, files_at
from aegle.learning.preparation import PreparationOptions, prepare
from aegle.learning.weights import load_into, read_state
from aegle.record.identity import digest
from aegle.workflow.fusing.recipe import FusionRecipe
from aegle.workflow.learning.building import IMAGENET_DEVIATION, IMAGENET_MEAN, file_digest

SIZE = 224
BATCH = 16


def described(recipe: FusionRecipe, names: Sequence[str], cache: Path) -> Values:
    """Return features of images, shape (row, feature); a row without an image is all NaN.

    Args:
        recipe: Which images lie where, and what describes them.
        names: File of each row, empty for none.
        cache: Folder where features are kept.

    Raises:
        OptionError: Neither weights nor a model are named.
        FileError: An image or the weights cannot be read.
    """
    source = recipe.image.model or recipe.image.weights
    if not source:
        raise OptionError("image.weights or image.model names the network that describes images.")
    key = digest(file_digest(source), recipe.image.network, *names)
    place = cache / f"embedding-{key[:16]}.npy"
    if place.exists():
        kept: Values = np.load(place, allow_pickle=False)
        return kept
    given = [i for i, name in enumerate(names) if name]
    found = _features(recipe, [names[i] for i in given])
    made: Values = np.full((len(names), found.shape[1]), np.nan)
    made[given] = found
    cache.mkdir(parents=True, exist_ok=True)
    np.save(place, made, allow_pickle=False)
    return made


def _features(recipe: FusionRecipe, names: Sequence[str]) -> Values:
    path = Path(recipe.table.path)
    files = beside(files_at(path if path.is_dir() else path.parent), names[0])
    if recipe.image.model:
        model = models.load(Path(recipe.image.model))
        network, preparation = model.network, model.facts.preparation
        mean, deviation = model.facts.mean, model.facts.deviation
        channels = model.facts.channels
    else:
        network = catalogue.load("network", recipe.image.network)(channels=3)
        load_into(network, read_state(Path(recipe.image.weights)))
        models.ready(network)
        preparation, channels = PreparationOptions(size=SIZE), 3
        mean, deviation = IMAGENET_MEAN, IMAGENET_DEVIATION
    parts = []
    for start in range(0, len(names), BATCH):
        pixels = [prepare(_pixels(files, n), options=preparation) for n in names[start:][:BATCH]]
        images = normalise(scaled(np.stack(pixels)), mean, deviation)
        images = images.expand(len(pixels), channels, *images.shape[2:])
        with torch.inference_mode():
            parts.append(transfer.features(network, images.contiguous()))
    return np.concatenate(parts).astype(np.float64)


def _pixels(files: Files, name: str) -> NDArray[Any]:
    return np.asarray(picture(name, files.read(name)))
