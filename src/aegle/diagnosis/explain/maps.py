"""Maps of where in an image the evidence for a class lies; for pictures and volumes.

What is explained is the logit of the class minus the mean of the other logits. Maps are not
negative and have the shape of the prepared image; larger is more evidence. All are taken by
automatic differentiation of tensors, never by hooks on rectifiers, so that networks which use one
rectifier twice are explained correctly.

Sources:
    Selvaraju RR et al. Grad-CAM. ICCV 2017, arXiv:1610.02391 (and guided Grad-CAM).
    Draelos RL, Carin L. HiResCAM. arXiv:2011.08891.
    Jiang PT et al. LayerCAM. IEEE Trans Image Process 2021;30:5875-5888.
    Sundararajan M et al. Axiomatic attribution. ICML 2017, arXiv:1703.01365 (integrated gradients).
    Zeiler MD, Fergus R. ECCV 2014, arXiv:1311.2901 (occlusion).

The smoothed guided map is ours: HiResCAM times the guided gradient, as guided Grad-CAM is Grad-CAM
times it. Guided gradients draw the edges of a lesion, their local mean covers it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from aegle.diagnosis.explain.rectifiers import GuidedRectifiers
from aegle.domain.errors import InputError, OptionError
from aegle.learning.networks.stages import stages

Numbers = NDArray[np.float64]
Method = Literal[
    "smoothed-guided-cam",
    "guided-grad-cam",
    "grad-cam",
    "layer-cam",
    "gradient",
    "integrated-gradients",
    "occlusion",
]

DEFAULT: Method = "smoothed-guided-cam"
"""What the audits on made lesions and on breast ultrasound prefer; see the page of numbers."""
SMOOTHED_BY = 1 / 32
"""Deviation of the smoothing, as a share of the image's side."""

LARGEST_ERROR = 0.01
"""Share by which integrated gradients may miss the change that they explain."""
_STEPS = (32, 64, 128, 256, 512)
"""Steps of the path, until the error is small enough."""
_TOGETHER = 16
"""Images that go through the network together."""


def explain(network: nn.Module, images: Tensor, classes: NDArray[np.int64], method: str) -> Numbers:
    """Return a map for each image, shape (image, ...) without channels.

    Args:
        network: A classifier in evaluation mode.
        images: As the network takes them, shape (image, channel, ...).
        classes: The class that is explained, per image.
        method: Of ``METHODS``.

    Raises:
        OptionError: There is no such method.
        InputError: The network has no stage with positions.
    """
    if method not in METHODS:
        raise OptionError(f"No explanation '{method}'; known: {', '.join(METHODS)}.")
    network.eval()
    wanted = torch.from_numpy(np.asarray(classes, np.int64)).to(images.device)
    with torch.enable_grad():
        found = [
            METHODS[method](network, images[at : at + 1].detach().clone(), wanted[at : at + 1])
            for at in range(len(images))
        ]
    return np.concatenate([one.detach().double().cpu().numpy() for one in found])


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logit of a class minus the mean of the others, shape (image,)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    own = logits.gather(1, classes[:, None])[:, 0]
    return own - (logits.sum(dim=1) - own) / (logits.shape[1] - 1)


