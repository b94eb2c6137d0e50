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
from aegle.workflow.fusing.recipe import ImageOptions
from aegle.workflow.learning.building import IMAGENET_DEVIATION, IMAGENET_MEAN, file_digest

SIZE = 224
BATCH = 16


def described(image: ImageOptions, table: Path, names: Sequence[str], cache: Path) -> Values:
    """Return features of images, shape (row, feature); a row without an image is all NaN.

    Args:
        image: What describes them.
        table: File or folder beside or in which they lie.
        names: File of each row, empty for none.
        cache: Folder where features are kept.

    Raises:
        OptionError: Neither weights nor a model are named, or no row names an image.
        FileError: An image or the weights cannot be read.
    """
    source = image.model or image.weights
    if not source:
        raise OptionError("image.weights or image.model names the network that describes images.")
    given = [i for i, name in enumerate(names) if name]
    if not given:
        raise OptionError(f"No row names an image in the column '{image.column}'.")
    files = beside(files_at(table if table.is_dir() else table.parent), names[given[0]])
    contents = (digest(files.read(names[i])) for i in given)
    key = digest(file_digest(source), image.network, *names, *contents)
    place = cache / f"embedding-{key[:16]}.npy"
    if place.exists():
        kept: Values = np.load(place, allow_pickle=False)
        return kept
    found = _features(image, files, [names[i] for i in given])
    made: Values = np.full((len(names), found.shape[1]), np.nan)
    made[given] = found
    cache.mkdir(parents=True, exist_ok=True)
    np.save(place, made, allow_pickle=False)
    return made


def _features(image: ImageOptions, files: Files, names: Sequence[str]) -> Values:
    if image.model:
        model = models.load(Path(image.model))
        network, preparation = model.network, model.facts.preparation
        mean, deviation = model.facts.mean, model.facts.deviation
        channels = model.facts.channels
    else:
        network = catalogue.load("network", image.network)(channels=3)
        load_into(network, read_state(Path(image.weights)))
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
