"""Convolutional classifiers for pictures: the base network, and a small residual one.

Pooling stands before the activation: the largest of rectified values is the rectified largest
value, so the result is the same to the last bit and a quarter of the values is rectified.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from aegle.domain.errors import OptionError
from aegle.learning.networks.stages import StagedSequence

FILTERS = (32, 64, 128)
"""Filters of the three convolutions of the base network."""


def base_cnn(
    *, classes: int = 2, channels: int = 3, size: int = 224, pooled: bool = False
) -> nn.Module:
    """Return the base network: three convolutions 3×3 with pooling, then two dense layers.

    With 2 classes, 3 channels and 224 pixels it has 44,397,122 parameters; pooled, 160,322.

    Args:
        classes: Values that it gives.
        channels: Channels of the images.
        size: Rows and columns of the images [pixel].
        pooled: Whether the mean of each feature goes to the dense layers, in place of all
            positions.

    Raises:
        OptionError: The images are too small for three convolutions with pooling.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    inputs, side = channels, size
    for number, filters in enumerate(FILTERS, start=1):
        parts[f"stage{number}"] = nn.Sequential(
            nn.Conv2d(inputs, filters, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True)
        )
        inputs, side = filters, (side - 2) // 2
    if side < 1:
        raise OptionError(f"The base network needs images of at least 22 pixels, not {size}.")
    gather = [nn.AdaptiveAvgPool2d(1)] if pooled else []
    parts["dense"] = nn.Sequential(
        *gather,
        nn.Flatten(),
        nn.Linear(inputs * (1 if pooled else side**2), 512),
        nn.ReLU(inplace=True),
    )
    parts["head"] = nn.Linear(512, classes)
    return StagedSequence(parts)


def small_cnn(
    *,
    classes: int = 2,
    channels: int = 1,
    width: int = 16,
    blocks: int = 2,
    dropout: float = 0.3,
) -> nn.Module:
    """Return a residual network for small pictures of about 28 pixels: three stages.

    The head sees the mean and the largest value of each feature. With the defaults it has
    174,578 parameters.

    Args:
        classes: Values that it gives.
        channels: Channels of the images.
        width: Filters of the first stage; each later stage has twice as many.
        blocks: Residual blocks per stage.
        dropout: Share of the pooled features that is dropped while training.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["stem"] = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
    inputs = width
    for number in range(3):
        filters = width * 2**number
        parts[f"stage{number + 1}"] = nn.Sequential(
            _Residual(inputs, filters, stride=1 if number == 0 else 2),
            *(_Residual(filters, filters, stride=1) for _ in range(blocks - 1)),
        )
        inputs = filters
    parts["head"] = nn.Sequential(
        _MeanAndLargest(), nn.Dropout(dropout), nn.Linear(2 * inputs, classes)
    )
    network = StagedSequence(parts)
    _start(network)
    return network


class _MeanAndLargest(nn.Module):
    """Two values per feature, over all positions."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the means, then the largest values, shape (image, 2 × feature)."""
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.last = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images or features."""
        features: Tensor = self.last(self.branch(images) + self.shortcut(images))
        return features


def _start(network: nn.Module) -> None:
    """Draw the weights of convolutions for rectified outputs (He 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
