"""Curves from an equivalent uniform dose to a probability.

Probit: Lyman JT. Radiat Res 1985;104:S13-S19. Log-logistic: Niemierko A. Med Phys 1999;26:1100
(abstract). Poisson with D50 and γ50: Bentzen SM, Tucker SL. Int J Radiat Biol 1997;71:531-542,
doi:10.1080/095530097143860. γ50 is the slope at D50 in units of the dose there: one percent more
dose adds γ50 percentage points. All curves take numbers and tensors and give the same kind back.
"""

import math
from typing import TypeVar

import torch
from torch import Tensor

from aegle.domain.errors import OptionError

Dose = TypeVar("Dose", float, Tensor)


def probit(eud_gy: Dose, td50_gy: float, m: float) -> Dose:
    """Return Φ((D - TD50) / (m TD50)).

    Raises:
        OptionError: TD50 or m is not positive.
    """
    score = (eud_gy - _positive(td50_gy, "TD50")) / (_positive(m, "m") * td50_gy)
    if isinstance(score, Tensor):
        found: Tensor = torch.special.ndtr(score)
        return found
    return 0.5 * math.erfc(-score / math.sqrt(2))


def log_logistic(eud_gy: Dose, d50_gy: float, gamma50: float) -> Dose:
    """Return 1 / (1 + (D50 / D)^(4 γ50)); 0 without dose.

    Raises:
        OptionError: D50 or γ50 is not positive.
    """
    power = 4 * _positive(gamma50, "γ50")
    if isinstance(eud_gy, Tensor):
        return torch.sigmoid(power * (eud_gy / _positive(d50_gy, "D50")).log())
    if eud_gy <= 0:
        return 0.0
    return logistic(power * (math.log(eud_gy) - math.log(_positive(d50_gy, "D50"))))


def poisson(eud_gy: Dose, d50_gy: float, gamma50: float) -> Dose:
    """Return 2^(-exp(2 γ50 (1 - D / D50) / ln 2)).

    Raises:
        OptionError: D50 or γ50 is not positive.
    """
    exponent = (1 - eud_gy / _positive(d50_gy, "D50")) * 2 * _positive(gamma50, "γ50") / math.log(2)
    if isinstance(exponent, Tensor):
        return torch.exp(-math.log(2) * torch.exp(exponent))
    return math.exp(-math.log(2) * math.exp(min(exponent, 700.0)))


def logistic(log_odds: Dose) -> Dose:
    """Return 1 / (1 + exp(-S))."""
    if isinstance(log_odds, Tensor):
        return torch.sigmoid(log_odds)
    return 1 / (1 + math.exp(-log_odds)) if log_odds > 0 else _low(log_odds)


def gamma50_of(m: float) -> float:
    """Return the γ50 of a probit curve: 1 / (m √(2π)).

    Raises:
        OptionError: m is not positive.
    """
    return 1 / (_positive(m, "m") * math.sqrt(2 * math.pi))


def _low(log_odds: float) -> float:
    """Return the logistic of log odds that are not positive, without losing digits."""
    odds = math.exp(log_odds)
    return odds / (1 + odds)


def _positive(value: float, name: str) -> float:
    if not value > 0:
        raise OptionError(f"{name} of a dose-response curve must be positive, got {value:g}.")
    return value
