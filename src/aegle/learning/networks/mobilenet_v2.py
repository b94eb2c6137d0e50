"""MobileNetV2 (Sandler 2018, table 2), with the names of torchvision's state dictionaries."""

import torch
from torch import Tensor, nn

from aegle.learning.networks.stages import Stage

BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, filters, repetitions and stride of the first repetition; table 2 of the paper."""
STAGE_ENDS = (2, 4, 7, 11, 14, 18, 19)
"""Where one stage ends and the next begins, as an index into ``features``."""


JOINED = (3, 6, 10, 13, 16, 17, 18)
"""Parts of ``features`` whose means a joined head sees: the end of each scale and of the last."""


def mobilenet_v2(
    *,
    classes: int = 2,
    channels: int = 3,
    batch_norm: bool = True,
    dropout: float = 0.2,
    joined: bool = False,
) -> nn.Module:
    """Return MobileNetV2 of width 1; with 1000 classes it has 3,504,872 parameters.

    Args:
        classes: Values that it gives.
        channels: Channels of the images.
        batch_norm: Whether convolutions are followed by batch normalisation; without it they
            carry a bias, as weights do into which the normalisation was folded.
        dropout: Share of the pooled features that is dropped while training.
        joined: Whether the head sees the mean features of seven depths (1976 values) in place
            of the last one's (1280), as suits a head on a frozen body.
    """
    return MobileNetV2(classes, channels, batch_norm, dropout, JOINED if joined else JOINED[-1:])


class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks."""

    def __init__(
        self,
        classes: int,
        channels: int,
        batch_norm: bool,
        dropout: float,
        seen: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.seen = seen
        layers: list[nn.Module] = [_convolution(channels, 32, batch_norm, size=3, stride=2)]
        inputs = 32
        widths = [inputs]
        for expansion, filters, repetitions, first_stride in BLOCKS:
            for number in range(repetitions):
                stride = first_stride if number == 0 else 1
                layers.append(_Block(inputs, filters, expansion, stride, batch_norm=batch_norm))
                inputs = filters
                widths.append(inputs)
        layers.append(_convolution(inputs, 1280, batch_norm))
        self.features = nn.Sequential(*layers)
        described = sum([*widths, 1280][number] for number in seen)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(described, classes))
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images, shape (image, class)."""
        means = []
        features = images
        for number, block in enumerate(self.features):
            features = block(features)
            if number in self.seen:
                means.append(features.mean((2, 3)))
        logits: Tensor = self.classifier(torch.cat(means, dim=1))
        return logits

    def stages(self) -> list[Stage]:
        """Return the stages from the image to the head: one per scale, two at 1/16 and 1/32."""
        blocks = list(self.features)
        starts = (0, *STAGE_ENDS[:-1])
        parts: list[Stage] = [
            (f"features.{start}-{end - 1}", blocks[start:end])
            for start, end in zip(starts, STAGE_ENDS, strict=True)
        ]
        return [*parts, ("classifier", [self.classifier])]


class _Block(nn.Module):
    """Widen, convolve each channel, narrow; with a shortcut where the shapes agree."""

    def __init__(
        self, inputs: int, outputs: int, expansion: int, stride: int, *, batch_norm: bool
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        widen = [] if expansion == 1 else [_convolution(inputs, hidden, batch_norm)]
        self.conv = nn.Sequential(
            *widen,
            _convolution(hidden, hidden, batch_norm, size=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=not batch_norm),
            _normalisation(outputs, batch_norm),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return the next features."""
        changed: Tensor = self.conv(features)
        return features + changed if self.shortcut else changed


def _convolution(
    inputs: int,
    outputs: int,
    batch_norm: bool,
    *,
    size: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            size,
            stride=stride,
            padding=size // 2,
            groups=groups,
            bias=not batch_norm,
        ),
        _normalisation(outputs, batch_norm),
        nn.ReLU6(inplace=True),
    )


def _normalisation(filters: int, batch_norm: bool) -> nn.Module:
    return nn.BatchNorm2d(filters) if batch_norm else nn.Identity()


def _start(network: nn.Module) -> None:
    """Draw weights as for rectified outputs (He 2015); the head starts near 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
