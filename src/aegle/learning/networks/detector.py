"""A light detector of objects in pictures: what is where, without anchors."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.domain.errors import OptionError
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.outlining import SCALE_ENDS, SCALE_FILTERS
from aegle.learning.networks.stages import Stage

RARE = 0.01
"""Probability of an object that an untrained head gives everywhere (Lin 2017, focal loss)."""
STRIDES = (8, 16)
"""Distances of the places at which objects are looked for [pixel]."""


def mobile_detector(
    *,
    channels: int = 3,
    classes: int = 1,
    stride: int = 8,
    width: int = 96,
    batch_norm: bool = False,
) -> nn.Module:
    """Return a detector on MobileNetV2 (Sandler 2018), whose weights fit it by name.

    Features at 1/32 of the picture's size are brought to the stride and joined with finer ones
    (Lin 2017, feature pyramids). Of every place it says how likely it is the middle of an object
    of each class, and how far the object's edges are (Zhou 2019; Liu 2020).

    Args:
        channels: Channels of the pictures.
        classes: Classes of objects.
        stride: Distance of the places [pixel], 8 or 16.
        width: Filters of what joins the features.
        batch_norm: Whether MobileNetV2's convolutions are followed by batch normalisation;
            without it they carry a bias, as weights do into which it was folded.

    Raises:
        OptionError: The stride is another.
    """
    if stride not in STRIDES:
        raise OptionError(f"A detector looks every {' or '.join(map(str, STRIDES))} pixels.")
    return MobileDetector(channels, classes, stride, width, batch_norm)


class MobileDetector(nn.Module):
    """MobileNetV2, features joined across scales, and a head for classes and edges."""

    def __init__(
        self, channels: int, classes: int, stride: int, width: int, batch_norm: bool
    ) -> None:
        super().__init__()
        self.classes, self.stride = classes, stride
        body = mobilenet_v2(classes=1, channels=channels, batch_norm=batch_norm)
        self.features = body.get_submodule("features")[: SCALE_ENDS[-1] + 1]  # type: ignore[index]
        self.levels = [number for number, size in enumerate((2, 4, 8, 16, 32)) if size >= stride]
        self.narrow = nn.ModuleList(
            nn.Conv2d(SCALE_FILTERS[level], width, 1) for level in self.levels
        )
        self.smooth = nn.ModuleList(_convolution(width) for _ in self.levels[:-1])
        self.class_head = nn.Sequential(_convolution(width), nn.Conv2d(width, classes, 1))
        self.edge_head = nn.Sequential(_convolution(width), nn.Conv2d(width, 4, 1))
        for part in (self.narrow, self.smooth, self.class_head, self.edge_head):
            part.apply(_start)
        last = self.class_head[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log((1 - RARE) / RARE))

    def forward(self, images: Tensor) -> Tensor:
        """Return what every place says, (image, class + 4, row, column).

        First the logits of the classes; then, softplus not yet taken, how far the left, top,
        right and bottom edge lie from the middle of the place, in strides.
        """
        seen = []
        features = images
        for number, block in enumerate(self.features):
            features = block(features)
            if number in SCALE_ENDS:
                seen.append(features)
        kept = [narrow(seen[level]) for narrow, level in zip(self.narrow, self.levels, strict=True)]
        joined = kept.pop()
        for place in reversed(range(len(kept))):
            larger = functional.interpolate(
                joined, size=kept[place].shape[2:], mode="bilinear", align_corners=False
            )
            joined = self.smooth[place](larger + kept[place])
        return torch.cat((self.class_head(joined), self.edge_head(joined)), dim=1)

    def stages(self) -> list[Stage]:
        """Return the scales of the body from the image on, and all that is new as the head."""
        starts = (0, *(end + 1 for end in SCALE_ENDS[:-1]))
        parts = list(self.features)
        body: list[Stage] = [
            (f"features.{start}-{end}", parts[start : end + 1])
            for start, end in zip(starts, SCALE_ENDS, strict=True)
        ]
        head: list[nn.Module] = [self.narrow, self.smooth, self.class_head, self.edge_head]
        return [*body, ("head", head)]


def _convolution(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.GroupNorm(8, width),
        nn.SiLU(inplace=True),
    )


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=1.0)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
