"""Gradients that pass a rectifier only where they are positive (guided backpropagation).

Rectifiers are met where they are called, not where they are registered, so a module that is used
twice in a network (as in MONAI's ResNet) or a function called in ``forward`` is treated as well.
Whether gradients are guided is decided on the way back, so that one way forward serves both.

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
    def forward(ctx: Any, values: Tensor, top: float, mode: "GuidedRectifiers") -> Tensor:
        """Return values cut to between 0 and the top."""
        cut = values.clamp_min(0) if top == float("inf") else values.clamp(0, top)
        ctx.save_for_backward(cut)
        ctx.top, ctx.mode = top, mode
        return cut

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return gradients where the rectifier is open; only positive ones if they are guided."""
        (cut,) = ctx.saved_tensors
        passed = gradients[0].clamp_min(0) if ctx.mode.guides else gradients[0]
        # Below the top the sign of what came out is 1 where the rectifier is open, else 0.
        is_open = cut.sign() if ctx.top == float("inf") else (cut > 0) & (cut < ctx.top)
        return passed * is_open, None, None


class GuidedRectifiers(TorchFunctionMode):
    """Within this context every rectifier is guided, as long as ``guides`` is true."""

    def __init__(self, *, guides: bool = True) -> None:
        super().__init__()
        self.guides = guides

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
        return _Guided.apply(args[0] if args else given["input"], top, self)  # type: ignore[no-untyped-call]
