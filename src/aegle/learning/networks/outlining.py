"""Networks that give every pixel or voxel its class: U-Nets of blocks that MONAI provides.

While training, a network with deep supervision gives a list of logits from fine to coarse, each
at its own scale; otherwise it gives the finest alone, at the scale of the image. MONAI is imported
when a network is built; that takes seconds.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from aegle.domain.errors import OptionError
from aegle.learning.networks.stages import Stage

Sizes = Sequence[Sequence[int]]
"""Of each level, one number per axis."""
NORMALISATION = ("instance", {"affine": True})
LEAST_LEVELS = 2
RESIDUAL_BLOCKS = 2
"""Of each level of a residual encoder but the first, which has one."""


def unet(
    *,
    channels: int = 1,
    classes: int = 2,
    widths: Sequence[int] = (32, 64, 128, 256),
    strides: Sizes = ((1, 1), (2, 2), (2, 2), (2, 2)),
    kernels: Sizes = ((3, 3), (3, 3), (3, 3), (3, 3)),
    deep_supervision: int = 0,
) -> nn.Module:
    """Return a U-Net of two convolutions per level (Ronneberger 2015; Isensee 2021).

    Where all kernels are alike it has the function of MONAI's DynUNet; with the defaults it has
    1,926,242 parameters.

    Args:
        channels: Channels of the images.
        classes: Values that it gives for every voxel, background included.
        widths: Filters of each level, from fine to coarse.
        strides: Steps of each level from the one before, (slice,) row, column; the first level's
            are 1.
        kernels: Sizes of the convolutions of each level.
        deep_supervision: Coarser outputs that it gives while training.

    Raises:
        OptionError: The levels do not agree, or there are too few for deep supervision.
    """
    plan = _Levels(tuple(widths), strides, kernels, residual=False)
    return UNet(plan, channels, classes, deep_supervision)


def residual_unet(
    *,
    channels: int = 1,
    classes: int = 2,
    widths: Sequence[int] = (32, 64, 128, 256),
    strides: Sizes = ((1, 1), (2, 2), (2, 2), (2, 2)),
    kernels: Sizes = ((3, 3), (3, 3), (3, 3), (3, 3)),
    deep_supervision: int = 0,
) -> nn.Module:
    """Return a U-Net whose encoder adds what each block changes to what it was given (He 2016).

    Args:
        channels: Channels of the images.
        classes: Values that it gives for every voxel, background included.
        widths: Filters of each level, from fine to coarse.
        strides: Steps of each level from the one before.
        kernels: Sizes of the convolutions of each level.
        deep_supervision: Coarser outputs that it gives while training.

    Raises:
        OptionError: The levels do not agree, or there are too few for deep supervision.
    """
    plan = _Levels(tuple(widths), strides, kernels, residual=True)
    return UNet(plan, channels, classes, deep_supervision)


def mobile_unet(
    *,
    channels: int = 3,
    classes: int = 2,
    widths: Sequence[int] = (16, 24, 32, 48, 96),
    batch_norm: bool = False,
    deep_supervision: int = 0,
) -> nn.Module:
    """Return a U-Net for pictures whose encoder is MobileNetV2 (Sandler 2018).

    Weights of MobileNetV2 fit the encoder by name. With the defaults it has 2,188,074 parameters.

    Args:
        channels: Channels of the pictures.
        classes: Values that it gives for every pixel, background included.
        widths: Filters of the decoder at full, 1/2, 1/4, 1/8 and 1/16 of the picture's size.
        batch_norm: Whether convolutions are followed by batch normalisation; without it those
            of the encoder carry a bias, as weights do into which it was folded, and those of the
            decoder are normalised image by image.
        deep_supervision: Coarser outputs that it gives while training.

    Raises:
        OptionError: There are not five widths, or more outputs than scales.
    """
    return MobileUNet(channels, classes, tuple(widths), batch_norm, deep_supervision)


class _Levels:
    """What the levels of a U-Net are, from fine to coarse."""

    def __init__(
        self, widths: tuple[int, ...], strides: Sizes, kernels: Sizes, *, residual: bool
    ) -> None:
        axes = {len(size) for size in (*strides, *kernels)}
        counts = {len(widths), len(strides), len(kernels)}
        if len(counts) > 1 or len(widths) < LEAST_LEVELS or axes not in ({2}, {3}):
            raise OptionError(
                "A U-Net needs widths, strides and kernels of the same two or more levels, 2 or 3 "
                f"numbers each; given are {len(widths)} widths, strides {strides} and kernels "
                f"{kernels}."
            )
        (self.axes,) = axes
        self.widths, self.residual = widths, residual
        self.strides = [tuple(stride) for stride in strides]
        self.kernels = [tuple(kernel) for kernel in kernels]

    def blocks(self, level: int) -> int:
        """Return how many blocks a level of the encoder has."""
        return RESIDUAL_BLOCKS if self.residual and level else 1


class UNet(nn.Module):
    """An encoder, and a decoder that joins what the encoder saw at each scale."""

    def __init__(self, levels: _Levels, channels: int, classes: int, deep_supervision: int) -> None:
        super().__init__()
        from monai.networks.blocks.dynunet_block import UnetOutBlock, UnetUpBlock

        widths, axes = levels.widths, levels.axes
        _check_outputs(deep_supervision, len(widths) - 2)
        inputs = (channels, *widths)
        self.encoder = nn.ModuleList(
            _level(levels, number, inputs[number]) for number in range(len(widths))
        )
        self.decoder = nn.ModuleList(
            UnetUpBlock(
                axes,
                widths[number + 1],
                widths[number],
                kernel_size=levels.kernels[number],
                stride=1,
                upsample_kernel_size=levels.strides[number + 1],
                norm_name=NORMALISATION,
            )
            for number in range(len(widths) - 1)
        )
        self.outputs = nn.ModuleList(
            UnetOutBlock(axes, width, classes) for width in widths[: deep_supervision + 1]
        )
        self.apply(_start)

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Return logits (image, class, ...); while training, a list from fine to coarse."""
        seen = []
        features = images
        for level in self.encoder:
            features = level(features)
            seen.append(features)
        return _decoded(self, seen)

    def stages(self) -> list[Stage]:
        """Return the stages from the image to the head, the decoder before the head."""
        found: list[Stage] = [(f"encoder.{n}", [level]) for n, level in enumerate(self.encoder)]
        return [*found, ("decoder", [self.decoder]), ("outputs", [self.outputs])]


