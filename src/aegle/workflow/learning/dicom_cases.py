"""DICOM images with what a segmentation or structure set draws on them, to learn from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aegle.dicom import attributes, images, segmentation, structure_set
from aegle.dicom.attachment import STRUCTURE_CLASSES, refers_to
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.dicom.scan import Scan, ScannedInstance, ScannedSeries, scan
from aegle.domain.errors import InputError
from aegle.domain.structure import StructureSet
from aegle.domain.study import Image
from aegle.learning.annotation_labels import BACKGROUND, MOST_CLASSES
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.image_sources import Decoders
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.sample_rows import Row, chosen_rows, first_five
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.learning.unlabelled import holds_pictures
from aegle.workflow.stage import Progress

_RTSTRUCT = STRUCTURE_CLASSES[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """An image series with the objects that were drawn on it."""

    series: ScannedSeries
    objects: tuple[ScannedInstance, ...]
    patient: str


@dataclass(frozen=True, eq=False, kw_only=True)
class DicomCases:
    """Series and structures, read when they are asked for."""

    cases: Mapping[str, Case]
    """By name of the sample."""
    classes: tuple[str, ...]
    merge: Mapping[str, str] = field(default_factory=dict)
    _last: dict[str, Image] = field(default_factory=dict)

    def load(self, sample: Sample) -> NDArray[np.generic]:
        """Return the voxels, (slice, row, column)."""
        return self._image(sample.name).volume.values

    def content(self, sample: Sample) -> bytes:
        """Return what identifies the files of an image: their digests."""
        return "".join(one.digest for one in self.cases[sample.name].series.instances).encode()

    def place(self, sample: Sample) -> PlacedImage:
        """Return the voxels with where they lie."""
        volume = self._image(sample.name).volume
        return PlacedImage(values=volume.values[None], grid=volume.grid, is_picture=False)

    def annotate(self, sample: Sample) -> Annotation:
        """Return the class of each voxel; where structures overlap, the later class counts.

        Raises:
            InputError: A structure lies elsewhere than its image.
        """
        image = self._image(sample.name)
        labels = np.zeros(image.volume.grid.shape, np.int32)
        for instance in self.cases[sample.name].objects:
            for structure in _structures(instance, image):
                name = self.merge.get(structure.name, structure.name)
                if name in self.classes:
                    window = labels[structure.window]
                    number = self.classes.index(name) + 1
                    window[structure.box] = np.maximum(window[structure.box], number)
        return Annotation(labels=labels)

    def _image(self, name: str) -> Image:
        """Return the image of a case; the last one read is kept."""
        kept = self._last.get(name)
        if kept is None:
            kept = _volume(self.cases[name].series)
            self._last.clear()
            self._last[name] = kept
        return kept


def samples_at(
    path: Path,
    *,
    options: DataOptions,
    annotated: bool | None = None,
    decoders: Decoders | None = None,
    progress: Progress = lambda done, total: None,  # noqa: ARG005
) -> SampleSet:
    """Return the images at a path to learn from: pictures, volumes, archives, or DICOM.

    Args:
        path: Folder, manifest, zip or archive.
        options: Which images, and what their labels are.
        annotated: Whether masks or boxes are read, see ``read_samples``.
        decoders: What reads further kinds of files, by ending.
        progress: Told of the DICOM files looked at.

    Raises:
        InputError: Nothing there can be learned from.
    """
    if not path.exists() or holds_pictures(path) or (path / "manifest.csv").exists():
        return read_samples(path, options=options, annotated=annotated, decoders=decoders)
    return dicom_samples(path, options=options, progress=progress)


def dicom_samples(path: Path, *, options: DataOptions, progress: Progress) -> SampleSet:
    """Return the series of a folder or zip on which structures are drawn; no pixel is read.

    Args:
        path: Folder, or zip that is read in place, of any number of patients.
        options: ``classes`` chooses structures and their order, by default all names that occur;
            ``merge`` puts several names into one class; ``where`` asks for ``patient``,
            ``modality`` or ``description``.
        progress: Told of the files looked at.

    Raises:
        InputError: Structures were drawn on images that are not there, or none were drawn.
    """
    found = scan((path,), options=ScanOptions(), progress=progress)
    cases = _cases(path, found, options)
    classes = _classes(path, cases, options)
    every = DicomCases(cases=cases, classes=classes, merge=options.merge)
    return SampleSet(
        classes=classes,
        samples=tuple(
            Sample(name=name, group=case.patient, columns=_columns(case))
            for name, case in cases.items()
        ),
        load=every.load,
        content=every.content,
        source=str(path),
        place=every.place,
        annotate=every.annotate,
    )


def _cases(path: Path, found: Scan, options: DataOptions) -> dict[str, Case]:
    """Return the images with structures that are wanted, by name in the order of the scan."""
    drawn = _drawn(path, found)
    cases = {}
    for patient in found.patients:
        for series in (one for study in patient.studies for one in study.series):
            who = patient.patient.id or patient.patient.name or series.study_uid
            if series.uid in drawn:
                case = Case(series=series, objects=tuple(drawn[series.uid]), patient=who)
                cases[f"{who}/{series.uid}"] = case
    rows = [Row(name=name, columns=_columns(case)) for name, case in cases.items()]
    chosen = chosen_rows(path, rows, start=options.start, where=options.where)
    return {row.name: cases[row.name] for row in chosen}


def _drawn(path: Path, found: Scan) -> dict[str, list[ScannedInstance]]:
    """Return the objects with structures by the series that they were drawn on."""
    drawn: dict[str, list[ScannedInstance]] = defaultdict(list)
    for scanned in found.objects:
        for instance in scanned.instances:
            if instance.sop_class_uid in STRUCTURE_CLASSES:
                uid = _drawn_on(instance, scanned.study_uid, found.series)
                drawn[uid].append(instance)
    lost = [instance.source.name for instance in drawn.pop("", [])]
    if lost:
        raise InputError(
            f"{path}: {len(lost)} object(s) were drawn on images that are not there: "
            f"{first_five(lost)}. Add the series that they refer to, or leave them out."
        )
    if not drawn:
        raise InputError(
            f"{path}: no segmentation or structure set belongs to its {len(found.series)} image "
            "series; add the SEG or RTSTRUCT objects."
        )
    return dict(drawn)


def _drawn_on(instance: ScannedInstance, study_uid: str, series: Sequence[ScannedSeries]) -> str:
    """Return the image series that an object names, or the only one of its study; else nothing."""
    _, uids = refers_to(instance.source.read())
    known = [one.uid for one in series]
    named = [uid for uid in uids if uid in known]
    if named or uids:
        return named[0] if named else ""
    inside = [one.uid for one in series if one.study_uid == study_uid]
    return inside[0] if len(inside) == 1 else ""


def _columns(case: Case) -> dict[str, str]:
    return {
        "patient": case.patient,
        "modality": case.series.modality,
        "description": case.series.description,
    }


def _classes(path: Path, cases: Mapping[str, Case], options: DataOptions) -> tuple[str, ...]:
    """Return the structures that are learned."""
    names = {
        options.merge.get(name, name)
        for case in cases.values()
        for instance in case.objects
        for name in _names(instance)
    }
    names.discard(BACKGROUND)
    absent = [name for name in options.classes if name not in names]
    if absent or not names:
        raise InputError(
            f"{path}: no structure is called {first_five(absent) or 'anything'}; there: "
            f"{', '.join(sorted(names)) or 'none'}. Correct data.classes, or merge names by "
            "data.merge."
        )
    classes = options.classes or tuple(sorted(names))
    if len(classes) > MOST_CLASSES:
        raise InputError(f"{path}: it has {len(classes)} structures; at most {MOST_CLASSES} fit.")
    return classes


def _names(instance: ScannedInstance) -> list[str]:
    """Return what the structures of an object are called, from its header."""
    dataset = attributes.load(instance.source.read(), "The object")
    if instance.sop_class_uid == _RTSTRUCT:
        rois = dataset.get("StructureSetROISequence") or ()
        return [str(roi.get("ROIName") or "") for roi in rois]
    return [segment.name for _, segment in segmentation.described_segments(dataset)]


def _structures(instance: ScannedInstance, image: Image) -> StructureSet:
    content = instance.source.read()
    if instance.sop_class_uid == _RTSTRUCT:
        return structure_set.read(content, image)
    return segmentation.read(content, image)


def _volume(series: ScannedSeries) -> Image:
    """Return the volume of a series; of several the largest."""
    readings = images.read_all(series, options=ImageOptions())
    volumes = [one.image for one in readings if isinstance(one.image, Image)]
    if not volumes:
        raise InputError(
            f"{series.name}: its pixels have no place in the patient, so nothing can be drawn on "
            "them; leave it out."
        )
    return max(volumes, key=lambda image: image.volume.values.size)
