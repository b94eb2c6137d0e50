"""Networks that describe an image by a code and draw it again from the code.

All give images on the scale of those they take, and have ``encode`` (images to codes, shape
(image, value)) and ``decode`` (codes to images).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.domain.errors import OptionError
from aegle.learning.networks.stages import Stage

MIDDLE, CODE_DEVIATION = 0.5, 2.0
"""Of values in [0, 1], and of component scores; by them the correction meets values of about 1."""


def base_autoencoder(*, channels: int = 3, size: int = 224) -> nn.Module:
    """Return the base autoencoder: three poolings to 28×28×128 and back; values in [0, 1].

    With 3 channels it has 333,955 parameters. Its code holds 100,352 values, more than half
    of the image's.

    Args:
        channels: Channels of the images.
        size: Rows and columns [pixel], a multiple of 8.
    """
    _check(size)
    return BaseAutoencoder(channels, size)


def narrow_autoencoder(
    *, code: int = 64, size: int = 64, channels: int = 1, width: int = 12
) -> nn.Module:
    """Return an autoencoder with few code values that can start as principal components.

    The encoder is a linear map, the decoder a linear map plus a convolutional correction that
    starts at 0; after ``start_from`` it does what principal component analysis does, and
    training goes on from there.

    Args:
        code: Values that describe an image.
        size: Rows and columns [pixel], a multiple of 8.
        channels: Channels of the images.
        width: Filters of the correction.
    """
    _check(size)
    return NarrowAutoencoder(code, size, channels, width)


def variational_autoencoder(
    *, code: int = 32, size: int = 64, channels: int = 1, width: int = 16
) -> nn.Module:
    """Return a variational autoencoder (Kingma 2014): the code is a normal distribution.

    Args:
        code: Values that describe an image.
        size: Rows and columns [pixel], a multiple of 8.
        channels: Channels of the images.
        width: Filters of the first of three stages; each later one has twice as many.
    """
    _check(size)
    return VariationalAutoencoder(code, size, channels, width)


class BaseAutoencoder(nn.Module):
    """Three convolutions with pooling, and four with repetition back to the image."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.side = size // 8
        self.encoder = nn.Sequential(*_shrink(channels, 32), *_shrink(32, 64), *_shrink(64, 128))
        self.decoder = nn.Sequential(
            *_grow(128, 128),
            *_grow(128, 64),
            *_grow(64, 32),
            nn.Conv2d(32, channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Return codes, shape (image, 128 × side²)."""
        features: Tensor = self.encoder(images)
        return features.flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return images with values in [0, 1]."""
        images: Tensor = self.decoder(codes.reshape(len(codes), 128, self.side, self.side))
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Return the images as drawn from their codes."""
        drawn: Tensor = self.decoder(self.encoder(images))
        return drawn

    def stages(self) -> list[Stage]:
        """Return encoder and decoder."""
        return [("encoder", [self.encoder]), ("decoder", [self.decoder])]


class NarrowAutoencoder(nn.Module):
    """Principal components with a convolutional correction."""

    mean: Tensor

    def __init__(self, code: int, size: int, channels: int, width: int) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        values = channels * size * size
        self.register_buffer("mean", torch.zeros(values))
        self.analysis = nn.Linear(values, code, bias=False)
        self.synthesis = nn.Linear(code, values, bias=False)
        nn.init.orthogonal_(self.analysis.weight)
        with torch.no_grad():
            self.synthesis.weight.copy_(self.analysis.weight.T)
        self.code_map = nn.Sequential(
            nn.Linear(code, 8 * (size // 8) ** 2),
            nn.Unflatten(1, (8, size // 8, size // 8)),
            nn.Conv2d(8, width, 1),
        )
        self.draft = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.image_correction = nn.Sequential(
            _Dilated(width, 1),
            _Dilated(width, 2),
            _Dilated(width, 4),
            nn.Conv2d(width, 4 * channels, 3, padding=1),
        )
        for parameter in self.image_correction[-1].parameters():
            nn.init.zeros_(parameter)

    def start_from(self, images: Tensor) -> None:
        """Take over the principal components of images, shape (image, channel, row, column).

        With fewer images than code values the remaining ones start at 0.
        """
        flat = images.flatten(1).double()
        mean = flat.mean(0)
        _, _, axes = torch.linalg.svd(flat - mean, full_matrices=False)
        code = self.analysis.out_features
        components = torch.zeros(code, flat.shape[1], dtype=torch.float64)
        components[: min(code, len(axes))] = axes[:code]
        with torch.no_grad():
            self.mean.copy_(mean)
            self.analysis.weight.copy_(components)
            self.synthesis.weight.copy_(components.T)

    def encode(self, images: Tensor) -> Tensor:
        """Return codes, shape (image, code)."""
        codes: Tensor = self.analysis(images.flatten(1) - self.mean)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Return images."""
        draft = (self.synthesis(codes) + self.mean).view(-1, *self.shape)
        features = self.draft((functional.pixel_unshuffle(draft, 2) - MIDDLE) / MIDDLE)
        features = features + functional.interpolate(
            self.code_map(codes / CODE_DEVIATION), scale_factor=4, mode="bilinear"
        )
        correction = functional.pixel_shuffle(self.image_correction(features), 2)
        corrected: Tensor = draft + MIDDLE * correction
        return corrected

    def groups(self, linear_rate: float = 0.1) -> tuple[dict[str, Any], ...]:
        """Return all parameters with their share of the training rate.

        Args:
            linear_rate: Share of the linear maps, which start near where they belong.
        """
        linear = [self.analysis.weight, self.synthesis.weight]
        known = {id(parameter) for parameter in linear}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return (
            {"params": rest, "rate": 1.0},
            {"params": linear, "rate": linear_rate, "weight_decay": 0.0},
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the images as drawn from their codes."""
        return self.decode(self.encode(images))

    def stages(self) -> list[Stage]:
        """Return encoder and decoder."""
        decoder = [self.synthesis, self.code_map, self.draft, self.image_correction]
        return [("encoder", [self.analysis]), ("decoder", decoder)]


class VariationalAutoencoder(nn.Module):
    """An encoder that gives mean and spread of the code, and a decoder."""

    def __init__(self, code: int, size: int, channels: int, width: int) -> None:
        super().__init__()
        side, last = size // 8, 4 * width
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(2 * width, last, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(last * side**2, 2 * code),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, last * side**2),
            nn.LeakyReLU(0.1),
            nn.Unflatten(1, (last, side, side)),
            nn.ConvTranspose2d(last, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
        )

    def distribution(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the codes, each (image, code)."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def encode(self, images: Tensor) -> Tensor:
        """Return the mean codes, shape (image, code)."""
        return self.distribution(images)[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Return images."""
        images: Tensor = self.decoder(codes)
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Return images as drawn from their mean codes, or while training from drawn codes."""
        mean, log_variance = self.distribution(images)
        if self.training:
            return self.decode(draw(mean, log_variance))
        return self.decode(mean)

    def stages(self) -> list[Stage]:
        """Return encoder and decoder."""
        return [("encoder", [self.encoder]), ("decoder", [self.decoder])]


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return codes drawn from their distributions; the randomness is torch's."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback–Leibler divergence from the standard normal [nat], shape (image,).

    Source: Kingma 2014, appendix B.
    """
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1)


class _Dilated(nn.Module):
    """Two convolutions beside a shortcut; the first looks ``distance`` pixels far."""

    def __init__(self, width: int, distance: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=distance, dilation=distance),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the next features."""
        changed: Tensor = self.branch(features)
        return features + changed


def _shrink(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True)


def _grow(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    return convolution, nn.ReLU(inplace=True), nn.Upsample(scale_factor=2)


def _check(size: int) -> None:
    if size < 8 or size % 8:
        raise OptionError(f"An autoencoder halves {size} pixels three times; give a multiple of 8.")
