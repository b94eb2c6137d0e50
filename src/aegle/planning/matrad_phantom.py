"""Phantoms and patients of matRad: a MAT file with ``ct`` and ``cst``.

Cubes are indexed (y, x, z) and stored column after column, as MATLAB does; structures are lists of
such indices that count from 1. Rows of ``cst`` are number, name, type, voxels of each CT scenario,
properties and objectives. Without stored coordinates the first voxel lies at minus half the size
of the cube, as matRad's own axes do. Positions are taken as LPS.

Objectives that set a limit become goals, constraints become goals that must be kept, and the
squared deviation of a target gives its prescribed dose; doses are those over all fractions.

Source: matRad 3.2 (github.com/e0404/matRad, BSD-3-Clause), documentation of ``ct`` and ``cst``.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from aegle.domain.codes import StructureType, structure_type
from aegle.domain.errors import FileError, GeometryError, InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.planning.density_table import DensityTable
from aegle.planning.phantom_files import CHECK_COMPLETE, ORIGIN, Phantom, ct_of

_NEWER = b"MATLAB 7.3 MAT-file"
_COLUMNS = 6
_SOURCE = "matRad"

Limits = Iterator[tuple[Metric, float | None, float | None, float | None]]
"""Metric, what it is taken at, and its lower and upper limit."""


def read(path: Path) -> Phantom:
    """Read CT, structures and objectives of a matRad file.

    Args:
        path: MAT file of version 5 to 7.

    Raises:
        FileError: It is damaged, of version 7.3, or not one of matRad's.
        GeometryError: A structure lies outside the cube.
    """
    content = _loaded(path)
    ct, rows = content["ct"], content["cst"]
    hu = _first_cube(path, ct)
    grid = _grid(path, ct, hu.shape)
    rows = rows.reshape(-1, rows.shape[-1])
    if rows.shape[1] < _COLUMNS - 1:
        raise FileError(path, f"cst has {rows.shape[1]} columns.", "Export it from matRad again.")
    structures = StructureSet(tuple(_structure(path, row, grid) for row in rows))
    goals, notices = _goals(rows)
    target, dose_gy = _prescribed(rows)
    return Phantom(
        ct=ct_of(path, np.ascontiguousarray(hu.transpose(2, 0, 1)), grid),
        structures=structures,
        goals=goals,
        target=target,
        dose_gy=dose_gy,
        densities=_densities(path, getattr(ct, "hlut", None)),
        notices=notices,
    )


def _loaded(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.read(len(_NEWER)) == _NEWER:
            raise FileError(
                path,
                "it is a MAT file of version 7.3, which is not supported.",
                "Save it in MATLAB or Octave with save(file, 'ct', 'cst', '-v7').",
            )
    try:
        content: dict[str, Any] = loadmat(path, squeeze_me=True, struct_as_record=False)
    except (MatReadError, ValueError, TypeError, KeyError, OSError, NotImplementedError) as error:
        raise FileError(path, f"it cannot be read ({error}).", CHECK_COMPLETE) from error
    lacking = [name for name in ("ct", "cst") if name not in content]
    if lacking or not hasattr(content["ct"], "resolution") or np.ndim(content["cst"]) == 0:
        what = " and ".join(lacking) or "usable ct and cst"
        raise FileError(path, f"it holds no {what}.", "Give a phantom or patient of matRad.")
    return content


def _first_cube(path: Path, ct: Any) -> NDArray[Any]:
    """Return the CT numbers of the first scenario, indexed (y, x, z)."""
    cubes = getattr(ct, "cubeHU", None)
    if cubes is None:
        raise FileError(
            path, "its ct has no cubeHU.", "Give a file with CT numbers, not only densities."
        )
    cube = np.atleast_1d(cubes)[0] if np.asarray(cubes).dtype == object else np.asarray(cubes)
    size = tuple(int(n) for n in np.atleast_1d(getattr(ct, "cubeDim", cube.shape)))
    if cube.size != np.prod(size) or len(size) not in (2, 3):
        raise GeometryError(f"{path}: cubeHU has shape {cube.shape}, cubeDim says {size}.")
    # A cube of one slice loses its last dimension on the way.
    return np.asarray(cube.reshape((*size, 1)[:3], order="F"))


def _grid(path: Path, ct: Any, shape: tuple[int, ...]) -> Grid:
    rows, columns, slices = shape
    try:
        spacing = {axis: float(getattr(ct.resolution, axis)) for axis in "xyz"}
        size = {"x": columns, "y": rows, "z": slices}
        first = {axis: _first(ct, axis, size[axis], spacing[axis]) for axis in "xyz"}
        return Grid(
            shape=(slices, rows, columns),
            spacing_mm=(spacing["z"], spacing["y"], spacing["x"]),
            origin_mm=(first["x"], first["y"], first["z"]),
        )
    except (AttributeError, TypeError, ValueError, GeometryError) as error:
        raise GeometryError(f"{path}: ct.resolution cannot be used ({error}).") from error


def _first(ct: Any, axis: str, size: int, spacing_mm: float) -> float:
    """Return the coordinate of the first voxel along an axis [mm]."""
    places = np.atleast_1d(getattr(ct, axis, ()))
    if places.size == size:
        return float(places[0])
    # matRad asks the DICOM header next.
    corner = getattr(getattr(ct, "dicomInfo", None), "ImagePositionPatient", None)
    if corner is not None and np.size(corner) == 3:
        return float(np.ravel(corner)["xyz".index(axis)])
    return -size / 2 * spacing_mm


def _structure(path: Path, row: NDArray[Any], grid: Grid) -> Structure:
    name, kind = str(row[1]), str(row[2]).upper()
    listed = row[3]
    voxels = np.atleast_1d(listed[0] if np.asarray(listed).dtype == object else listed)
    voxels = voxels.astype(np.int64) - 1
    slices, rows, columns = grid.shape
    count = slices * rows * columns
    if voxels.size and not 0 <= voxels.min() <= voxels.max() < count:
        raise GeometryError(
            f"{path}: '{name}' names voxel {int(voxels.max()) + 1} of a CT with {count}; it lies "
            "outside the CT."
        )
    cube = np.zeros(count, dtype=np.bool_)
    cube[voxels] = True
    mask = cube.reshape((rows, columns, slices), order="F").transpose(2, 0, 1)
    return Structure.of(name, mask, grid, type=_type(name, kind), origin=ORIGIN)


def _type(name: str, kind: str) -> StructureType:
    by_name = structure_type(name)
    if kind == "TARGET":
        return StructureType.LESION if by_name is StructureType.LESION else StructureType.TARGET
    if kind == "EXTERNAL":
        return StructureType.EXTERNAL
    return by_name if by_name is StructureType.EXTERNAL else StructureType.ORGAN


def _densities(path: Path, table: Any) -> DensityTable | None:
    """Return the table of a file if it is one; some phantoms carry its columns the wrong way."""
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != 2:
        return None
    try:
        return DensityTable.of(path.name, table)
    except InputError:
        return None


def _objectives(row: NDArray[Any]) -> Iterator[tuple[str, list[float], float]]:
    """Yield class name, numbers and penalty of each objective of a structure."""
    given = row[5] if len(row) >= _COLUMNS else None
    for one in np.atleast_1d(given) if given is not None else ():
        name = str(getattr(one, "className", "")).rpartition("matRad_")[2]
        if not name:
            continue
        numbers = [float(p) for p in np.atleast_1d(one.parameters) if np.isreal(p)]
        yield name, numbers, float(getattr(one, "penalty", 1.0) or 0.0)


def _prescribed(rows: NDArray[Any]) -> tuple[str, float]:
    """Return the target with the highest prescribed dose [Gy]; nothing and 0 without one."""
    asked = [
        (numbers[0], str(row[1]))
        for row in rows
        if str(row[2]).upper() == "TARGET"
        for name, numbers, _ in _objectives(row)
        if name in ("SquaredDeviation", "SquaredUnderdosing") and numbers and numbers[0] > 0
    ]
    dose_gy, target = max(asked, key=lambda pair: pair[0], default=(0.0, ""))
    return target, dose_gy


def _goals(rows: NDArray[Any]) -> tuple[tuple[Goal, ...], tuple[Text, ...]]:
    """Return the goals that objectives and constraints stand for, and which stand for none."""
    goals: list[Goal] = []
    notices: list[Text] = []
    for row in rows:
        structure, is_target = str(row[1]), str(row[2]).upper() == "TARGET"
        for name, numbers, _ in _objectives(row):
            if is_target and name in ("SquaredDeviation", "SquaredUnderdosing"):
                continue
            # The outline holds the target, so overdose in it is no limit of it.
            is_outline = _type(structure, str(row[2]).upper()) is StructureType.EXTERNAL
            is_fall_off = is_outline and name == "SquaredOverdosing"
            found = [] if is_fall_off else list(_mapped(structure, name, numbers))
            goals += found
            if not found:
                notices.append(
                    Text(
                        "The objective {objective} of {structure} sets no limit that a plan could "
                        "be judged by; it was left out.",
                        {"objective": name, "structure": structure},
                    )
                )
    return tuple(goals), tuple(notices)


def _mapped(structure: str, name: str, numbers: Sequence[float]) -> Iterator[Goal]:
    must = name.startswith("MinMax")
    try:
        limits = list(_LIMITS[name](*numbers)) if name in _LIMITS else []
        for metric, at, least, most in limits:
            if least is not None or most is not None:
                yield Goal(
                    structure=structure,
                    metric=metric,
                    at=at,
                    at_least=least,
                    at_most=most,
                    source=f"{_SOURCE}: {name}",
                    # A squared overdose tells where dose is unwanted, not what must not be.
                    priority=3 if name == "SquaredOverdosing" else 2,
                    is_constraint=must,
                )
    except (TypeError, OptionError):
        return


def _both(
    metric: Metric, at: float | None, least: float, most: float, *, top: float = np.inf
) -> Limits:
    yield metric, at, least if least > 0 else None, None
    yield metric, at, None, most if most < top else None


def _minimum_and_maximum(least: float, most: float, *_method: float) -> Limits:
    yield Metric.DOSE_AT_VOLUME, 100.0, least if least > 0 else None, None
    yield Metric.MAXIMUM_DOSE, None, None, most if np.isfinite(most) else None


def _upper(metric: Metric) -> Callable[..., Limits]:
    def limits(dose_gy: float, *_how: float) -> Limits:
        yield metric, None, None, dose_gy if dose_gy > 0 else None

    return limits


_LIMITS: dict[str, Callable[..., Limits]] = {
    "SquaredOverdosing": _upper(Metric.MAXIMUM_DOSE),
    "MeanDose": _upper(Metric.MEAN_DOSE),
    "MaxDVH": lambda dose, percent: iter([(Metric.VOLUME_AT_DOSE, dose, None, percent)]),
    "MinDVH": lambda dose, percent: iter([(Metric.VOLUME_AT_DOSE, dose, percent, None)]),
    "EUD": lambda dose, exponent: iter(
        [(Metric.EQUIVALENT_UNIFORM_DOSE, exponent, None, dose if dose > 0 else None)]
    ),
    "MinMaxDose": _minimum_and_maximum,
    "MinMaxMeanDose": lambda least, most: _both(Metric.MEAN_DOSE, None, least, most),
    "MinMaxEUD": lambda exponent, least, most: _both(
        Metric.EQUIVALENT_UNIFORM_DOSE, exponent, least, most
    ),
    "MinMaxDVH": lambda dose, least, most: _both(Metric.VOLUME_AT_DOSE, dose, least, most, top=100),
}
"""Which limits an objective's or constraint's numbers set."""
