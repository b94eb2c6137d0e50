"""Structures as RT Structure Sets: closed contours in the slices of the image.

Contours are written in the slice planes of the image's grid, axial or not. A part with holes is
one contour whose holes are joined to it by a channel of no width (see
:mod:`aegle.dicom.contours`), since planning systems differ in how they combine contours of one
slice, but all understand that one.

Source: DICOM PS3.3 A.19, C.8.8.5 (structure set), C.8.8.6 (ROI contour), C.8.8.8 (observations).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from aegle.dicom import attachment, attributes
from aegle.dicom.attributes import fill, item
from aegle.dicom.contour_planes import CONTOUR_DATA, filled, planes_of
from aegle.dicom.contours import outlines
from aegle.domain.codes import BODY_PARTS, StructureType, structure_type
from aegle.domain.errors import FileError, GeometryError
from aegle.domain.grid import Points
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient
from aegle.domain.text import Text

_ITEM = 0xFFFEE000
_CONTOUR_IMAGE_SEQUENCE = 0x30060016
_CONTOUR_SEQUENCE = 0x30060040
_CONTOUR_GEOMETRIC_TYPE = 0x30060042
_NUMBER_OF_CONTOUR_POINTS = 0x30060046
_RIM = 1.0
"""Voxels by which contours may leave an image that names no frame of reference."""
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
_COLOURS = (
    (230, 60, 60),
    (70, 130, 230),
    (60, 180, 90),
    (240, 170, 40),
    (150, 90, 210),
    (50, 190, 190),
    (230, 110, 170),
    (150, 120, 70),
)
_TYPES = {kind.value: kind for kind in StructureType} | {
    "CTV": StructureType.TARGET,
    "ITV": StructureType.TARGET,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading:
    """Structures read from a file, and what a reader should know about them."""

    structures: StructureSet
    notices: tuple[Text, ...] = ()


def instance_uid(structures: StructureSet, image: Image, patient: Patient, *, now: datetime) -> str:
    """Return the SOP Instance UID of the structure set that :func:`write` writes."""
    return attributes.object_uid(
        "RTSTRUCT",
        image.series,
        patient,
        now,
        attributes.grid_content(image.volume.grid),
        *attributes.structure_content(structures),
    )


def write(
    structures: StructureSet, image: Image, patient: Patient, path: Path, *, now: datetime
) -> Path:
    """Write structures as an RT Structure Set.

    Args:
        structures: On the grid of the image. Regions are numbered from 1 in this order; an
            empty structure becomes a region without contours.
        image: The image on which they were delineated.
        patient: Who was examined.
        path: The file to write.
        now: Time of creation.

    Raises:
        GeometryError: A structure lies on another grid than the image.
    """
    attributes.require_same_grid(structures, image)
    identity = attributes.derived_identity(
        RTStructureSetStorage,
        instance_uid(structures, image, patient, now=now),
        modality="RTSTRUCT",
        series_number=902,
        description="Structures",
    )
    dataset = attributes.begin(identity, image.series, patient, now=now)
    numbered = list(enumerate(structures, start=1))
    fill(
        dataset,
        {
            "StructureSetLabel": "Aegle",
            "StructureSetDate": attributes.day(now),
            "StructureSetTime": attributes.clock(now),
            "PositionReferenceIndicator": "",
            "FrameOfReferenceUID": image.series.frame_of_reference_uid,
            "OperatorsName": "",
            "ApprovalStatus": "UNAPPROVED",
            "ReferencedFrameOfReferenceSequence": Sequence([_referenced_frame(image)]),
            "StructureSetROISequence": Sequence([_region(n, s, image) for n, s in numbered]),
            "ROIContourSequence": Sequence([_contoured_region(n, s, image) for n, s in numbered]),
            "RTROIObservationsSequence": Sequence([_observation(n, s) for n, s in numbered]),
        },
    )
    return attributes.save(dataset, path, syntax=ImplicitVRLittleEndian)


def read(content: bytes | Path, image: Image) -> StructureSet:
    """Return the structures of an RT Structure Set on the grid of an image.

    Args:
        content: The bytes of the file, or its path.
        image: The image on which they were delineated.

    Raises:
        FileError: It is not a readable RT Structure Set.
        GeometryError: No region lies in the frame of reference and the slices of the image.
    """
    return interpret(content, image).structures


def interpret(content: bytes | Path, image: Image) -> Reading:
    """Return the structures of an RT Structure Set, and what was left out of them.

    Arguments and errors are those of :func:`read`.
    """
    dataset = attributes.load(content, "The structure set")
    if dataset.get("SOPClassUID") != RTStructureSetStorage:
        raise FileError(
            content if isinstance(content, Path) else "The structure set",
            "is not an RT Structure Set.",
            "Give an object of modality RTSTRUCT.",
        )
    regions = _regions_of(dataset, image)
    grid = image.volume.grid
    structures: list[Structure] = []
    notices: list[Text] = []
    has_planes = False
    for region in regions:
        planes, found = planes_of(region.name, region.contours, grid)
        notices.extend(found)
        has_planes = has_planes or bool(planes)
        structure = filled(region.name, region.type, planes, grid) if planes else None
        if structure is not None:
            structures.append(structure)
        else:
            notices.append(
                Text("Structure '{name}' encloses no voxel of the image.", {"name": region.name})
            )
    if not has_planes and any(region.contours for region in regions):
        raise GeometryError(
            "No contour of the structure set lies in the slices of the image. "
            "Choose the image it was made on."
        )
    if _is_foreign(dataset, image):
        notices.append(
            Text(
                "The image names no frame of reference; the contours were taken to belong to it "
                "because all of them lie inside it. Check that they do."
            )
        )
    return Reading(structures=StructureSet(tuple(structures)), notices=tuple(notices))


def _is_foreign(dataset: Dataset, image: Image) -> bool:
    """Whether the contours were drawn in another frame of reference than the image's."""
    frames = attachment.roi_frames(dataset)
    return bool(frames) and image.series.frame_of_reference_uid not in frames


