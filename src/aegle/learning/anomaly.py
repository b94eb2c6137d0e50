"""What is odd in an image, learned from normal images alone.

The product is a memory bank (``aegle.learning.networks.memory_bank``). Scales and limits come from
the training images, each judged without its own group, never from images that the model is
judged on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from aegle.domain.errors import InputError
from aegle.learning.model import BATCH, Model, ModelFacts, normalised
from aegle.learning.networks.memory_bank import (
    Bank,
    Described,
    MemoryBank,
    between,
    highest,
    memory_bank,
    oddness,
)
from aegle.options import option

LIMIT, POSITION_LIMIT = "limit", "position_limit"
"""Names of the limits in the facts of a model: of an image's score, and of values of its map."""
POSITION_PERCENTILE = 99.0
"""Percentile of the training images' positions that is the limit of a position."""
PROJECTED = 64
"""Values of a patch that the coreset is chosen by, after a random projection."""
MOST_PATCHES = 200_000
"""Patches that the coreset is chosen from; more are thinned out at random."""
MAP = 14
"""Rows and columns of the maps that limits come from; the finest usual tap has as many."""
TOGETHER = 4096
"""Patches whose distances are taken together."""


@checked(frozen=True, kw_only=True)
class BankOptions:
    """How a memory of normal images is made and read."""

    taps: Annotated[
        tuple[int, ...], option("Blocks of MobileNetV2 whose features are looked at, 0 to 17")
    ] = (13, 16, 17)
    patches: Annotated[
        int, option("Patches remembered at each tap", ge=2, le=100_000, source="1000: measured")
    ] = 1000
    whitening: Annotated[
        float,
        option(
            "Added to the variances when features are whitened, as a share of their mean; 0 for "
            "no whitening",
            ge=0,
        ),
    ] = 0.01
    neighbours: Annotated[
        int, option("Neighbours whose mean distance is the spacing at a patch", ge=1, le=100)
    ] = 5
    share: Annotated[
        float,
        option("Share of the positions, the oddest, whose mean is an image's score", gt=0, le=1),
    ] = 1.0
    parts: Annotated[
        int,
        option("Parts in which training images are judged by memories of the others", ge=2, le=100),
    ] = 5
    limit_percentile: Annotated[
        float, option("Percentile of the training images' scores that is the limit", gt=0, le=100)
    ] = 95.0
    seed: Annotated[int, option("Start of all randomness", ge=0)] = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """How odd images are."""

    images: NDArray[np.float64]
    """Shape (image,); a higher score is odder."""
    maps: NDArray[np.float32]
    """Where it is odd, shape (image, row, column) at the size of the prepared images."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FilledBank:
    """A memory that can be used."""

    network: MemoryBank
    settings: dict[str, Any]
    """What ``memory_bank`` builds the same network with, before it is filled."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedBank(FilledBank):
    """A memory with what memories like it say of normal images that they were not made from."""

    training_scores: NDArray[np.float64]
    """Score of each training image by a memory of images of other groups."""
    limit: float
    """Percentile of these."""
    position_limit: float
    """99th percentile of the values of their maps."""


def fit_bank(
    backbone: nn.Module,
    values: NDArray[np.uint8],
    *,
    groups: Sequence[str],
    facts: ModelFacts,
    options: BankOptions,
) -> FittedBank:
    """Return a memory of normal images.

    Args:
        backbone: MobileNetV2 without batch normalisation, with the weights to be used.
        values: Prepared normal images, shape (image, channel, row, column).
        groups: What belongs together, one per image: patient or cluster of near-duplicates.
        facts: How images are normalised.
        options: How the memory is made.

    Raises:
        InputError: The images are of fewer than three groups, too few to be judged by others.
    """
    described = describe(reader(backbone, options.taps), values, facts)
    filled = fit_described(backbone, described, groups=groups, options=options)
    scores = crossed(backbone, described, groups=groups, options=options)
    return FittedBank(
        network=filled.network,
        settings=filled.settings,
        training_scores=scores.images,
        limit=float(np.percentile(scores.images, options.limit_percentile)),
        position_limit=float(np.percentile(scores.maps, POSITION_PERCENTILE)),
    )


