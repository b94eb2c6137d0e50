"""Density tables of scanners: CT number to density relative to water.

A plan looks densities up in the table of :mod:`aegle.planning.density`. A CT of another scanner
is brought to that table's numbers first, so that every voxel gets the density that its own
scanner's table gives it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated

from aegle.domain.errors import FileError, InputError, OptionError
from aegle.domain.volume import Quantity, Volume
from aegle.options import option
from aegle.planning.density import RADIODENSITY_HU, RELATIVE_DENSITY

GENERIC = "generic"
WATER_RANGE = (0.9, 1.1)
"""What a table may give at 0 HU, which is water by definition."""
_REMEDY = (
    "Write a line for each point: CT number [HU] and density relative to water, in order of HU, "
    "as in '0, 1.0'."
)


@validated(frozen=True, kw_only=True)
class DensityOptions:
    """Which table turns CT numbers into densities."""

    table: Annotated[
        str,
        option(
            "Table of the CT's scanner: a text file with CT number [HU] and density relative to "
            "water in each line; 'generic': that of no particular scanner, and said so"
        ),
    ] = GENERIC


@dataclass(frozen=True)
class DensityTable:
    """Densities relative to water, linear between points."""

    name: str
    hu: tuple[float, ...]
    """CT numbers, increasing [HU]."""
    density: tuple[float, ...]
    """Relative to water, not falling."""

    def __post_init__(self) -> None:
        if len(self.hu) != len(self.density) or len(self.hu) < 2:
            raise InputError(f"Density table {self.name}: give two columns of at least 2 points.")
        if not np.isfinite((*self.hu, *self.density)).all():
            raise InputError(f"Density table {self.name}: it holds what is no number.")
        if np.any(np.diff(self.hu) <= 0) or np.any(np.diff(self.density) < 0):
            raise InputError(
                f"Density table {self.name}: CT numbers must rise from line to line, and densities "
                "must not fall."
            )
        water = float(self.at(np.zeros(1, np.float32))[0])
        if self.density[0] < 0 or not WATER_RANGE[0] <= water <= WATER_RANGE[1]:
            raise InputError(
                f"Density table {self.name}: it gives {water:.3g} at 0 HU, where water has 1; are "
                "the columns CT number and density relative to water?"
            )

    @classmethod
    def of(cls, name: str, rows: NDArray[np.float64]) -> "DensityTable":
        """Build a table from rows of CT number and density, shape (point, 2)."""
        return cls(name, tuple(map(float, rows[:, 0])), tuple(map(float, rows[:, 1])))

    @property
    def is_generic(self) -> bool:
        """Whether its points are those of the generic table."""
        return self.hu == RADIODENSITY_HU and self.density == RELATIVE_DENSITY

    def at(self, values_hu: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return densities relative to water, those of its ends beyond the table."""
        return np.asarray(np.interp(values_hu, self.hu, self.density))


def density_table(options: DensityOptions) -> DensityTable | None:
    """Return the table that was chosen; None for the generic one.

    Raises:
        OptionError, FileError: As for :func:`read_table`.
    """
    return None if options.table == GENERIC else read_table(Path(options.table))


def read_table(path: Path) -> DensityTable:
    """Read a density table: two numbers a line, divided by blanks, commas, semicolons or tabs.

    Empty lines and what follows ``#`` are passed over.

    Raises:
        OptionError: There is no such file.
        FileError: It is no table, or its columns are not CT numbers and densities.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{path}: the density table cannot be read ({error}). Give its path with --set "
            "density.table=FILE, or leave it out to use a generic one."
        ) from error
    rows = [_row(path, n, line) for n, line in enumerate(lines, 1) if line.split("#")[0].strip()]
    if len(rows) < 2:
        raise FileError(path, "it holds fewer than two points.", _REMEDY)
    values = np.array(rows, np.float64)
    try:
        return DensityTable.of(path.name, values)
    except InputError as error:
        raise FileError(path, f"it cannot be used ({error}).", _REMEDY) from error


def calibrated(ct: Volume, table: DensityTable) -> Volume:
    """Return a CT in the numbers of the generic table, with the densities of its own table.

    Args:
        ct: Radiodensities as the scanner gave them [HU].
        table: That scanner's.

    Returns:
        The same densities under :func:`aegle.planning.density.relative_density`, at most the
        highest density of the generic table.

    Raises:
        QuantityError: ``ct`` does not hold HU.
    """
    ct.require(Quantity.RADIODENSITY)
    if table.is_generic:
        return ct
    # The generic table is flat below -999 HU; without that first point it can be inverted.
    numbers, densities = RADIODENSITY_HU[1:], RELATIVE_DENSITY[1:]
    values = np.interp(table.at(ct.values), densities, numbers)
    return Volume(values=values.astype(np.float32), grid=ct.grid, quantity=ct.quantity)


def _row(path: Path, number: int, line: str) -> tuple[float, float]:
    parts = line.split("#")[0].replace(",", " ").replace(";", " ").split()
    try:
        hu, density = map(float, parts)
    except ValueError as error:
        raise FileError(path, f"line {number} is '{line.strip()}'.", _REMEDY) from error
    return hu, density
