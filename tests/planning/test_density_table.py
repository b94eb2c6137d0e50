"""Density tables of scanners: read, refused, and brought to the generic table's numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import FileError, InputError, OptionError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.planning.density import RADIODENSITY_HU, RELATIVE_DENSITY, relative_density
from aegle.planning.density_table import (
    DensityOptions,
    DensityTable,
    calibrated,
    density_table,
    read_table,
)

SCANNER = DensityTable("scanner", (-1000.0, 0.0, 1000.0, 3000.0), (0.001, 1.0, 1.5, 2.4))


def ct_of(*values_hu):
    grid = Grid(shape=(1, 1, len(values_hu)), spacing_mm=(1.0, 1.0, 1.0))
    values = np.array([[values_hu]], np.float32)
    return Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)


@pytest.mark.parametrize("gap", [" ", ", ", ";", "\t"])
def test_a_table_is_two_numbers_a_line(tmp_path, gap):
    path = tmp_path / "scanner.csv"
    path.write_text(f"# HU, density\n-1000{gap}0.0\n\n0{gap}1 # water\n1000{gap}1.55\n")

    assert read_table(path) == DensityTable("scanner.csv", (-1000, 0, 1000), (0, 1, 1.55))
    assert density_table(DensityOptions(table=str(path))) == read_table(path)


def test_the_generic_table_is_no_file():
    assert density_table(DensityOptions()) is None


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"none\.csv: the density table cannot be read"):
        density_table(DensityOptions(table=str(tmp_path / "none.csv")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "fewer than two points"),
        ("0 1\n", "fewer than two points"),
        ("0 1 2\n3 4 5\n", "line 1 is '0 1 2'"),
        ("HU density\n0 1\n", "line 1 is 'HU density'"),
        ("0 1\n-1000 0\n", "must rise"),
        ("-1000 0\n0 1\n100 0.9\n", "must not fall"),
        ("0 -1000\n1 0\n", "are the columns CT number"),
        ("-1000 -0.1\n0 1\n", "are the columns CT number"),
        ("-1000 0\n0 nan\n", "no number"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, said):
    path = tmp_path / "scanner.csv"
    path.write_text(text)

    with pytest.raises(FileError, match=said) as caught:
        read_table(path)

    assert "scanner.csv" in str(caught.value)


@given(st.lists(st.floats(-1200, 3200, width=32), min_size=1, max_size=20))
def test_every_voxel_gets_the_density_of_its_own_table(values_hu):
    found = calibrated(ct_of(*values_hu), SCANNER)

    own = np.interp(values_hu, SCANNER.hu, SCANNER.density)
    np.testing.assert_allclose(relative_density(found.values)[0, 0], own, atol=2e-6)


def test_densities_above_the_generic_table_become_its_highest():
    metal = DensityTable("metal", (-1000.0, 0.0, 3000.0), (0.001, 1.0, 4.5))

    found = calibrated(ct_of(3000.0), metal)

    assert relative_density(found.values) == pytest.approx(RELATIVE_DENSITY[-1])


def test_the_generic_table_changes_nothing():
    generic = DensityTable("same", RADIODENSITY_HU, RELATIVE_DENSITY)
    ct = ct_of(-1024.0, 17.0)

    assert generic.is_generic
    assert calibrated(ct, generic) is ct
    assert not SCANNER.is_generic


def test_only_radiodensities_are_calibrated():
    ct = ct_of(0.0)
    dose = Volume(values=ct.values, grid=ct.grid, quantity=Quantity.ABSORBED_DOSE)

    with pytest.raises(QuantityError):
        calibrated(dose, SCANNER)


def test_columns_of_different_length_are_no_table():
    with pytest.raises(InputError, match="two columns"):
        DensityTable("short", (0.0, 1.0), (1.0,))