def crossed(
    backbone: nn.Module, described: Described, *, groups: Sequence[str], options: BankOptions
) -> Scores:
    """Return how odd normal images are to memories of other groups, with small maps.

    Leaving an image's patches out of one memory is not enough for a limit: whitening and the
    choice of patches have seen them, and new normal images would mostly lie above it.
    """
    owners = _owners(groups)
    if owners.max() < 2:
        raise InputError(
            f"{len(groups)} normal images of {owners.max() + 1} group(s) are too few for a limit; "
            "give images of at least three patients."
        )
    order = np.random.default_rng(options.seed).permutation(int(owners.max()) + 1)
    part = order[owners] % options.parts
    images = np.zeros(len(owners))
    maps = np.zeros((len(owners), MAP, MAP), np.float32)
    for number in np.unique(part):
        own, others = np.flatnonzero(part == number), np.flatnonzero(part != number)
        network = fit_described(
            backbone,
            _taken(described, others),
            groups=[groups[int(place)] for place in others],
            options=options,
        ).network
        found = judged(network, _taken(described, own), (MAP, MAP))
        images[own], maps[own] = found.images, found.maps
    return Scores(images=images, maps=maps)


def fit_described(
    backbone: nn.Module, described: Described, *, groups: Sequence[str], options: BankOptions
) -> FilledBank:
    """Return a memory of normal images that are described already; else as ``fit_bank``."""
    owners = _owners(groups)
    if owners.max() < 1:
        raise InputError(
            f"{len(groups)} normal images of one group make no memory; give images of at least "
            "three patients."
        )
    places = [described[tap][:, 0].numel() for tap in options.taps]
    settings: dict[str, Any] = {
        "taps": list(options.taps),
        "patches": min(options.patches, *places),
        "share": options.share,
    }
    network = memory_bank(**settings)
    assert isinstance(network, MemoryBank)
    _take_backbone(network, backbone)
    for tap, bank in zip(options.taps, network.banks, strict=True):
        assert isinstance(bank, Bank)
        _fill(bank, described[tap], torch.from_numpy(owners), options)
    return FilledBank(network=network, settings=settings)


