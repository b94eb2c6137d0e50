"""What several trainings say together, and how far they disagree.

The mean of the members' probabilities is the answer. Its entropy splits into the mean entropy of
the members (the image is ambiguous) and the rest (the members disagree: the model does not know).

Sources:
    Lakshminarayanan B, Pritzel A, Blundell C. NeurIPS 2017, arXiv:1612.01474 (deep ensembles).
    Depeweg S et al. ICML 2018, arXiv:1710.07283 (split of the entropy).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from aegle.domain.errors import InputError

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class EnsembleAnswer:
    """What the members say together, per image."""

    probabilities: Numbers
    """Mean of the members, shape (image, class)."""
    entropy: Numbers
    """Of the mean [nat], shape (image,)."""
    disagreement: Numbers
    """Part of the entropy that members do not share [nat], shape (image,); never below 0."""
    votes: Numbers
    """Share of members whose likeliest class is the ensemble's, shape (image,)."""


def together(members: Numbers) -> EnsembleAnswer:
    """Return the answer of an ensemble.

    Args:
        members: Probabilities, shape (member, image, class).

    Raises:
        InputError: There are fewer than two members, or rows do not sum to 1.
    """
    if members.ndim != 3 or len(members) < 2:
        raise InputError(
            f"An ensemble has members of shape (member, image, class), two or more; got "
            f"{members.shape}."
        )
    if not np.allclose(members.sum(axis=2), 1, atol=1e-4):
        raise InputError("Probabilities of a member do not sum to 1.")
    mean = members.mean(axis=0)
    entropy = entr(mean).sum(axis=1)
    shared = entr(members).sum(axis=2).mean(axis=0)
    agrees = members.argmax(axis=2) == mean.argmax(axis=1)
    return EnsembleAnswer(
        probabilities=mean,
        entropy=entropy,
        disagreement=np.maximum(entropy - shared, 0),
        votes=agrees.mean(axis=0),
    )
