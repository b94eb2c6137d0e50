"""What lies in files, folders and zip archives: patients, studies, series.

Only the beginning of each file is read. Nothing is guessed: what cannot be used is listed
with the reason. The order of the result depends on the content alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from aegle.dicom import header, tags
from aegle.dicom.elements import Elements
from aegle.dicom.listing import DAMAGED, ScanOptions, SetAside, SetAsides, members_of, sources_in
from aegle.dicom.moments import moment
from aegle.dicom.sop_classes import MEDIA_DIRECTORY, is_image, object_name
from aegle.dicom.sources import Source
from aegle.domain.errors import FileError
from aegle.domain.study import Patient
from aegle.record.identity import derive_uid

IMAGE_FILE_ENDINGS = (
    *(".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff"),
)  # fmt: skip
"""Names of image files that are not DICOM."""
_COMPANIONS = (".raw", ".zraw", ".raw.gz", "labels.json")
_LAST = 1 << 40
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, eq=False)
class ScannedInstance:
    """One DICOM file."""

    source: Source
    header: Elements

    @cached_property
    def sop_instance_uid(self) -> str:
        """Its UID; one derived from the header if the file has none."""
        return self.header.text(tags.SOP_INSTANCE_UID) or _derived(self.header, "instance")

    @property
    def sop_class_uid(self) -> str:
        """What kind of object it is; empty if the file does not say."""
        return self.header.text(tags.SOP_CLASS_UID)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file's bytes; read when first asked for."""
        return self.source.digest()


@dataclass(frozen=True, eq=False, kw_only=True)
class ScannedSeries:
    """Files that belong to one series and are all images or all of one other kind."""

    study_uid: str
    uid: str
    modality: str
    description: str
    number: int | None
    instances: tuple[ScannedInstance, ...]
    """By instance number, then UID."""

    @property
    def name(self) -> str:
        """What messages call it."""
        words = [self.modality or "series", str(self.number or ""), f"'{self.description}'"]
        return " ".join(w for w in words if w not in ("", "''")) + f" ({self.uid})"

    @property
    def object_name(self) -> str | None:
        """What kind of non-image object it holds; None for images."""
        first = self.instances[0]
        if is_image(first.header):
            return None
        return object_name(first.sop_class_uid) or f"Object of class {first.sop_class_uid}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ScannedStudy:
    """One visit."""

    uid: str
    time: datetime | None
    description: str
    accession_number: str
    series: tuple[ScannedSeries, ...]
    """Image series."""
    objects: tuple[ScannedSeries, ...]
    """Series of other objects: structure sets, segmentations, reports, doses, ..."""


@dataclass(frozen=True, eq=False)
class ScannedPatient:
    """A patient and all visits found, oldest first."""

    patient: Patient
    studies: tuple[ScannedStudy, ...]


@dataclass(frozen=True, eq=False)
class Scan:
    """Everything found."""

    patients: tuple[ScannedPatient, ...]
    image_files: tuple[Path, ...] = ()
    """Images that are not DICOM: NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF."""
    set_aside: tuple[SetAside, ...] = ()

    @property
    def series(self) -> tuple[ScannedSeries, ...]:
        """All image series of all patients."""
        return tuple(s for p in self.patients for study in p.studies for s in study.series)

    @property
    def objects(self) -> tuple[ScannedSeries, ...]:
        """All series of other objects of all patients."""
        return tuple(s for p in self.patients for study in p.studies for s in study.objects)


@dataclass
class _Found:
    """What accumulates during a scan."""

    aside: SetAsides
    options: ScanOptions
    instances: list[ScannedInstance] = field(default_factory=list)
    image_files: list[Path] = field(default_factory=list)


