"""Lesions and organs of an examination, measured and named."""

import re
from collections.abc import Iterator
from dataclasses import dataclass as record
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.case import VisitStructures
from aegle.domain.codes import LUNGS, StructureType, body_part
from aegle.domain.errors import GeometryError
from aegle.domain.finding import (
    Diameters,
    Findings,
    Lesion,
    LesionKind,
    LesionUptake,
    OrganMeasure,
    Statistics,
)
from aegle.domain.structure import Structure
from aegle.domain.study import Examination, Image
from aegle.domain.text import Text
from aegle.domain.volume import Quantity
from aegle.imaging.measure import border_fractions, carried_over, diameters, statistics
from aegle.imaging.morphology import grown, margin
from aegle.imaging.resample import resample_structure
from aegle.imaging.uptake_volume import UptakeOptions, uptake
from aegle.imaging.volumetry import VolumetryOptions, volume
from aegle.options import option
from aegle.record.identity import derive_uid

_NODE = re.compile(r"lymph|node|(^|[\W_])ln($|[\W_\d])", re.IGNORECASE)
_NODULE = re.compile(r"nodule", re.IGNORECASE)
_GROSS_TUMOUR = re.compile(r"^gtv", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class CharacteriseOptions:
    """How lesions are named by size and place."""

    mass_mm: Annotated[
        float,
        option(
            "A lesion in the lung of at least this diameter is a mass, a smaller one a nodule",
            unit="mm",
            gt=0,
            source="Bankier AA et al., Fleischner Society glossary, Radiology 2024;310:e232558",
        ),
    ] = 30.0
    around_mm: Annotated[
        float, option("Width of the rim in which neighbouring lung is sought", unit="mm", gt=0)
    ] = 4.0
    least_in_lung: Annotated[
        float,
        option("Share of lesion or rim inside a lung from which it belongs to it", gt=0, le=1),
    ] = 0.3


@record(frozen=True, eq=False)
class _Delineated:
    """A lesion on its image."""

    structure: Structure
    image: Image
    size: Diameters


def characterise(
    examination: Examination, structures: VisitStructures, *, options: CharacteriseOptions
) -> Findings:
    """Measure all lesions and organs of one examination.

    Lesions are structures of type ``LESION`` and those named as gross tumour volume (GTV). A
    tumour delineated on several images is listed once for each, with the name of the image.

    Args:
        examination: The images.
        structures: What is delineated on them.
        options: Rules of naming.

    Returns:
        Lesions ``L1``, ``L2``, ... by decreasing longest diameter, with values on their own
        image and on all others that share its frame of reference; organs; what to know.
    """
    notices: list[Text] = []
    delineated: list[_Delineated] = []
    organs: list[OrganMeasure] = []
    for structure, image in _all(examination, structures):
        if structure.is_empty:
            values = {"name": structure.name, "image": image.name}
            notices.append(Text("'{name}' on {image} is empty and was left out.", values))
        elif _is_lesion(structure):
            delineated.append(_Delineated(structure, image, _size(structure, image)))
        elif structure.type in (StructureType.ORGAN, StructureType.EXTERNAL):
            organs.append(_organ(structure, image))
    delineated.sort(key=lambda lesion: (-lesion.size.longest_mm, -lesion.structure.volume_ml))
    lesions = tuple(
        _lesion(number, found, examination, structures, options)
        for number, found in enumerate(delineated, start=1)
    )
    notices += _about(lesions)
    return Findings(
        study_uid=examination.study_uid,
        organs=tuple(organs),
        lesions=lesions,
        notices=tuple(notices),
    )


def _all(
    examination: Examination, structures: VisitStructures
) -> Iterator[tuple[Structure, Image]]:
    for item in structures.images:
        image = examination.image(item.image)
        for structure in item.structures:
            yield structure, image


def _is_lesion(structure: Structure) -> bool:
    return structure.type is StructureType.LESION or (
        structure.type is StructureType.ORGAN and bool(_GROSS_TUMOUR.match(structure.name))
    )


def _size(structure: Structure, image: Image) -> Diameters:
    """Measure what was found by its image; what people drew, exactly as they drew it."""
    if structure.origin != "automatic":
        return diameters(structure)
    return diameters(structure, border_fractions(image.volume, structure))


def _organ(structure: Structure, image: Image) -> OrganMeasure:
    return OrganMeasure(
        name=structure.name,
        volume_ml=structure.volume_ml,
        statistics=statistics(image.volume, structure, image.name),
    )


def _lesion(
    number: int,
    found: _Delineated,
    examination: Examination,
    structures: VisitStructures,
    options: CharacteriseOptions,
) -> Lesion:
    site = _site(found, examination, structures, options)
    size = volume(found.structure, options=VolumetryOptions())
    return Lesion(
        id=f"L{number}",
        tracking_uid=_tracking_uid(examination, found),
        structure=found.structure,
        image=found.image.name,
        kind=_kind(found, site, options),
        site=site,
        diameters=found.size,
        volume_ml=found.structure.volume_ml,
        statistics=tuple(_values(found, examination)),
        volume_interval_ml=(size.low_ml, size.high_ml),
        uptake=_uptake(found, examination),
    )


def _tracking_uid(examination: Examination, found: _Delineated) -> str:
    """Derive a UID from where the lesion lies: the same delineation always has the same one."""
    structure = found.structure
    place = f"{structure.start} {structure.box.shape} {structure.grid}"
    return derive_uid(
        examination.study_uid,
        found.image.series.series_uid,
        place,
        np.packbits(structure.box).tobytes(),
    )


def _kind(found: _Delineated, site: str, options: CharacteriseOptions) -> LesionKind:
    structure = found.structure
    if _NODE.search(structure.name):
        return LesionKind.LYMPH_NODE
    is_given = structure.origin != "automatic"
    if (is_given and not _NODULE.search(structure.name)) or site not in LUNGS:
        return LesionKind.TUMOUR
    is_mass = found.size.longest_mm >= options.mass_mm
    return LesionKind.MASS if is_mass else LesionKind.NODULE


def _values(found: _Delineated, examination: Examination) -> Iterator[Statistics]:
    """Yield the values on the lesion's own image, then on those in the same frame."""
    yield statistics(found.image.volume, found.structure, found.image.name)
    for image in examination.images:
        if image.name == found.image.name or not _share_a_frame(image, found.image):
            continue
        try:
            yield statistics(image.volume, found.structure, image.name)
        except GeometryError:
            continue


def _uptake(found: _Delineated, examination: Examination) -> LesionUptake | None:
    """Return the uptake on the first PET that the lesion lies on."""
    for image in (found.image, *examination.images):
        is_pet = image.volume.quantity is Quantity.STANDARDISED_UPTAKE
        if not is_pet or (
            image.name != found.image.name and not _share_a_frame(image, found.image)
        ):
            continue
        try:
            on_pet = carried_over(found.structure, image.volume.grid, image.name)
        except GeometryError:
            continue
        return uptake(image.volume, on_pet, image.name, options=UptakeOptions())
    return None


def _share_a_frame(one: Image, other: Image) -> bool:
    frame = one.series.frame_of_reference_uid
    return bool(frame) and frame == other.series.frame_of_reference_uid


def _site(
    found: _Delineated,
    examination: Examination,
    structures: VisitStructures,
    options: CharacteriseOptions,
) -> str:
    """Return the lung in or at which a lesion lies, or ``unknown``."""
    shares: dict[str, float] = {}
    for item in structures.images:
        image = examination.image(item.image)
        if image.name != found.image.name and not _share_a_frame(image, found.image):
            continue
        near, rim = _neighbourhood(found.structure, image, options.around_mm)
        for lung in (s for s in item.structures if not s.is_empty):
            part = body_part(lung.name)
            if part in LUNGS:
                share = max(_share_inside(near, lung), _share_inside(rim, lung))
                shares[part] = max(share, shares.get(part, 0.0))
    best = max(shares, key=lambda name: shares[name], default="unknown")
    return best if shares.get(best, 0.0) >= options.least_in_lung else "unknown"


def _neighbourhood(
    structure: Structure, image: Image, around_mm: float
) -> tuple[Structure, Structure]:
    """Return a lesion and the rim around it on the grid of an image."""
    grid = image.volume.grid
    there = resample_structure(structure, grid)
    if there.is_empty:
        return there, there
    wanted = margin(around_mm, grid.spacing_mm)
    before = [min(rim, first) for rim, first in zip(wanted, there.start, strict=True)]
    after = [
        min(rim, size - first - extent)
        for rim, size, first, extent in zip(
            wanted, grid.shape, there.start, there.box.shape, strict=True
        )
    ]
    padded = np.pad(there.box, list(zip(before, after, strict=True)))
    start = np.subtract(there.start, before)
    rim = replace(
        there,
        box=grown(padded, around_mm, grid.spacing_mm) & ~padded,
        start=(int(start[0]), int(start[1]), int(start[2])),
    )
    return there, rim


def _share_inside(structure: Structure, lung: Structure) -> float:
    """Return which share of a structure lies inside a lung on the same grid."""
    total = np.count_nonzero(structure.box)
    starts = np.maximum(structure.start, lung.start)
    ends = np.minimum(
        np.add(structure.start, structure.box.shape), np.add(lung.start, lung.box.shape)
    )
    if total == 0 or np.any(starts >= ends):
        return 0.0
    boxes = []
    for part in (structure, lung):
        edges = zip(starts - part.start, ends - part.start, strict=True)
        boxes.append(part.box[tuple(slice(int(a), int(b)) for a, b in edges)])
    return float(np.count_nonzero(boxes[0] & boxes[1]) / total)


def _about(lesions: tuple[Lesion, ...]) -> list[Text]:
    if len({lesion.image for lesion in lesions}) > 1:
        return [
            Text("Lesions are delineated on several images; each delineation is listed by itself.")
        ]
    return []