def _owners(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of the group of each image."""
    return np.unique(np.asarray(groups, np.str_), return_inverse=True)[1].astype(np.int64)


def _taken(described: Described, images: NDArray[np.int64]) -> Described:
    return {tap: features[torch.from_numpy(images)] for tap, features in described.items()}


def describe(network: MemoryBank, values: NDArray[np.uint8], facts: ModelFacts) -> Described:
    """Return what a memory looks at in prepared images."""
    with torch.inference_mode():
        found = [network.describe(images) for images in _batches(values, facts)]
    return {tap: torch.cat([part[tap] for part in found]) for tap in network.taps}


def judged(network: MemoryBank, described: Described, size: tuple[int, int]) -> Scores:
    """Return how odd described images are, and where on maps of some size."""
    with torch.inference_mode():
        scores, maps = network.judge(described, size)
    return Scores(images=scores.double().numpy(), maps=maps.numpy())


def bank_model(fitted: FittedBank, facts: ModelFacts) -> Model:
    """Return a filled memory as a model that can be saved."""
    facts = replace(
        facts,
        task="anomaly",
        network="memory-bank",
        network_settings=fitted.settings,
        extras={**facts.extras, LIMIT: fitted.limit, POSITION_LIMIT: fitted.position_limit},
    )
    return Model(facts=facts, network=fitted.network)


def scores_of(model: Model, values: NDArray[np.uint8]) -> Scores:
    """Return how odd prepared images are, and where.

    Args:
        model: A filled memory.
        values: 0 to 255, shape (image, channel, row, column).

    Raises:
        InputError: The model is no memory bank.
    """
    network = model.network
    if not isinstance(network, MemoryBank):
        raise InputError(f"Model '{model.facts.name}' is no memory bank, so it finds nothing odd.")
    rows, columns = values.shape[-2:]
    found = [
        judged(network, describe(network, part, model.facts), (rows, columns))
        for part in np.array_split(values, max(1, -(-len(values) // BATCH)))
    ]
    return Scores(
        images=np.concatenate([part.images for part in found]),
        maps=np.concatenate([part.maps for part in found]),
    )


def k_centers(points: Tensor, count: int, seed: int) -> Tensor:
    """Return the indices of points that lie far apart and cover all: greedy, farthest first.

    No point lies farther from the nearest chosen one than twice what the best choice allows
    (Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5). Points of more than 64 values are
    projected at random first, and the bound then holds for what is left of the distances.

    Args:
        points: Shape (point, value).
        count: How many; all if there are fewer.
        seed: Of the first point and of the projection.
    """
    random = torch.Generator().manual_seed(seed)
    count = min(count, len(points))
    if points.shape[1] > PROJECTED:
        turn = torch.randn(points.shape[1], PROJECTED, generator=random)
        points = points @ (turn / PROJECTED**0.5)
    squares = (points**2).sum(1)
    chosen = [int(torch.randint(len(points), (1,), generator=random))]
    nearest = torch.full((len(points),), torch.inf)
    while len(chosen) < count:
        last = chosen[-1]
        apart = squares + squares[last] - 2 * (points @ points[last])
        nearest = torch.minimum(nearest, apart)
        nearest[last] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def whitening_of(points: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return mean and matrix by which points become uncorrelated, of total variance about 1.

    Args:
        points: Shape (point, value).
        share: Added to the variance along each principal axis, as a share of their mean; 0 to
            scale all values alike instead.
    """
    wide = points.double()
    mean = wide.mean(0)
    apart = wide - mean
    covariance = apart.T @ apart / len(wide)
    total = covariance.trace().clamp_min(torch.finfo(torch.float32).tiny)
    if share == 0:
        return mean.float(), (torch.eye(len(mean), dtype=torch.float64) / total.sqrt()).float()
    variances, axes = torch.linalg.eigh(covariance)
    widened = variances.clamp_min(0) + share * total / len(mean)
    return mean.float(), (axes / (widened * len(mean)).sqrt()).float()


def spacing_of(patches: Tensor, neighbours: int) -> Tensor:
    """Return the mean distance of each patch to its nearest others, shape (patch,)."""
    count = min(neighbours, len(patches) - 1)
    found = []
    for start in range(0, len(patches), TOGETHER):
        distances = between(patches[start : start + TOGETHER], patches)
        places = torch.arange(len(distances))
        distances[places, places + start] = torch.inf
        found.append(distances.topk(count, largest=False).values.mean(1))
    spacing = torch.cat(found)
    # Patches that occur several times would make everything else infinitely odd.
    return spacing.clamp_min(1e-3 * float(spacing.mean()) + torch.finfo(torch.float32).tiny)


def reader(backbone: nn.Module, taps: tuple[int, ...]) -> MemoryBank:
    """Return an empty memory that describes images."""
    return _take_backbone(MemoryBank(taps, 2, 1.0), backbone)


def _take_backbone(network: MemoryBank, backbone: nn.Module) -> MemoryBank:
    wanted = network.features.state_dict()
    given = backbone.get_submodule("features").state_dict()
    network.features.load_state_dict({name: given[name] for name in wanted})
    return network.eval()


def _batches(values: NDArray[np.uint8], facts: ModelFacts) -> Iterator[Tensor]:
    for start in range(0, len(values), BATCH):
        yield normalised(np.asarray(values[start : start + BATCH]), facts)


def _fill(bank: Bank, features: Tensor, owners: Tensor, options: BankOptions) -> None:
    """Fill the bank of one tap; its scale is the mean score of images without their own group."""
    positions = features[0, 0].numel()
    flat = features.permute(0, 2, 3, 1).flatten(0, 2)
    of_patch = owners.repeat_interleave(positions)
    mean, whitening = whitening_of(flat, options.whitening)
    white = (flat - mean) @ whitening
    pool = _thinned(len(white), options.seed)
    chosen = pool[k_centers(white[pool], len(bank.patches), options.seed)]
    bank.mean, bank.whitening, bank.patches = mean, whitening, white[chosen]
    bank.spacing = spacing_of(bank.patches, options.neighbours)
    bank.scale = torch.ones(())
    odd = torch.cat(
        [
            oddness(part, bank.patches, bank.spacing, of_part[:, None] != of_patch[chosen])
            for part, of_part in zip(white.split(TOGETHER), of_patch.split(TOGETHER), strict=True)
        ]
    )
    bank.scale = highest(odd.view(len(features), -1), options.share).mean()


def _thinned(count: int, seed: int) -> Tensor:
    if count <= MOST_PATCHES:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:MOST_PATCHES]