def scan(
    paths: Sequence[Path],
    *,
    options: ScanOptions,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Find the DICOM series and other images in files, folders and zip archives.

    Args:
        paths: Files, folders (searched with all below them) and zip archives (read in place).
        options: Limits.
        progress: Called with the number of files read and of all files.

    Returns:
        Patients, studies and series in an order that depends on their content alone.

    Raises:
        FileError: A path given does not exist.
    """
    aside = SetAsides()
    found = _Found(aside, options)
    sources = list(sources_in(paths, aside, options))
    # Archives that are not named so are met on the way, and their members then follow.
    for count, source in enumerate(sources, start=1):
        sources += _look_at(source, found)
        if progress is not None:
            progress(count, len(sources))
    instances = _without_copies(found)
    return Scan(
        patients=_patients(instances),
        image_files=tuple(sorted(set(found.image_files))),
        set_aside=tuple(sorted(aside.files, key=lambda s: s.source_name)),
    )


def _look_at(source: Source, found: _Found) -> Sequence[Source]:
    """Take what a source holds; return what else it leads to."""
    try:
        _take(source, header.read(source), found)
    except header.NotDicom as other:
        if other.start[:4] in _ARCHIVE_STARTS:
            return _inside(source, found)
        _take_other(source, found)
    except FileError as error:
        found.aside.add(source.name, DAMAGED, detail=f"{error.finding} {error.remedy}")
    return ()


def _inside(source: Source, found: _Found) -> Sequence[Source]:
    if source.member is None:
        return list(members_of(source.location, found.aside, found.options))
    found.aside.add(source.name, PACKED_ARCHIVE)
    return ()


def _take(source: Source, elements: Elements, found: _Found) -> None:
    sop_class = elements.text(tags.SOP_CLASS_UID)
    if sop_class == MEDIA_DIRECTORY:
        found.aside.add(source.name, DIRECTORY)
    elif not sop_class and not is_image(elements):
        found.aside.add(source.name, NOTHING_TO_USE)
    else:
        found.instances.append(ScannedInstance(source, elements))


def _take_other(source: Source, found: _Found) -> None:
    name = (source.member.name if source.member else source.location).lower()
    if name.endswith(_COMPANIONS):
        return
    if not name.endswith(IMAGE_FILE_ENDINGS):
        found.aside.add(source.name, NOT_AN_IMAGE)
    elif source.member:
        found.aside.add(source.name, PACKED_IMAGE)
    else:
        found.image_files.append(source.path)


def _without_copies(found: _Found) -> list[ScannedInstance]:
    """Drop files whose bytes were met before; files that only share a UID both stay."""
    kept: dict[str, list[ScannedInstance]] = defaultdict(list)
    for instance in found.instances:
        same = kept[instance.sop_instance_uid]
        twin = next((other for other in same if _is_copy(instance, other)), None)
        if twin is None:
            same.append(instance)
        else:
            found.aside.add(instance.source.name, COPY, other=twin.source.name)
    return [instance for group in kept.values() for instance in group]


def _is_copy(one: ScannedInstance, other: ScannedInstance) -> bool:
    return one.source.size == other.source.size and one.digest == other.digest


class _Place(NamedTuple):
    """Where an instance belongs."""

    patient: str
    study: str
    series: str
    kind: str


def _place(instance: ScannedInstance) -> _Place:
    found = instance.header
    return _Place(
        patient=found.text(tags.PATIENT_ID) or found.text(tags.PATIENT_NAME),
        study=found.text(tags.STUDY_INSTANCE_UID) or _derived(found, "study"),
        series=found.text(tags.SERIES_INSTANCE_UID) or _derived(found, "series"),
        kind="" if is_image(found) else instance.sop_class_uid,
    )


def _derived(found: Elements, what: str) -> str:
    parts = [f"{tag:08X}".encode() + value for tag, value in sorted(found.values.items())]
    return derive_uid(what, *parts)


def _patients(instances: Iterable[ScannedInstance]) -> tuple[ScannedPatient, ...]:
    places: dict[_Place, list[ScannedInstance]] = defaultdict(list)
    for instance in instances:
        places[_place(instance)].append(instance)
    visits: dict[tuple[str, str], list[ScannedSeries]] = defaultdict(list)
    for place in sorted(places):
        visits[place.patient, place.study].append(_series(place, places[place]))
    patients: dict[str, list[ScannedStudy]] = defaultdict(list)
    for (patient, uid), series in visits.items():
        patients[patient].append(_study(uid, series))
    return tuple(_patient(patients[name]) for name in sorted(patients))


def _series(place: _Place, instances: list[ScannedInstance]) -> ScannedSeries:
    ordered = sorted(instances, key=_instance_order)
    first = ordered[0].header
    return ScannedSeries(
        study_uid=place.study,
        uid=place.series,
        modality=first.text(tags.MODALITY),
        description=first.text(tags.SERIES_DESCRIPTION),
        number=first.whole(tags.SERIES_NUMBER),
        instances=tuple(ordered),
    )


def _instance_order(instance: ScannedInstance) -> tuple[int, str, str]:
    number = instance.header.whole(tags.INSTANCE_NUMBER)
    return (_LAST if number is None else number, instance.sop_instance_uid, instance.source.name)


def _study(uid: str, series: list[ScannedSeries]) -> ScannedStudy:
    ordered = sorted(series, key=lambda s: (_LAST if s.number is None else s.number, s.uid))
    first = ordered[0].instances[0].header
    return ScannedStudy(
        uid=uid,
        time=moment(first.text(tags.STUDY_DATE), first.text(tags.STUDY_TIME)),
        description=first.text(tags.STUDY_DESCRIPTION),
        accession_number=first.text(tags.ACCESSION_NUMBER),
        series=tuple(s for s in ordered if s.object_name is None),
        objects=tuple(s for s in ordered if s.object_name is not None),
    )


def _patient(studies: list[ScannedStudy]) -> ScannedPatient:
    ordered = sorted(studies, key=lambda s: (s.time or datetime.max, s.uid))
    first = (ordered[0].series or ordered[0].objects)[0].instances[0].header
    born = moment(first.text(tags.PATIENT_BIRTH_DATE), "")
    patient = Patient(
        id=first.text(tags.PATIENT_ID),
        name=first.text(tags.PATIENT_NAME),
        birth_date=born.date() if born else None,
        sex=first.text(tags.PATIENT_SEX),
    )
    return ScannedPatient(patient, tuple(ordered))


NOT_AN_IMAGE = "It is neither DICOM nor an image file of a known kind."
NOTHING_TO_USE = "It is DICOM, but neither an image nor an object of a stated class."
DIRECTORY = "It is a DICOM directory; the files it lists are found by themselves."
PACKED_IMAGE = "It is an image file inside an archive; unpack it first."
PACKED_ARCHIVE = "It is an archive inside an archive; unpack it first."
COPY = "It is the same file as {other}."
