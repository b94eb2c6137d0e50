"""Local control of early lung cancer for any fractionation and calendar.

Cells live in three places: fed (they cycle), short of oxygen (they rest) and short of everything
(they starve). Radiation dooms cells by the linear-quadratic model, with the radiosensitivity of
the cell cycle and of hypoxia. Doomed and starved cells vanish, the places empty, and cells move up
towards the blood. Two treatments are equivalent if as many cells survive; control is a published
curve of the equivalent dose in 2 Gy, five times a week.

Jeong J, Shoghi KI, Deasy JO. Phys Med Biol 2013;58:4897-4919, doi:10.1088/0031-9155/58/14/4897;
Jeong J, Oh JH, Sonke JJ, et al. Clin Cancer Res 2017;23:5469-5479,
doi:10.1158/1078-0432.CCR-16-3277. The latter gives 95 % intervals of the fitted α (0.120 to
0.365 /Gy), α/β (0.40 to 4.40 Gy) and the oxygen ratio of resting cells (1.55 to 2.25).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from aegle.domain.errors import InputError
from aegle.planning.dose_response import log_logistic

ALPHA_PER_GY = 0.305
ALPHA_BETA_GY = 2.8
OXYGEN_RATIO_RESTING = 1.7
OXYGEN_RATIO_STARVING = 1.37
CYCLE_SHARES = np.array([0.56, 0.24, 0.2])
"""Of fed cells in G1, S and G2/M."""
CYCLE_ALPHAS = np.array([2.0, 1.0, 3.0])
"""Radiosensitivity of G1, S and G2/M relative to S."""
GROWTH_FRACTION = 0.25
CELL_LOSS_FACTOR = 0.92
PROLIFERATING = 0.5
"""Part of the fed cells that cycles in an untreated tumour."""
CYCLE_DAYS = 2.0
STARVING_HALF_DAYS = 2.0
DOOMED_SURVIVAL = 0.3
"""Chance that a daughter of a doomed cell lives on after a division."""
CELLS = 1e6 * 3e4
"""Per mm³ times mm³."""
STEP_DAYS = 15 / (24 * 60)
D50_GY, GAMMA50, HIGHEST_CONTROL = 62.1, 1.5, 0.95
STANDARD_GY = 2.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LungControl:
    """What a schedule does to an early lung cancer."""

    equivalent_gy: float
    """Dose in fractions of 2 Gy on weekdays that leaves as many cells [Gy]."""
    probability: float
    """Of local control, at most 0.95."""


def lung_control(fraction_gy: float, days: Sequence[int]) -> LungControl:
    """Return equivalent dose and local control of a schedule of equal fractions.

    Args:
        fraction_gy: Dose per fraction.
        days: On which fractions are given, rising; the first day is 1.

    Raises:
        InputError: The schedule is empty, starts before day 1 or does not rise, or the dose is
            not positive.
    """
    if not days or days[0] < 1 or any(a >= b for a, b in pairwise(days)):
        raise InputError(f"Days of treatment must rise from 1 on, got {list(days)}.")
    if not fraction_gy > 0:
        raise InputError(f"The dose per fraction must be positive, got {fraction_gy:g} Gy.")
    left = _Tumour(_log_kills(fraction_gy)).treated([day - 1 for day in days])
    equivalent_gy = _equivalent(left)
    control = HIGHEST_CONTROL * log_logistic(equivalent_gy, D50_GY, GAMMA50)
    return LungControl(equivalent_gy=equivalent_gy, probability=control)


class _Tumour:
    """Living and doomed cells, fed, resting and starving: shape (2, 3)."""

    def __init__(self, log_kills: Floats) -> None:
        starving = CELL_LOSS_FACTOR * GROWTH_FRACTION * STARVING_HALF_DAYS / CYCLE_DAYS
        fed = GROWTH_FRACTION / PROLIFERATING
        self._room = CELLS * np.array([fed, 1 - fed - starving, starving])
        self._survival = np.exp(-log_kills)
        self._cells = np.stack([self._room, np.zeros(3)])

    @property
    def living(self) -> float:
        return float(self._cells[0].sum())

    def treated(self, times: Sequence[int]) -> float:
        """Return the living cells after fractions at some times [days]."""
        given = {round(time / STEP_DAYS) for time in times}
        for step in range(max(given) + 1):
            self.advance(is_irradiated=step in given)
        return self.living

    def advance(self, *, is_irradiated: bool) -> None:
        """Let a step of time pass, with a fraction at its beginning or without."""
        living, doomed = self._cells
        # The fewer fed cells share the blood, the more of them cycle.
        cycling = 1 - PROLIFERATING * (living[0] + doomed[0]) / self._room[0]
        if is_irradiated:
            doomed += living * (1 - self._survival)
            living *= self._survival
        divisions = cycling * STEP_DAYS / CYCLE_DAYS
        living[0] *= 2**divisions
        doomed[0] *= 2 ** ((2 * DOOMED_SURVIVAL - 1) * divisions)
        self._cells[:, 2] *= 0.5 ** (STEP_DAYS / STARVING_HALF_DAYS)
        self._settle()

    def _settle(self) -> None:
        """Move cells out of a place that is too full, or up into one that has room."""
        for place in (0, 1):
            excess = self._cells[:, place].sum() - self._room[place]
            if excess >= 0:
                self._move(place, place + 1, excess)
                continue
            for below in range(place + 1, 3):
                wanted = self._room[place] - self._cells[:, place].sum()
                self._move(below, place, min(wanted, self._cells[:, below].sum()))

    def _move(self, origin: int, end: int, count: float) -> None:
        """Move cells, living and doomed in proportion."""
        total = self._cells[:, origin].sum()
        if total <= 0:
            return
        moved = self._cells[:, origin] * min(count / total, 1.0)
        self._cells[:, origin] -= moved
        self._cells[:, end] += moved


def _equivalent(left: float) -> float:
    """Return the dose in 2 Gy on weekdays that leaves as many living cells [Gy]."""
    tumour = _Tumour(_log_kills(STANDARD_GY))
    steps_per_day = round(1 / STEP_DAYS)
    given_gy = before_gy = 0.0
    step, before = 0, tumour.living
    while tumour.living > left:
        before, before_gy = tumour.living, given_gy
        day, moment = divmod(step, steps_per_day)
        is_irradiated = moment == 0 and day % 7 < 5
        given_gy += STANDARD_GY * is_irradiated
        tumour.advance(is_irradiated=is_irradiated)
        step += 1
    # Between two fractions the dose is interpolated in the number of living cells.
    part = (before - left) / (before - tumour.living) if given_gy else 0.0
    return before_gy + (given_gy - before_gy) * part


def _log_kills(fraction_gy: float) -> Floats:
    """Return -ln of the surviving part of fed, resting and starving cells after a fraction."""
    kill_2gy = _log_kill(ALPHA_PER_GY, STANDARD_GY)
    if fraction_gy == STANDARD_GY:
        # What follows gives the same, but for the last digits.
        ratios = np.array([1.0, OXYGEN_RATIO_RESTING, OXYGEN_RATIO_STARVING])
        return np.array([_log_kill(ALPHA_PER_GY, STANDARD_GY, r) for r in ratios])
    # The cycle's mixture must survive 2 Gy as the tumour does on average.
    alpha_s = brentq(lambda a: _mixture(a, STANDARD_GY) - kill_2gy, 1e-3, 1.0, xtol=1e-15)
    alpha_g1 = alpha_s * CYCLE_ALPHAS[0]
    kills = [_mixture(alpha_s, fraction_gy)]
    for ratio in (OXYGEN_RATIO_RESTING, OXYGEN_RATIO_STARVING):
        kill = _log_kill(ALPHA_PER_GY, STANDARD_GY, ratio)
        # Resting cells are in G1: which ratio gives them the same survival of 2 Gy?
        linear = alpha_g1 * STANDARD_GY
        root = math.sqrt(linear**2 + 4 * kill * linear * STANDARD_GY / ALPHA_BETA_GY)
        kills.append(_log_kill(alpha_g1, fraction_gy, (linear + root) / (2 * kill)))
    return np.array(kills)


def _mixture(alpha_s: float, dose_gy: float) -> float:
    """Return -ln of the part of cycling cells that survives a dose."""
    kills = [_log_kill(alpha_s * ratio, dose_gy) for ratio in CYCLE_ALPHAS]
    return -math.log(float(CYCLE_SHARES @ np.exp(-np.array(kills))))


def _log_kill(alpha_per_gy: float, dose_gy: float, oxygen_ratio: float = 1.0) -> float:
    effective_gy = dose_gy / oxygen_ratio
    return alpha_per_gy * effective_gy * (1 + effective_gy / ALPHA_BETA_GY)
