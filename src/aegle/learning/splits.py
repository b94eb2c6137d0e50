"""Which images are learned from and which are kept aside; what belongs together stays together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError
from aegle.learning.samples import Sample

Indices = NDArray[np.int64]


class Fold(NamedTuple):
    """Two sets of images without a common group, as ascending indices."""

    training: Indices
    held_out: Indices


def folds(
    groups: Sequence[str], labels: NDArray[np.int64], count: int, seed: int
) -> tuple[Fold, ...]:
    """Return ``count`` folds; each image is held out once.

    Groups never straddle, and each fold has about the same share of every class.

    Args:
        groups: What belongs together, one per image.
        labels: Index of the class of each image.
        count: How many folds, at least 2.
        seed: Start of all randomness.

    Raises:
        InputError: A class has fewer groups than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    codes = _codes(groups, labels)
    for label in np.unique(labels):
        there = np.unique(codes[labels == label]).size
        if there < count:
            raise InputError(
                f"Class {label} has {there} group(s), too few for {count} folds. Ask for fewer "
                "folds, or give more images."
            )
    # With one image per group the grouped splitter gives no better folds, 100 times slower.
    is_grouped = len(np.unique(codes)) < len(codes)
    kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
    splitter = kind(count, shuffle=True, random_state=seed)
    parts = splitter.split(np.zeros(len(labels)), labels, codes if is_grouped else None)
    return tuple(Fold(training.astype(np.int64), held.astype(np.int64)) for training, held in parts)


def holdout(groups: Sequence[str], labels: NDArray[np.int64], share: float, seed: int) -> Fold:
    """Return one fold that holds out about ``share`` of each class, whole groups at a time.

    Raises:
        InputError: A class has a single group, or ``share`` is not between 0 and 1.
    """
    everything = np.arange(len(labels))
    held_out = fraction(everything, groups, labels, share, seed)
    training = np.setdiff1d(everything, held_out)
    missing = sorted(set(labels.tolist()) - set(labels[training].tolist()))
    if missing:
        raise InputError(
            f"Class {missing[0]} has too few groups to be on both sides. Give more images, or "
            "hold out a smaller share."
        )
    return Fold(training, held_out)


def fraction(
    indices: Indices, groups: Sequence[str], labels: NDArray[np.int64], share: float, seed: int
) -> Indices:
    """Return about ``share`` of some images, whole groups at a time and evenly over the classes.

    A smaller share is part of a larger one with the same seed. Every class keeps a group.

    Args:
        indices: The images to choose from.
        groups: What belongs together, one per image of the whole set.
        labels: Index of the class of each image of the whole set.
        share: Above 0, at most 1.
        seed: Start of all randomness.

    Returns:
        Ascending indices.

    Raises:
        InputError: ``share`` lies outside its bounds.
    """
    if not 0 < share <= 1:
        raise InputError(f"A share of {share} of the images is not above 0 and at most 1.")
    codes = _codes(groups, labels)[indices]
    ranks = _ranks(codes, labels[indices], np.random.default_rng(seed))
    # Rounding keeps a share of 0.3 from missing the rank 3/10.
    chosen = ranks[codes] <= round(share, 9)
    return np.sort(indices[chosen]).astype(np.int64)


def _codes(groups: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(groups) != len(labels):
        raise InputError(f"{len(groups)} groups and {len(labels)} labels do not belong together.")
    _, codes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    return codes.astype(np.int64)


def _ranks(
    codes: NDArray[np.int64], labels: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return by group code the share from which on the group is taken; 0 for the first of a class.

    A group counts to the class that most of its images have.
    """
    counts = np.zeros((int(codes.max()) + 1, int(labels.max() - labels.min()) + 1), np.int64)
    np.add.at(counts, (codes, labels - labels.min()), 1)
    own = counts.argmax(axis=1)
    ranks = np.full(len(counts), np.inf)
    for label in np.unique(own[counts.any(axis=1)]):
        order = random.permutation(np.flatnonzero(counts.any(axis=1) & (own == label)))
        sizes = counts[order].sum(axis=1)
        ranks[order] = np.round((np.cumsum(sizes) - sizes / 2) / sizes.sum(), 9)
        ranks[order[0]] = 0
    return ranks


def in_split(samples: Sequence[Sample], split: str) -> Indices:
    """Return the indices of the samples that the data put into ``train``, ``val`` or ``test``."""
    return np.array([i for i, sample in enumerate(samples) if sample.split == split], np.int64)
