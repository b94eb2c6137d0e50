"""Convolutions of a few channels, which leave most of a processor's vector units idle.

They are computed as wider convolutions of fewer voxels, with the same sums: neighbouring columns,
or the eight voxels that a transposed convolution makes of one, become channels. Values lie
channels last, so that this takes another view of the memory rather than another order.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

NARROW = 8
"""With fewer channels vector units are idle (torch 2.13 on processors with AVX-512)."""
_FOLDED = 4
"""Columns that become channels."""
_MOST_FOLDED = 4
"""With more channels folding does not pay."""


def widened(module: nn.Module) -> nn.Module | None:
    """Return what computes the same as a narrow convolution faster, or None for other modules."""
    if isinstance(module, nn.Conv3d) and _is_folded(module):
        return FoldedConvolution(module)
    if isinstance(module, nn.ConvTranspose3d) and _is_doubling(module):
        return Doubling(module)
    return None


def _is_folded(layer: nn.Conv3d) -> bool:
    usual = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
    return (
        usual == ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1)
        and layer.padding_mode == "zeros"
        and max(layer.in_channels, layer.out_channels) <= _MOST_FOLDED
    )


def _is_doubling(layer: nn.ConvTranspose3d) -> bool:
    steps = layer.kernel_size, layer.stride, layer.padding, layer.output_padding
    return (
        steps == ((3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1))
        and (layer.dilation, layer.groups) == ((1, 1, 1), 1)
        and layer.out_channels < NARROW
    )


class FoldedConvolution(nn.Module):
    """A 3 x 3 x 3 convolution of a few channels; four columns are computed together."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.layer = layer
        outputs, inputs = layer.weight.shape[:2]
        folded = layer.weight.new_zeros(_FOLDED, outputs, _FOLDED + 2, inputs, 3, 3)
        for column in range(_FOLDED):
            for tap in range(3):
                folded[column, :, column + tap] = layer.weight.detach()[..., tap]
        self.weight = _laid(folded.flatten(2, 3).flatten(0, 1)[..., None])
        self.bias = None if layer.bias is None else layer.bias.detach().repeat(_FOLDED)

    def forward(self, values: Tensor) -> Tensor:
        """Return values (image, channel, slice, row, column) of the same size."""
        images, channels, slices, rows, columns = values.shape
        if columns % _FOLDED:
            known: Tensor = self.layer(values)
            return known
        wide = functional.pad(values.permute(0, 2, 3, 4, 1), (0, 0, 1, 1)).contiguous()
        # Groups of columns, each with a neighbour on either side.
        groups = wide.as_strided(
            (images, slices, rows, columns // _FOLDED, (_FOLDED + 2) * channels),
            (*wide.stride()[:3], _FOLDED * channels, 1),
        ).contiguous()
        found = functional.conv3d(
            groups.movedim(-1, 1), self.weight, self.bias, padding=(1, 1, 0)
        ).movedim(1, -1)
        return found.reshape(images, slices, rows, columns, -1).movedim(-1, 1)


class Doubling(nn.Module):
    """A transposed convolution to twice the size, as a convolution that gives eight voxels each."""

    def __init__(self, layer: nn.ConvTranspose3d) -> None:
        super().__init__()
        self.outputs = layer.out_channels
        # Along each axis the even voxel sees the middle of the kernel; the odd one its end, and
        # its beginning at the next voxel.
        seen = layer.weight.new_zeros(2, 2, 3)
        seen[0, 0, 1] = seen[1, 0, 2] = seen[1, 1, 0] = 1
        kernels = torch.einsum("iozyx,pcz,qby,rax->pqroicba", layer.weight.detach(), *[seen] * 3)
        self.weight = _laid(kernels.reshape(-1, layer.in_channels, 2, 2, 2))
        self.bias = None if layer.bias is None else layer.bias.detach().repeat(8)

    def forward(self, values: Tensor) -> Tensor:
        """Return values (image, channel, slice, row, column) of twice the size."""
        found = functional.conv3d(values, self.weight, self.bias, padding=1)
        inner: Tensor = found[:, :, 1:, 1:, 1:].movedim(1, -1)
        images, slices, rows, columns, _ = inner.shape
        eight: Tensor = inner.unflatten(-1, (2, 2, 2, self.outputs))
        order = eight.permute(0, 1, 4, 2, 5, 3, 6, 7)
        twice = order.reshape(images, 2 * slices, 2 * rows, 2 * columns, self.outputs)
        return twice.movedim(-1, 1)


def _laid(weight: Tensor) -> nn.Parameter:
    """Return a kernel in the order that its values have."""
    ordered = weight.contiguous(memory_format=torch.channels_last_3d)
    return nn.Parameter(ordered, requires_grad=False)
