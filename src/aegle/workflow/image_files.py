"""Images and label maps that are not DICOM: which visit, which modality, whose labels.

Files of one folder are one visit; folders go by name. The modality is what the file's name begins
with, or what the user says.
"""

from collections import defaultdict
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle import image_files
from aegle.dicom import image_series
from aegle.domain.errors import GeometryError
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image, Patient, Projection
from aegle.domain.volume import PlanarImage, Quantity
from aegle.options import option

QUANTITIES = {
    "CT": Quantity.RADIODENSITY,
    "PT": Quantity.STANDARDISED_UPTAKE,
    "MR": Quantity.SIGNAL,
}
_BEGINNINGS = {
    "ct": "CT",
    "pet": "PT",
    "pt": "PT",
    "suv": "PT",
    "mr": "MR",
    "t1": "MR",
    "t2": "MR",
    "flair": "MR",
    "adc": "MR",
    "cxr": "DX",
}


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What image files that are not DICOM do not say themselves."""

    modality: Annotated[
        Literal["by-name", "CT", "PT", "MR"],
        option("Modality of image files that are not DICOM; by-name: ct*, pet*, suv*, mr*, t1*"),
    ] = "by-name"


def visits_of_files(
    paths: tuple[Path, ...], patient: Patient, *, options: FileOptions
) -> tuple[list[StructureSet], list[Examination]]:
    """Read image files; return the label maps, and a visit for each folder with images."""
    labels = [image_files.read_labels(path, names=None) for path in paths if _is_labels(path)]
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        if not _is_labels(path):
            folders[path.resolve().parent].append(path)
    visits = [_visit(folders[folder], patient, options) for folder in sorted(folders)]
    return labels, visits


def with_labels(visits: list[Examination], labels: list[StructureSet]) -> list[Examination]:
    """Attach each label map to the images that share its grid.

    Raises:
        GeometryError: A label map lies on another grid than every image.
    """
    for structures in labels:
        if not len(structures):
            continue
        grid = next(iter(structures)).grid
        images = chain.from_iterable(visit.images for visit in visits)
        if not any(image.volume.grid.is_same_as(grid) for image in images):
            raise GeometryError(
                f"A label map of shape {grid.shape} and spacing {grid.spacing_mm} mm lies on "
                "another grid than every image; resample it to the image, or add that image."
            )
        visits = [
            replace(visit, images=tuple(_labelled(i, structures) for i in visit.images))
            for visit in visits
        ]
    return visits


def _labelled(image: Image, structures: StructureSet) -> Image:
    grid = image.volume.grid
    if not next(iter(structures)).grid.is_same_as(grid):
        return image
    moved = tuple(replace(structure, grid=grid) for structure in structures)
    return replace(image, structures=StructureSet((*image.structures, *moved)))


def _is_labels(path: Path) -> bool:
    return image_files.is_labels(path)


def _visit(paths: list[Path], patient: Patient, options: FileOptions) -> Examination:
    folder = paths[0].resolve().parent.name
    read = [_read(path, patient, options) for path in paths]
    return Examination(
        patient=patient,
        study_uid=read[0].series.study_uid,
        time=None,
        description=folder,
        images=tuple(one for one in read if isinstance(one, Image)),
        projections=tuple(one for one in read if isinstance(one, Projection)),
    )


def _read(path: Path, patient: Patient, options: FileOptions) -> Image | Projection:
    modality = _modality(path, options)
    quantity = QUANTITIES.get(modality, Quantity.SIGNAL)
    content = image_files.read(path, quantity=quantity)
    name = path.name.split(".")[0]
    series = image_series.reference(
        content,
        patient.id,
        modality=modality,
        study=path.resolve().parent.name,
        description=path.name,
    )
    if isinstance(content, PlanarImage):
        return Projection(name=name, image=content, series=series)
    return Image(name=name, volume=content, series=series)


def _modality(path: Path, options: FileOptions) -> str:
    if options.modality != "by-name":
        return options.modality
    name = path.name.lower()
    fitting = (m for beginning, m in _BEGINNINGS.items() if name.startswith(beginning))
    return next(fitting, "OT")
