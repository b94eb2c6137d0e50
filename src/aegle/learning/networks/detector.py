"""A light detector of objects in pictures: what is where, without anchors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.domain.errors import OptionError
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.outlining import SCALE_ENDS, SCALE_FILTERS, Pointwise
from aegle.learning.networks.stages import Stage

RARE = 0.01
"""Probability of an object that an untrained head gives everywhere (Lin 2017, focal loss)."""
POOLED = 2
"""Scales of the features by which the class of a box is told: 1/16 and 1/32."""
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
    (Lin 2017, feature pyramids). Of every place it says how likely it is the middle of an object,
    and how far the object's edges are (Zhou 2019; Liu 2020). The class of an object is told by the
    mean of the features within its box (Girshick 2015, region pooling).

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


@dataclass(frozen=True, eq=False)
class Looked:
    """What a detector sees in pictures."""

    places: Tensor
    """Shape (image, 5, row, column), a place every stride: the logit that it is the middle of an
    object; then, softplus not yet taken, how far the left, top, right and bottom edge lie from
    the middle of the place [stride]."""
    features: tuple[Tensor, ...]
    """What was seen at 1/16 and 1/32 of the picture's size, (image, filter, row, column)."""


class MobileDetector(nn.Module):
    """MobileNetV2, features joined across scales, places of objects, and the class of a box."""

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
        self.look = _convolution(width)
        # A linear layer, since a convolution of so few filters would keep the network from the
        # order in memory that it is fastest in (see batches.layout_of).
        self.place_head = Pointwise(width, 5)
        described = sum(SCALE_FILTERS[-POOLED:])
        self.class_head = nn.Sequential(
            nn.LayerNorm(described), nn.Dropout(0.1), nn.Linear(described, classes)
        )
        for part in (self.narrow, self.smooth, self.look):
            part.apply(_start)
        nn.init.normal_(self.place_head.weight, std=0.01)
        nn.init.zeros_(self.place_head.bias)
        nn.init.constant_(self.place_head.bias[:1], -math.log((1 - RARE) / RARE))

    def forward(self, images: Tensor) -> Looked:
        """Return what every place says, and what classes are told by."""
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
        places = self.place_head(self.look(joined))
        return Looked(places, tuple(seen[-POOLED:]))

    def classify(self, features: tuple[Tensor, ...], boxes: Tensor, size: int) -> Tensor:
        """Return the logits of the classes of boxes in one picture, shape (box, class).

        The class of an object is told by the mean of what was seen within its box.

        Args:
            features: Of one picture, (filter, row, column) at each scale.
            boxes: Shape (box, 4): left, top, right, bottom edge [pixel].
            size: Rows and columns of the picture.
        """
        means = [
            _mean_within(scale.float(), boxes * (scale.shape[-1] / size)) for scale in features
        ]
        logits: Tensor = self.class_head(torch.cat(means, dim=1))
        return logits

    def stages(self) -> list[Stage]:
        """Return the scales of the body from the image on, and all that is new as the head."""
        starts = (0, *(end + 1 for end in SCALE_ENDS[:-1]))
        parts = list(self.features)
        body: list[Stage] = [
            (f"features.{start}-{end}", parts[start : end + 1])
            for start, end in zip(starts, SCALE_ENDS, strict=True)
        ]
        head: list[nn.Module] = [
            self.narrow,
            self.smooth,
            self.look,
            self.place_head,
            self.class_head,
        ]
        return [*body, ("head", head)]


def _mean_within(features: Tensor, boxes: Tensor) -> Tensor:
    """Return the mean of features within boxes, parts of places counted as such.

    Args:
        features: Shape (filter, row, column).
        boxes: Shape (box, 4) [place]; thinner ones than a place are widened to it.
    """
    rows, columns = features.shape[1:]
    across = _covered(boxes[:, 0], boxes[:, 2], columns)
    along = _covered(boxes[:, 1], boxes[:, 3], rows)
    sums = torch.einsum("br,frc,bc->bf", along, features, across)
    area = along.sum(dim=1) * across.sum(dim=1)
    return sums / area.clamp(min=1e-3)[:, None]


def _covered(low: Tensor, high: Tensor, count: int) -> Tensor:
    """Return the share of each of so many places that lies between two edges, (box, place)."""
    middle = ((low + high) / 2).clamp(0.5, count - 0.5)
    half = ((high - low) / 2).clamp(min=0.5)
    first = torch.arange(count, device=low.device, dtype=low.dtype)
    ends = torch.minimum(first + 1, (middle + half)[:, None])
    starts = torch.maximum(first, (middle - half)[:, None])
    return (ends - starts).clamp(min=0)


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
