"""Structures as DICOM Segmentation: one binary frame per segment and slice that it touches.

The object is written from the image's geometry and UIDs alone; the source files need not be at
hand. Segments may overlap. Frames are packed one structure at a time, so memory grows with what
is inside the structures, not with their number times the image.

Binary, fractional and label map segmentations are read, on the whole grid of the image or on a
part of it.

Sources: DICOM PS3.3 A.51 (IOD), C.8.20 (segmentation image, segment description), C.7.6.16
(multi-frame functional groups), C.7.6.17 (dimensions); PS3.5 8.1.1 (packing of single bits).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import SegmentationStorage

from aegle import __version__
from aegle.dicom import attributes
from aegle.dicom.attachment import LABEL_MAP_SEGMENTATION_STORAGE, require_same_frame
from aegle.dicom.attributes import fill, instance, item
from aegle.dicom.segment_frames import BACKGROUND, masks, placements
from aegle.domain import codes
from aegle.domain.codes import Code, StructureType, structure_type
from aegle.domain.errors import FileError
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient
from aegle.record.identity import derive_uid

TYPE_PREFIX = "RT ROI interpreted type: "
"""Begins the Segment Description, which keeps what a structure is for."""

_SEGMENT_NUMBER = Tag(0x0062000B)
_SEGMENT_IDENTIFICATION = Tag(0x0062000A)
_IMAGE_POSITION = Tag(0x00200032)
_PLANE_POSITION = Tag(0x00209113)

_ABNORMAL_VALUES = (codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE.value, "M-01000")
"""In SNOMED CT, and as SNOMED RT has it in older files."""

_SEGMENTATION = Code("113076", "DCM", "Segmentation")
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
_PLANNING_TARGET = Code("228793007", "SCT", "Planning target volume")
_CLINICAL_TARGET = Code("228792002", "SCT", "Clinical target volume")
_SPATIAL_CONCEPT = Code("309825002", "SCT", "Spatial and Relational Concept")
_ORGAN = Code("113343008", "SCT", "Organ")


def instance_uid(
    structures: StructureSet,
    image: Image,
    patient: Patient,
    *,
    now: datetime,
    tracking: Mapping[str, str] | None = None,
) -> str:
    """Return the SOP Instance UID of the segmentation that :func:`write` writes."""
    return attributes.object_uid(
        "SEG",
        image.series,
        patient,
        now,
        attributes.grid_content(image.volume.grid),
        str(sorted((tracking or {}).items())),
        *attributes.structure_content(structures),
    )


def write(
    structures: StructureSet,
    image: Image,
    patient: Patient,
    path: Path,
    *,
    now: datetime,
    tracking: Mapping[str, str] | None = None,
) -> Path:
    """Write structures as a binary DICOM Segmentation.

    Args:
        structures: On the grid of the image, not all empty; they may overlap. Segments are
            numbered from 1 in this order.
        image: The image on which they were delineated.
        patient: Who was examined.
        path: The file to write.
        now: Time of creation.
        tracking: Tracking UID of each structure that is followed over time, by its name.

    Raises:
        GeometryError: A structure lies on another grid than the image.
        InputError: There is nothing inside any structure.
    """
    attributes.require_same_grid(structures, image)
    attributes.require_content(structures)
    identity = attributes.derived_identity(
        SegmentationStorage,
        instance_uid(structures, image, patient, now=now, tracking=tracking),
        modality="SEG",
        series_number=901,
        description="Segmentation",
    )
    dataset = attributes.begin(identity, image.series, patient, now=now)
    frames = list(_frames(structures))
    fill(dataset, _image_attributes(image, now, len(frames)))
    dataset.SegmentSequence = Sequence(
        _segment(number, structure, tracking or {})
        for number, structure in enumerate(structures, start=1)
    )
    _add_functional_groups(dataset, image, frames, identity.uid)
    packed = _packed(structures, image.volume.grid.shape[1:])
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    return attributes.save(dataset, path)


def read(content: bytes | Path, image: Image) -> StructureSet:
    """Return the segments of a DICOM Segmentation on the grid of an image.

    Args:
        content: The bytes of a binary, fractional or label map segmentation, or its path.
        image: The image it was made on, whole or in part.

    Returns:
        One structure per segment that has a voxel inside.

    Raises:
        FileError: It is not a readable segmentation.
        GeometryError: It lies in another frame of reference, or not on the image's voxels.
    """
    dataset = attributes.load(content, "The segmentation")
    if dataset.get("SOPClassUID") not in (SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE):
        raise FileError(
            content if isinstance(content, Path) else "The segmentation",
            "is not a DICOM Segmentation.",
            "Give an object of modality SEG.",
        )
    frame = str(dataset.get("FrameOfReferenceUID", ""))
    require_same_frame(frame, image.series, "The segmentation")
    grid = image.volume.grid
    found = dict(described_segments(dataset))
    return StructureSet(
        tuple(
            Structure.of(found[number].name, mask, grid, type=found[number].type, origin="SEG")
            for number, mask in masks(dataset, placements(dataset, grid), grid)
        )
    )


@dataclass(frozen=True)
class DescribedSegment:
    """A segment of a file, without its voxels."""

    name: str
    """Unique in the file."""
    type: StructureType


def described_segments(segmentation: Dataset) -> Iterator[tuple[int, DescribedSegment]]:
    """Give number and description of each segment of a file."""
    every = segmentation.get("SegmentSequence") or ()
    segments = [s for s in every if int(s.SegmentNumber) != BACKGROUND]
    labels = [str(s.get("SegmentLabel") or f"Segment {s.SegmentNumber}") for s in segments]
    for segment, name in zip(segments, attributes.distinct(labels), strict=True):
        yield int(segment.SegmentNumber), DescribedSegment(name, _type_of(segment, name))


def _type_of(segment: Dataset, name: str) -> StructureType:
    description = str(segment.get("SegmentDescription") or "")
    if description.startswith(TYPE_PREFIX):
        value = description.removeprefix(TYPE_PREFIX)
        return next((t for t in StructureType if t.value == value), structure_type(name))
    categories = segment.get("SegmentedPropertyCategoryCodeSequence") or ()
    if any(c.get("CodeValue") in _ABNORMAL_VALUES for c in categories):
        return StructureType.LESION
    return structure_type(name)


def _frames(structures: StructureSet) -> Iterator[tuple[int, int]]:
    """Give segment number and slice of each frame, in the order of the frames."""
    for number, structure in enumerate(structures, start=1):
        for offset in np.flatnonzero(structure.box.any(axis=(1, 2))):
            yield number, structure.start[0] + int(offset)


def _packed(structures: StructureSet, shape: tuple[int, ...]) -> bytes:
    """Return all frames as single bits, the first pixel in the lowest bit, without gaps."""
    packed: list[bytes] = []
    rest = np.zeros(0, dtype=np.bool_)
    for structure in structures:
        _, rows, columns = structure.window
        sections = structure.box[structure.box.any(axis=(1, 2))]
        whole = np.zeros((len(sections), *shape), dtype=np.bool_)
        whole[:, rows, columns] = sections
        bits = np.concatenate([rest, whole.ravel()])
        # A frame whose size is no multiple of 8 ends within a byte; the next one goes on there.
        end = bits.size // 8 * 8
        packed.append(np.packbits(bits[:end], bitorder="little").tobytes())
        rest = bits[end:]
    packed.append(np.packbits(rest, bitorder="little").tobytes())
    return b"".join(packed)


def _image_attributes(image: Image, now: datetime, frame_count: int) -> dict[str, object]:
    series, (_, rows, columns) = image.series, image.volume.grid.shape
    sources = [instance(series.sop_class_uid, uid) for uid in series.sop_instance_uids]
    return {
        "ImageType": ["DERIVED", "PRIMARY"],
        "ContentDate": attributes.day(now),
        "ContentTime": attributes.clock(now),
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "Structures delineated on an image",
        "ContentCreatorName": "",
        "FrameOfReferenceUID": series.frame_of_reference_uid,
        "PositionReferenceIndicator": "",
        "SegmentationType": "BINARY",
        "SegmentsOverlap": "UNDEFINED",
        "LossyImageCompression": "00",
        "NumberOfFrames": frame_count,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelRepresentation": 0,
        "ReferencedSeriesSequence": Sequence(
            [
                item(
                    SeriesInstanceUID=series.series_uid,
                    ReferencedInstanceSequence=Sequence(sources),
                )
            ]
        ),
    }


def _segment(number: int, structure: Structure, tracking: Mapping[str, str]) -> Dataset:
    category, kind = _property(structure)
    segment = item(
        SegmentNumber=number,
        SegmentLabel=attributes.printable(structure.name) or f"Segment {number}",
        SegmentDescription=TYPE_PREFIX + structure.type.value,
        SegmentedPropertyCategoryCodeSequence=attributes.coded(category),
        SegmentedPropertyTypeCodeSequence=attributes.coded(kind),
    )
    if structure.origin == "automatic":
        fill(
            segment,
            {
                "SegmentAlgorithmType": "AUTOMATIC",
                "SegmentAlgorithmName": f"{attributes.MANUFACTURER} {__version__}",
            },
        )
    else:
        # Who drew it, and how, was not said: neither a person nor Aegle may be named.
        fill(
            segment,
            {
                "SegmentAlgorithmType": "SEMIAUTOMATIC",
                "SegmentAlgorithmName": attributes.printable(f"as given ({structure.origin})"),
            },
        )
    if structure.name in tracking:
        segment.TrackingID = attributes.printable(structure.name)
        segment.TrackingUID = tracking[structure.name]
    return segment


def _property(structure: Structure) -> tuple[Code, Code]:
    """Return category and type of what a structure shows (DICOM PS3.16 CID 7150, 7151)."""
    if structure.type is StructureType.LESION:
        return codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE, _lesion(structure.name)
    if structure.type is StructureType.TARGET:
        is_clinical = structure.name.lower().startswith("ctv")
        return _SPATIAL_CONCEPT, _CLINICAL_TARGET if is_clinical else _PLANNING_TARGET
    if structure.name in codes.BODY_PARTS:
        return codes.ANATOMICAL_STRUCTURE, codes.BODY_PARTS[structure.name]
    if structure.type is StructureType.EXTERNAL:
        return codes.ANATOMICAL_STRUCTURE, codes.BODY_PARTS["body"]
    return codes.ANATOMICAL_STRUCTURE, _ORGAN


def _lesion(name: str) -> Code:
    words = {"nod": codes.NODULE, "mass": codes.MASS, "gtv": codes.NEOPLASM, "tumo": codes.NEOPLASM}
    return next((code for word, code in words.items() if word in name.lower()), codes.LESION)


def _add_functional_groups(
    dataset: Dataset, image: Image, frames: list[tuple[int, int]], uid: str
) -> None:
    grid = image.volume.grid
    organisation = derive_uid(uid, "dimension organisation")
    indices = {at: n for n, at in enumerate(sorted({at for _, at in frames}), start=1)}
    dataset.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=organisation)])
    dataset.DimensionIndexSequence = Sequence(
        item(
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
            DimensionOrganizationUID=organisation,
            DimensionDescriptionLabel=label,
        )
        for pointer, group, label in (
            (_SEGMENT_NUMBER, _SEGMENT_IDENTIFICATION, "Segment Number"),
            (_IMAGE_POSITION, _PLANE_POSITION, "Image Position"),
        )
    )
    measures = item(
        PixelSpacing=attributes.decimals(grid.spacing_mm[1:]),
        SliceThickness=attributes.decimal(image.series.slice_thickness_mm or grid.spacing_mm[0]),
        SpacingBetweenSlices=attributes.decimal(grid.spacing_mm[0]),
    )
    shared = item(
        PixelMeasuresSequence=Sequence([measures]),
        PlaneOrientationSequence=Sequence(
            [item(ImageOrientationPatient=attributes.orientation(grid))]
        ),
    )
    if attributes.slice_instance(image.series, grid, 0) is None:
        # Resampled slices are not those of the source, which is then referred to as a whole.
        sources = [instance(image.series.sop_class_uid, u) for u in image.series.sop_instance_uids]
        shared.DerivationImageSequence = _derived_from(sources, is_same_place=False)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        _frame_groups(image, number, at, indices[at]) for number, at in frames
    )


def _frame_groups(image: Image, number: int, at: int, index: int) -> Dataset:
    groups = item(
        FrameContentSequence=Sequence([item(DimensionIndexValues=[number, index])]),
        PlanePositionSequence=Sequence(
            [item(ImagePositionPatient=attributes.position(image.volume.grid, at))]
        ),
        SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]),
    )
    source = attributes.slice_instance(image.series, image.volume.grid, at)
    if source is not None:
        groups.DerivationImageSequence = _derived_from([source], is_same_place=True)
    return groups


def _derived_from(sources: list[Dataset], *, is_same_place: bool) -> Sequence:
    for source in sources:
        source.PurposeOfReferenceCodeSequence = attributes.coded(_SOURCE_IMAGE)
        source.SpatialLocationsPreserved = "YES" if is_same_place else "NO"
    return Sequence(
        [
            item(
                SourceImageSequence=Sequence(sources),
                DerivationCodeSequence=attributes.coded(_SEGMENTATION),
            )
        ]
    )
