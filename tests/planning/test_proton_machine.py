"""The shipped proton machine against its source and published ranges and stopping powers."""

import numpy as np
import pytest
from scipy.io import savemat

from aegle.domain.errors import InputError, OptionError
from aegle.planning.proton_machine import proton_machine, read_matrad

SHIPPED = proton_machine()


def distal_80_mm(table):
    """Depth beyond the peak at which the dose has fallen to 80 %."""
    beyond = slice(int(table.dose.argmax()), None)
    return np.interp(-0.8 * table.dose.max(), -table.dose[beyond], table.depths_mm[beyond])


def test_ranges_in_water_are_those_of_pstar():
    # NIST PSTAR, continuous slowing down in liquid water [mm].
    energies_mev, ranges_mm = np.array([100.0, 150.0, 200.0]), np.array([77.18, 157.7, 259.6])

    for energy, table in zip(SHIPPED.energies_mev, SHIPPED.tables, strict=True):
        if 100 <= energy <= 200:
            expected = np.exp(np.interp(np.log(energy), np.log(energies_mev), np.log(ranges_mm)))
            assert distal_80_mm(table) == pytest.approx(expected, abs=1.5)


def test_entrance_dose_is_the_stopping_power_and_what_nuclear_fragments_add():
    # NIST PSTAR, electronic stopping power of water at 150 MeV: 5.445 MeV cm²/g.
    table = SHIPPED.tables[int(np.abs(SHIPPED.energies_mev - 150).argmin())]

    assert table.dose[0] == pytest.approx(5.445, rel=0.03)


def test_energy_is_given_back_as_dose():
    # Less what neutrons and γ carry away, and what is lost before the water.
    for energy, table in zip(SHIPPED.energies_mev, SHIPPED.tables, strict=True):
        deposited_mev = np.trapezoid(table.dose, table.depths_mm) / 10
        assert 0.88 * energy < deposited_mev < 1.02 * energy


def test_shipped_tables_are_those_of_their_source(shared_data):
    source = read_matrad(shared_data("rt", "machines", "protons_Generic.mat"))

    np.testing.assert_allclose(SHIPPED.energies_mev, source.energies_mev, atol=1e-6)
    np.testing.assert_allclose(SHIPPED.air_widths_mm, source.air_widths_mm, rtol=1e-4)
    assert SHIPPED.sad_mm == source.sad_mm == 10000
    for shipped, given in zip(SHIPPED.tables, source.tables, strict=True):
        dose = np.interp(given.depths_mm, shipped.depths_mm, shipped.dose)
        width = np.interp(given.depths_mm, shipped.depths_mm, shipped.single_mm)
        let = np.interp(given.depths_mm, shipped.depths_mm, shipped.let_kev_per_um)
        np.testing.assert_allclose(dose, given.dose, atol=0.003 * given.dose.max())
        np.testing.assert_allclose(width, given.single_mm, atol=0.05)
        np.testing.assert_allclose(let, given.let_kev_per_um, atol=0.3)
        given_integral = np.trapezoid(given.dose, given.depths_mm)
        assert np.trapezoid(dose, given.depths_mm) == pytest.approx(given_integral, rel=3e-4)
        assert shipped.peak_mm == pytest.approx(given.peak_mm, abs=0.5)


def test_an_energy_is_found_by_its_value_and_others_are_refused():
    assert SHIPPED.number_of(float(SHIPPED.energies_mev[17])) == 17
    with pytest.raises(OptionError, match=r"no energy of 100\.000 MeV"):
        SHIPPED.number_of(100.0)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "machine.mat"
    savemat(path, {"machine": {"meta": {"radiationMode": "carbon"}, "data": [1.0]}})
    with pytest.raises(InputError, match="not a proton machine"):
        read_matrad(path)

    meta = {"radiationMode": "protons"}
    savemat(path, {"machine": {"meta": meta, "data": {"Z": [1.0], "sigma": [1.0]}}})
    with pytest.raises(InputError, match=r"lacks sigma1, sigma2"):
        read_matrad(path)


def test_unknown_machine_is_refused_with_those_known():
    with pytest.raises(OptionError, match="generic_protons"):
        proton_machine("cyclotron")
