"""Limits that a plan must keep, by the method of multipliers.

A penalty alone stops short of its limit or far past it, whatever its weight. Here each limit is a
set of inequalities g ≤ 0, one per voxel or one for a mean; multipliers λ grow by what is exceeded
until nothing is:

    L(w) = f(w) + ρ/2 · mean(max(0, g(w) + λ/ρ)² - (λ/ρ)²),    λ ← max(0, λ + ρ g(w))

Sources: Hestenes MR. J Optim Theory Appl 1969;4:303-320, doi:10.1007/BF00927673; Rockafellar RT.
J Optim Theory Appl 1973;12:555-562, doi:10.1007/BF00934777; Nocedal J, Wright SJ. Numerical
Optimization, 2nd ed., 2006, chapter 17, doi:10.1007/978-0-387-40065-5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aegle.planning.equivalent_dose import generalised_eud
from aegle.planning.optimise import OptimiserOptions, Optimum, Progress, optimise

ROUNDS = 10
"""Most updates of the multipliers."""
ROUND_SHARE = 0.4
"""Of the iterations allowed without limits, how many a round may take."""
KEPT = 5e-4
"""Excess relative to the prescribed dose at which a limit counts as kept."""
SLACK = 2e-3
"""Distance from its limit at which a limit may still push, relative to the prescribed dose."""
FIRST_PENALTY, GROWTH = 200.0, 3.0
"""ρ at first, and by what it grows where a round does not halve the excess."""

Evaluated = Callable[[Tensor], tuple[Tensor, list[Tensor]]]
"""From variables to the objective and the excess of each limit, ≤ 0 where it is kept."""


@dataclass(frozen=True, eq=False)
class Constraint:
    """A limit on the dose of some voxels, relative to the prescribed dose."""

    points: Tensor
    """Indices of the voxels, shape (voxel,)."""
    level: float
    is_upper: bool
    spared: int = 0
    """How many voxels, those farthest beyond the level, need not keep it."""
    exponent: float | None = None
    """Of the generalised equivalent uniform dose that is limited (1: the mean); None: each voxel
    is limited by itself."""

    def excess(self, doses: Tensor) -> Tensor:
        """Return how far doses lie beyond the level, shape (voxel,), or (1,) of a mean.

        Args:
            doses: Of all voxels, relative to the prescribed dose.
        """
        inside = doses[self.points]
        if self.exponent is not None:
            inside = generalised_eud(inside, self.exponent).view(1)
        beyond = inside - self.level if self.is_upper else self.level - inside
        if self.spared == 0:
            return beyond
        farthest = beyond.detach().topk(self.spared).indices
        return beyond.index_fill(0, farthest, -torch.inf)


def round_iterations(iterations: int) -> int:
    """Return how many iterations a round may take, where a run without limits may take some."""
    return max(10, round(ROUND_SHARE * iterations))


def optimise_within(
    evaluated: Evaluated,
    start: Tensor,
    *,
    scale: Tensor | None = None,
    options: OptimiserOptions,
    progress: Progress | None = None,
) -> Optimum:
    """Minimise an objective of non-negative variables and keep limits.

    First without the limits; where that exceeds one, in rounds with multipliers. Where the limits
    cannot all be kept, the last round's variables are returned: the excess is then spread over
    the limits in conflict, and the caller tells by the dose which these are.

    Args:
        evaluated: Objective and excesses, differentiable.
        start: First variables; without ``scale`` positive.
        scale: Size that each variable is expected to have, positive; without, that of ``start``.
        options: Limits of the first run; later rounds take a part of its iterations.
        progress: Called with iterations done and allowed in the run or round.
    """
    size = start if scale is None else scale
    found = optimise(
        lambda w: evaluated(w)[0], start, scale=size, options=options, progress=progress
    )
    multipliers = [torch.zeros_like(g) for g in _excesses(evaluated, found, start)]
    shorter = replace(options, iterations=round_iterations(options.iterations))
    penalty, before = FIRST_PENALTY, np.inf
    values = list(found.values)
    for _ in range(ROUNDS):
        excesses = _excesses(evaluated, found, start)
        missing = _missing(excesses, multipliers, penalty)
        if missing <= 1:
            break
        penalty *= GROWTH if missing > before / 2 else 1.0
        before = missing
        multipliers = [(m + penalty * g).relu() for m, g in zip(multipliers, excesses, strict=True)]
        found = optimise(
            _augmented(evaluated, multipliers, penalty),
            torch.from_numpy(found.weights).to(start),
            scale=size,
            options=shorter,
            progress=progress,
        )
        with torch.no_grad():
            values.append(float(evaluated(torch.from_numpy(found.weights).to(start))[0]))
    return Optimum(weights=found.weights, values=tuple(values))


def _missing(excesses: Sequence[Tensor], multipliers: Sequence[Tensor], penalty: float) -> float:
    """Return how far from the optimum the limits are; at most 1 where they are near enough.

    A limit is exceeded by no more than ``KEPT``, and pushes only where it is near.
    """
    beyond = [float(g.amax()) / KEPT for g in excesses]
    idle = [
        float(torch.minimum(-g, m / penalty).amax()) / SLACK
        for g, m in zip(excesses, multipliers, strict=True)
    ]
    return max([*beyond, *idle], default=0.0)


def _augmented(
    evaluated: Evaluated, multipliers: Sequence[Tensor], penalty: float
) -> Callable[[Tensor], Tensor]:
    def objective(variables: Tensor) -> Tensor:
        value, excesses = evaluated(variables)
        for m, g in zip(multipliers, excesses, strict=True):
            value = value + penalty / 2 * (g + m / penalty).relu().square().mean()
        return value

    return objective


def _excesses(evaluated: Evaluated, found: Optimum, like: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return evaluated(torch.from_numpy(found.weights).to(like))[1]
