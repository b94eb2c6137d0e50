"""A library of earlier patients as one file: a NumPy archive (.npz) of plain arrays.

``facts`` is JSON in UTF-8: the format, the widths and volumes that the numbers belong to, and for
each patient the name, the highest prescribed dose [Gy] and the structures. ``around``, ``dose`` and
``curves`` hold the structures' numbers one after the other. Nothing in the file is executed.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import FileError, InputError
from aegle.planning.experience import VOLUMES_PERCENT, EarlierPatient, Library, Treated
from aegle.planning.geometry_features import AROUND_MM, IN_SLICE_MM

FORMAT = 1
MADE_WITH = {
    "format": FORMAT,
    "around_mm": list(AROUND_MM),
    "in_slice_mm": list(IN_SLICE_MM),
    "volumes_percent": list(VOLUMES_PERCENT),
}
AGAIN = "Make it anew with save()."
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError),
    *(MemoryError, OverflowError, zipfile.BadZipFile, zlib.error),
)


def save(library: Library, path: Path) -> None:
    """Write a library; the same library gives the same bytes.

    Raises:
        InputError: No patient has a structure.
    """
    patients = [
        {
            "name": patient.name,
            "prescribed_gy": patient.prescribed_gy,
            "structures": [
                {"name": s.name, "level": s.level, "volume_ml": s.volume_ml, "voxels": len(s.dose)}
                for s in patient.structures
            ],
        }
        for patient in library
    ]
    every = [s for patient in library for s in patient.structures]
    if not every:
        raise InputError("A library without any structure holds no experience to keep.")
    text = json.dumps({**MADE_WITH, "patients": patients}, ensure_ascii=False)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        facts=np.frombuffer(text.encode(), np.uint8),
        around=np.concatenate([s.around for s in every]),
        dose=np.concatenate([s.dose for s in every]),
        curves=np.stack([s.curve for s in every]),
    )
    path.write_bytes(file.getvalue())


def load(path: Path) -> Library:
    """Read a library; nothing in the file is executed.

    Raises:
        FileError: The file is missing, damaged, or made with other widths, volumes or format.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            facts = json.loads(found["facts"].tobytes().decode())
            arrays = {name: found[name] for name in ("around", "dose", "curves")}
    except _DAMAGE as error:
        raise FileError(path, f"is not a library of earlier patients ({error}).", AGAIN) from error
    if not isinstance(facts, dict) or any(facts.get(k) != v for k, v in MADE_WITH.items()):
        raise FileError(
            path,
            "was made with another format, other widths or other volumes.",
            "Make it anew from the patients' structures and doses.",
        )
    try:
        return Library(tuple(_patients(facts["patients"], _checked(facts["patients"], arrays))))
    except _DAMAGE as error:
        raise FileError(path, f"contradicts itself ({error}).", AGAIN) from error


def _checked(
    patients: list[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Return surroundings, doses and curve of each structure in turn."""
    voxels = [int(row["voxels"]) for patient in patients for row in patient["structures"]]
    if min(voxels) < 1:
        raise ValueError("a structure has no voxels")
    wanted = {
        "around": (sum(voxels), len(AROUND_MM) + len(IN_SLICE_MM)),
        "dose": (sum(voxels),),
        "curves": (len(voxels), len(VOLUMES_PERCENT)),
    }
    for name, shape in wanted.items():
        values = arrays[name]
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise ValueError(f"'{name}' is not {shape} finite numbers")
    borders = np.cumsum(voxels)[:-1]
    return zip(
        np.split(arrays["around"], borders),
        np.split(arrays["dose"], borders),
        arrays["curves"],
        strict=True,
    )


def _patients(
    patients: list[Mapping[str, Any]],
    numbers: Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> Iterator[EarlierPatient]:
    for patient in patients:
        found = []
        for row in patient["structures"]:
            around, dose, curve = next(numbers)
            level = None if row["level"] is None else _positive(row["level"])
            found.append(
                Treated(
                    name=str(row["name"]),
                    level=level,
                    volume_ml=_positive(row["volume_ml"]),
                    around=around,
                    dose=dose,
                    curve=curve,
                )
            )
        yield EarlierPatient(
            name=str(patient["name"]),
            prescribed_gy=_positive(patient["prescribed_gy"]),
            structures=tuple(found),
        )


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{number:g} is not positive")
    return number
