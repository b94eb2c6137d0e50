"""Which image a structure set, segmentation or dose belongs to."""

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RTDoseStorage, RTStructureSetStorage, SegmentationStorage

from aegle.dicom import attributes
from aegle.domain.errors import FileError, GeometryError
from aegle.domain.study import SeriesReference

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

STRUCTURE_CLASSES = (RTStructureSetStorage, SegmentationStorage, LABEL_MAP_SEGMENTATION_STORAGE)
"""SOP classes of objects that hold structures."""


def refers_to(content: bytes | Path) -> tuple[str, tuple[str, ...]]:
    """Return the frame of reference and the image series that an object was made on.

    Args:
        content: An RTSTRUCT, SEG or RTDOSE: the bytes of the file, or its path.

    Returns:
        Frame of reference UID (empty if the object names none or several) and series instance
        UIDs (none if the object names none). Structures belong to an image of the same frame of
        reference; among several of those, to one of the series named.

    Raises:
        FileError: It is not such an object.
    """
    dataset = attributes.load(content, "The object")
    sop_class = dataset.get("SOPClassUID", "")
    if sop_class == RTStructureSetStorage:
        contoured = _contoured(dataset)
        frames = roi_frames(dataset) or {frame for frame, _ in contoured}
        series = dict.fromkeys(uid for _, uids in contoured for uid in uids)
        return (frames.pop() if len(frames) == 1 else ""), tuple(series)
    if sop_class in (*STRUCTURE_CLASSES, RTDoseStorage):
        items = dataset.get("ReferencedSeriesSequence") or ()
        uids = tuple(str(i.SeriesInstanceUID) for i in items if "SeriesInstanceUID" in i)
        return str(dataset.get("FrameOfReferenceUID", "")), uids
    raise FileError(
        content if isinstance(content, Path) else "The object",
        f"is of SOP class {sop_class or 'unknown'}, not a structure set, segmentation or dose.",
        "Give the RTSTRUCT, SEG or RTDOSE.",
    )


def roi_frames(structure_set: Dataset) -> set[str]:
    """Return the frames of reference that the regions of a structure set name."""
    rois = structure_set.get("StructureSetROISequence") or ()
    return {str(roi.get("ReferencedFrameOfReferenceUID") or "") for roi in rois} - {""}


def require_same_frame(found: str, series: SeriesReference, what: str) -> None:
    """Raise GeometryError if an object lies in another frame of reference than the image."""
    if found != series.frame_of_reference_uid:
        raise GeometryError(
            f"{what} lies in frame of reference {found or '(none)'}, the image in "
            f"{series.frame_of_reference_uid}. Choose the image it was made on, or register both."
        )


def _contoured(structure_set: Dataset) -> list[tuple[str, list[str]]]:
    """Return each frame of reference of a structure set with the series that it names."""
    return [
        (
            str(frame.get("FrameOfReferenceUID", "")),
            [
                str(series.SeriesInstanceUID)
                for study in frame.get("RTReferencedStudySequence") or ()
                for series in study.get("RTReferencedSeriesSequence") or ()
                if "SeriesInstanceUID" in series
            ],
        )
        for frame in structure_set.get("ReferencedFrameOfReferenceSequence") or ()
    ]
