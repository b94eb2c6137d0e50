"""Geometric and intensity changes of images as sampled parameters that can be replayed.

``sample`` draws what happens to each image, ``apply`` does it. The same parameters on the same
images give the same result, and parameters can be kept as JSON. The order is: one affine map,
blur, gamma, contrast, brightness, noise, inversion, a rectangle erased, the border covered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor
from torch.nn import functional

from aegle.learning.affine import AffineRanges, sample_affine, warp
from aegle.options import option

Augment = Callable[[Tensor, np.random.Generator], Tensor]
"""Changes a batch of images in [0, 1]; all randomness comes from the generator."""

ERASED_SIDE = (0.1, 0.4)
"""Smallest and largest side of an erased rectangle, as a share of the image's."""

BORDER_WIDTH = (0.02, 0.12)
"""Smallest and largest width of a covered border, as a share of the image."""

BLUR_REACH = 4.0
"""Standard deviations after which the blur is cut off, as in scipy.ndimage."""


@checked(frozen=True, kw_only=True)
class AugmentationOptions:
    """How far images are changed at random while training; all 0 for not at all."""

    rotation_deg: Annotated[float, option("Largest rotation", unit="degree", ge=0, le=180)] = 0.0
    scale: Annotated[float, option("Largest relative change of size", ge=0, lt=1)] = 0.0
    shift: Annotated[float, option("Largest shift, as a share of the image", ge=0, le=1)] = 0.0
    shear: Annotated[float, option("Largest shear", ge=0, le=1)] = 0.0
    mirror: Annotated[bool, option("Mirror left and right, half of the images")] = False
    flip: Annotated[bool, option("Mirror up and down, half of the images")] = False
    gamma: Annotated[float, option("Largest change of the logarithm of gamma", ge=0, le=2)] = 0.0
    contrast: Annotated[float, option("Largest relative change of contrast", ge=0, lt=1)] = 0.0
    brightness: Annotated[
        float, option("Largest change of brightness, values in [0, 1]", ge=0, le=1)
    ] = 0.0
    noise: Annotated[float, option("Largest standard deviation of added noise", ge=0, le=1)] = 0.0
    blur: Annotated[
        float, option("Largest standard deviation of blur", unit="pixel", ge=0, le=10)
    ] = 0.0
    invert: Annotated[float, option("Share of images that are inverted", ge=0, le=1)] = 0.0
    erase: Annotated[
        float, option("Share of images of which a rectangle is erased", ge=0, le=1)
    ] = 0.0
    border: Annotated[
        float,
        option(
            "Share of images whose border is covered, against marks burned in there", ge=0, le=1
        ),
    ] = 0.0
    share: Annotated[float, option("Share of images that are changed at all", ge=0, le=1)] = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameters:
    """What happens to each of some images; the first axis of every array is the image."""

    affine: NDArray[np.float64]
    """Position in the result to position in the image, (image, axis, axis + 1); axes x, y(, z)
    of ``torch.nn.functional.affine_grid``, in half sizes of the image from its centre."""
    gamma: NDArray[np.float64]
    contrast: NDArray[np.float64]
    """Factor on the distance from the image's mean."""
    brightness: NDArray[np.float64]
    noise: NDArray[np.float64]
    """Standard deviation."""
    noise_seed: NDArray[np.int64]
    blur: NDArray[np.float64]
    """Standard deviation [pixel]."""
    invert: NDArray[np.bool_]
    erase: NDArray[np.float64]
    """First and last edge along each array axis as shares of it, (image, axis, 2); equal edges
    erase nothing."""
    border: NDArray[np.float64]
    """Width of the border that is covered, as a share of rows and of columns."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.gamma)

    def take(self, images: slice) -> "Parameters":
        """Return the parameters of some of the images."""
        return Parameters(**{name: array[images] for name, array in self._arrays().items()})

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, exact to the last bit."""
        return {name: array.tolist() for name, array in self._arrays().items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Parameters":
        """Return parameters from what ``to_json`` gave."""
        kinds = {"noise_seed": np.int64, "invert": np.bool_}
        return cls(
            **{
                name: np.array(value, kinds.get(name, np.float64))
                for name, value in content.items()
            }
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class SampledAugment:
    """Augmentation by options; every image's change is known before it is made."""

    options: AugmentationOptions

    def __call__(self, images: Tensor, generator: np.random.Generator) -> Tensor:
        """Return changed images."""
        return self.part(images, generator, count=len(images), start=0)

    def part(
        self, images: Tensor, generator: np.random.Generator, *, count: int, start: int
    ) -> Tensor:
        """Return changed images that are a part of more, as if all had been changed.

        Args:
            images: The part.
            generator: Randomness for all of them.
            count: How many there are in all.
            start: Where the part begins.
        """
        drawn = sample(self.options, count, tuple(images.shape[2:]), generator)
        return apply(images, drawn.take(slice(start, start + len(images))))


def augment(options: AugmentationOptions) -> Augment:
    """Return the augmentation that options describe."""
    return SampledAugment(options=options)


def sample(
    options: AugmentationOptions,
    count: int,
    shape: tuple[int, ...],
    generator: np.random.Generator,
) -> Parameters:
    """Draw what happens to each of some images.

    All kinds of change are drawn whether they are wanted or not, so that setting one does not
    change the others.

    Args:
        options: How far.
        count: Number of images.
        shape: (row, column) or (slice, row, column).
        generator: All randomness.
    """
    spared = generator.random(count) >= options.share
    ranges = AffineRanges(
        rotation=np.deg2rad(options.rotation_deg),
        scale=options.scale,
        shift=options.shift,
        shear=options.shear,
        mirror=options.mirror,
        flip=options.flip,
    )
    affine = sample_affine(ranges, count, shape, generator)
    affine[spared] = np.eye(len(shape), len(shape) + 1)

    def even(limit: float) -> NDArray[np.float64]:
        return np.where(spared, 0.0, limit * generator.uniform(-1, 1, count))

    def chosen(share: float) -> NDArray[np.bool_]:
        return (generator.random(count) < share) & ~spared

    return Parameters(
        affine=affine,
        gamma=np.exp(even(options.gamma)),
        contrast=1 + even(options.contrast),
        brightness=even(options.brightness),
        noise=np.abs(even(options.noise)),
        noise_seed=generator.integers(2**62, size=count),
        blur=np.abs(even(options.blur)),
        invert=chosen(options.invert),
        erase=_boxes(chosen(options.erase), len(shape), generator),
        border=np.where(chosen(options.border), generator.uniform(*BORDER_WIDTH, count), 0.0),
    )


def _boxes(
    chosen: NDArray[np.bool_], axes: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw rectangles that lie within the image; empty ones where not chosen."""
    sides = generator.uniform(*ERASED_SIDE, (len(chosen), axes))
    starts = generator.uniform(0, 1 - sides)
    boxes = np.stack([starts, starts + sides], axis=-1)
    return np.where(chosen[:, None, None], boxes, 0.0)


def apply(images: Tensor, parameters: Parameters) -> Tensor:
    """Return images changed as the parameters say.

    Args:
        images: Values in [0, 1], shape (image, channel, row, column) or with slices before rows.
        parameters: As many as images.
    """
    result = warp(images, parameters.affine)
    result = _blurred(result, parameters.blur)
    result = _shaded(result, parameters)
    result = _noisy(result, parameters)
    inverted = torch.from_numpy(parameters.invert)
    if parameters.invert.any():
        result[inverted] = 1 - result[inverted]
    return _covered(result, parameters)


def _shaded(images: Tensor, parameters: Parameters) -> Tensor:
    """Return images with gamma, contrast and brightness; always a copy."""
    result = images.clone()
    if (parameters.gamma != 1).any():
        result = result.pow_(_per_image(parameters.gamma, images))
    if (parameters.contrast != 1).any():
        mean = result.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
        result = result.sub_(mean).mul_(_per_image(parameters.contrast, images)).add_(mean)
    if (parameters.brightness != 0).any():
        result = result.add_(_per_image(parameters.brightness, images))
    return result.clamp_(0, 1)


def _noisy(images: Tensor, parameters: Parameters) -> Tensor:
    for image, deviation, seed in zip(images, parameters.noise, parameters.noise_seed, strict=True):
        if deviation > 0:
            generator = torch.Generator().manual_seed(int(seed))
            noise = torch.randn(image.shape, generator=generator)
            image.add_(noise.to(image.device), alpha=float(deviation)).clamp_(0, 1)
    return images


def _covered(images: Tensor, parameters: Parameters) -> Tensor:
    """Return images with a rectangle at their mean, and with a black border."""
    for image, box, width in zip(images, parameters.erase, parameters.border, strict=True):
        if box[0, 1] > box[0, 0]:
            edges = np.round(box * np.array(image.shape[1:])[:, None]).astype(int)
            image[(slice(None), *(slice(*edge) for edge in edges))] = image.mean()
        if width > 0:
            rows, columns = (round(width * size) for size in image.shape[-2:])
            image[..., : max(1, rows), :] = 0
            image[..., -max(1, rows) :, :] = 0
            image[..., : max(1, columns)] = 0
            image[..., -max(1, columns) :] = 0
    return images


def _blurred(images: Tensor, deviations: NDArray[np.float64]) -> Tensor:
    """Return images convolved with a normal distribution; edge values go on outside."""
    chosen = np.flatnonzero(deviations > 0)
    if not len(chosen):
        return images
    result = images.clone()
    result[chosen] = _convolved(images[chosen], _kernels(deviations[chosen]))
    return result


def _kernels(deviations: NDArray[np.float64]) -> Tensor:
    """Return one sampled normal distribution per row, cut off where scipy.ndimage cuts."""
    reach = int(BLUR_REACH * deviations.max() + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / deviations[:, None]) ** 2)
    weights[np.abs(offsets) > (BLUR_REACH * deviations[:, None] + 0.5).astype(int)] = 0
    return torch.from_numpy(weights / weights.sum(axis=1, keepdims=True)).float()


def _convolved(images: Tensor, kernels: Tensor) -> Tensor:
    """Return images convolved along every axis, each with its own kernel."""
    axes = images.ndim - 2
    weights = kernels.to(images).view(*kernels.shape, *[1] * (axes + 1)).unbind(1)
    reach = len(weights) // 2
    result = images
    for axis in range(axes):
        margin = [0, 0] * axes
        margin[2 * (axes - 1 - axis) : 2 * (axes - axis)] = [reach, reach]
        padded = functional.pad(result, margin, mode="replicate")
        windows = [
            padded.narrow(axis + 2, start, images.shape[axis + 2]) for start in range(len(weights))
        ]
        # Sums of shifted images are faster here than a convolution for each image.
        result = windows[0] * weights[0]
        for window, weight in zip(windows[1:], weights[1:], strict=True):
            result.addcmul_(window, weight)
    return result


def _per_image(values: NDArray[np.float64], images: Tensor) -> Tensor:
    return torch.from_numpy(values).to(images).view(-1, *[1] * (images.ndim - 1))
