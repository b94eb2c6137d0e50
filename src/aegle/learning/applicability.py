"""Whether an image is of the kind that a model was trained on, judged by what the network sees.

The features before the last layer are described by a normal distribution: the directions along
which training images vary most, each with its variance, and one variance for all the rest
(probabilistic principal components). The squared Mahalanobis distance from it is the score; a hand,
a head or another modality lies far off, mostly in the rest. The energy of the logits is the
second score; it looks at the classes alone and separates less. Limits come from training images,
each judged by a distribution without its own group.

Sources:
    Tipping ME, Bishop CM. J R Stat Soc B 1999;61:611-622 (probabilistic principal components).
    Lee K et al. NeurIPS 2018, arXiv:1807.03888 (Mahalanobis distance of features).
    Wang H et al. ViM. CVPR 2022, arXiv:2203.10807 (what principal components leave over).
    Liu W et al. NeurIPS 2020, arXiv:2010.03759 (energy).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.suggestion import OutOfDistribution
from aegle.domain.text import Text
from aegle.learning.model import Model
from aegle.learning.networks.stages import head

Numbers = NDArray[np.float64]

KEY = "applicability"
"""Under which the limits lie in a model's extras; arrays begin with it."""
COMPONENTS = 64
"""Directions that are described one by one."""
FOLDS = 5
FALSE_ALARMS = 0.04
"""Share of own images beyond the limit of the distance; leaves room below the 5 % promised."""
FEWEST = 50
"""Images with which a distribution is described at all."""

NOT_APPLICABLE = (
    "Not applicable to this image: it is unlike the images that {model} was trained on "
    "({times:.1f} times the largest usual distance)."
)


METHOD = "squared Mahalanobis distance of the last features, per feature"


@dataclass(frozen=True, eq=False, kw_only=True)
class Applicability:
    """What images of the model's kind look like to its network."""

    mean: NDArray[np.float32]
    """Shape (feature,)."""
    axes: NDArray[np.float32]
    """Orthonormal directions, shape (component, feature)."""
    variances: NDArray[np.float32]
    """Along each direction, then of all other directions; shape (component + 1,)."""
    limit: float = math.inf
    """Largest distance of an image that the model is applicable to."""
    energy_limit: float = math.inf
    """Energy beyond which the same share of own images lies; reported, not enforced."""

    def distance(self, features: Numbers) -> Numbers:
        """Return squared Mahalanobis distances per feature, shape (image,); about 1 for own."""
        apart = features - self.mean
        along = apart @ self.axes.T.astype(np.float64)
        rest = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        own = (along**2 / self.variances[:-1]).sum(axis=1) + rest / self.variances[-1]
        return np.asarray(own / features.shape[1])


