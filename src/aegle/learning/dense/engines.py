"""What computes a network's scores, and what that takes."""

import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aegle.domain.errors import InputError, OptionError
from aegle.learning.batches import memory_format
from aegle.learning.dense.channels_last import channels_last

Engine = Callable[[Tensor], Tensor]
"""From tiles (tile, channel, [slice,] row, column) to scores of classes, same places."""
Precision = Literal["float32", "bfloat16"]

_HELD_TWICE = 2
"""Copies of the largest layer that convolutions make in an order that suits the processor."""


@dataclass(frozen=True, kw_only=True)
class TileNeed:
    """What a network takes for one tile."""

    classes: int
    values: int
    """Numbers that are held at the same time."""

    def megabytes(self, precision: Precision) -> float:
        """Return the memory of one tile [MB]."""
        return self.values * (2 if precision == "bfloat16" else 4) / 1e6


_NEEDS: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, ...], TileNeed]]
_NEEDS = weakref.WeakKeyDictionary()
"""What networks in use take by the shape of the tile: finding it takes longer than a picture."""


def tile_need(network: nn.Module, shape: tuple[int, ...]) -> TileNeed:
    """Return what a network takes for one tile, found once without computing anything.

    Args:
        network: In evaluation mode.
        shape: Of the tile, (channel, [slice,] row, column).

    Raises:
        InputError: The network does not take such a tile.
    """
    known = _NEEDS.setdefault(network, {})
    if shape not in known:
        known[shape] = _tile_need(network, shape)
    return known[shape]


def _tile_need(network: nn.Module, shape: tuple[int, ...]) -> TileNeed:
    state = [*network.named_parameters(), *network.named_buffers()]
    weights = {name: torch.empty_like(value, device="meta") for name, value in state}
    tile = torch.empty((1, *shape), device="meta")
    held = _Held()
    try:
        with torch.inference_mode(False), torch.no_grad(), held:
            scores = torch.func.functional_call(network, weights, (tile,))
    except RuntimeError as error:
        raise InputError(
            f"The network does not take tiles of shape {shape} ({error}); "
            "take a tile whose sides its strides divide."
        ) from error
    values = held.most + _HELD_TWICE * held.largest
    return TileNeed(classes=int(scores.shape[1]), values=int(values))


class _Held(TorchDispatchMode):
    """Counts the values of tensors that are there at the same time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = self.largest = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it made."""
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                self._count(made)
        return result

    def _count(self, made: Tensor) -> None:
        storage = made.untyped_storage()
        if storage in self._seen:
            return
        self._seen.add(storage)
        values = storage.nbytes() // made.element_size()
        self.now += values
        self.most = max(self.most, self.now)
        self.largest = max(self.largest, values)
        weakref.finalize(storage, self._drop, values)

    def _drop(self, values: int) -> None:
        self.now -= values


def usable_precision(wanted: Precision, device: torch.device) -> Precision:
    """Return the wanted number format, or float32 on processors that only imitate bfloat16."""
    if wanted == "bfloat16" and device.type == "cpu":
        has_it = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return "bfloat16" if has_it else "float32"
    return wanted


def torch_engine(network: nn.Module, *, precision: Precision) -> Engine:
    """Return an engine that runs the network where its weights are."""
    device = next(network.parameters(), torch.empty(0)).device
    lower = usable_precision(precision, device) == "bfloat16"
    rearranged = lower and device.type == "cpu"
    running = channels_last(network) if rearranged else network

    def run(tiles: Tensor) -> Tensor:
        order = memory_format(tiles.ndim) if rearranged else torch.preserve_format
        context = torch.autocast(device.type, torch.bfloat16) if lower else nullcontext()
        with torch.inference_mode(), context:
            scores: Tensor = running(tiles.to(device, memory_format=order))
        return scores.contiguous()

    return run


def openvino_engine(
    network: nn.Module, shape: tuple[int, ...], *, precision: Precision, threads: int
) -> Engine:
    """Return an engine that runs the network by OpenVINO on the processor.

    Args:
        network: Its weights on the processor.
        shape: Of the tiles, (channel, [slice,] row, column).
        precision: Number format.
        threads: Of the processor; 0 for as many as PyTorch has.

    Raises:
        OptionError: OpenVINO is not installed.
    """
    try:
        openvino = import_module("openvino")
    except ImportError as error:
        raise OptionError(
            "The engine 'openvino' is not installed; install aegle[openvino] or take 'torch'."
        ) from error
    with warnings.catch_warnings():
        # It traces the network in a way that PyTorch is about to give up.
        warnings.simplefilter("ignore", DeprecationWarning)
        converted = openvino.convert_model(network, example_input=torch.zeros(2, *shape))
    converted.reshape([-1, *shape])
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(converted, "CPU", settings).create_infer_request()

    def run(tiles: Tensor) -> Tensor:
        found = request.infer([np.ascontiguousarray(tiles.numpy())])
        return torch.from_numpy(np.array(found[0], dtype=np.float32))

    return run


def mirrored(engine: Engine, axes: int) -> Engine:
    """Return an engine that takes the mean over a tile and all its mirror images.

    Args:
        engine: What computes.
        axes: 2 for pictures, 3 for volumes.
    """
    last = tuple(range(2, 2 + axes))
    flips = [flip for count in range(axes + 1) for flip in combinations(last, count)]

    def run(tiles: Tensor) -> Tensor:
        total = engine(tiles).float()
        for flip in flips[1:]:
            total = total + engine(tiles.flip(flip)).float().flip(flip)
        return total / len(flips)

    return run
