"""How far explanations can be trusted: where they point, and whether they depend on the model.

Baselines that know nothing of the model stand beside them: noise and an edge detector. A map that
the edge detector beats, or that stays the same when the weights are drawn anew, explains nothing.

Sources:
    Adebayo J et al. Sanity checks for saliency maps. NeurIPS 2018, arXiv:1810.03292.
    Arun N et al. Radiol Artif Intell 2021;3:e200267 (area under precision-recall against masks).
    Zhang J et al. Excitation backprop. ECCV 2016, arXiv:1608.00507 (pointing game).
    Petsiuk V et al. RISE. BMVC 2018, arXiv:1806.07421 (insertion and deletion).
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from aegle.diagnosis.explain.maps import METHODS, explain, integrated_gradients
from aegle.domain.errors import InputError
from aegle.learning.networks.stages import head

Numbers = NDArray[np.float64]

FLAT = 1e-6
"""A map whose values differ by less than this share of the original's largest is flat."""
BASELINES = ("random", "edges")


@dataclass(frozen=True, kw_only=True)
class MapScores:
    """What one method was measured to be worth on images with known lesions."""

    method: str
    images: int
    hit: float
    """Share of images whose highest value lies on the lesion."""
    precision: float
    """Mean area under precision and recall against the mask (AUPRC)."""
    chance: float
    """The same of a map that knows nothing: mean share of the image that is lesion."""
    insertion: float
    """Mean probability while the most important pixels are put in; larger is better."""
    deletion: float
    """Mean probability while they are taken out; smaller is better."""
    head_correlation: float
    """Mean rank correlation with the map after the last layer is drawn anew; NaN if all flat."""
    head_flat: float
    """Share of these maps that are flat."""
    all_correlation: float
    """The same with all weights drawn anew."""
    all_flat: float
    seeds: int
    forward_passes: float
    """Time in forward passes; 0 for baselines."""
    completeness_error: float = float("nan")
    """Of integrated gradients: largest share by which contributions miss the change."""


def audit(
    network: nn.Module,
    images: Tensor,
    masks: NDArray[np.bool_],
    classes: NDArray[np.int64],
    *,
    methods: tuple[str, ...] = tuple(METHODS),
    seeds: int = 10,
) -> tuple[MapScores, ...]:
    """Measure methods and baselines.

    Args:
        network: A classifier in evaluation mode.
        images: As the network takes them, shape (image, channel, ...).
        masks: Where the lesion is, shape (image, ...).
        classes: The class that is explained, per image.
        methods: Of ``maps.METHODS``.
        seeds: Networks drawn anew.

    Raises:
        InputError: There is no image, or a mask is empty, full or of another size.
    """
    if not len(images) or masks.shape != (len(images), *images.shape[2:]):
        raise InputError(
            f"{len(images)} images of {tuple(images.shape[2:])} need a mask each; got masks of "
            f"shape {masks.shape}."
        )
    inside = masks.reshape(len(masks), -1).mean(axis=1)
    if not ((inside > 0) & (inside < 1)).all():
        raise InputError("A mask is empty or covers its whole image; leave such images out.")
    forward_s = _seconds(lambda: _forward(network, images))
    found = []
    for method in (*methods, *BASELINES):
        maps = _maps(network, images, classes, method)
        is_baseline = method in BASELINES
        taken_s = (
            0.0
            if is_baseline
            else _seconds(
                lambda name=method: _maps(network, images, classes, name)  # type: ignore[misc]
            )
        )
        insertion, deletion = _put_in_and_out(network, images, maps, classes)
        drawn = (
            ((1.0, 0.0), (1.0, 0.0))
            if is_baseline
            else tuple(
                _randomised(network, images, maps, classes, (method, seeds, which))
                for which in ("head", "all")
            )
        )
        found.append(
            MapScores(
                method=method,
                images=len(images),
                hit=float(np.mean([_hits(*pair) for pair in zip(maps, masks, strict=True)])),
                precision=float(
                    np.mean(
                        [
                            average_precision_score(mask.ravel(), one.ravel())
                            for one, mask in zip(maps, masks, strict=True)
                        ]
                    )
                ),
                chance=float(inside.mean()),
                insertion=insertion,
                deletion=deletion,
                head_correlation=drawn[0][0],
                head_flat=drawn[0][1],
                all_correlation=drawn[1][0],
                all_flat=drawn[1][1],
                seeds=0 if is_baseline else seeds,
                forward_passes=taken_s / forward_s,
                completeness_error=_completeness(network, images, classes)
                if method == "integrated-gradients"
                else float("nan"),
            )
        )
    return tuple(found)