def features_and_logits(model: Model, values: NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Return what the last layer is given, (image, feature), and what it makes of it.

    Args:
        model: A classifier.
        values: Prepared images, shape (image, channel, ...).

    Raises:
        InputError: The network does not end in a linear layer, or there is no image.
    """
    try:
        last = head(model.network)
    except ValueError as error:
        raise InputError(f"Model '{model.facts.name}' is no classifier: {error}") from error
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().float()))
    # The mirror image, where the model looks at it, would be seen too.
    plain = replace(model, facts=replace(model.facts, flips=False))
    try:
        logits = plain.logits_of(values)
    finally:
        hook.remove()
    return torch.cat(seen).flatten(1).cpu().numpy().astype(np.float64), logits


def energy(logits: Numbers) -> Numbers:
    """Return the energy of logits, shape (image,); larger for images that fit no class."""
    return np.asarray(-logsumexp(logits, axis=1))


def describe(features: Numbers, components: int = COMPONENTS) -> Applicability:
    """Return the distribution of features, without limits.

    Raises:
        InputError: There are too few images, or a feature is not finite.
    """
    if len(features) < FEWEST or not np.isfinite(features).all():
        raise InputError(
            f"{len(features)} images do not tell what a model is made for; give {FEWEST} or more "
            "with finite features."
        )
    count = min(components, len(features) // 4, features.shape[1] - 1)
    mean = features.mean(axis=0)
    _, lengths, axes = np.linalg.svd(features - mean, full_matrices=False)
    variances = lengths**2 / (len(features) - 1)
    rest = variances[count:].sum() / max(features.shape[1] - count, 1)
    floor = max(variances[0] * 1e-9, np.finfo(np.float32).tiny)
    return Applicability(
        mean=mean.astype(np.float32),
        axes=axes[:count].astype(np.float32),
        variances=np.maximum(np.append(variances[:count], rest), floor).astype(np.float32),
    )


def fit(
    features: Numbers,
    logits: Numbers,
    folds: Sequence[int] | NDArray[np.int64],
    *,
    false_alarms: float = FALSE_ALARMS,
) -> Applicability:
    """Return the distribution of features with its limits.

    Args:
        features: Of training images, shape (image, feature).
        logits: Of the same images, shape (image, class).
        folds: The fold of each image; groups are not split. The limit is a quantile of the
            distances of images that the distribution does not know.
        false_alarms: Share of own images that may be called not applicable.

    Raises:
        InputError: There are too few images.
    """
    numbers = np.asarray(folds)
    apart = np.empty(len(features))
    for fold in np.unique(numbers):
        held = numbers == fold
        apart[held] = describe(features[~held]).distance(features[held])
    # The rank that a new image of the same kind exceeds with at most the wanted probability.
    rank = min(math.ceil((len(apart) + 1) * (1 - false_alarms)), len(apart))
    return replace(
        describe(features),
        limit=float(np.sort(apart)[rank - 1]),
        energy_limit=float(np.sort(energy(logits))[rank - 1]),
    )


def kept_with(model: Model, found: Applicability) -> Model:
    """Return a model that carries what it is applicable to in its file."""
    arrays: dict[str, NDArray[np.generic]] = {
        f"{KEY}.mean": found.mean,
        f"{KEY}.axes": found.axes.astype(np.float16),
        f"{KEY}.variances": found.variances,
    }
    limits = {"limit": found.limit, "energy_limit": found.energy_limit}
    facts = replace(model.facts, extras={**model.facts.extras, KEY: limits})
    return replace(model, facts=facts, arrays={**model.arrays, **arrays})


def of_model(model: Model) -> Applicability | None:
    """Return what a model is applicable to; None if its file does not say."""
    limits = model.facts.extras.get(KEY)
    if not isinstance(limits, dict):
        return None
    try:
        return Applicability(
            mean=model.arrays[f"{KEY}.mean"].astype(np.float32),
            axes=model.arrays[f"{KEY}.axes"].astype(np.float32),
            variances=model.arrays[f"{KEY}.variances"].astype(np.float32),
            limit=float(limits["limit"]),
            energy_limit=float(limits["energy_limit"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"Model '{model.facts.name}' says in part only what it is applicable to ({error}); "
            "take a whole file."
        ) from error


def outside(model: Model, values: NDArray[np.uint8]) -> tuple[OutOfDistribution | None, ...]:
    """Return for each prepared image how far it lies from what a model was trained on.

    None where the model's file does not say what it is applicable to.
    """
    found = of_model(model)
    if found is None:
        return (None,) * len(values)
    features, _ = features_and_logits(model, values)
    return tuple(
        OutOfDistribution(
            is_outside=bool(one > found.limit), score=float(one), limit=found.limit, method=METHOD
        )
        for one in found.distance(features)
    )


def notices(model: Model, values: NDArray[np.uint8]) -> tuple[Text | None, ...]:
    """Return for each prepared image why a model is not applicable to it; None if it is.

    A model whose file does not say what it is applicable to is taken to be applicable.
    """
    return tuple(
        not_applicable(model.facts.name, one) if one is not None and one.is_outside else None
        for one in outside(model, values)
    )


def not_applicable(model: str, found: OutOfDistribution) -> Text:
    """Return in words why a model is not applicable to an image."""
    return Text(NOT_APPLICABLE, {"model": model, "times": found.score / found.limit})
