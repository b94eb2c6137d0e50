"""The most likely explanation of two visits, and how probable each of its parts is.

Every lesion has exactly one explanation, so a whole story is an exact cover of all lesions by
hypotheses. The most likely story is found by integer programming (HiGHS, as in SciPy); the
probability of a hypothesis is its share in the likelihood of all stories, summed exactly over
each group of lesions that could be confused. In a group too dense for that, the least likely
hypotheses of each lesion are left out of the sum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from aegle.response.hypotheses import Hypothesis, Spot

NEGLIGIBLE = 12.0
"""A hypothesis e^12 times less likely than that its lesions have nothing to do with each other
is not considered."""
_MOST_STATES = 30_000
_FEWER = (8, 5, 3, 2)


@dataclass(frozen=True)
class Explanation:
    """A hypothesis of the most likely story."""

    hypothesis: Hypothesis
    probability: float
    alternatives: tuple[tuple[Hypothesis, float], ...]
    """Competing hypotheses with their probabilities, the most probable first."""


class _TooManyError(Exception):
    """A group is too dense to sum over all stories."""


def explain(
    earlier: Sequence[Spot], later: Sequence[Spot], possible: Sequence[Hypothesis]
) -> tuple[Explanation, ...]:
    """Return the most likely story, one explanation for each lesion.

    Args:
        earlier: Known lesions.
        later: Lesions of the later visit.
        possible: What may have happened; must explain each lesion at least once by itself.
    """
    count = len(earlier)
    size = count + len(later)
    if size == 0:
        return ()
    members = [(*h.earlier, *(count + j for j in h.later)) for h in possible]
    kept = _worth_considering(members, possible)
    members, possible = [members[k] for k in kept], [possible[k] for k in kept]
    chosen = _most_likely(members, possible, size)
    probability = np.zeros(len(possible))
    places = np.array([s.place_mm for s in (*earlier, *later)])
    for group in _groups(members, size):
        own = [k for k, m in enumerate(members) if m[0] in group]
        axis = _along(places, group)
        shares = _shares(own, members, possible, axis, chosen)
        probability[own] = [shares.get(k, 0.0) for k in own]
    return tuple(
        Explanation(possible[k], float(probability[k]), _others(k, members, possible, probability))
        for k in sorted(chosen, key=lambda k: members[k])
    )


def _worth_considering(
    members: Sequence[tuple[int, ...]], possible: Sequence[Hypothesis]
) -> list[int]:
    alone = {m[0]: h.cost for m, h in zip(members, possible, strict=True) if len(m) == 1}
    return [
        k
        for k, (m, h) in enumerate(zip(members, possible, strict=True))
        if len(m) == 1
        or any(e not in alone for e in m)
        or h.cost <= sum(alone[e] for e in m) + NEGLIGIBLE
    ]


def _most_likely(
    members: Sequence[tuple[int, ...]], possible: Sequence[Hypothesis], size: int
) -> set[int]:
    rows = [e for m in members for e in m]
    columns = [k for k, m in enumerate(members) for _ in m]
    covers = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, len(members)))
    found = milp(
        [h.cost for h in possible],
        constraints=LinearConstraint(covers, 1, 1),
        integrality=np.ones(len(members)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    assert found.x is not None, "each lesion by itself is always a story"
    return {int(k) for k in np.flatnonzero(found.x > 0.5)}


def _groups(members: Sequence[tuple[int, ...]], size: int) -> list[set[int]]:
    """Return the sets of lesions that could be confused with each other."""
    pairs = [(m[0], e) for m in members for e in m[1:]]
    rows, columns = ([p[k] for p in pairs] for k in (0, 1))
    graph = csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return [set(np.flatnonzero(labels == n).tolist()) for n in range(labels.max() + 1)]


def _along(places: np.ndarray, group: set[int]) -> list[int]:
    """Return the lesions of a group in the order of their longest extent.

    Neighbours then stand close to each other, which keeps the number of partial stories small.
    """
    order = sorted(group)
    offsets = places[order] - places[order].mean(axis=0)
    axis = np.linalg.svd(offsets, full_matrices=False)[2][0]
    return [order[k] for k in np.argsort(offsets @ axis, kind="stable")]


def _shares(
    own: Sequence[int],
    members: Sequence[tuple[int, ...]],
    possible: Sequence[Hypothesis],
    order: Sequence[int],
    chosen: set[int],
) -> dict[int, float]:
    """Return the probability of each hypothesis of a group."""
    for most in (len(own), *_FEWER):
        kept = _best_of_each(own, members, possible, most, chosen)
        try:
            return _summed(kept, members, possible, order)
        except _TooManyError:
            continue
    return {k: float(k in chosen) / 2 for k in own}


def _best_of_each(
    own: Sequence[int],
    members: Sequence[tuple[int, ...]],
    possible: Sequence[Hypothesis],
    most: int,
    chosen: set[int],
) -> list[int]:
    kept = {k for k in own if len(members[k]) == 1 or k in chosen}
    for element in {e for k in own for e in members[k]}:
        having = [k for k in own if element in members[k]]
        kept |= set(sorted(having, key=lambda k: possible[k].cost / len(members[k]))[:most])
    return sorted(kept)


def _summed(
    kept: Sequence[int],
    members: Sequence[tuple[int, ...]],
    possible: Sequence[Hypothesis],
    order: Sequence[int],
) -> dict[int, float]:
    """Sum the likelihoods of all exact covers, from the first lesion to the last and back.

    A partial story is the set of lesions still to be explained, as bits of a whole number.
    """
    bit = {element: 1 << n for n, element in enumerate(order)}
    masks = {k: sum(bit[e] for e in members[k]) for k in kept}
    # A constant per lesion leaves all shares as they are and keeps the sums near one.
    least = {
        e: min(possible[k].cost / len(members[k]) for k in kept if e in members[k]) for e in bit
    }
    weights = {k: math.exp(sum(least[e] for e in members[k]) - possible[k].cost) for k in kept}
    full = (1 << len(order)) - 1
    steps = _steps(full, masks)
    forward, backward = dict.fromkeys([*steps, 0], 0.0), {0: 1.0}
    forward[full] = 1.0
    for state, taken in steps.items():
        for k, rest in taken:
            forward[rest] += forward[state] * weights[k]
    for state in reversed(steps):
        backward[state] = sum(weights[k] * backward[rest] for k, rest in steps[state])
    shares = dict.fromkeys(kept, 0.0)
    for state, taken in steps.items():
        for k, rest in taken:
            shares[k] += forward[state] * weights[k] * backward[rest] / backward[full]
    return shares


def _steps(full: int, masks: dict[int, int]) -> dict[int, list[tuple[int, int]]]:
    """Return how each partial story goes on with its first lesion, earlier stories first."""
    starting: dict[int, list[tuple[int, int]]] = {}
    for k, mask in masks.items():
        starting.setdefault(mask & -mask, []).append((k, mask))
    waiting: dict[int, list[int]] = {full & -full: [full]}
    seen = {full, 0}
    steps: dict[int, list[tuple[int, int]]] = {}
    while waiting:
        first = min(waiting)
        for state in waiting.pop(first):
            fits = starting.get(first, [])
            steps[state] = [(k, state & ~mask) for k, mask in fits if not mask & ~state]
            for rest in (rest for _, rest in steps[state] if rest not in seen):
                seen.add(rest)
                waiting.setdefault(rest & -rest, []).append(rest)
        if len(steps) > _MOST_STATES:
            raise _TooManyError
    return steps


def _others(
    index: int,
    members: Sequence[tuple[int, ...]],
    possible: Sequence[Hypothesis],
    probability: np.ndarray,
) -> tuple[tuple[Hypothesis, float], ...]:
    own = set(members[index])
    rivals = [k for k, m in enumerate(members) if k != index and own & set(m)]
    likely = sorted(rivals, key=lambda k: (-probability[k], members[k]))[:3]
    return tuple((possible[k], float(probability[k])) for k in likely if probability[k] >= 0.005)