class MobileUNet(nn.Module):
    """MobileNetV2 as an encoder, and a decoder that joins what it saw at each scale."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: tuple[int, ...],
        batch_norm: bool,
        deep_supervision: int,
    ) -> None:
        super().__init__()
        from aegle.learning.networks.mobilenet_v2 import mobilenet_v2

        if len(widths) != len(SCALE_ENDS):
            raise OptionError(
                f"A mobile U-Net has decoders at {len(SCALE_ENDS)} scales; {len(widths)} widths "
                "are given."
            )
        _check_outputs(deep_supervision, len(SCALE_ENDS) - 1)
        body = mobilenet_v2(classes=1, channels=channels, batch_norm=batch_norm)
        self.features = body.get_submodule("features")[: SCALE_ENDS[-1] + 1]  # type: ignore[index]
        self.full = _pair(channels, widths[0], batch_norm)
        inputs = (*widths[1:], SCALE_FILTERS[-1])
        skips = (widths[0], *SCALE_FILTERS[:-1])
        self.decoder = nn.ModuleList(
            _Joining(below, skip, width, batch_norm)
            for below, skip, width in zip(inputs, skips, widths, strict=True)
        )
        # Linear layers do what a 1 x 1 convolution does; one of so few filters would keep the
        # whole network from the order in memory that it is fastest in (see batches.layout_of).
        self.outputs = nn.ModuleList(
            Pointwise(width, classes) for width in widths[: deep_supervision + 1]
        )
        for part in (self.full, self.decoder, self.outputs):
            part.apply(_start)

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Return logits (image, class, ...); while training, a list from fine to coarse."""
        seen = [self.full(images)]
        features = images
        for number, block in enumerate(self.features):
            features = block(features)
            if number in SCALE_ENDS:
                seen.append(features)
        return _decoded(self, seen)

    def stages(self) -> list[Stage]:
        """Return the scales of the encoder from the image on, and all that is new as the head."""
        starts = (0, *(end + 1 for end in SCALE_ENDS[:-1]))
        parts = list(self.features)
        body: list[Stage] = [
            (f"features.{start}-{end}", parts[start : end + 1])
            for start, end in zip(starts, SCALE_ENDS, strict=True)
        ]
        return [*body, ("decoder", [self.full, self.decoder, self.outputs])]


