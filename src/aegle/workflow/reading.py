"""From files to examinations: what belongs together, and what came with each image.

A series or object that cannot be used does not stop the others; why it was left out stands in
the visit's notices. If nothing at all can be used, the first reason is raised.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from aegle.dicom import images, segmentation, structure_set
from aegle.dicom.attachment import refers_to
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions, SetAside
from aegle.dicom.scan import Scan, ScannedInstance, ScannedSeries, ScannedStudy, scan
from aegle.dicom.sop_classes import object_name
from aegle.domain.case import Examinations
from aegle.domain.codes import StructureType, body_part
from aegle.domain.errors import FileError, IdentityError, InputError
from aegle.domain.structure import StructureSet
from aegle.domain.study import Examination, Image, Patient, Projection
from aegle.domain.text import Text
from aegle.record.identity import digest
from aegle.workflow.given_visits import VisitsInOrder
from aegle.workflow.image_files import FileOptions, Labels, visits_of_files, with_labels
from aegle.workflow.stage import Progress

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

LARGEST_VOXEL_MM = 20.0
"""A side of a voxel above this is taken for an error in the header."""
LARGEST_CT_PIXEL_MM = 10.0
MOST_NAMED = 3
"""More files than this that are left out for the same kind of reason are counted, not named."""

FILE_NOT_USED = "{file} is not used: {reason}"
FILES_NOT_USED = "{count} files are not used, for example {file}: {reason}"
NO_PIXEL_DATA = "It has no pixel data."
VOXELS_IMPLAUSIBLE = (
    "The voxels of {image} are implausibly large, {z:.4g} × {y:.4g} × {x:.4g} mm; check the file's "
    "header."
)


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
    given: VisitsInOrder | None = None
    """The visits as the user told them apart; None: as the files do."""

    @property
    def digest(self) -> str:
        """SHA-256 over all contents; names do not count, the order of visits given does."""
        order = [] if self.given is None else [v.content for v in self.given.visits]
        return digest(*sorted(content for _, content in self.contents), *order)


def gather_visits(given: VisitsInOrder, *, options: ScanOptions, progress: Progress) -> Inputs:
    """Find the files of visits that the user told apart and identify them by content.

    Raises:
        As :func:`gather`.
    """
    paths = tuple(path for v in given.visits for path in (v.path, *v.structures))
    return replace(gather(paths, options=options, progress=progress), given=given)


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
    _require_one_person(found)
    if not patients and not found.image_files:
        raise FileError(
            ", ".join(map(str, paths)), _nothing(found), "Give DICOM, NIfTI or other image files."
        )
    if not patients:
        patients = [Patient(id=found.image_files[0].resolve().parent.name)]
    return Inputs(patient=patients[0], found=found, contents=_contents(found))


def _require_one_person(found: Scan) -> None:
    """Refuse several studies that name no patient: they may show different people."""
    for one in found.patients:
        if len(one.studies) > 1 and not (one.patient.id or one.patient.name):
            uids = ", ".join(study.uid for study in one.studies[:3])
            raise IdentityError(
                f"The files name no patient and belong to {len(one.studies)} studies, which may "
                f"show different people (among them {uids}); give the files of one study at a "
                "time."
            )


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
    if inputs.given is None:
        files = inputs.found.image_files
        labels, more = visits_of_files(files, inputs.patient, options=options.files)
        visits = with_labels([*visits, *more], labels)
    else:
        visits = _visits_as_given(visits, inputs.given, inputs.patient, options)
    visits = [visit for visit in visits if visit.images or visit.projections]
    if not visits:
        raise problems[0] if problems else _no_images(studies)
    visits = [replace(v, notices=(*v.notices, *map(_huge, _implausible(v)))) for v in visits]
    told = inputs.given.notices if inputs.given is not None else ()
    visits[0] = replace(visits[0], notices=(*told, *visits[0].notices, *_left_out(inputs.found)))
    return Examinations(inputs.patient, tuple(visits))


def _visits_as_given(
    read: list[Examination], given: VisitsInOrder, patient: Patient, options: ReadingOptions
) -> list[Examination]:
    """Return the visits in the order given, each with its own files and label maps alone."""
    visits: list[Examination] = []
    folders = Counter(p.resolve().parent for v in given.visits for p in v.found.image_files[:1])
    for place, visit in enumerate(given.visits):
        own = [one for one in read if given.place_of_study(one.study_uid) == place]
        files = tuple(dict.fromkeys((*visit.found.image_files, *visit.structures)))
        first = next(iter(visit.found.image_files), None)
        study = ""
        if first is not None and folders[first.resolve().parent] > 1:
            study = f"{first.resolve().parent.name}/{first.name}"
        labels, more = visits_of_files(
            files,
            patient,
            options=options.files,
            is_known_labels=visit.structures,
            study=study,
        )
        told = [_as_lesions(one) if one.path in visit.structures else one for one in labels]
        visits += with_labels([*own, *more], told)
    return visits


def _as_lesions(labels: Labels) -> Labels:
    """Take what was given for follow-up and has no name of an organ for a lesion."""
    meant = (
        replace(s, type=StructureType.LESION)
        if s.type is StructureType.ORGAN and body_part(s.name) is None
        else s
        for s in labels.structures
    )
    return replace(labels, structures=StructureSet(tuple(meant)))


def _no_images(studies: list[ScannedStudy]) -> InputError:
    """Return why there is no image, by the first object that is there instead."""
    objects = [(series, one) for s in studies for series in s.objects for one in series.instances]
    if not objects:
        return InputError("There are label maps but no images; add the images they belong to.")
    series, first = objects[0]
    if object_name(first.sop_class_uid) is None:
        return FileError(first.source.name, "it has no pixel data.", "Ask for the file again.")
    said = f"{first.source.name} is an object of kind {series.object_name}, and there are no images"
    uids = _series_referred_to(first)
    return InputError(
        f"{said}. Add the image series it refers to ({', '.join(uids)})."
        if uids
        else f"{said}. Add the images it belongs to."
    )


def _series_referred_to(instance: ScannedInstance) -> tuple[str, ...]:
    if instance.sop_class_uid not in (RTSTRUCT, *SEGMENTATIONS):
        return ()
    try:
        return refers_to(instance.source.read())[1]
    except InputError:
        return ()


def _left_out(found: Scan) -> list[Text]:
    """Say which files are not used; once for each kind of reason if they are many."""
    kinds: dict[str, list[SetAside]] = defaultdict(list)
    for aside in found.set_aside:
        kinds[aside.reason.template].append(aside)
    notices = []
    for alike in kinds.values():
        many = len(alike) > MOST_NAMED
        template = FILES_NOT_USED if many else FILE_NOT_USED
        notices += [
            Text(template, _facts(aside, {"count": len(alike)} if many else {}))
            for aside in (alike[:1] if many else alike)
        ]
    return notices


def _facts(aside: SetAside, counted: dict[str, int]) -> dict[str, str | int | float | Text]:
    return {"file": Path(aside.source_name).name, "reason": aside.reason, **counted}


def _implausible(visit: Examination) -> list[Image]:
    """Return the images whose voxels are larger than any scanner makes them."""
    found = []
    for image in visit.images:
        spacing_mm = image.volume.grid.spacing_mm
        is_wide = image.series.modality == "CT" and max(spacing_mm[1:]) > LARGEST_CT_PIXEL_MM
        if is_wide or max(spacing_mm) > LARGEST_VOXEL_MM:
            found.append(image)
    return found


def _huge(image: Image) -> Text:
    slice_mm, row_mm, column_mm = image.volume.grid.spacing_mm
    return Text(
        VOXELS_IMPLAUSIBLE, {"image": image.name, "z": slice_mm, "y": row_mm, "x": column_mm}
    )


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
    kind = scanned.instances[0].sop_class_uid
    if object_name(kind) is None:
        notices += [
            Text(FILE_NOT_USED, {"file": Path(one.source.name).name, "reason": Text(NO_PIXEL_DATA)})
            for one in scanned.instances
        ]
        return volumes
    if kind not in (RTSTRUCT, *SEGMENTATIONS):
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