def _plain_gradient(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    value = margin(network(image.requires_grad_(True)), classes).sum()
    return torch.autograd.grad(value, image)[0].abs().amax(dim=1)


def _grad_cam(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    # The way back ends at the deepest stage, which makes this nearly as quick as one forward pass.
    features, slopes = _features(network, image, classes, deepest=True)
    return _grown(_weighted(features[-1], slopes[-1]), image)


def _weighted(features: Tensor, slopes: Tensor) -> Tensor:
    weights = slopes.mean(dim=tuple(range(2, slopes.ndim)), keepdim=True)
    return (weights * features).sum(dim=1).clamp(min=0)


def _layer_cam(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    """Join the evidence of every depth: fine places of the first, meaning of the last."""
    features, slopes = _features(network, image, classes)
    joined = torch.zeros_like(image[:, 0])
    for feature, slope in zip(features, slopes, strict=True):
        grown = _grown((slope.clamp(min=0) * feature).sum(dim=1).clamp(min=0), image)
        joined = joined + grown / grown.amax().clamp(min=torch.finfo(grown.dtype).tiny)
    return joined / len(features)


def _guided_grad_cam(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    features, slopes, fine = _guided(network, image, classes)
    return _grown(_weighted(features, slopes), image) * fine


def _smoothed_guided_cam(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    """Weigh each position by its own slope: mean slopes mislead where the head takes maxima."""
    features, slopes, fine = _guided(network, image, classes)
    coarse = _grown((slopes * features).sum(dim=1).clamp(min=0), image).detach()
    widths = [0.0, *(size * SMOOTHED_BY for size in image.shape[2:])]
    smoothed = ndimage.gaussian_filter(fine.detach().cpu().numpy(), widths, truncate=3)
    return coarse * torch.from_numpy(smoothed).to(coarse.device)


def _guided(network: nn.Module, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the deepest features, their slopes and the guided gradient, from one way forward."""
    rectifiers = GuidedRectifiers(guides=False)
    with _watched(network, image.ndim) as seen, rectifiers:
        value = margin(network(image.requires_grad_(True)), classes).sum()
    _require_positions(network, seen)
    (slopes,) = torch.autograd.grad(value, seen[-1], retain_graph=True)
    rectifiers.guides = True
    (guided,) = torch.autograd.grad(value, image)
    return seen[-1], slopes, guided.clamp_min(0).sum(dim=1)


def integrated_gradients(
    network: nn.Module, image: Tensor, classes: Tensor, baseline: Tensor | None = None
) -> tuple[Tensor, float]:
    """Return signed contributions (image, channel, ...) and the error of their sum.

    Args:
        network: A classifier in evaluation mode.
        image: One image, shape (1, channel, ...).
        classes: The class that is explained, shape (1,).
        baseline: Where the path begins; the mean of each channel of the image by default.

    Returns:
        Contributions, and |their sum - change| / |change|. Steps are doubled until the error is
        below ``LARGEST_ERROR`` or 512 steps are taken.
    """
    axes = tuple(range(2, image.ndim))
    start = image.mean(dim=axes, keepdim=True).expand_as(image) if baseline is None else baseline
    with torch.no_grad():
        change = margin(network(image), classes) - margin(network(start), classes)
    parts, error = torch.zeros_like(image), float("inf")
    for steps in _STEPS:
        parts = _path_mean(network, (start, image), classes, steps) * (image - start)
        missed = (parts.sum() - change.sum()).abs() / change.abs().sum().clamp(min=1e-12)
        error = float(missed)
        if error < LARGEST_ERROR:
            break
    return parts.detach(), error


def _path_mean(
    network: nn.Module, ends: tuple[Tensor, Tensor], classes: Tensor, steps: int
) -> Tensor:
    start, end = ends
    shares = (torch.arange(steps, device=end.device) + 0.5) / steps
    total = torch.zeros_like(end)
    for block in shares.split(_TOGETHER):
        along = block.view(-1, *(1,) * (end.ndim - 1))
        points = (start + along * (end - start)).detach().requires_grad_(True)
        value = margin(network(points), classes.expand(len(points))).sum()
        total = total + torch.autograd.grad(value, points)[0].sum(dim=0, keepdim=True)
    return total / steps


def _integrated(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    return integrated_gradients(network, image, classes)[0].sum(dim=1).clamp(min=0)


def _occlusion(network: nn.Module, image: Tensor, classes: Tensor) -> Tensor:
    """Cover places with the mean of the image and see how far the margin falls."""
    sizes = image.shape[2:]
    window = [max(1, size // 8) for size in sizes]
    starts = [range(0, size, max(1, side // 2)) for size, side in zip(sizes, window, strict=True)]
    places = [
        tuple(slice(int(at), int(at) + side) for at, side in zip(corner, window, strict=True))
        for corner in np.array(np.meshgrid(*starts, indexing="ij")).reshape(len(sizes), -1).T
    ]
    fallen, counted = torch.zeros(sizes), torch.zeros(sizes)
    mean = image.mean(dim=tuple(range(2, image.ndim)), keepdim=True)
    with torch.no_grad():
        whole = margin(network(image), classes)
        for at in range(0, len(places), _TOGETHER):
            block = places[at : at + _TOGETHER]
            covered = image.repeat(len(block), *(1,) * (image.ndim - 1))
            for row, place in zip(covered, block, strict=True):
                row[(slice(None), *place)] = mean[0]
            drops = whole - margin(network(covered), classes.expand(len(block)))
            for drop, place in zip(drops, block, strict=True):
                fallen[place] += drop.cpu()
                counted[place] += 1
    return (fallen / counted).clamp(min=0)[None]


def _features(
    network: nn.Module, image: Tensor, classes: Tensor, *, deepest: bool = False
) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Return what the stages give at each position, and the slope of the margin along it."""
    with _watched(network, image.ndim) as seen:
        value = margin(network(image.requires_grad_(True)), classes).sum()
    _require_positions(network, seen)
    wanted = seen[-1:] if deepest else seen
    return wanted, torch.autograd.grad(value, wanted)


def _require_positions(network: nn.Module, seen: list[Tensor]) -> None:
    if not seen:
        raise InputError(
            f"{type(network).__name__} has no stage with positions, so no class activation map "
            "can be made; choose gradient, integrated-gradients or occlusion."
        )


@contextmanager
def _watched(network: nn.Module, dimensions: int) -> Iterator[list[Tensor]]:
    """Keep what each stage gives; what follows works on a copy, since it may work in place."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.ndim != dimensions:
            return output
        seen.append(output)
        return output.clone()

    last = [modules[-1] for _, modules in stages(network)[:-1] if modules]
    hooks = [module.register_forward_hook(keep) for module in last]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _grown(values: Tensor, image: Tensor) -> Tensor:
    mode = "trilinear" if image.ndim == 5 else "bilinear"
    return functional.interpolate(
        values[:, None], size=image.shape[2:], mode=mode, align_corners=False
    )[:, 0]


METHODS: Mapping[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "smoothed-guided-cam": _smoothed_guided_cam,
    "guided-grad-cam": _guided_grad_cam,
    "grad-cam": _grad_cam,
    "layer-cam": _layer_cam,
    "gradient": _plain_gradient,
    "integrated-gradients": _integrated,
    "occlusion": _occlusion,
}
"""Every explanation by its name."""
