"""How much each modality of a patient adds to what a model says.

A modality adds what the model says with it minus what it says without it, averaged over every
order in which the modalities may become known: the Shapley value, for which the model is asked
with each set of them, not an approximation. What they add and what is said of a patient of whom
nothing is known sum to what is said (Shapley LS, 1953; Lundberg SM, Lee SI. NeurIPS 2017). It is
what the model rests on, not what causes the outcome.
"""

from collections.abc import Callable
from itertools import product
from math import factorial

import numpy as np

from aegle.domain.errors import InputError
from aegle.learning.fusion.table import Table, Values

MOST = 10
"""Modalities of which every set can be asked."""


def contributions(risk: Callable[[Table], Values], table: Table) -> tuple[float, Values]:
    """Return what is said of nothing, and what each modality adds, shape (row, modality).

    Args:
        risk: What the model says of each row: logits, or logarithms of hazards.
        table: Rows; of a missing modality nothing is added.

    Raises:
        InputError: There are more modalities than ``MOST``.
    """
    names = table.modalities
    count = len(names)
    if count > MOST:
        raise InputError(f"Contributions of {count} modalities are not computed; {MOST} at most.")
    said = {}
    for pattern in product((False, True), repeat=count):
        asked = table
        for name, kept in zip(names, pattern, strict=True):
            asked = asked if kept else asked.without(name)
        said[pattern] = risk(asked)
    added = np.zeros((len(table.names), count))
    for pattern, value in said.items():
        known = sum(pattern)
        for place in np.flatnonzero(np.logical_not(pattern)):
            more = tuple(there or i == place for i, there in enumerate(pattern))
            orders = factorial(known) * factorial(count - known - 1) / factorial(count)
            added[:, place] += orders * (said[more] - value)
    nothing = said[(False,) * count]
    return float(nothing[0]) if len(nothing) else 0.0, added