def _lies_inside(dataset: Dataset, image: Image) -> bool:
    """Whether contours of one frame can belong to an image of no DICOM frame: all lie in it."""
    if image.series.is_from_dicom or len(attachment.roi_frames(dataset)) != 1:
        return False
    grid = image.volume.grid
    found = [
        np.reshape(np.asarray(contour.ContourData, np.float64), (-1, 3))
        for region in dataset.get("ROIContourSequence") or ()
        for contour in region.get("ContourSequence") or ()
        if contour.get("ContourData")
    ]
    if not found:
        return False
    indices = grid.to_indices(np.concatenate(found))
    return bool(np.all(indices >= -_RIM) and np.all(indices <= np.asarray(grid.shape) - 1 + _RIM))


@dataclass(frozen=True, eq=False)
class _Region:
    """A region of a file, its name made unique."""

    name: str
    type: StructureType
    contours: tuple[Dataset, ...]


def _referenced_frame(image: Image) -> Dataset:
    series = image.series
    images = [attributes.instance(series.sop_class_uid, uid) for uid in series.sop_instance_uids]
    return item(
        FrameOfReferenceUID=series.frame_of_reference_uid,
        RTReferencedStudySequence=Sequence(
            [
                item(
                    ReferencedSOPClassUID=_DETACHED_STUDY,
                    ReferencedSOPInstanceUID=series.study_uid,
                    RTReferencedSeriesSequence=Sequence(
                        [
                            item(
                                SeriesInstanceUID=series.series_uid,
                                ContourImageSequence=Sequence(images),
                            )
                        ]
                    ),
                )
            ]
        ),
    )


def _region(number: int, structure: Structure, image: Image) -> Dataset:
    return item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=image.series.frame_of_reference_uid,
        ROIName=attributes.printable(structure.name),
        ROIGenerationAlgorithm="AUTOMATIC" if structure.origin == "automatic" else "",
    )


