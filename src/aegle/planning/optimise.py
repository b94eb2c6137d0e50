"""Find beamlet weights: L-BFGS-B with weights that cannot be negative.

Byrd RH, Lu P, Nocedal J, Zhu C. SIAM J Sci Comput 1995;16:1190-1208, doi:10.1137/0916069.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from aegle.domain.errors import InputError
from aegle.options import option

Progress = Callable[[int, int], None]


@validated(frozen=True, kw_only=True)
class OptimiserOptions:
    """When to stop."""

    iterations: Annotated[int, option("Most iterations of the optimiser", ge=1, le=2000)] = 80
    tolerance: Annotated[
        float,
        option("Stop where an iteration lowers the objective by less than this part", ge=0, lt=1),
    ] = 1e-5


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

    def evaluated(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        variable = torch.from_numpy(factors).to(size).requires_grad_()
        result = objective(variable * size)
        (gradient,) = torch.autograd.grad(result, variable)
        return float(result.detach()), gradient.to("cpu", torch.float64).numpy()

    first = (start.detach() / size).to("cpu", torch.float64).numpy()
    values = [evaluated(first)[0]]
    if not np.isfinite(values[0]):
        raise InputError("The objective has no finite value; check the CT for missing numbers.")

    def record(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if progress is not None:
            progress(len(values) - 1, options.iterations)

    found = minimize(
        evaluated,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * first.size,
        callback=record,
        options={"maxiter": options.iterations, "ftol": options.tolerance, "maxcor": 10},
    )
    weights = found.x * size.to("cpu", torch.float64).numpy()
    return Optimum(weights=weights, values=tuple(values))