def randomised(network: nn.Module, seed: int, which: str) -> nn.Module:
    """Return a copy with weights drawn anew: of the last layer (``head``) or of ``all``.

    Each tensor is drawn from a normal distribution with its own mean and deviation, which keeps
    the scale of what flows through the network; running statistics are kept.
    """
    changed = copy.deepcopy(network)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (head(changed) if which == "head" else changed).parameters():
            deviation = parameter.std(correction=0).cpu() if parameter.numel() > 1 else 1.0
            noise = torch.randn(parameter.shape, generator=draws) * deviation
            parameter.copy_(noise + parameter.mean().cpu())
    return changed.eval()


def edges(images: Tensor) -> Numbers:
    """Return the strength of edges, shape (image, ...): a map that knows no model."""
    planes = images.mean(dim=1).double().cpu().numpy()
    return np.stack([ndimage.gaussian_gradient_magnitude(plane, 1.0) for plane in planes])


def _maps(network: nn.Module, images: Tensor, classes: NDArray[np.int64], method: str) -> Numbers:
    if method == "edges":
        return edges(images)
    if method == "random":
        shape = (len(images), *images.shape[2:])
        return np.random.default_rng(0).random(shape)
    return explain(network, images, classes, method)


def _hits(values: Numbers, mask: NDArray[np.bool_]) -> bool:
    """Return whether the highest value lies on the mask; a flat map does not point."""
    return bool(np.ptp(values) > 0 and mask.ravel()[values.argmax()])


def _randomised(
    network: nn.Module,
    images: Tensor,
    maps: Numbers,
    classes: NDArray[np.int64],
    how: tuple[str, int, str],
) -> tuple[float, float]:
    """Return the mean rank correlation with maps of networks drawn anew, and the flat share."""
    method, seeds, which = how
    correlations, flat = [], 0
    for seed in range(seeds):
        # One image per seed in turn: the spread over seeds counts, and so do the images.
        at = np.arange(seed % len(images), len(images), max(1, len(images) // 4))
        anew = explain(randomised(network, seed, which), images[at], classes[at], method)
        for before, after in zip(maps[at], anew, strict=True):
            is_flat = np.ptp(after) <= FLAT * max(float(np.abs(before).max()), 1e-30)
            flat += is_flat
            if not is_flat and np.ptp(before) > 0:
                correlations.append(spearmanr(before.ravel(), after.ravel()).statistic)
    tried = sum(
        len(range(seed % len(images), len(images), max(1, len(images) // 4)))
        for seed in range(seeds)
    )
    return float(np.mean(correlations)) if correlations else float("nan"), float(flat / tried)


def _put_in_and_out(
    network: nn.Module, images: Tensor, maps: Numbers, classes: NDArray[np.int64], steps: int = 10
) -> tuple[float, float]:
    """Return mean probabilities while pixels are put in, and taken out, by importance."""
    wanted = torch.from_numpy(classes)
    blurred = torch.from_numpy(
        ndimage.gaussian_filter(
            images.cpu().numpy(), [0, 0, *(size / 12 for size in images.shape[2:])]
        )
    )
    ranks = np.argsort(np.argsort(-maps.reshape(len(maps), -1), axis=1), axis=1)
    share = torch.from_numpy((ranks / ranks.shape[1]).reshape(maps.shape))[:, None]
    put_in, taken_out = [], []
    for step in range(steps + 1):
        is_first = share < step / steps
        put_in.append(_share(network, torch.where(is_first, images, blurred), wanted))
        taken_out.append(_share(network, torch.where(is_first, blurred, images), wanted))
    return float(np.mean(put_in)), float(np.mean(taken_out))


def _share(network: nn.Module, images: Tensor, classes: Tensor) -> float:
    with torch.no_grad():
        shares = _forward(network, images).softmax(dim=1)
    return float(shares.gather(1, classes[:, None]).mean())


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(image[None]) for image in images])


def _completeness(network: nn.Module, images: Tensor, classes: NDArray[np.int64]) -> float:
    errors = [
        integrated_gradients(network, images[i : i + 1], torch.from_numpy(classes[i : i + 1]))[1]
        for i in range(min(len(images), 8))
    ]
    return max(errors)


def _seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest processor time of some calls [s]."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
        if taken[-1] > 2:
            break
    return max(min(taken), 1e-9)
