"""Doses that do the same: to another fractionation, and to an organ irradiated evenly.

The linear-quadratic model with repopulation at a constant rate after a lag: Fowler JF. Br J Radiol
1989;62:679-694, doi:10.1259/0007-1285-62-740-679. All functions take numbers as well as tensors
(element by element, differentiable) and give the same kind back.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from aegle.domain.errors import InputError, OptionError

STANDARD_FRACTION_GY = 2.0
LEAST_GY = 1e-9
"""Lower doses count as this where a power of them would have no slope."""

Dose = TypeVar("Dose", float, Tensor)


@dataclass(frozen=True, kw_only=True)
class Repopulation:
    """Tumour cells that grow back during the treatment."""

    gy_per_day: float
    """Biologically effective dose that a day of growth costs."""
    onset_days: float
    """Days from the first fraction until growth begins."""

    def loss_gy(self, days: float) -> float:
        """Return the biologically effective dose lost in a treatment of some days [Gy]."""
        return self.gy_per_day * max(0.0, days - self.onset_days)


def biologically_effective_dose(
    dose_gy: Dose, fraction_gy: Dose, alpha_beta_gy: float, *, lost_gy: float = 0.0
) -> Dose:
    """Return BED = D (1 + d / (α/β)) less what repopulation costs [Gy].

    Args:
        dose_gy: Total dose D.
        fraction_gy: Dose per fraction d.
        alpha_beta_gy: α/β of the tissue.
        lost_gy: See :meth:`Repopulation.loss_gy`.

    Raises:
        OptionError: α/β is not positive.
    """
    return dose_gy * (1 + fraction_gy / _positive(alpha_beta_gy)) - lost_gy


def equivalent_in_2gy(
    dose_gy: Dose, fraction_gy: Dose, alpha_beta_gy: float, *, lost_gy: float = 0.0
) -> Dose:
    """Return EQD2, the dose in fractions of 2 Gy with the same BED [Gy].

    Args:
        dose_gy: Total dose D.
        fraction_gy: Dose per fraction d.
        alpha_beta_gy: α/β of the tissue.
        lost_gy: See :meth:`Repopulation.loss_gy`.

    Raises:
        OptionError: α/β is not positive.
    """
    bed_gy = biologically_effective_dose(dose_gy, fraction_gy, alpha_beta_gy, lost_gy=lost_gy)
    return bed_gy / (1 + STANDARD_FRACTION_GY / alpha_beta_gy)


def voxels_in_2gy(doses_gy: Tensor, fractions: int, alpha_beta_gy: float) -> Tensor:
    """Return EQD2 of every voxel [Gy]; each has its own dose per fraction.

    Raises:
        OptionError: There is no fraction, or α/β is not positive.
    """
    if fractions < 1:
        raise OptionError(f"A treatment has at least one fraction, got {fractions}.")
    return equivalent_in_2gy(doses_gy, doses_gy / fractions, alpha_beta_gy)


def fraction_for(bed_gy: float, fractions: int, alpha_beta_gy: float) -> float:
    """Return the dose per fraction that gives a BED in some fractions [Gy]."""
    half = _positive(alpha_beta_gy) / 2
    return float((half**2 + bed_gy * alpha_beta_gy / fractions) ** 0.5 - half)


def generalised_eud(doses_gy: Tensor, exponent: float, shares: Tensor | None = None) -> Tensor:
    """Return the generalised equivalent uniform dose (Σ vᵢ Dᵢᵃ)^(1/a) [Gy].

    Args:
        doses_gy: Shape (voxel,), or the doses of a histogram's bins.
        exponent: a, which is 1/n of the Lyman-Kutcher-Burman model.
        shares: vᵢ, parts of the volume; equal if not given. They are scaled to a sum of 1.

    Returns:
        A number, differentiable in the doses.

    Raises:
        OptionError: The exponent is 0.
        InputError: There is no dose, or no share is positive.
    """
    if exponent == 0:
        raise OptionError("The exponent of an equivalent uniform dose must not be 0.")
    if doses_gy.numel() == 0:
        raise InputError("An equivalent uniform dose needs at least one voxel.")
    # Powers of doses relative to the largest neither overflow nor vanish.
    kept = doses_gy.clamp(min=LEAST_GY)
    unit = (kept.max() if exponent > 0 else kept.min()).detach()
    powers = (kept / unit).pow(exponent)
    if shares is None:
        mean = powers.mean()
    else:
        total = shares.sum()
        if not bool(total > 0):
            raise InputError("The volumes of a histogram must have a positive sum.")
        mean = (shares * powers).sum() / total
    return unit * mean.pow(1 / exponent)


def as_doses(doses_gy: "Tensor | list[float] | tuple[float, ...]") -> Tensor:
    """Return doses as a 64-bit tensor; a tensor stays as it is."""
    if isinstance(doses_gy, Tensor):
        return doses_gy
    return torch.tensor(doses_gy, dtype=torch.float64).reshape(-1)


def _positive(alpha_beta_gy: float) -> float:
    if not alpha_beta_gy > 0:
        raise OptionError(f"α/β must be positive, got {alpha_beta_gy:g} Gy.")
    return alpha_beta_gy
