"""Phases of breathing from files: the CT of each phase, and how tissue moves to it.

A TOML file names them, relative to its own folder:

    [[phase]]
    name = "inhale"
    ct = "inhale.nii.gz"              # DICOM series, NIfTI, NRRD or MetaImage
    displacement = "to_inhale.mha"    # vectors [mm, LPS] on the grid of the reference CT
    share = 0.4                       # part of the time

The displacement leads from each voxel of the reference CT to where its tissue lies in the phase,
as a registration with the reference as fixed image gives it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.errors import FileError, GeometryError
from aegle.domain.grid import Grid
from aegle.options import option, read
from aegle.planning.breathing import BreathingCt, BreathingPhase
from aegle.record.identity import digest
from aegle.workflow.options import CaseOptions
from aegle.workflow.radiotherapy_inputs import Subject, scanned_ct
from aegle.workflow.settings import from_toml

VECTOR = 3
TOLERANCE_MM = 1e-2


@dataclass(frozen=True, kw_only=True)
class PhaseEntry:
    """A phase as a file names it."""

    name: Annotated[str, option("Name of the phase")]
    ct: Annotated[str, option("CT of the phase")]
    displacement: Annotated[str, option("Image of vectors from the reference to the phase")]
    share: Annotated[float, option("Part of the time", gt=0, le=1)]


def with_phases(subject: Subject, file: Path, *, options: CaseOptions) -> Subject:
    """Add the phases that a file names to what is planned on.

    Raises:
        FileError: The file or one that it names cannot be used.
        GeometryError: A phase lies on another grid than the CT.
        InputError: Shares of time do not fit.
    """
    found = from_toml(file, "Write a [[phase]] with name, ct, displacement and share for each.")
    rows = found.get("phase")
    if set(found) != {"phase"} or not isinstance(rows, list) or not rows:
        raise FileError(
            file, "names no phases.", "Write a [[phase]] with name, ct, displacement and share."
        )
    grid = subject.image.volume.grid
    phases, contents = [], [(file.name, digest(file.read_bytes()))]
    for number, row in enumerate(rows, 1):
        entry = read(PhaseEntry, row, section=f"{file.name}, phase {number}")
        scanned = scanned_ct(file.parent / entry.ct, options)
        field_file = file.parent / entry.displacement
        phases.append(
            BreathingPhase(
                name=entry.name,
                ct=scanned.image.volume,
                displacement_mm=read_displacement(field_file, grid),
                share=entry.share,
            )
        )
        contents += [*scanned.contents, (field_file.name, digest(field_file.read_bytes()))]
    BreathingCt(reference=subject.image.volume, phases=tuple(phases))
    return replace(
        subject,
        phases=tuple(phases),
        contents=tuple(sorted({*subject.contents, *contents})),
    )


def read_displacement(path: Path, grid: Grid) -> NDArray[np.float32]:
    """Read a displacement field, shape (slice, row, column, 3): LPS x, y and z [mm].

    Args:
        path: Image of vectors with three parts, NIfTI, NRRD or MetaImage.
        grid: That it must lie on.

    Raises:
        FileError: It cannot be read, or holds no vectors.
        GeometryError: It lies on another grid.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise FileError(
            path, "cannot be read as an image.", "Give a NIfTI, NRRD or MetaImage file of vectors."
        ) from error
    if image.GetNumberOfComponentsPerPixel() != VECTOR or image.GetDimension() != VECTOR:
        raise FileError(
            path,
            "holds no vectors of three parts on a volume.",
            "Write the displacement field as an image of vectors.",
        )
    corners = [(0.0, 0.0, 0.0), *np.eye(3).tolist()]
    there = [image.TransformContinuousIndexToPhysicalPoint(tuple(c)) for c in corners]
    here = grid.to_patient(np.array([c[::-1] for c in corners]))
    if image.GetSize() != grid.shape[::-1] or not np.allclose(there, here, atol=TOLERANCE_MM):
        raise GeometryError(
            f"{path}: its vectors lie on {image.GetSize()[::-1]} voxels from {image.GetOrigin()} "
            f"on, the CT has {grid.shape} from {grid.origin_mm} on; resample them to the CT."
        )
    return np.asarray(sitk.GetArrayFromImage(image), np.float32)
