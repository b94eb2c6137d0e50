"""A memory of what normal images look like, patch by patch.

After PatchCore (Roth 2022, doi 10.1109/CVPR52688.2022.01392): features of a frozen network at
several depths, and the distance of each patch to the nearest of some remembered normal patches.
Here features are whitened, and a distance counts relative to how densely normal patches lie
where the nearest one is.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.domain.errors import OptionError
from aegle.learning.networks.mobilenet_v2 import BLOCKS, mobilenet_v2

POOL = 3
"""Patches are means over so many positions across."""
CHANNELS = (32, *(filters for _, filters, repetitions, _ in BLOCKS for _ in range(repetitions)))
"""Features of each block of MobileNetV2, the first convolution being number 0."""
Described = Mapping[int, Tensor]
"""By tap the features of the patches of some images, (image, channel, row, column)."""


def memory_bank(
    *,
    taps: Sequence[int] = (13, 16, 17),
    patches: int = 1000,
    share: float = 1.0,
    channels: int = 3,
) -> nn.Module:
    """Return an empty memory; ``aegle.learning.anomaly.fit_bank`` fills it.

    Args:
        taps: Blocks of MobileNetV2 (0 to 17) whose features are looked at, ascending.
        patches: Patches remembered at each of them.
        share: Share of the positions, the oddest ones, whose mean is the score of an image.
        channels: Channels of the images.
    """
    known = len(CHANNELS)
    if not taps or list(taps) != sorted(set(taps)) or not 0 <= taps[0] <= taps[-1] < known:
        raise OptionError(
            f"Taps {list(taps)} are not ascending numbers of blocks; give some of 0 to {known - 1}."
        )
    if patches < 2 or not 0 < share <= 1:
        raise OptionError(
            f"A memory of {patches} patches and a share of {share} cannot be built; give at least "
            "2, and a share above 0 and at most 1."
        )
    return MemoryBank(tuple(taps), patches, share, channels)


class Bank(nn.Module):
    """Remembered patches of one tap."""

    mean: Tensor
    whitening: Tensor
    patches: Tensor
    spacing: Tensor
    scale: Tensor

    def __init__(self, channels: int, patches: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("whitening", torch.eye(channels))
        self.register_buffer("patches", torch.zeros(patches, channels))
        self.register_buffer("spacing", torch.ones(patches))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return how odd each position is, shape (image, row, column); normal ones are about 1."""
        rows, columns = features.shape[-2:]
        flat = (features.permute(0, 2, 3, 1).flatten(0, 2) - self.mean) @ self.whitening
        return (oddness(flat, self.patches, self.spacing) / self.scale).view(-1, rows, columns)


class MemoryBank(nn.Module):
    """A frozen network with a bank for each tap."""

    def __init__(
        self, taps: tuple[int, ...], patches: int, share: float, channels: int = 3
    ) -> None:
        super().__init__()
        self.taps, self.share = taps, share
        backbone = mobilenet_v2(classes=1, channels=channels, batch_norm=False)
        self.features: nn.Sequential = backbone.get_submodule("features")[: taps[-1] + 1]  # type: ignore[index]
        self.banks = nn.ModuleList(Bank(CHANNELS[tap], patches) for tap in taps)

    def describe(self, images: Tensor) -> Described:
        """Return the features that are looked at, by tap.

        Args:
            images: Normalised, shape (image, channel, row, column).

        Returns:
            Of each patch, shape (image, channel, row, column).
        """
        found = {}
        features = images
        for number, block in enumerate(self.features):
            features = block(features)
            if number in self.taps:
                found[number] = functional.avg_pool2d(
                    features, POOL, stride=1, padding=POOL // 2, count_include_pad=False
                )
        return found

    def odd(self, described: Described) -> list[Tensor]:
        """Return how odd each position is, one (image, row, column) per tap."""
        pairs = zip(self.taps, self.banks, strict=True)
        return [bank(described[tap]) for tap, bank in pairs]

    def judge(self, described: Described, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the score of each image, and its map.

        Scores are about 1 for what is normal; so are maps, where the share is 1.

        Args:
            described: Features by tap, of the same images.
            size: Rows and columns of the maps.
        """
        odd = self.odd(described)
        scores = [highest(one, self.share) for one in odd]
        maps = [functional.interpolate(one[:, None], size, mode="bilinear")[:, 0] for one in odd]
        return torch.stack(scores).mean(0), torch.stack(maps).mean(0)

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each image, shape (image,)."""
        rows, columns = images.shape[-2:]
        return self.judge(self.describe(images), (rows, columns))[0]


def oddness(flat: Tensor, patches: Tensor, spacing: Tensor, kept: Tensor | None = None) -> Tensor:
    """Return the distance to the nearest patch over the spacing of patches there.

    Args:
        flat: Whitened features, shape (position, channel).
        patches: Remembered ones, shape (patch, channel).
        spacing: Mean distance of each patch to its neighbours, shape (patch,).
        kept: Which patches count for each position, shape (position, patch); None for all.
    """
    distances = between(flat, patches)
    if kept is not None:
        distances = distances.masked_fill(~kept, torch.inf)
    nearest, which = distances.min(1)
    return nearest / spacing[which]


def between(first: Tensor, second: Tensor) -> Tensor:
    """Return Euclidean distances, shape (first, second)."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return squares.clamp_min(0).sqrt()


def highest(odd: Tensor, share: float) -> Tensor:
    """Return the mean over the oddest share of the positions, shape (image,)."""
    flat = odd.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    return flat.topk(count, dim=1).values.mean(1)
