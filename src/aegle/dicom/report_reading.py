"""The measurements of a structured report, read back.

Source: DICOM PS3.16 TID 1500 and its measurement groups; PS3.3 C.17.3 (content tree).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from aegle.dicom import attributes
from aegle.domain.errors import FileError

_MEASUREMENT_GROUP = "125007"
_TRACKING_IDENTIFIER = "112039"
_TRACKING_UID = "112040"
_FINDING = "121071"
_FINDING_SITE = "363698007"
_TIME_POINT = "C2348792"
_TIME_POINT_ORDER = "126073"
_OFFSET = "128740"
_REFERENCED_SEGMENT = "121191"
_DERIVATION = "121401"


@dataclass(frozen=True, kw_only=True)
class ReportedMeasurement:
    """One number of a report."""

    name: str
    """Code value, e.g. ``103339001`` (long axis)."""
    value: float
    unit: str
    """UCUM."""
    derivation: str = ""
    """Code value, e.g. ``373098007`` (mean); empty if it was measured directly."""
    points_mm: tuple[float, ...] = ()
    """LPS coordinates of what was measured, x y z in turn."""


@dataclass(frozen=True, kw_only=True)
class ReportedGroup:
    """What a report says about one lesion or organ."""

    tracking_id: str
    tracking_uid: str
    finding: str
    """Code value."""
    site: str
    """Code value; empty if not said."""
    time_point: str
    segment: tuple[str, int] | None
    """SOP Instance UID of a segmentation, and segment number."""
    measurements: tuple[ReportedMeasurement, ...]
    evaluations: tuple[tuple[str, str], ...]
    """Name and value of each qualitative evaluation, as shown."""
    order: int = 0
    """Place of the visit in the course, 1 at baseline; 0 if not said."""
    days: float = 0.0
    """Time since baseline [d]; 0 if not said."""

    def value(self, name: str, derivation: str = "") -> float:
        """Return the number of a measurement by its code values.

        Raises:
            KeyError: The group does not hold it.
        """
        for found in self.measurements:
            if (found.name, found.derivation) == (name, derivation):
                return found.value
        raise KeyError(f"{name} {derivation}".strip())


def read(content: bytes | Path) -> tuple[ReportedGroup, ...]:
    """Return the measurement groups of a structured report.

    Args:
        content: The bytes of the file, or its path.

    Raises:
        FileError: It is not a structured report.
    """
    dataset = attributes.load(content, "The report")
    if "ContentSequence" not in dataset:
        raise FileError(
            content if isinstance(content, Path) else "The report",
            "is not a structured report.",
            "Give an object of modality SR.",
        )
    return tuple(map(_group, _find(dataset, _MEASUREMENT_GROUP)))


def _group(container: Dataset) -> ReportedGroup:
    items = list(container.get("ContentSequence") or ())
    named = {_name(i): i for i in reversed(items)}
    # Order and offset of the time point are numbers too, but nothing that was measured.
    own = [i for i in items if i.RelationshipType != "HAS OBS CONTEXT"]
    segment = None
    if _REFERENCED_SEGMENT in named:
        reference = named[_REFERENCED_SEGMENT].ReferencedSOPSequence[0]
        numbers = reference.get("ReferencedSegmentNumber")
        segment = (str(reference.ReferencedSOPInstanceUID), int(numbers))
    known = (_FINDING, _FINDING_SITE)
    return ReportedGroup(
        tracking_id=_text(named, _TRACKING_IDENTIFIER),
        tracking_uid=_text(named, _TRACKING_UID),
        finding=_code(named, _FINDING),
        site=_code(named, _FINDING_SITE),
        time_point=_text(named, _TIME_POINT),
        segment=segment,
        order=int(_number(named, _TIME_POINT_ORDER)),
        days=_number(named, _OFFSET),
        measurements=tuple(_measurement(i) for i in own if i.ValueType == "NUM"),
        evaluations=tuple(
            (str(i.ConceptNameCodeSequence[0].CodeMeaning), _meaning(i))
            for i in own
            if i.ValueType == "CODE" and _name(i) not in known
        ),
    )


def _measurement(number: Dataset) -> ReportedMeasurement:
    measured = number.MeasuredValueSequence[0]
    named = {_name(i): i for i in number.get("ContentSequence") or ()}
    points = [i for i in named.values() if i.ValueType == "SCOORD3D"]
    value = measured.get("FloatingPointValue", measured.NumericValue)
    return ReportedMeasurement(
        name=_name(number),
        value=float(value),
        unit=str(measured.MeasurementUnitsCodeSequence[0].CodeValue),
        derivation=_code(named, _DERIVATION),
        points_mm=tuple(float(p) for p in points[0].GraphicData) if points else (),
    )


def _find(container: Dataset, name: str) -> Iterator[Dataset]:
    for child in container.get("ContentSequence") or ():
        if _name(child) == name:
            yield child
        else:
            yield from _find(child, name)


def _name(content_item: Dataset) -> str:
    names = content_item.get("ConceptNameCodeSequence") or ()
    return str(names[0].CodeValue) if names else ""


def _text(named: dict[str, Dataset], name: str) -> str:
    found = named.get(name, Dataset())
    return str(found.get("TextValue") or found.get("UID") or "")


def _number(named: dict[str, Dataset], name: str) -> float:
    values = named.get(name, Dataset()).get("MeasuredValueSequence") or ()
    return float(values[0].NumericValue) if values else 0.0


def _code(named: dict[str, Dataset], name: str) -> str:
    concepts = named.get(name, Dataset()).get("ConceptCodeSequence") or ()
    return str(concepts[0].CodeValue) if concepts else ""


def _meaning(content_item: Dataset) -> str:
    return str(content_item.ConceptCodeSequence[0].CodeMeaning)
