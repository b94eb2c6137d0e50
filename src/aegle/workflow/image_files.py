"""Images and label maps that are not DICOM: which visit, which modality, whose labels.

Files of one folder are one visit; folders go by name. The modality is what a word of the file's
name says, or what the user says.
"""

import re
from collections import defaultdict
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.domain.errors import GeometryError
from aegle.domain.grid import Grid
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image, Patient, Projection
from aegle.domain.text import Text
from aegle.domain.volume import PlanarImage, Quantity
from aegle.options import option

QUANTITIES = {
    "CT": Quantity.RADIODENSITY,
    "PT": Quantity.STANDARDISED_UPTAKE,
    "MR": Quantity.SIGNAL,
}
UNKNOWN = "OT"
_WORDS = {
    "CT": re.compile(r"(ct|cta|cbct|hrct|ldct)\d*"),
    "PT": re.compile(r"(pet|suv|suvbw)\d*"),
    "MR": re.compile(r"(mr|mri|mra|flair|adc)\d*|t[12][a-z]*"),
    "DX": re.compile(r"cxr\d*"),
}
"""Words of a file name that say its modality; several that disagree say nothing."""
_PATIENT_OR_PET = "pt"
"""Says PET only where no other word says anything."""

MODALITY_UNKNOWN = (
    "The modality of {file} is not known; say it with --set files.modality=CT (or PT, MR)."
)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What image files that are not DICOM do not say themselves."""

    modality: Annotated[
        Literal["by-name", "CT", "PT", "MR", "DX"],
        option(
            "Modality of image files that are not DICOM; by-name: the word ct, pet, pt, suv, mr, "
            "t1, t2, flair, adc or cxr in the file's name"
        ),
    ] = "by-name"


@plain_dataclass(frozen=True)
class Labels:
    """The structures of one label map."""

    path: Path
    structures: StructureSet


def visits_of_files(
    paths: tuple[Path, ...],
    patient: Patient,
    *,
    options: FileOptions,
    is_known_labels: tuple[Path, ...] = (),
    study: str = "",
) -> tuple[list[Labels], list[Examination]]:
    """Read image files; return the label maps, and a visit for each folder with images.

    ``is_known_labels`` are label maps whatever their names say. ``study`` tells these files from
    others of the same folder that are another visit.
    """
    from aegle import image_files

    is_labels = {p: p in is_known_labels or image_files.is_labels(p) for p in paths}
    labels = [Labels(path, image_files.read_labels(path)) for path in paths if is_labels[path]]
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        if not is_labels[path]:
            folders[path.resolve().parent].append(path)
    visits = [_visit(folders[folder], patient, options, study) for folder in sorted(folders)]
    return labels, visits


def with_labels(visits: list[Examination], labels: list[Labels]) -> list[Examination]:
    """Attach each label map to the images that share its grid.

    Raises:
        GeometryError: A label map lies on another grid than every image.
    """
    for one in labels:
        if not len(one.structures):
            continue
        _require_image(one, [image for visit in visits for image in visit.images])
        visits = [
            replace(visit, images=tuple(_labelled(i, one.structures) for i in visit.images))
            for visit in visits
        ]
    return visits


def _require_image(labels: Labels, images: list[Image]) -> None:
    grid = next(iter(labels.structures)).grid
    if any(image.volume.grid.is_same_as(grid) for image in images):
        return
    there = "; ".join(f"{i.name} of {_said(i.volume.grid)}" for i in images[:4]) or "none"
    place = (
        " (an image of this shape and spacing lies elsewhere)"
        if any(_said(i.volume.grid) == _said(grid) for i in images)
        else ""
    )
    raise GeometryError(
        f"{labels.path}: a label map of {_said(grid)} lies on the grid of no image; there: "
        f"{there}{place}. Resample it to the image it belongs to, or add that image."
    )


def _said(grid: Grid) -> str:
    shape = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{side:g}" for side in grid.spacing_mm)
    return f"{shape} voxels of {spacing} mm"


def _labelled(image: Image, structures: StructureSet) -> Image:
    grid = image.volume.grid
    if not next(iter(structures)).grid.is_same_as(grid):
        return image
    moved = tuple(replace(structure, grid=grid) for structure in structures)
    return replace(image, structures=StructureSet((*image.structures, *moved)))


def _visit(paths: list[Path], patient: Patient, options: FileOptions, study: str) -> Examination:
    folder = paths[0].resolve().parent.name
    read = [_read(path, patient, options, study or folder) for path in paths]
    return Examination(
        patient=patient,
        study_uid=read[0].series.study_uid,
        time=None,
        description=folder,
        images=tuple(one for one in read if isinstance(one, Image)),
        projections=tuple(one for one in read if isinstance(one, Projection)),
        notices=tuple(
            Text(MODALITY_UNKNOWN, {"file": path.name})
            for path, one in zip(paths, read, strict=True)
            if isinstance(one, Image) and one.series.modality == UNKNOWN
        ),
    )


def _read(path: Path, patient: Patient, options: FileOptions, study: str) -> Image | Projection:
    from aegle import image_files
    from aegle.dicom import image_series

    modality = options.modality if options.modality != "by-name" else modality_of(path.name)
    quantity = QUANTITIES.get(modality, Quantity.SIGNAL)
    content = image_files.read(path, quantity=quantity)
    name = path.name.split(".")[0]
    series = image_series.reference(
        content,
        patient.id,
        modality=modality,
        study=study,
        description=path.name,
    )
    if isinstance(content, PlanarImage):
        return Projection(name=name, image=content, series=series)
    return Image(name=name, volume=content, series=series)


def modality_of(file_name: str) -> str:
    """Return the DICOM modality that the words of a file's name say; OT if they say none."""
    words = [word for word in re.split(r"[^a-z0-9]+", file_name.lower()) if word]
    said = {m for m, known in _WORDS.items() if any(known.fullmatch(word) for word in words)}
    if not said and _PATIENT_OR_PET in words:
        said = {"PT"}
    return said.pop() if len(said) == 1 else UNKNOWN
