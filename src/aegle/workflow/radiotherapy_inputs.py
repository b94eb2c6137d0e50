"""What a radiotherapy plan is made on: one CT with its structures, from files or from a case.

The CT may be a DICOM series, a NIfTI, NRRD or MetaImage file, or a planning phantom; the structures
an RTSTRUCT, a SEG, a label map, a folder of masks, or the phantom's own.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_fill_holes

from aegle import image_files
from aegle.dicom import image_series, segmentation, structure_set
from aegle.dicom.attachment import refers_to
from aegle.dicom.scan import Scan, ScannedInstance, scan
from aegle.domain.case import AllFindings, Examinations, Segmentations
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, IdentityError, InputError, OptionError
from aegle.domain.finding import Findings
from aegle.domain.plan import Goal
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient
from aegle.domain.text import Text
from aegle.domain.volume import Quantity
from aegle.planning import phantom_files
from aegle.planning.breathing import BreathingPhase
from aegle.planning.density_table import DensityTable
from aegle.record.identity import digest
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.options import CaseOptions, TargetChoice
from aegle.workflow.reading import RTSTRUCT, SEGMENTATIONS, ReadingOptions, gather, read_images
from aegle.workflow.stage import Progress, silent
from aegle.workflow.stages import planning_visit

STAGES = ("images", "structures", "findings")
"""What a case must have finished before it can be planned."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What is planned on."""

    patient: Patient
    visit: Examination
    """With the planning CT alone."""
    structures: StructureSet
    """On the grid of the CT."""
    findings: Findings
    """Lesions on the CT, if it comes from a case."""
    contents: tuple[tuple[str, str], ...]
    """Name and SHA-256 of what it was read from."""
    densities: DensityTable | None = None
    """The density table that came with it."""
    target: str = ""
    dose_gy: float = 0.0
    """Of a prescription that came with it, as :class:`phantom_files.Phantom`."""
    goals: tuple[Goal, ...] = ()
    notices: tuple[Text, ...] = ()
    phases: tuple[BreathingPhase, ...] = ()
    """Other phases of breathing; the CT is the reference."""

    @property
    def image(self) -> Image:
        """The planning CT."""
        return self.visit.images[0]

    @property
    def digest(self) -> str:
        """SHA-256 over all that it was read from."""
        return digest(*(part for pair in self.contents for part in pair))


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Structures read from files."""

    structures: tuple[Structure, ...]
    contents: tuple[tuple[str, str], ...]
    notices: tuple[Text, ...] = ()


def from_files(
    ct: Path, structures: Path | None, *, options: CaseOptions, progress: Progress = silent
) -> Subject:
    """Read a CT and its structures.

    Args:
        ct: DICOM file, folder or zip; NIfTI, NRRD or MetaImage file; ``.mat`` or ``.npz`` phantom.
        structures: RTSTRUCT or SEG, label map, folder of masks, or phantom; None: those that come
            with the CT.
        options: How files are read.
        progress: Called with steps done and steps in all.

    Raises:
        InputError: Something cannot be used; the message names it, what is wrong and the remedy.
    """
    if phantom_files.is_phantom(ct):
        subject = _phantom(ct)
    else:
        subject = _scanned(ct, structures, options, progress)
    if structures is not None and structures != ct:
        found = _read_structures(structures, subject, options)
        subject = replace(
            subject,
            structures=StructureSet(found.structures),
            contents=tuple(sorted({*subject.contents, *found.contents})),
            notices=(*subject.notices, *found.notices),
        )
    _require_distinct(subject.structures)
    if not len(subject.structures):
        where = structures or ct
        raise InputError(
            f"{where}: there are no structures on the CT; give an RTSTRUCT, SEG, label map or "
            "folder of masks with --structures."
        )
    return subject


def from_case(root: Path, choice: TargetChoice) -> Subject:
    """Take the CT of a case with its structures and lesions.

    Args:
        root: Folder that ``aegle run`` made.
        choice: Which visit is planned.

    Raises:
        OptionError: It is no case, or one that was not finished.
        InputError: The case has no CT.
    """
    folder = CaseFolder(root)
    lacking = [name for name in STAGES if not (folder.stages / name / "key.json").is_file()]
    if lacking:
        raise OptionError(
            f"{root}: no case of Aegle with finished stages {', '.join(lacking)}; give the folder "
            "that `aegle run ... --out CASE` wrote, or files with --ct and --structures."
        )
    examinations = folder.load("images", Examinations)
    segmented = folder.load("structures", Segmentations)
    found = folder.load("findings", AllFindings)
    index = planning_visit(examinations, found, choice)
    if index is None:
        index = next((i for i, v in enumerate(examinations.visits) if v.ct is not None), None)
    if index is None:
        raise InputError(f"{root}: dose is calculated on CT, and the case has none.")
    visit = examinations.visits[index]
    image = visit.ct
    assert image is not None
    lesions = tuple(o for o in found.visits[index].lesions if o.image == image.name)
    return Subject(
        patient=examinations.patient,
        visit=replace(visit, images=(image,), projections=()),
        structures=segmented.visits[index].of(image.name),
        findings=Findings(study_uid=visit.study_uid, lesions=lesions),
        contents=tuple((f"stages/{n}", _kept_digest(folder, n)) for n in STAGES),
    )


def _kept_digest(folder: CaseFolder, stage: str) -> str:
    return digest((folder.stages / stage / "key.json").read_bytes())


def scanned_ct(path: Path, options: CaseOptions) -> Subject:
    """Return the CT of a file, folder or phantom, whether structures came with it or not."""
    if phantom_files.is_phantom(path):
        return _phantom(path)
    return _scanned(path, None, options, silent)


def _phantom(path: Path) -> Subject:
    phantom = phantom_files.read(path)
    patient = Patient(id=path.name.split(".")[0])
    series = image_series.reference(
        phantom.ct, patient.id, modality="CT", study="planning", description=path.name
    )
    image = Image(name="CT", volume=phantom.ct, series=series)
    return Subject(
        patient=patient,
        visit=_visit_of(image, patient, None),
        structures=phantom.structures,
        findings=Findings(study_uid=series.study_uid),
        contents=((path.name, digest(path.read_bytes())),),
        densities=phantom.densities,
        target=phantom.target,
        dose_gy=phantom.dose_gy,
        goals=phantom.goals,
        notices=phantom.notices,
    )


def _scanned(
    path: Path, structures: Path | None, options: CaseOptions, progress: Progress
) -> Subject:
    """Return the CT among some files, with the structures that came with it."""
    inputs = gather((path,), options=options.scan, progress=silent)
    files = options.files
    if files.modality == "by-name":
        # It was given as the CT, whatever its name says.
        files = replace(files, modality="CT")
    reading = ReadingOptions(images=options.images, files=files)
    examinations = read_images(inputs, options=reading, progress=progress)
    cts = [
        (visit, image)
        for visit in examinations.visits
        for image in visit.images
        if image.series.modality == "CT" and image.volume.quantity is Quantity.RADIODENSITY
    ]
    if not cts:
        there = ", ".join(i.name for v in examinations.visits for i in v.images) or "no volume"
        raise InputError(f"{path}: dose is calculated on CT, and there is none; there: {there}.")
    visit, image = _the_ct(path, cts, structures, options)
    return Subject(
        patient=examinations.patient,
        visit=_visit_of(image, examinations.patient, visit.time),
        structures=image.structures,
        findings=Findings(study_uid=visit.study_uid),
        contents=inputs.contents,
        notices=visit.notices,
    )


def _the_ct(
    path: Path,
    cts: list[tuple[Examination, Image]],
    structures: Path | None,
    options: CaseOptions,
) -> tuple[Examination, Image]:
    """Return the only CT, or the one that the structures were drawn on."""
    if len(cts) == 1:
        return cts[0]
    named: set[str] = set()
    if structures is not None and not phantom_files.is_phantom(structures):
        named = {
            uid
            for one in _drawn(scan((structures,), options=options.scan))
            for uid in refers_to(one.source.read())[1]
        }
    meant = [(visit, image) for visit, image in cts if image.series.series_uid in named]
    if len(meant) == 1:
        return meant[0]
    there = "; ".join(f"{i.name} '{i.series.description}' ({i.series.series_uid})" for _, i in cts)
    raise InputError(
        f"{path}: there are {len(cts)} CTs, and it is not said which is planned on: {there}. Give "
        "the files of one."
    )


def _visit_of(image: Image, patient: Patient, time: datetime | None) -> Examination:
    return Examination(
        patient=patient, study_uid=image.series.study_uid, time=time, images=(image,)
    )


def _read_structures(path: Path, subject: Subject, options: CaseOptions) -> _Found:
    if phantom_files.is_phantom(path):
        phantom = phantom_files.read(path)
        structures = tuple(_on_grid(path, s, subject.image) for s in phantom.structures)
        return _Found(structures=structures, contents=((path.name, digest(path.read_bytes())),))
    found = scan((path,), options=options.scan)
    objects = _drawn(found)
    if not objects and not found.image_files:
        raise FileError(
            path,
            "it holds no structures.",
            "Give an RTSTRUCT or SEG, a label map, a folder of masks, or a phantom.",
        )
    if subject.image.series.is_from_dicom:
        _require_same_patient(found, subject.patient)
    parts = [_drawn_on(one, subject.image) for one in objects]
    parts += [_labels(file, subject.image) for file in found.image_files]
    return _Found(
        structures=tuple(s for part in parts for s in part.structures),
        contents=tuple(pair for part in parts for pair in part.contents),
        notices=tuple(text for part in parts for text in part.notices),
    )


def _drawn(found: Scan) -> list[ScannedInstance]:
    kinds = (RTSTRUCT, *SEGMENTATIONS)
    return [i for s in found.objects for i in s.instances if i.sop_class_uid in kinds]


def _require_same_patient(found: Scan, patient: Patient) -> None:
    others = {one.patient.id for one in found.patients} - {patient.id, ""}
    if others and patient.id:
        raise IdentityError(
            f"The CT belongs to patient '{patient.id}', the structures to "
            f"'{', '.join(sorted(others))}'. Give those of one patient."
        )


def _drawn_on(instance: ScannedInstance, image: Image) -> _Found:
    content = instance.source.read()
    contents = ((Path(instance.source.name).name, digest(content)),)
    if instance.sop_class_uid != RTSTRUCT:
        return _Found(structures=tuple(segmentation.read(content, image)), contents=contents)
    reading = structure_set.interpret(content, image)
    return _Found(structures=tuple(reading.structures), contents=contents, notices=reading.notices)


def _labels(path: Path, image: Image) -> _Found:
    read = image_files.read_labels(path)
    notices: tuple[Text, ...] = ()
    if not len(read):
        notices = (Text("{file} holds no voxel of a structure.", {"file": path.name}),)
    return _Found(
        structures=tuple(_on_grid(path, structure, image) for structure in _filled_out(read)),
        contents=((path.name, digest(path.read_bytes())),),
        notices=notices,
    )


def _filled_out(labels: StructureSet) -> StructureSet:
    """Give the outline of the body what lies in it: a voxel of a label map bears one label only."""
    targets = (StructureType.TARGET, StructureType.LESION)

    def filled(structure: Structure) -> Structure:
        if structure.type is not StructureType.EXTERNAL:
            return structure
        mask = np.stack([binary_fill_holes(section) for section in structure.mask])
        for other in labels:
            if other.type in targets:
                mask[other.window] |= other.box
        facts = {"type": structure.type, "origin": structure.origin}
        return Structure.of(structure.name, mask, structure.grid, **facts)

    return StructureSet(tuple(map(filled, labels)))


def _on_grid(path: Path, structure: Structure, image: Image) -> Structure:
    grid = image.volume.grid
    if not structure.grid.is_same_as(grid):
        raise GeometryError(
            f"{path}: '{structure.name}' has {_said(structure)}, the CT {grid.shape} voxels of "
            f"{grid.spacing_mm} mm from {grid.origin_mm} on; resample it to the CT."
        )
    return replace(structure, grid=grid)


def _said(structure: Structure) -> str:
    grid = structure.grid
    return f"{grid.shape} voxels of {grid.spacing_mm} mm from {grid.origin_mm} on"


def _require_distinct(structures: Iterable[Structure]) -> None:
    twice = [name for name, n in Counter(s.name for s in structures).items() if n > 1]
    if twice:
        raise InputError(
            f"Several structures are called {', '.join(sorted(twice))}; give each its own name, or "
            "fewer files."
        )