SCALE_ENDS = (1, 3, 6, 13, 17)
"""Last parts of MobileNetV2's ``features`` at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
SCALE_FILTERS = (16, 24, 32, 96, 320)
"""Filters there; table 2 of the paper."""


class Pointwise(nn.Linear):
    """A linear layer over the channels of every pixel."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (image, channel, row, column) with other channels."""
        said: Tensor = super().forward(features.movedim(1, -1))
        return said.movedim(-1, 1)


class _Joining(nn.Module):
    """Doubles the size of coarse features and joins them with finer ones."""

    def __init__(self, below: int, skip: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(below, width, 1)
        self.pair = _pair(width + skip, width, batch_norm)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Return features at the finer scale."""
        # Narrowing and linear interpolation commute; at the coarse scale it costs a quarter.
        larger = nn.functional.interpolate(
            self.narrow(features), size=skip.shape[2:], mode="bilinear", align_corners=False
        )
        joined: Tensor = self.pair(torch.cat((larger, skip), dim=1))
        return joined


def _decoded(network: "UNet | MobileUNet", seen: list[Tensor]) -> Tensor | list[Tensor]:
    """Return the logits of what the encoder saw, from fine to coarse."""
    *skips, features = seen
    wanted = len(network.outputs) if network.training else 1
    found: list[Tensor] = []
    for number in reversed(range(len(skips))):
        features = network.decoder[number](features, skips[number])
        if number < wanted:
            found.append(network.outputs[number](features))
    return found[::-1] if wanted > 1 else found[0]


def _level(levels: _Levels, number: int, inputs: int) -> nn.Module:
    """Return one level of an encoder; its first block strides."""
    from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetResBlock

    block = partial(
        UnetResBlock if levels.residual else UnetBasicBlock,
        levels.axes,
        out_channels=levels.widths[number],
        kernel_size=levels.kernels[number],
        norm_name=NORMALISATION,
    )
    first = block(in_channels=inputs, stride=levels.strides[number])
    rest = [
        block(in_channels=levels.widths[number], stride=1) for _ in range(levels.blocks(number) - 1)
    ]
    return nn.Sequential(first, *rest)


def _pair(inputs: int, width: int, batch_norm: bool) -> nn.Module:
    """Return two convolutions, each normalised and rectified."""
    layers: list[nn.Module] = []
    for given in (inputs, width):
        layers += [
            nn.Conv2d(given, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width) if batch_norm else nn.InstanceNorm2d(width, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


def _start(module: nn.Module) -> None:
    """Draw weights as for rectified outputs (He 2015)."""
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if isinstance(module, kinds):
        nn.init.kaiming_normal_(module.weight, a=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_outputs(deep_supervision: int, most: int) -> None:
    if not 0 <= deep_supervision <= max(0, most):
        raise OptionError(
            f"{deep_supervision} coarser outputs are asked for; a network of this depth has "
            f"0 to {max(0, most)}."
        )
