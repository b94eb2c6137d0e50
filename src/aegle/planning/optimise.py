"""Find beamlet weights that cannot be negative.

L-BFGS-B of SciPy keeps its variables on the CPU: Byrd RH, Lu P, Nocedal J, Zhu C. SIAM J Sci Comput
1995;16:1190-1208, doi:10.1137/0916069. The spectral projected gradient stays where the dose is,
which pays on a GPU: Birgin EG, Martínez JM, Raydan M. SIAM J Optim 2000;10:1196-1211,
doi:10.1137/S1052623497330963.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.options import option

Progress = Callable[[int, int], None]
HOST = "cpu"
Method = Literal["auto", "l-bfgs-b", "projected"]

REMEMBERED = 10
"""A projected step must improve on the worst of so many values before it."""
DECREASE = 1e-4
"""Part of the decrease that the slope promises which a projected step must bring."""
LONGEST, SHORTEST = 1e6, 1e-12
"""Of projected steps."""


@validated(frozen=True, kw_only=True)
class OptimiserOptions:
    """When to stop."""

    iterations: Annotated[int, option("Most iterations of the optimiser", ge=1, le=2000)] = 80
    tolerance: Annotated[
        float,
        option("Stop where an iteration lowers the objective by less than this part", ge=0, lt=1),
    ] = 1e-5
    method: Annotated[
        Method,
        option(
            "l-bfgs-b: SciPy's, on the CPU; projected: spectral projected gradient, where the dose "
            "is calculated; auto: projected on a GPU"
        ),
    ] = "auto"


@dataclass(frozen=True, eq=False)
class Optimum:
    """Weights found and how the objective came down."""

    weights: NDArray[np.float64]
    values: tuple[float, ...]
    """At the start and after each iteration."""


def optimise(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    scale: Tensor | None = None,
    options: OptimiserOptions,
    progress: Progress | None = None,
) -> Optimum:
    """Minimise a differentiable function of non-negative weights.

    Args:
        objective: Maps weights like ``start`` to a single number.
        start: First weights; without ``scale`` positive.
        scale: Size that each weight is expected to have, positive; without, that of ``start``.
        options: Limits.
        progress: Called with iterations done and allowed.

    Raises:
        InputError: The objective is not a finite number at the start.
    """
    size = (start if scale is None else scale).detach()
    first = start.detach() / size
    value = float(objective(first * size).detach())
    if not np.isfinite(value):
        raise InputError("The objective has no finite value; check the CT for missing numbers.")
    values = [value]

    def record(reached: float) -> None:
        values.append(reached)
        if progress is not None:
            progress(len(values) - 1, options.iterations)

    is_projected = options.method == "projected" or (
        options.method == "auto" and start.device.type != HOST
    )
    minimised = _projected if is_projected else _quasi_newton
    found = minimised(lambda factors: objective(factors * size), first, options, record)
    weights = (found * size).to("cpu", torch.float64).numpy()
    return Optimum(weights=weights, values=tuple(values))


def _quasi_newton(
    objective: Callable[[Tensor], Tensor],
    first: Tensor,
    options: OptimiserOptions,
    record: Callable[[float], None],
) -> Tensor:
    def evaluated(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = _with_gradient(objective, torch.from_numpy(factors).to(first))
        return value, gradient.to("cpu", torch.float64).numpy()

    def step(intermediate_result: OptimizeResult) -> None:
        record(float(intermediate_result.fun))

    start = first.to("cpu", torch.float64).numpy()
    found = minimize(
        evaluated,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * start.size,
        callback=step,
        options={"maxiter": options.iterations, "ftol": options.tolerance, "maxcor": 10},
    )
    return torch.from_numpy(found.x).to(first)


def _projected(
    objective: Callable[[Tensor], Tensor],
    first: Tensor,
    options: OptimiserOptions,
    record: Callable[[float], None],
) -> Tensor:
    """Step along the projected gradient, as far as the last change of gradient suggests."""
    here = best = first
    value, gradient = _with_gradient(objective, here)
    recent = [value]
    lowest, length = value, 1 / max(float(gradient.abs().amax()), SHORTEST)
    for _ in range(options.iterations):
        direction = (here - length * gradient).clamp(min=0) - here
        slope = float(gradient @ direction)
        if slope >= -options.tolerance * abs(value):
            break
        part, bound = 1.0, max(recent)
        while True:
            there = here + part * direction
            value, after = _with_gradient(objective, there)
            if value <= bound + DECREASE * part * slope or part < SHORTEST:
                break
            part /= 2
        moved, turned = there - here, after - gradient
        curved = float(moved @ turned)
        length = min(LONGEST, float(moved @ moved) / curved) if curved > 0 else LONGEST
        here, gradient = there, after
        recent = [*recent, value][-REMEMBERED:]
        if value < lowest:
            best, lowest = here, value
        record(value)
    return best


def _with_gradient(objective: Callable[[Tensor], Tensor], factors: Tensor) -> tuple[float, Tensor]:
    variable = factors.detach().clone().requires_grad_()
    result = objective(variable)
    (gradient,) = torch.autograd.grad(result, variable)
    return float(result.detach()), gradient
