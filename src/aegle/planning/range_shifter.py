"""How a range shifter widens a proton beam.

A plate in front of the patient scatters protons; the air behind it lets the scatter spread.
Scattering follows the generalised Highland formula: Gottschalk B, Koehler AM, Schneider RJ,
Sisterson JM, Wagner MS. Nucl Instrum Methods B 1993;74:467-490,
doi:10.1016/0168-583X(93)95944-Z:

    θ₀² = (14.1 MeV)² (1 + ⅑ log₁₀(t / L))² ∫ dt / ((p v)² L)

Range and energy follow R = 0.022 mm · (E / MeV)^1.77 (Bortfeld T. Med Phys 1997;24:2024-2033,
doi:10.1118/1.598116).
"""

import numpy as np

from aegle.domain.errors import InputError

PROTON_MEV = 938.272
"""Rest energy of the proton (CODATA)."""
PMMA_RADIATION_LENGTH_MM = 340.7
"""40.55 g/cm² (Particle Data Group) over 1.19 g/cm³."""
PMMA_STOPPING_POWER = 1.165
"""Relative to water."""
RANGE_MM = 0.022
RANGE_EXPONENT = 1.77
STEPS = 64


def range_mm(energy_mev: float) -> float:
    """Return the range of protons in water [mm]."""
    return float(RANGE_MM * energy_mev**RANGE_EXPONENT)


def scattering(energy_mev: float, water_mm: float, gap_mm: float = 0.0) -> tuple[float, float]:
    """Return how a plate of PMMA scatters protons.

    Args:
        energy_mev: In front of the plate [MeV].
        water_mm: Water-equivalent thickness of the plate [mm].
        gap_mm: Distance from the back of the plate to where the width is asked [mm].

    Returns:
        Standard deviation of the angle in one plane behind the plate, and that of the position
        across the gap [mm].

    Raises:
        InputError: The plate stops the protons.
    """
    whole_mm = range_mm(energy_mev)
    if water_mm >= whole_mm:
        raise InputError(
            f"A range shifter of {water_mm:g} mm stops protons of {energy_mev:.1f} MeV, whose "
            f"range is {whole_mm:.1f} mm; take a thinner one or higher energies."
        )
    if water_mm <= 0:
        return 0.0, 0.0
    middles = (np.arange(STEPS) + 0.5) / STEPS
    left_mev = ((whole_mm - middles * water_mm) / RANGE_MM) ** (1 / RANGE_EXPONENT)
    momentum_times_speed = left_mev * (left_mev + 2 * PROTON_MEV) / (left_mev + PROTON_MEV)
    thickness_mm = water_mm / PMMA_STOPPING_POWER
    lengths = thickness_mm / PMMA_RADIATION_LENGTH_MM
    strength = 14.1 * (1 + np.log10(lengths) / 9)
    power = (strength / momentum_times_speed) ** 2 * lengths / STEPS
    lever_mm = (1 - middles) * thickness_mm + gap_mm
    return float(np.sqrt(power.sum())), float(np.sqrt((power * lever_mm**2).sum()))


def added_width_mm(energy_mev: float, water_mm: float, gap_mm: float) -> float:
    """Return the width that a range shifter adds to a beam at a distance behind it [mm]."""
    return scattering(energy_mev, water_mm, max(gap_mm, 0.0))[1]
