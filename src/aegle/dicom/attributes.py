"""What every DICOM object that Aegle writes has in common: patient, study, equipment, file.

Nothing here depends on the clock or on chance. Dates are those of the caller, UIDs are derived
from content, and what a library would add by itself is replaced, so that the same input gives
the same bytes.

Sources: DICOM PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.7.3.1 (series), C.7.5.1 (equipment),
C.12.1 (SOP common); PS3.5 6.2 (value representations); PS3.10 7.1 (file meta information).
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from aegle import __version__
from aegle.domain.codes import Code
from aegle.domain.errors import FileError, GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Image, Patient, SeriesReference
from aegle.record.identity import derive_uid

MANUFACTURER = "Aegle"
IMPLEMENTATION_CLASS_UID = derive_uid("Aegle", "implementation class")
LONG_STRING = 64
SHORT_STRING = 16
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]+")


@dataclass(frozen=True, kw_only=True)
class ObjectIdentity:
    """What names a DICOM object and the series it forms."""

    sop_class_uid: str
    uid: str
    series_uid: str
    modality: str
    series_number: int
    description: str = ""


def derived_identity(
    sop_class_uid: str, uid: str, *, modality: str, series_number: int, description: str
) -> ObjectIdentity:
    """Return the identity of an object that forms a series of its own."""
    return ObjectIdentity(
        sop_class_uid=sop_class_uid,
        uid=uid,
        series_uid=derive_uid(uid, "series"),
        modality=modality,
        series_number=series_number,
        description=description,
    )


def object_uid(
    kind: str, series: SeriesReference, patient: Patient, now: datetime, *content: str | bytes
) -> str:
    """Return the UID of an object made from an image series, by everything that is in it."""
    return derive_uid(kind, __version__, repr(series), repr(patient), now.isoformat(), *content)


def grid_content(grid: Grid) -> str:
    """Return what tells a grid from others, to derive UIDs from."""
    numbers = (grid.shape, grid.spacing_mm, grid.origin_mm, grid.axes)
    return str([np.asarray(part, dtype=np.float64).tolist() for part in numbers])


def structure_content(structures: Iterable[Structure]) -> tuple[str | bytes, ...]:
    """Return what tells structures from others, to derive UIDs from."""
    return tuple(
        part
        for s in structures
        for part in (
            s.name,
            s.type.value,
            s.origin,
            f"{tuple(map(int, s.start))} {s.box.shape}",
            np.packbits(s.box).tobytes(),
        )
    )


def begin(
    identity: ObjectIdentity, series: SeriesReference, patient: Patient, *, now: datetime
) -> Dataset:
    """Return a data set with all that any object must say: who, which study, which series.

    Args:
        identity: The object itself.
        series: The image series whose study the object belongs to.
        patient: Who was examined.
        now: Time of creation.
    """
    dataset = Dataset()
    fill(
        dataset,
        {
            "SOPClassUID": identity.sop_class_uid,
            "SOPInstanceUID": identity.uid,
            "Modality": identity.modality,
            "SeriesInstanceUID": identity.series_uid,
            "SeriesNumber": identity.series_number,
            "SeriesDescription": printable(identity.description),
            "InstanceNumber": 1,
        },
    )
    stamp(dataset, series, patient, now=now)
    return dataset


def stamp(dataset: Dataset, series: SeriesReference, patient: Patient, *, now: datetime) -> None:
    """Set patient, study, equipment and time of creation in place of what is there."""
    study_date = series.study_date
    fill(
        dataset,
        {
            "SpecificCharacterSet": "ISO_IR 192",
            "InstanceCreationDate": day(now),
            "InstanceCreationTime": clock(now),
            "PatientID": _identifier(patient.id),
            "PatientName": _person_name(patient.name),
            "PatientBirthDate": day(patient.birth_date),
            "PatientSex": patient.sex if patient.sex in ("F", "M", "O") else "",
            "StudyInstanceUID": series.study_uid,
            "StudyDate": day(study_date),
            "StudyTime": clock(study_date),
            "StudyID": printable(series.study_id, SHORT_STRING),
            "StudyDescription": printable(series.study_description),
            "AccessionNumber": printable(series.accession_number, SHORT_STRING),
            "ReferringPhysicianName": "",
            "Manufacturer": MANUFACTURER,
            "ManufacturerModelName": MANUFACTURER,
            "DeviceSerialNumber": __version__,
            "SoftwareVersions": __version__,
        },
    )


def fill(dataset: Dataset, values: Mapping[str, Any]) -> Dataset:
    """Set attributes by keyword, in place, and return the data set."""
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def item(**values: Any) -> Dataset:
    """Return a new sequence item with these attributes."""
    return fill(Dataset(), values)


def coded(code: Code) -> Sequence:
    """Return a coded concept as the single item of a code sequence."""
    return Sequence(
        [
            item(
                CodeValue=code.value,
                CodingSchemeDesignator=code.scheme,
                CodeMeaning=printable(code.meaning),
            )
        ]
    )


def instance(sop_class_uid: str, uid: str) -> Dataset:
    """Return a reference to one SOP instance."""
    return item(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=uid)


def slice_instance(series: SeriesReference, grid: Grid, index: int) -> Dataset | None:
    """Return a reference to the instance that holds a slice of the image.

    A multi-frame object is referred to as a whole: which of its frames a slice was is not
    known, and geometry tells it anyway. None if slices and instances do not correspond, as
    after resampling a tilted series.
    """
    uids = series.sop_instance_uids
    if len(uids) == grid.shape[0]:
        return instance(series.sop_class_uid, uids[index])
    if len(uids) == 1:
        return instance(series.sop_class_uid, uids[0])
    return None


def printable(value: str, limit: int = LONG_STRING) -> str:
    """Return text without control characters and backslashes, cut to ``limit`` characters."""
    return _UNPRINTABLE.sub(" ", value).strip()[:limit]


def distinct(names: Iterable[str]) -> list[str]:
    """Return names with a number added to those that repeat: ``GTV``, ``GTV 2``, ..."""
    taken: dict[str, None] = {}
    for name in names:
        count, unique = 1, name
        while unique in taken:
            count += 1
            unique = f"{name} {count}"
        taken[unique] = None
    return list(taken)


def decimal(value: float) -> str:
    """Return a number as a decimal string of at most 16 characters."""
    return format_number_as_ds(float(value))


def decimals(values: Iterable[float]) -> list[str]:
    """Return numbers as decimal strings of at most 16 characters each."""
    return [decimal(value) for value in values]


def day(moment: date | None) -> str:
    """Return a date as DICOM writes it, empty if unknown."""
    return "" if moment is None else f"{moment.year:04d}{moment:%m%d}"


def clock(moment: datetime | None) -> str:
    """Return a time of day as DICOM writes it, empty if unknown."""
    return "" if moment is None else f"{moment:%H%M%S.%f}"


def age(patient: Patient, moment: datetime | None) -> str:
    """Return the age at a time as DICOM writes it (``063Y``), empty if unknown."""
    if patient.birth_date is None or moment is None:
        return ""
    born = patient.birth_date
    years = moment.year - born.year - ((moment.month, moment.day) < (born.month, born.day))
    return f"{years:03d}Y" if 0 <= years < 1000 else ""


def orientation(grid: Grid) -> list[str]:
    """Return Image Orientation (Patient): along a row of the image, then along a column."""
    return decimals([*grid.axes[2], *grid.axes[1]])


def position(grid: Grid, slice_index: int) -> list[str]:
    """Return Image Position (Patient) of a slice [mm]."""
    return decimals(grid.to_patient(np.array([slice_index, 0.0, 0.0])))


def save(dataset: Dataset, path: Path, *, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write a DICOM file under a temporary name beside ``path``, then rename it.

    Args:
        dataset: A complete object.
        path: Where it goes; the folder must exist.
        syntax: Explicit or implicit VR little endian. Objects with decimal strings longer than
            65,534 bytes (contours) need the implicit one.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = f"AEGLE {__version__}"[:SHORT_STRING]
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(buffer.getbuffer())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load(content: bytes | Path, what: str) -> Dataset:
    """Read a whole DICOM object.

    Args:
        content: The bytes of the file, or its path.
        what: What messages call it if it came as bytes.

    Raises:
        FileError: It is not readable as DICOM.
    """
    name = content if isinstance(content, Path) else what
    try:
        return dcmread(BytesIO(content) if isinstance(content, bytes) else content)
    except (InvalidDicomError, OSError, ValueError, EOFError, KeyError, AttributeError) as error:
        raise FileError(
            name, f"cannot be read as DICOM ({error}).", "Ask for the file again."
        ) from error


def require_same_grid(structures: StructureSet, image: Image) -> None:
    """Raise GeometryError if a structure lies on another grid than the image."""
    for structure in structures:
        if structure.grid != image.volume.grid and not structure.grid.is_same_as(image.volume.grid):
            raise GeometryError(
                f"'{structure.name}' lies on another grid than image '{image.name}'; "
                "resample the mask first."
            )


def require_content(structures: StructureSet) -> None:
    """Raise InputError if no structure has a voxel inside."""
    if all(structure.is_empty for structure in structures):
        raise InputError("No structure has a voxel inside; there is nothing to write.")


def _identifier(patient_id: str) -> str:
    """Return the patient ID unchanged, since a cut one could be someone else's."""
    if len(patient_id) > LONG_STRING or _UNPRINTABLE.search(patient_id):
        raise InputError(
            f"Patient ID '{patient_id}' cannot be written to DICOM: at most {LONG_STRING} "
            "characters, no backslash or control character. Give the patient another ID."
        )
    return patient_id


def _person_name(name: str) -> str:
    groups = [group[:LONG_STRING] for group in printable(name, 3 * LONG_STRING).split("=")[:3]]
    return "=".join(groups)
