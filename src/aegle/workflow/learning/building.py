"""The network of a recipe, with the weights that it starts from."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aegle import catalogue
from aegle.domain.errors import FileError, OptionError
from aegle.workflow.learning.recipe import Recipe

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1] (Krizhevsky 2012; as published with torchvision's weights)."""


def settings_of(recipe: Recipe, classes: int) -> dict[str, Any]:
    """Return all that the network is built with: what the recipe says and what the data say.

    Raises:
        OptionError: The network takes no setting of that name.
    """
    taken = inspect.signature(catalogue.load("network", recipe.network.name)).parameters
    known: dict[str, Any] = {
        "classes": classes,
        "size": recipe.prepare.size,
        "channels": 3 if recipe.prepare.colour else None,
    }
    settings = {
        name: value for name, value in known.items() if name in taken and value is not None
    } | dict(recipe.network.settings)
    if unknown := sorted(set(settings) - set(taken)):
        raise OptionError(
            f"Network '{recipe.network.name}' has no setting {', '.join(unknown)}; known: "
            f"{', '.join(taken)}."
        )
    if "channels" in taken:
        settings.setdefault("channels", taken["channels"].default)
    return settings


def network_of(name: str, settings: Mapping[str, Any], seed: int) -> nn.Module:
    """Return a network with weights drawn by a seed; other randomness is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = catalogue.load("network", name)(**settings)
    return network


def built(recipe: Recipe, settings: dict[str, Any]) -> nn.Module:
    """Return the network with weights drawn by the seed; other randomness is left alone."""
    return network_of(recipe.network.name, settings, recipe.train.seed)


def normalisation(
    recipe: Recipe, values: NDArray[np.uint8], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation that images are normalised with, per channel.

    Args:
        recipe: Says them, or names weights.
        values: Prepared training images, 0 to 255, shape (image, channel, ...).
        channels: That the network takes.
    """
    given = recipe.normalise
    if given.mean or given.deviation:
        return given.mean or (0.0,) * channels, given.deviation or (1.0,) * channels
    if recipe.transfer.weights and channels == 3:
        return IMAGENET_MEAN, IMAGENET_DEVIATION
    mean, deviation = _measured(values)
    times = channels // len(mean)
    return mean * times, deviation * times


def without_weights(recipe: Recipe) -> Recipe:
    """Return the recipe as it is from scratch: no weights, one rate for all of the network."""
    from aegle.learning.transfer import TransferOptions

    return replace(recipe, transfer=TransferOptions())


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file; empty for none, or for a URL."""
    import hashlib

    if not path or "://" in path:
        return ""
    if not Path(path).is_file():
        raise FileError(path, "is not there.", "Check the path of the weights.")
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measured(values: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation per channel, exact sums of whole numbers, to six digits."""
    levels = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(values.shape[1]):
        counts = np.zeros(256, np.int64)
        for image in values[:, channel]:
            counts += np.bincount(image.ravel(), minlength=256)
        shares = counts / counts.sum()
        mean = float(shares @ levels)
        means.append(round(mean, 6))
        deviations.append(round(max(float(shares @ (levels - mean) ** 2) ** 0.5, 1e-3), 6))
    return tuple(means), tuple(deviations)
