"""A network as processors run it fastest: in bfloat16, all channels of a voxel side by side.

Convolutions want this order; bringing values into it and back takes up to a third of the time of a
small U-Net. Instance normalisation as PyTorch has it leaves the order, so it is computed in another
way here, as exact as bfloat16 but not as float32.
"""

import copy
import weakref
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aegle.learning.batches import memory_format
from aegle.learning.dense.narrow import widened

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALISATIONS = (nn.InstanceNorm2d, nn.InstanceNorm3d)
_WIDE = 16
"""Channels that fill a vector unit."""
_SUMMED = 2**14
"""Voxels that are summed in one go: more lose digits in float32, 2 % of a constant's at 10^6."""


def channels_last(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode that computes the same in another order.

    Convolutions have weights of their own in bfloat16; everything else is shared with the original,
    and takes what autocast would give it. The copy is kept for as long as the original's weights
    stay the same.

    Args:
        network: On the processor, in evaluation mode; it is left as it is.
    """
    versions = _versions(network)
    known = _KNOWN.get(network)
    if known is None or versions is None or known.versions != versions:
        known = _Known(versions, _copied(network))
        _KNOWN[network] = known
    return known.network


@dataclass(frozen=True, eq=False)
class _Known:
    """A copy, and what it was made from."""

    versions: tuple[tuple[int, int], ...] | None
    network: nn.Module


_KNOWN: weakref.WeakKeyDictionary[nn.Module, _Known] = weakref.WeakKeyDictionary()
"""Copies of networks in use: making one takes as long as a small picture."""


def _versions(network: nn.Module) -> tuple[tuple[int, int], ...] | None:
    """Return where weights lie and how often they were changed; None where nobody counts."""
    values = [*network.parameters(), *network.buffers()]
    if any(value.is_inference() for value in values):
        return None
    return tuple((value.data_ptr(), value._version) for value in values)


def _copied(network: nn.Module) -> nn.Module:
    values = [*network.parameters(), *network.buffers()]
    shared: dict[int, object] = {id(value): value for value in values}
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS):
            shared |= {id(value): _packed(value) for value in module.parameters(recurse=False)}
    # What is named as copied already is not copied.
    return _replaced(copy.deepcopy(network, shared)).eval()


def _packed(value: Tensor) -> nn.Parameter:
    lower = value.detach().to(torch.bfloat16, memory_format=memory_format(value.ndim))
    return nn.Parameter(lower, requires_grad=False)


def _replaced(module: nn.Module) -> nn.Module:
    """Replace the layers that are slow in this order, or leave it, wherever they occur."""
    for name, child in module.named_children():
        if isinstance(child, _NORMALISATIONS) and not child.track_running_stats:
            setattr(module, name, _Normalised(child))
        elif wider := widened(child):
            setattr(module, name, wider)
        else:
            _replaced(child)
    return module


class _Normalised(nn.Module):
    """Instance normalisation that keeps the order of values in memory."""

    def __init__(self, original: nn.InstanceNorm2d | nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = original.weight, original.bias, original.eps

    def forward(self, values: Tensor) -> Tensor:
        """Return values (image, channel, ...) of mean 0 and deviation 1, by weight and bias."""
        if not values.is_contiguous(memory_format=memory_format(values.ndim)):
            return functional.instance_norm(
                values, weight=self.weight, bias=self.bias, eps=self.eps
            )
        if len(values) == 1:
            return self._one(values)
        return torch.cat([self._one(image) for image in values.split(1)])

    def _one(self, image: Tensor) -> Tensor:
        rows = image.movedim(1, -1)
        count = _columns_to_fold(rows)
        # Few channels leave vector units idle; those of neighbouring columns are taken together.
        wide = rows.unflatten(-2, (-1, count)).flatten(-2).movedim(-1, 1)
        mean, variance = _moments(wide, count)
        weight, bias = (
            None if known is None else known.repeat(count) for known in (self.weight, self.bias)
        )
        given = mean.repeat(count), variance.repeat(count), weight, bias
        found = functional.batch_norm(wide, *given, training=False, eps=self.eps)
        return found.movedim(1, -1).reshape(rows.shape).movedim(-1, 1)


def _columns_to_fold(rows: Tensor) -> int:
    """Return how many columns are taken together, of values (image, ..., column, channel)."""
    columns, channels = rows.shape[-2:]
    count = 1
    while count * channels < _WIDE and columns % (2 * count) == 0:
        count *= 2
    return count


def _moments(image: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance of each channel of one image (1, channel, ...), in float32.

    Args:
        image: Its channels are ``copies`` times the same ones.
        copies: What is pooled.
    """
    layer = image[0, 0, 0].numel()
    parts = image.split(max(1, _SUMMED // layer), dim=2)
    # Their number format is that of what they are told to update, by nothing.
    known = image.new_zeros(image.shape[1], dtype=torch.float32)
    found = [torch.batch_norm_update_stats(part, known, known, 0.0) for part in parts]
    means, variances = (torch.stack(values).double() for values in zip(*found, strict=True))
    slices = torch.tensor([part.shape[2] for part in parts], dtype=torch.float64)
    share = (slices / image.shape[2])[:, None]
    mean = (share * means).sum(0).view(copies, -1).mean(0)
    away = (means - mean.repeat(copies)) ** 2
    variance = (share * (variances + away)).sum(0).view(copies, -1).mean(0)
    return mean.float(), variance.float()
