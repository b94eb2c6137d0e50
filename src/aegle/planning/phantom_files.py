"""Planning phantoms: CT, structures and sometimes a prescription in one file.

``.mat`` files are those of matRad (see :mod:`aegle.planning.matrad_phantom`). ``.npz`` files hold
``hu`` (slice, row, column), ``spacing_xyz`` and ``origin_xyz`` [mm], a mask ``mask_<name>`` for
each structure, and may hold ``hlut``, rows of CT number and density relative to water.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.codes import structure_type
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.planning.density_table import DensityTable

ENDINGS = (".mat", ".npz")
ORIGIN = "phantom"
CHECK_COMPLETE = "Check that it is complete."
_MASK = "mask_"
_ARRAYS = ("hu", "spacing_xyz", "origin_xyz")
_FORM = (
    f"It needs {', '.join(_ARRAYS)} and a {_MASK}<name> for each structure, as "
    "docs/how-to/plan-and-judge.md says."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Phantom:
    """What a phantom file holds."""

    ct: Volume
    """[HU]"""
    structures: StructureSet
    goals: tuple[Goal, ...] = ()
    target: str = ""
    """Name of the structure that a dose is prescribed to; empty if none is."""
    dose_gy: float = 0.0
    """The dose prescribed to it over all fractions [Gy]; 0 if none is."""
    densities: DensityTable | None = None
    """The density table that comes with it."""
    notices: tuple[Text, ...] = ()


def is_phantom(path: Path) -> bool:
    """Return whether a file's name is that of a phantom."""
    return path.name.lower().endswith(ENDINGS)


def read(path: Path) -> Phantom:
    """Read a phantom.

    Args:
        path: A ``.mat`` or ``.npz`` file.

    Raises:
        FileError: The file is damaged, of an unknown kind, or lacks what a plan needs.
        GeometryError: Its arrays do not fit together.
    """
    if not path.exists():
        raise FileError(path, "there is no such file or folder.", "Check the path.")
    if path.name.lower().endswith(".mat"):
        from aegle.planning import matrad_phantom

        return matrad_phantom.read(path)
    return _npz(path)


def _npz(path: Path) -> Phantom:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FileError(path, f"it cannot be read ({error}).", CHECK_COMPLETE) from error
    lacking = [name for name in _ARRAYS if name not in found]
    masks = {n.removeprefix(_MASK): mask for n, mask in found.items() if n.startswith(_MASK)}
    if lacking or not masks:
        what = ", ".join(lacking) or "any structure"
        raise FileError(path, f"it lacks {what}.", _FORM)
    hu = found["hu"]
    grid = _grid(path, hu, found["spacing_xyz"], found["origin_xyz"])
    return Phantom(
        ct=ct_of(path, hu, grid),
        structures=StructureSet(
            tuple(_structure(path, n, mask, grid) for n, mask in masks.items())
        ),
        densities=_densities(path, found.get("hlut")),
    )


def ct_of(path: Path, hu: NDArray[Any], grid: Grid) -> Volume:
    """Return CT numbers as a volume.

    Raises:
        FileError: They are no numbers.
    """
    if hu.dtype.kind not in "iuf" or not np.isfinite(hu).all():
        raise FileError(path, "its CT holds values that are no numbers.", "Write it again.")
    return Volume(values=hu.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)


def _grid(path: Path, hu: NDArray[Any], spacing: NDArray[Any], origin: NDArray[Any]) -> Grid:
    if hu.ndim != 3 or spacing.shape != (3,) or origin.shape != (3,):
        raise GeometryError(
            f"{path}: hu has shape {hu.shape}, spacing_xyz {spacing.shape} and origin_xyz "
            f"{origin.shape}; they must be (slice, row, column), (3,) and (3,)."
        )
    x, y, z = (float(value) for value in spacing)
    left, top, bottom = (float(value) for value in origin)
    slices, rows, columns = hu.shape
    try:
        return Grid(
            shape=(slices, rows, columns), spacing_mm=(z, y, x), origin_mm=(left, top, bottom)
        )
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error


def _structure(path: Path, name: str, mask: NDArray[Any], grid: Grid) -> Structure:
    if mask.shape != grid.shape:
        raise GeometryError(
            f"{path}: mask '{name}' has shape {mask.shape}, the CT {grid.shape}; both must be on "
            "one grid."
        )
    return Structure.of(name, mask != 0, grid, type=structure_type(name), origin=ORIGIN)


def _densities(path: Path, table: NDArray[Any] | None) -> DensityTable | None:
    if table is None:
        return None
    if table.ndim != 2 or table.shape[1] != 2:
        raise FileError(path, f"hlut has shape {table.shape}.", "Give rows of HU and density.")
    try:
        return DensityTable.of(path.name, table)
    except InputError as error:
        raise FileError(path, f"hlut cannot be used ({error}).", "Mend it or leave it out.") from (
            error
        )
