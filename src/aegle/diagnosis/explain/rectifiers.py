"""Gradients that pass a rectifier only where they are positive (guided backpropagation).

Rectifiers are met where they are called, not where they are registered, so a module that is used
twice in a network (as in MONAI's ResNet) or a function called in ``forward`` is treated as well.

Source: Springenberg JT et al. ICLR workshop 2015, arXiv:1412.6806.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_BOUNDS: Mapping[Any, float] = {
    functional.relu: float("inf"),
    torch.relu: float("inf"),
    torch.relu_: float("inf"),
    Tensor.relu: float("inf"),
    Tensor.relu_: float("inf"),
    functional.relu6: 6.0,
}
"""Rectifiers with the value above which they are flat."""


class _Guided(torch.autograd.Function):
    """A rectifier whose gradient is rectified too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, top: float) -> Tensor:
        """Return values cut to between 0 and the top."""
        ctx.save_for_backward((values > 0) & (values < top))
        return values.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return positive gradients where the rectifier is open."""
        (is_open,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * is_open, None


class GuidedRectifiers(TorchFunctionMode):
    """Within this context every rectifier is guided."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, rectifiers by their guided form."""
        given = dict(kwargs or {})
        top = _BOUNDS.get(func)
        if func is functional.hardtanh:
            low = given.get("min_val", args[1] if len(args) > 1 else -1.0)
            top = given.get("max_val", args[2] if len(args) > 2 else 1.0) if low == 0 else None
        if top is None:
            return func(*args, **given)
        return _Guided.apply(args[0] if args else given["input"], top)  # type: ignore[no-untyped-call]