def _observation(number: int, structure: Structure) -> Dataset:
    is_ctv = structure.type is StructureType.TARGET and structure.name.lower().startswith("ctv")
    observation = item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType="CTV" if is_ctv else structure.type.value,
        ROIInterpreter="",
    )
    if structure.name in BODY_PARTS:
        code = attributes.coded(BODY_PARTS[structure.name])
        observation.RTROIIdentificationCodeSequence = code
    return observation


def _contoured_region(number: int, structure: Structure, image: Image) -> Dataset:
    region = item(
        ReferencedROINumber=number,
        ROIDisplayColor=list(_COLOURS[(number - 1) % len(_COLOURS)]),
    )
    drawn = b"".join(_drawn(structure, image))
    if drawn:
        region[_CONTOUR_SEQUENCE] = RawDataElement(
            Tag(_CONTOUR_SEQUENCE), "SQ", len(drawn), drawn, 0, True, True
        )
    return region


def _drawn(structure: Structure, image: Image) -> Iterator[bytes]:
    """Give the items of the contour sequence.

    They are encoded here (implicit VR little endian, PS3.5 7.1.3): a structure set can hold
    tens of thousands of contours, each of which costs a general encoder a millisecond.
    """
    grid, first = image.volume.grid, structure.start[0]
    corner = np.array(structure.start[1:], dtype=np.float64)
    for offset, section in enumerate(structure.box):
        if not section.any():
            continue
        index = first + offset
        source = _encoded_source(attributes.slice_instance(image.series, grid, index))
        for outline in outlines(section):
            indices = np.column_stack(
                [np.full(len(outline), index, dtype=np.float64), outline + corner]
            )
            yield _encoded_contour(grid.to_patient(indices), source)


def _encoded_source(source: Dataset | None) -> bytes:
    if source is None:
        return b""
    image = _element(0x00081150, str(source.ReferencedSOPClassUID).encode(), b"\0")
    image += _element(0x00081155, str(source.ReferencedSOPInstanceUID).encode(), b"\0")
    return _element(_CONTOUR_IMAGE_SEQUENCE, _element(_ITEM, image))


def _encoded_contour(points_mm: Points, source: bytes) -> bytes:
    numbers = "\\".join(map("%.4f".__mod__, points_mm.ravel().tolist()))
    return _element(
        _ITEM,
        source
        + _element(_CONTOUR_GEOMETRIC_TYPE, b"CLOSED_PLANAR")
        + _element(_NUMBER_OF_CONTOUR_POINTS, str(len(points_mm)).encode())
        + _element(CONTOUR_DATA, numbers.encode()),
    )


def _element(tag: int, value: bytes, padding: bytes = b" ") -> bytes:
    value += padding * (len(value) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def _regions_of(dataset: Dataset, image: Image) -> list[_Region]:
    """Return the regions in the frame of reference of the image."""
    frames = attachment.roi_frames(dataset)
    wanted = image.series.frame_of_reference_uid
    if _is_foreign(dataset, image):
        if not _lies_inside(dataset, image):
            said = ", ".join(sorted(frames))
            attachment.require_same_frame(said, image.series, "The structure set")
        (wanted,) = frames
    try:
        rois = [
            roi
            for roi in dataset.get("StructureSetROISequence") or ()
            if (roi.get("ReferencedFrameOfReferenceUID") or wanted) == wanted
        ]
        contours = {
            int(drawn.ReferencedROINumber): tuple(drawn.get("ContourSequence") or ())
            for drawn in dataset.get("ROIContourSequence") or ()
        }
        types = {
            int(observation.ReferencedROINumber): str(observation.get("RTROIInterpretedType") or "")
            for observation in dataset.get("RTROIObservationsSequence") or ()
        }
        numbers = [int(roi.ROINumber) for roi in rois]
    except (AttributeError, TypeError, ValueError) as error:
        raise FileError(
            "The structure set", f"is damaged ({error}).", "Export the structures again."
        ) from error
    names = attributes.distinct(
        str(roi.get("ROIName") or f"ROI {n}") for roi, n in zip(rois, numbers, strict=True)
    )
    return [
        _Region(name, _TYPES.get(types.get(n, ""), structure_type(name)), contours.get(n, ()))
        for n, name in zip(numbers, names, strict=True)
    ]
