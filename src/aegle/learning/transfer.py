"""Start from weights learned elsewhere, and decide what of them may change, when and how fast."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from aegle.domain.errors import InputError, OptionError
from aegle.learning.batch_norm import BATCH, BatchNorm, restore_batch_norm, show
from aegle.learning.networks.stages import Stage, head, stages
from aegle.learning.weights import Matched, Progress, fetch, load_into, read_state
from aegle.options import option

PROBE_STEPS = 5000
"""Iterations of the logistic regression at most."""


@checked(frozen=True, kw_only=True)
class TransferOptions:
    """Where weights come from and how they are adapted."""

    weights: Annotated[str, option("File or URL of the weights; empty to start from scratch")] = ""
    sha256: Annotated[
        str, option("SHA-256 of the file, in hexadecimal digits; required for a URL")
    ] = ""
    mode: Annotated[
        Literal["fine-tune", "probe", "thaw"],
        option(
            "Train all; fit the head only, by logistic regression; or thaw the body from the head "
            "down in steps"
        ),
    ] = "fine-tune"
    probe_strength: Annotated[
        float,
        option("Inverse of the L2 penalty on standardised features, in mode probe", gt=0, le=1e6),
    ] = 1.0
    body_rate: Annotated[float, option("Rate of the body as a share of the head's", gt=0, le=1)] = (
        0.1
    )
    layer_decay: Annotated[
        float, option("Factor on the rate per stage from the head down", gt=0, le=1)
    ] = 1.0
    thaw_epochs: Annotated[
        int, option("Epochs after which the next stage thaws, in mode thaw", ge=1)
    ] = 1
    frozen_stages: Annotated[
        int, option("Stages of the body, from the image on, that stay as they are", ge=0)
    ] = 0
    batch_norm: Annotated[
        Literal["train", "freeze", "restore"],
        option(
            "Statistics of batch normalisation: adapted, kept, or (for weights with folded "
            "normalisation) put back with statistics measured on the training images"
        ),
    ] = "train"


@dataclass(frozen=True, eq=False, kw_only=True)
class Arrangement:
    """What the training loop needs to know to adapt a network."""

    groups: tuple[dict[str, Any], ...]
    """Parameters (``params``) with their share of the rate (``rate``), head first."""
    before_epoch: Callable[[int], None] | None
    """Told the number of each epoch, from 1 on; thaws what is due."""
    prepare_mode: Callable[[nn.Module], None]
    """Called after the network was put in training mode; keeps frozen parts as they are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Probe:
    """A linear classifier of features as given (their standardisation is folded in)."""

    weight: NDArray[np.float64]
    """Shape (class, feature)."""
    bias: NDArray[np.float64]
    """Shape (class,)."""

    def logits(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return what softmax turns into probabilities, shape (image, class)."""
        logits: NDArray[np.float64] = values.astype(np.float64) @ self.weight.T + self.bias
        return logits


def start(
    network: nn.Module, options: TransferOptions, cache: Path, *, progress: Progress | None = None
) -> Matched | None:
    """Put the weights that the options name into a network; None if they name none.

    Args:
        network: Takes the weights; its head keeps its own where the classes differ.
        options: File or URL, and SHA-256.
        cache: Folder for downloaded files.
        progress: Told of the bytes done and in all.
    """
    if not options.weights:
        return None
    path = fetch(options.weights, options.sha256, cache, progress=progress)
    return load_into(network, read_state(path))


def arrange(
    network: nn.Module, options: TransferOptions, images: Tensor | None = None
) -> Arrangement:
    """Freeze what stays, and return the rates of what changes.

    The head has rate 1, the stage before it ``body_rate``, and each stage further towards the
    image the ``layer_decay``-fold of the one after it.

    Args:
        network: Frozen and normalised as the options say; in place.
        options: How.
        images: Normalised training images (image, channel, ...); needed to restore batch
            normalisation.

    Raises:
        OptionError: More stages are to be frozen than there are, or images are missing.
    """
    *body, last = stages(network)
    if options.frozen_stages > len(body):
        raise OptionError(
            f"{options.frozen_stages} stages cannot be frozen: {type(network).__name__} has "
            f"{len(body)} before the head ({', '.join(name for name, _ in body)})."
        )
    if options.batch_norm == "restore":
        if images is None:
            raise OptionError("Restoring batch normalisation needs training images; give some.")
        restore_batch_norm(network, images)
    kept = len(body) if options.mode == "probe" else options.frozen_stages
    _freeze(network, [last, *body[kept:]])
    groups = [{"params": _parameters(last), "rate": 1.0}]
    for depth, stage in enumerate(reversed(body[kept:])):
        rate = options.body_rate * options.layer_decay**depth
        groups.append({"params": _parameters(stage), "rate": rate})
    return Arrangement(
        groups=tuple(group for group in groups if group["params"]),
        before_epoch=_thaw(body[kept:], options) if options.mode == "thaw" else None,
        prepare_mode=_keep_frozen(options),
    )


def features(
    network: nn.Module,
    images: Tensor,
    *,
    levels: Sequence[int] = (),
    largest: bool = False,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Return what the head of a network sees of each image, shape (image, feature).

    Args:
        network: Put in evaluation mode.
        images: Normalised images, shape (image, channel, ...).
        levels: Stages, counted from the image, whose features are averaged over all positions
            and joined; none for what goes into the head.
        largest: Whether the largest value of each feature is joined too.
        batch: Images that go through the network together.
    """
    found: list[list[Tensor]] = []
    parts = stages(network)
    taps = [parts[level][1][-1] for level in levels]
    hooks = [tap.register_forward_hook(_pooling(found, largest)) for tap in taps]
    if not taps:
        hooks = [head(network).register_forward_pre_hook(_taking(found))]
    try:
        show(network, images, batch=batch, before=lambda: found.append([]))
    finally:
        for hook in hooks:
            hook.remove()
    rows = [torch.cat([part.float() for part in row], dim=1).cpu() for row in found]
    joined: NDArray[np.float32] = torch.cat(rows).numpy()
    return joined


def linear_probe(
    values: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    *,
    classes: int,
    strength: float = 1.0,
    balanced: bool = False,
) -> Probe:
    """Return the logistic regression of standardised features, as a linear layer.

    Args:
        values: Features, shape (image, feature).
        labels: Class index of each image.
        classes: Classes in all.
        strength: Inverse of the L2 penalty on the standardised scale (``C`` of scikit-learn).
        balanced: Whether classes are weighed by the inverse of their frequency.

    Raises:
        InputError: A class has no image.
    """
    from sklearn.linear_model import LogisticRegression

    counts = np.bincount(labels, minlength=classes)
    if classes < 2 or len(counts) > classes or not counts.all():
        raise InputError(
            f"A linear probe of {classes} classes needs images of each and of no other; "
            f"there are {', '.join(map(str, counts))}."
        )
    wide = values.astype(np.float64)
    mean, spread = wide.mean(axis=0), wide.std(axis=0)
    spread[spread == 0] = 1
    fitted = LogisticRegression(
        C=strength, max_iter=PROBE_STEPS, class_weight="balanced" if balanced else None
    ).fit((wide - mean) / spread, labels)
    weight, bias = fitted.coef_, fitted.intercept_
    if classes == 2:
        weight, bias = (np.concatenate([-part / 2, part / 2]) for part in (weight, bias))
    weight = weight / spread
    return Probe(weight=weight, bias=bias - weight @ mean)


def probe_head(
    network: nn.Module,
    images: Tensor,
    labels: NDArray[np.int64],
    *,
    strength: float = 1.0,
    balanced: bool = False,
) -> Probe:
    """Fit the head of a network to images, the body as it is; exact, in one pass.

    Args:
        network: Its head is replaced; put in evaluation mode.
        images: Normalised images, shape (image, channel, ...); changed ones may be among them.
        labels: Class index of each image.
        strength: Inverse of the L2 penalty on the standardised scale.
        balanced: Whether classes are weighed by the inverse of their frequency.
    """
    probe = linear_probe(
        features(network, images),
        labels,
        classes=head(network).out_features,
        strength=strength,
        balanced=balanced,
    )
    set_head(network, probe)
    return probe


def set_head(network: nn.Module, probe: Probe) -> None:
    """Make a linear probe the head of the network whose features it was fitted to.

    Raises:
        InputError: The head takes other features or gives other classes.
    """
    layer = head(network)
    if layer.weight.shape != probe.weight.shape:
        raise InputError(
            f"A probe of shape {probe.weight.shape} does not fit the head of "
            f"{type(network).__name__}, {tuple(layer.weight.shape)}."
        )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(probe.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(probe.bias))


def _pooling(found: list[list[Tensor]], largest: bool) -> Callable[..., None]:
    """Return a hook that keeps the mean, and the largest value, of each feature."""

    def keep(_: nn.Module, __: Any, given: Tensor) -> None:
        flat = given.flatten(2) if given.ndim > 2 else given.unsqueeze(2)
        found[-1].append(flat.mean(2))
        if largest:
            found[-1].append(flat.amax(2))

    return keep


def _taking(found: list[list[Tensor]]) -> Callable[..., None]:
    """Return a hook that keeps what goes into a layer."""

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found[-1].append(given[0])

    return keep


def _parameters(stage: Stage) -> list[nn.Parameter]:
    return [parameter for module in stage[1] for parameter in module.parameters()]


def _freeze(network: nn.Module, changing: Sequence[Stage]) -> None:
    network.requires_grad_(False)
    for stage in changing:
        _let(stage, change=True)


def _let(stage: Stage, *, change: bool) -> None:
    for parameter in _parameters(stage):
        parameter.requires_grad_(change)


def _thaw(body: Sequence[Stage], options: TransferOptions) -> Callable[[int], None]:
    """Return what thaws one stage after the other, from the head down."""

    def before_epoch(number: int) -> None:
        thawed = (number - 1) // options.thaw_epochs
        for depth, stage in enumerate(reversed(body)):
            _let(stage, change=depth < thawed)

    return before_epoch


def _keep_frozen(options: TransferOptions) -> Callable[[nn.Module], None]:
    """Return what puts into evaluation mode the stages and normalisations that stay."""

    def prepare_mode(network: nn.Module) -> None:
        for stage in stages(network):
            parameters = _parameters(stage)
            still = bool(parameters) and not any(p.requires_grad for p in parameters)
            for module in _within(stage):
                if still or (options.batch_norm == "freeze" and isinstance(module, BatchNorm)):
                    module.eval()

    return prepare_mode


def _within(stage: Stage) -> list[nn.Module]:
    return [module for part in stage[1] for module in part.modules()]
