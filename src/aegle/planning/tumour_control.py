"""How likely a treatment controls the tumour: no clonogenic cell survives.

Poisson statistics of surviving cells with the linear-quadratic model: Webb S, Nahum AE. Phys Med
Biol 1993;38:653-666, doi:10.1088/0031-9155/38/6/001, with a normal spread of the radiosensitivity
between patients. Curves with D50 and γ50 stand in :mod:`aegle.planning.dose_response`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aegle.domain.errors import InputError, OptionError
from aegle.planning.equivalent_dose import (
    Repopulation,
    as_doses,
    biologically_effective_dose,
)

NODES = 101
WIDEST = 5.0
"""The rule over patients has this many points within so many standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Tumour:
    """Clonogenic cells and how they respond."""

    clonogens: float
    """Number of clonogenic cells before treatment."""
    alpha_per_gy: float
    """Linear radiosensitivity, the mean over patients."""
    alpha_beta_gy: float = 10.0
    alpha_spread_per_gy: float = 0.0
    """Standard deviation of the radiosensitivity between patients."""
    repopulation: Repopulation | None = None

    def __post_init__(self) -> None:
        if not (self.clonogens > 0 and self.alpha_per_gy > 0 and self.alpha_beta_gy > 0):
            raise OptionError(
                "A tumour needs positive clonogens, α and α/β, got "
                f"{self.clonogens:g}, {self.alpha_per_gy:g} /Gy and {self.alpha_beta_gy:g} Gy."
            )
        if self.alpha_spread_per_gy < 0:
            raise OptionError(f"A spread is not negative, got {self.alpha_spread_per_gy:g} /Gy.")


def log_survivors(
    doses_gy: Tensor | list[float],
    tumour: Tumour,
    *,
    fractions: int,
    shares: Tensor | list[float] | None = None,
    days: float | None = None,
) -> Tensor:
    """Return the logarithm of the expected number of surviving clonogens.

    It is convex in the doses and has a slope however hopeless or safe the plan is, so it is what
    an optimiser makes small.

    Args:
        doses_gy: Doses of the tumour's voxels or of a histogram's bins over all fractions.
        tumour: Cells and response, at the mean radiosensitivity.
        fractions: Of equal dose.
        shares: Part of the cells in each; equal if not given.
        days: From the first to the last fraction; needed where the tumour repopulates.

    Raises:
        InputError: There is no dose, or a repopulating tumour lacks the days.
        OptionError: There is no fraction.
    """
    effect, parts = _effect(doses_gy, tumour, fractions, shares, days)
    exponents = parts.log() - tumour.alpha_per_gy * effect
    return torch.logsumexp(exponents, dim=0) + float(np.log(tumour.clonogens))


def control_probability(
    doses_gy: Tensor | list[float],
    tumour: Tumour,
    *,
    fractions: int,
    shares: Tensor | list[float] | None = None,
    days: float | None = None,
) -> Tensor:
    """Return the probability that no clonogen survives, differentiable in the doses.

    Args:
        doses_gy: Doses of the tumour's voxels or of a histogram's bins over all fractions.
        tumour: Cells and response; averaged over patients if their radiosensitivity spreads.
        fractions: Of equal dose.
        shares: Part of the cells in each; equal if not given.
        days: From the first to the last fraction; needed where the tumour repopulates.

    Raises:
        InputError, OptionError: As for :func:`log_survivors`.
    """
    effect, parts = _effect(doses_gy, tumour, fractions, shares, days)
    alphas, weights = _patients(tumour)
    exponents = parts.log()[:, None] - effect[:, None] * alphas.to(effect)
    survivors = tumour.clonogens * torch.exp(torch.logsumexp(exponents, dim=0))
    return (torch.exp(-survivors) * weights.to(effect)).sum()


def _effect(
    doses_gy: Tensor | list[float],
    tumour: Tumour,
    fractions: int,
    shares: Tensor | list[float] | None,
    days: float | None,
) -> tuple[Tensor, Tensor]:
    """Return BED of every voxel and its part of the cells."""
    doses = as_doses(doses_gy)
    if doses.numel() == 0:
        raise InputError("Tumour control needs at least one voxel.")
    if fractions < 1:
        raise OptionError(f"A treatment has at least one fraction, got {fractions}.")
    lost_gy = 0.0
    if tumour.repopulation is not None:
        if days is None:
            raise InputError("The tumour repopulates, so its control needs the days of treatment.")
        lost_gy = tumour.repopulation.loss_gy(days)
    bed = biologically_effective_dose(
        doses, doses / fractions, tumour.alpha_beta_gy, lost_gy=lost_gy
    )
    parts = torch.ones_like(doses) if shares is None else as_doses(shares).to(doses)
    return bed, parts / parts.sum()


def _patients(tumour: Tumour) -> tuple[Tensor, Tensor]:
    """Return radiosensitivities [1/Gy] and how many patients have them."""
    if tumour.alpha_spread_per_gy == 0:
        one = torch.ones(1, dtype=torch.float64)
        return tumour.alpha_per_gy * one, one
    scores = torch.linspace(-WIDEST, WIDEST, NODES, dtype=torch.float64)
    weights = torch.exp(-scores.square() / 2)
    alphas = tumour.alpha_per_gy + tumour.alpha_spread_per_gy * scores
    # Cells that radiation makes grow do not exist.
    return alphas.clamp(min=0.0), weights / weights.sum()
