"""From files to examinations: what belongs together, and what came with each image.

A series or object that cannot be used does not stop the others; why it was left out stands in
the visit's notices. If nothing at all can be used, the first reason is raised.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from aegle.dicom import images, segmentation, structure_set
from aegle.dicom.attachment import refers_to
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.dicom.scan import Scan, ScannedInstance, ScannedSeries, ScannedStudy, scan
from aegle.domain.case import Examinations
from aegle.domain.errors import FileError, IdentityError, InputError
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image, Patient, Projection
from aegle.domain.text import Text
from aegle.record.identity import digest
from aegle.workflow.image_files import FileOptions, visits_of_files, with_labels
from aegle.workflow.stage import Progress

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How images are read."""

    images: ImageOptions
    files: FileOptions


@dataclass(frozen=True, eq=False, kw_only=True)
class Inputs:
    """One patient's files, found and identified, not yet read."""

    patient: Patient
    found: Scan
    contents: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each file that is used."""

    @property
    def digest(self) -> str:
        """SHA-256 over all contents; names do not count."""
        return digest(*sorted(content for _, content in self.contents))


def gather(paths: tuple[Path, ...], *, options: ScanOptions, progress: Progress) -> Inputs:
    """Find one patient's files and identify them by content.

    Raises:
        FileError: There is no such path, or nothing in it can be used.
        IdentityError: The files belong to several patients.
    """
    found = scan(paths, options=options, progress=progress)
    patients = [one.patient for one in found.patients]
    if len(patients) > 1:
        raise IdentityError(
            f"The files belong to {len(patients)} patients "
            f"({', '.join(p.id or 'without id' for p in patients[:5])}); "
            "give the files of one patient."
        )
    if not patients and not found.image_files:
        raise FileError(
            ", ".join(map(str, paths)), _nothing(found), "Give DICOM, NIfTI or other image files."
        )
    if not patients:
        patients = [Patient(id=found.image_files[0].resolve().parent.name)]
    return Inputs(patient=patients[0], found=found, contents=_contents(found))


def _nothing(found: Scan) -> str:
    if not found.set_aside:
        return "there are no files."
    first = found.set_aside[0]
    return f"nothing can be used; for example {first.source_name}: {first.reason}"


def _contents(found: Scan) -> tuple[tuple[str, str], ...]:
    sources = [
        instance.source
        for series in (*found.series, *found.objects)
        for instance in series.instances
    ]
    names = [(s.name, s.digest()) for s in sources]
    names += [(str(path), digest(path.read_bytes())) for path in found.image_files]
    return tuple(sorted((Path(name).name, content) for name, content in names))


def read_images(inputs: Inputs, *, options: ReadingOptions, progress: Progress) -> Examinations:
    """Read every image, and attach the structures that came with it.

    Raises:
        InputError: No image at all could be read.
    """
    studies = [study for patient in inputs.found.patients for study in patient.studies]
    problems: list[InputError] = []
    total = sum(len(study.series) for study in studies) + len(inputs.found.image_files)
    visits = []
    for study in studies:
        visits.append(_visit(study, inputs.patient, options.images, problems))
        progress(sum(len(s.series) for s in studies[: len(visits)]), total)
    labels, more = visits_of_files(inputs.found.image_files, inputs.patient, options=options.files)
    visits = with_labels([*visits, *more], labels)
    visits = [visit for visit in visits if visit.images or visit.projections]
    if not visits:
        raise (
            problems[0]
            if problems
            else InputError(
                "There are objects but no images among the files; add the images they refer to."
            )
        )
    left_out = tuple(
        Text(
            "{file} is not used: {reason}",
            {"file": Path(a.source_name).name, "reason": a.reason},
        )
        for a in inputs.found.set_aside
    )
    visits[0] = replace(visits[0], notices=(*visits[0].notices, *left_out))
    return Examinations(inputs.patient, tuple(visits))


def _visit(
    study: ScannedStudy, patient: Patient, options: ImageOptions, problems: list[InputError]
) -> Examination:
    notices: list[Text] = []
    read: list[Image | Projection] = []
    names: Counter[str] = Counter()
    for series in study.series:
        try:
            readings = images.read_all(series, options=options, name=_name(series, names))
        except InputError as error:
            problems.append(error)
            notices.append(Text("A series is not used: {reason}", {"reason": str(error)}))
            continue
        for reading in readings:
            read.append(reading.image)
            notices += reading.notices
    volumes = [one for one in read if isinstance(one, Image)]
    # Dose and most measurements need the CT: it is shown first.
    volumes.sort(key=lambda image: image.series.modality != "CT")
    for scanned in study.objects:
        volumes = _with_object(volumes, scanned, notices)
    return Examination(
        patient=patient,
        study_uid=study.uid,
        time=study.time,
        description=study.description,
        images=tuple(volumes),
        projections=tuple(one for one in read if isinstance(one, Projection)),
        notices=tuple(notices),
    )


def _name(series: ScannedSeries, names: Counter[str]) -> str:
    """Return ``CT``, ``CT 2``, ...: short and unique in the visit."""
    modality = series.modality or "image"
    names[modality] += 1
    return modality if names[modality] == 1 else f"{modality} {names[modality]}"


def _with_object(volumes: list[Image], scanned: ScannedSeries, notices: list[Text]) -> list[Image]:
    """Attach the structures of an object to the image that it was drawn on."""
    if scanned.instances[0].sop_class_uid not in (RTSTRUCT, *SEGMENTATIONS):
        notices.append(
            Text(
                "{count} objects of kind {kind} are not used.",
                {"count": len(scanned.instances), "kind": str(scanned.object_name)},
            )
        )
        return volumes
    for instance in scanned.instances:
        volumes = _with_structures(volumes, instance, notices)
    return volumes


def _with_structures(
    volumes: list[Image], instance: ScannedInstance, notices: list[Text]
) -> list[Image]:
    try:
        content = instance.source.read()
        image = _drawn_on(volumes, *refers_to(content))
        if image is None:
            raise InputError(
                f"{instance.source.name} was drawn on an image that is not among the files; add it."
            )
        structures = _structures(instance, content, image, notices)
    except InputError as error:
        notices.append(Text("Structures are not used: {reason}", {"reason": str(error)}))
        return volumes
    both = replace(image, structures=StructureSet((*image.structures, *structures)))
    return [both if one is image else one for one in volumes]


def _structures(
    instance: ScannedInstance, content: bytes, image: Image, notices: list[Text]
) -> StructureSet:
    if instance.sop_class_uid != RTSTRUCT:
        return segmentation.read(content, image)
    reading = structure_set.interpret(content, image)
    notices += reading.notices
    return reading.structures


def _drawn_on(
    volumes: list[Image], frame_of_reference_uid: str, series_uids: tuple[str, ...]
) -> Image | None:
    """Return the image of the series referred to, else the largest in its frame of reference."""
    for image in volumes:
        if image.series.series_uid in series_uids:
            return image
    if series_uids:
        return None
    near = [i for i in volumes if i.series.frame_of_reference_uid == frame_of_reference_uid]
    return max(near, key=lambda i: i.volume.values.size, default=None)
