"""What is odd in an image by how badly it is drawn: the baseline of anomaly detection.

What draws an image from few values, learned from normal images, draws odd parts badly. Scores have
the form of those of a memory bank (``aegle.learning.anomaly``).
"""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from aegle.learning.anomaly import Scores
from aegle.learning.batches import scaled
from aegle.learning.model import Model
from aegle.learning.networks.memory_bank import highest
from aegle.options import option

Draw = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Gives prepared images of one channel, (image, 1, row, column), as drawn, values in [0, 1]."""
WINDOW = 1.5
"""Standard deviation of the window of structural similarity [pixel]; Wang 2004, section III.B."""
BRIGHTNESS_FLOOR, CONTRAST_FLOOR = 0.01**2, 0.03**2
"""Constants C1 and C2 of the same source for values in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class ErrorOptions:
    """How the difference between an image and its drawing becomes a score."""

    measure: Annotated[
        Literal["squared", "absolute", "structure"],
        option("Per pixel: squared or absolute error, or 1 less the structural similarity"),
    ] = "squared"
    blur: Annotated[
        float,
        option("Standard deviation of the blur of the errors; 0 for none", unit="pixel", ge=0),
    ] = 0.0
    share: Annotated[
        float, option("Share of the pixels, the worst, whose mean is the score", gt=0, le=1)
    ] = 1.0


def by_components(values: NDArray[np.uint8], count: int) -> Draw:
    """Return what draws images from principal components.

    Args:
        values: Prepared normal images, shape (image, 1, row, column).
        count: Components.
    """
    mean, axes = principal(scaled(values), count)

    def draw(given: NDArray[np.uint8]) -> NDArray[np.float32]:
        apart = scaled(given).flatten(1) - mean
        drawn: NDArray[np.float32] = (apart @ axes.T @ axes + mean).numpy()
        return drawn.reshape(given.shape)

    return draw


def principal(images: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the first principal axes of images, both flat, shape (component, pixel).

    Axes that the images do not have are 0.
    """
    flat = images.flatten(1)
    mean = flat.mean(0)
    _, _, found = torch.linalg.svd(flat - mean, full_matrices=False)
    axes = torch.zeros(count, flat.shape[1])
    axes[: min(count, len(found))] = found[:count]
    return mean, axes


def by_model(model: Model) -> Draw:
    """Return what draws images with an autoencoder."""
    return model.reconstruct_of


def error_scores(draw: Draw, values: NDArray[np.uint8], *, options: ErrorOptions) -> Scores:
    """Return how badly prepared images are drawn, and where."""
    return scores_between(values, draw(values), options=options)


def scores_between(
    values: NDArray[np.uint8], drawn: NDArray[np.float32], *, options: ErrorOptions
) -> Scores:
    """Return how far drawings are from prepared images, both (image, 1, row, column)."""
    image, other = scaled(values)[:, 0], torch.from_numpy(np.ascontiguousarray(drawn))[:, 0]
    maps = _MEASURES[options.measure](image, other)
    if options.blur:
        maps = blurred(maps, options.blur)
    return Scores(images=highest(maps, options.share).double().numpy(), maps=maps.numpy())


def blurred(maps: Tensor, deviation: float) -> Tensor:
    """Return maps (image, row, column) blurred by a Gaussian, cut off at three deviations."""
    reach = round(3 * deviation)
    places = torch.arange(-reach, reach + 1.0, device=maps.device) / deviation
    kernel = torch.exp(-(places**2) / 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(maps[:, None], (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1))[:, 0]


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Return the structural similarity around each pixel, shape (image, row, column).

    Source: Wang 2004, doi 10.1109/TIP.2003.819861, equation 13.
    """
    means = blurred(first, WINDOW), blurred(second, WINDOW)
    variances = [
        blurred(one**2, WINDOW) - mean**2 for one, mean in zip((first, second), means, strict=True)
    ]
    covariance = blurred(first * second, WINDOW) - means[0] * means[1]
    brightness = (2 * means[0] * means[1] + BRIGHTNESS_FLOOR) / (
        means[0] ** 2 + means[1] ** 2 + BRIGHTNESS_FLOOR
    )
    contrast = (2 * covariance + CONTRAST_FLOOR) / (sum(variances) + CONTRAST_FLOOR)
    return brightness * contrast


_MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": lambda image, drawn: (image - drawn) ** 2,
    "absolute": lambda image, drawn: (image - drawn).abs(),
    "structure": lambda image, drawn: 1 - structural_similarity(image, drawn),
}
