"""Scatter in a plate against the formula and numbers of the Particle Data Group."""

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.planning.range_shifter import added_width_mm, range_mm, scattering


def test_ranges_are_those_of_pstar():
    # NIST PSTAR, continuous slowing down in liquid water [g/cm²].
    for energy_mev, published_cm in [(100, 7.718), (150, 15.77), (200, 25.96)]:
        assert range_mm(energy_mev) == pytest.approx(10 * published_cm, rel=0.015)


def test_a_thin_plate_scatters_as_highland_says():
    # Particle Data Group, review "Passage of particles through matter", equation for θ₀:
    # 13.6 MeV / (βcp) √(x/X₀) (1 + 0.038 ln(x/X₀)); 200 MeV protons have βcp = 364.8 MeV.
    lengths = (10 / 1.165) / 340.7
    expected = 13.6 / 364.8 * np.sqrt(lengths) * (1 + 0.038 * np.log(lengths))

    angle, _ = scattering(200.0, 10.0)

    assert angle == pytest.approx(expected, rel=0.05)


def test_scatter_spreads_along_the_gap():
    angle, width_mm = scattering(150.0, 50.0, 500.0)
    middle_mm = 50 / 1.165 / 2

    # Between a source in the middle of the plate and one nearer to its back, where protons
    # are slower.
    assert angle * 500 < width_mm < angle * (500 + middle_mm) * 1.001
    # From a far gap only the angle counts.
    assert scattering(150.0, 50.0, 1e6)[1] == pytest.approx(angle * 1e6, rel=1e-4)


def test_thicker_plates_and_slower_protons_scatter_more():
    assert added_width_mm(150, 60, 100) > added_width_mm(150, 30, 100)
    assert added_width_mm(120, 30, 100) > added_width_mm(150, 30, 100)
    assert added_width_mm(150, 0, 100) == 0


def test_a_plate_that_stops_the_protons_is_refused():
    with pytest.raises(InputError, match=r"stops protons of 70\.0 MeV"):
        added_width_mm(70.0, 60.0, 100.0)
